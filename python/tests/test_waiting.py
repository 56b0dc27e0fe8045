"""Calls that wait: signals, timeouts, cancel, threads, forks."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zvfs
from conftest import WebServer
from zvfs import _calls

# What a test waits for at most: the machine may be busy, and a test that hangs says nothing.
_LIMIT = 30.0

# From the signal to the exception, which without one would never come. The library promises 100 ms; a busy machine adds to that.
_SOON = 10.0


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take longer to end a call than a program would wait for it, which then leaves the call behind."""
    monkeypatch.setattr(_calls, "_GRACE", _LIMIT)


def main_thread_waits() -> Callable[[], bool]:
    """Asks whether it has handed a call to another thread, as it does where one may wait. Made while it has not."""
    idle = len(_calls._idle)
    return lambda: len(_calls._idle) < idle


def in_a_call(raw: Any) -> bool:
    """Whether a call of the file is in progress: it takes one at a time."""
    try:
        raw.tell()
    except OSError as error:
        return error.errno == errno.EBUSY
    return False


def read_until_it_fails(raw: Any, raised: list[OSError]) -> None:
    """Reads, on a thread beside one that asks in_a_call(): that one's own call is no failure of this one's."""
    while not raised:
        try:
            raw.read(1)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raised.append(error)


def again(call: Callable[[], Any]) -> Any:
    """Makes a call until it does not time out, as a machine that is busy enough has it do."""
    for _ in range(100):
        try:
            return call()
        except TimeoutError:
            pass
    return call()


def until(holds: Callable[[], bool]) -> bool:
    """Waits until something holds that there is nothing to wait on for; whether it came to hold."""
    deadline = time.monotonic() + _LIMIT
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.005)
    return holds()


@contextmanager
def signalled(handler: Callable[..., object], waits: Callable[[], bool]) -> Iterator[list[float]]:
    """Sends SIGUSR1 to this process as soon as `waits` says so; the list gets the time of the signal."""
    sent: list[float] = []
    given_up = threading.Event()

    def send() -> None:
        if not until(lambda: waits() or given_up.is_set()) or given_up.is_set():
            return
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGUSR1)

    old = signal.signal(signal.SIGUSR1, handler)
    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield sent
    finally:
        given_up.set()
        sender.join(_LIMIT)
        signal.signal(signal.SIGUSR1, old)


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_ctrl_c_ends_a_read_that_waits(fifo: Path) -> None:
    with zvfs.open(fifo, "rb") as file:
        with signalled(interrupt, main_thread_waits()) as sent:
            with pytest.raises(KeyboardInterrupt):
                file.read(1)
            assert time.monotonic() - sent[0] < _SOON
        # The file is as it was.
        with open(fifo, "wb", 0) as writer:
            writer.write(b"later")
            assert file.read(5) == b"later"


def test_ctrl_c_ends_an_open_that_waits(registry: zvfs.Registry, web: WebServer) -> None:
    web.objects["/x"] = b"a"
    web.answers.clear()
    control = zvfs.Control()
    with signalled(interrupt, web.asked.is_set) as sent:
        with pytest.raises(KeyboardInterrupt):
            registry.open(f"{web.url}/x", control=control)
        assert time.monotonic() - sent[0] < _SOON
    web.answers.set()
    with registry.open(f"{web.url}/x", control=control) as file:
        assert file.read() == "a"


def test_ctrl_c_while_writing_leaves_no_file(fifo: Path, tmp_path: Path) -> None:
    with zvfs.open(fifo, "rb") as source, pytest.raises(KeyboardInterrupt):
        with zvfs.open(tmp_path / "x", "wb") as target:
            target.write(b"some")
            with signalled(interrupt, main_thread_waits()):
                target.write(source.read())
    assert os.listdir(tmp_path) == ["fifo"]


def test_a_handler_that_returns_does_not_disturb_a_read(fifo: Path) -> None:
    """As PEP 475 has it. The handler uses zvfs itself, beside the call that waits."""

    def write(*_: object) -> None:
        with zvfs.open(fifo, "wb") as writer:
            writer.write(b"by the handler")

    with zvfs.open(fifo, "rb") as file, signalled(write, main_thread_waits()):
        assert file.read() == b"by the handler"


def test_ctrl_c_reaches_a_program(fifo: Path) -> None:
    """The real thing: SIGINT, Python's own handler, a program that ends by it."""
    # Tests that were started in the background may have the signal ignored, and hand that on.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    program = heard + "import sys, zvfs; f = zvfs.open(sys.argv[1], 'rb'); print('opened', flush=True); f.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, fifo], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None and child.stderr is not None
        assert child.stdout.readline() == "opened\n"
        child.send_signal(signal.SIGINT)
        assert child.stderr.read().rstrip().endswith("KeyboardInterrupt")
        assert child.wait(_LIMIT) == -signal.SIGINT


def test_a_timeout_holds_for_each_call(fifo: Path) -> None:
    with again(lambda: zvfs.open(fifo, "rb", 0, timeout=0.3)) as file, open(fifo, "wb", 0) as writer:
        with pytest.raises(TimeoutError) as raised:
            file.read(1)
        assert raised.value.errno == errno.ETIMEDOUT
        writer.write(b"a")
        assert again(lambda: file.read(1)) == b"a"
        with pytest.raises(TimeoutError):
            file.read(1)


def test_a_control_ends_the_calls_of_other_threads(fifo: Path) -> None:
    control = zvfs.Control()
    raised: list[OSError] = []
    file = zvfs.open(fifo, "rb", 0, control=control)
    reader = threading.Thread(target=read_until_it_fails, args=(file, raised))
    reader.start()
    assert until(lambda: in_a_call(file))
    control.cancel()
    reader.join(_LIMIT)
    file.close()
    assert [error.errno for error in raised] == [errno.ECANCELED]
    assert control.cancelled
    with pytest.raises(OSError):
        zvfs.open(fifo, "rb", control=control)
    control.lift()
    zvfs.open(fifo, "rb", control=control).close()


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_a_timeout_is_a_time(seconds: float) -> None:
    with pytest.raises(ValueError, match="timeout"):
        zvfs.Control(seconds)


def test_timeout_and_control_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="give one of them"):
        zvfs.open("/dev/null", timeout=1, control=zvfs.Control())


def test_a_huge_timeout_is_none() -> None:
    with zvfs.open("/dev/null", "rb", timeout=float("inf")) as file:
        assert file.read() == b""


def test_other_threads_run_while_one_waits(fifo: Path) -> None:
    """A call releases the GIL: without that the writer's thread would never run."""
    writer = threading.Thread(target=lambda: fifo.write_bytes(b"a"))
    with zvfs.open(fifo, "rb") as file:
        writer.start()
        assert file.read() == b"a"
    writer.join()


def test_threads_share_a_file_and_read_at_places(tmp_path: Path) -> None:
    content = os.urandom(1 << 20)
    (tmp_path / "x").write_bytes(content)
    wrong: list[int] = []
    with zvfs.open(tmp_path / "x", "rb", 0) as file:

        def read(first: int) -> None:
            for offset in range(first, 1 << 20, 64 << 10):
                buffer = bytearray(1000)
                count = file.readinto_at(buffer, offset)
                if buffer[:count] != content[offset : offset + 1000]:
                    wrong.append(offset)

        threads = [threading.Thread(target=read, args=(first,)) for first in range(0, 64 << 10, 8 << 10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_a_close_while_another_thread_reads_is_refused(fifo: Path) -> None:
    file = zvfs.open(fifo, "rb", 0)
    reader = threading.Thread(target=read_until_it_fails, args=(file, []))
    reader.start()
    assert until(lambda: in_a_call(file))
    with pytest.raises(OSError, match="cancel its control first") as raised:
        file.close()
    assert raised.value.errno == errno.EBUSY
    file.control.cancel()
    reader.join(_LIMIT)
    file.close()
    assert file.closed


def test_the_child_of_a_fork_has_a_registry_of_its_own(tmp_path: Path, fifo: Path) -> None:
    """Its parent's files are refused at once, and the default registry is a new one; the main thread's helper too."""
    program = f"""
import os, zvfs
zvfs.open({str(fifo)!r}, "rb").close()
mine = zvfs.Registry(providers={{"file": {{}}}})
old = mine.open("/dev/zero", "rb", 0)
child = os.fork()
if child == 0:
    try:
        old.read(1)
    except PermissionError:
        with zvfs.open({str(tmp_path / "x")!r}, "w") as file:
            file.write("by the child")
        waits = zvfs.open({str(fifo)!r}, "rb")
        waits.raw.control.set_timeout(0.01)
        try:
            waits.read()
        except TimeoutError:
            os._exit(0)
    os._exit(1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert old.read(1) == b"\\0"
old.close()
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    assert (tmp_path / "x").read_text() == "by the child"


def test_a_call_that_cannot_be_cancelled_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider without CANCEL, as a function that takes no notice."""
    monkeypatch.setattr(_calls, "_GRACE", 0.05)
    going, goes_on = threading.Event(), threading.Event()
    done: list[str] = []

    class Deaf:
        def _interrupt(self) -> None:
            done.append("interrupted")

        def _resume(self) -> None:
            done.append("resumed")

    def wait(_: object) -> int:
        going.set()
        goes_on.wait(_LIMIT)
        return 0

    before = threading.active_count()
    with signalled(interrupt, going.is_set), pytest.raises(KeyboardInterrupt):
        _calls.call_that_waits(Deaf(), wait)
    assert done == ["interrupted"]
    assert _calls.call_that_waits(Deaf(), lambda _: 7) == 7
    goes_on.set()
    assert until(lambda: threading.active_count() <= before)
    assert done == ["interrupted"]
