"""zvfs.open() beside the built-in open(): the same objects, the same answers, and an end of its own."""

from __future__ import annotations

import array
import errno
import gc
import io
import os
import pickle
import stat
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest
import zvfs
from conftest import WebServer


def test_gives_the_objects_that_the_built_in_open_gives(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    for mode, buffering in [("r", -1), ("rb", -1), ("rb", 0), ("r+b", -1), ("ab", -1)]:
        with zvfs.open(path, mode, buffering) as ours, open(path, mode, buffering) as theirs:
            kinds = (io.TextIOWrapper, io.BufferedReader, io.BufferedWriter, io.BufferedRandom, io.RawIOBase)
            for kind in kinds:
                assert isinstance(ours, kind) == isinstance(theirs, kind), (mode, kind)
            for name in ("readable", "writable", "seekable", "isatty"):
                assert getattr(ours, name)() == getattr(theirs, name)(), (mode, name)
            assert ours.mode == theirs.mode
            assert ours.name == os.fspath(theirs.name)


def test_text_has_encoding_newline_and_errors(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with zvfs.open(path, "w", encoding="latin-1", newline="\r\n") as file:
        file.write("h\u00e9\nl\n")
    assert path.read_bytes() == b"h\xe9\r\nl\r\n"
    with zvfs.open(path, encoding="utf-8", errors="replace") as file:
        assert list(file) == ["h\ufffd\n", "l\n"]
    with zvfs.open(path, encoding="latin-1", newline="") as file:
        assert file.read() == "h\u00e9\r\nl\r\n"


def test_reads_into_any_buffer_that_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(range(64)))
    with zvfs.open(path, "rb", buffering=0) as raw:
        file: Any = raw
        numbers, within = array.array("I", [0] * 4), bytearray(8)
        assert (file.readinto_at(numbers, 16), numbers.tobytes()) == (16, bytes(range(16, 32)))
        assert (file.readinto_at(memoryview(within)[2:6], 4), within) == (4, b"\0\0\4\5\6\7\0\0")
        assert (file.readinto_at(bytearray(), 0), file.readinto_at(bytearray(9), 60)) == (0, 4)
        for refused in (b"12345678", memoryview(bytearray(8))[::2], "text"):
            with pytest.raises((TypeError, BufferError)):
                file.readinto_at(refused, 0)
        # The error of one call is not that of another.
        with pytest.raises(FileNotFoundError):
            zvfs.open(tmp_path / "absent", "rb")
        assert file.readinto_at(within, 0) == 8


@pytest.mark.parametrize("mode", ["", "q", "rw", "rr", "rbt", "+", "bb"])
def test_refuses_the_modes_that_the_built_in_open_refuses(tmp_path: Path, mode: str) -> None:
    with pytest.raises(ValueError):
        open(tmp_path / "x", mode)
    with pytest.raises(ValueError):
        zvfs.open(tmp_path / "x", mode)


def test_refuses_the_arguments_that_the_built_in_open_refuses(tmp_path: Path) -> None:
    for mode, arguments in [("wb", {"encoding": "utf-8"}), ("wb", {"newline": ""}), ("w", {"buffering": 0})]:
        with pytest.raises(ValueError):
            zvfs.open(tmp_path / "x", mode, **arguments)
    assert os.listdir(tmp_path) == []
    with pytest.raises(LookupError):
        zvfs.open(tmp_path / "x", "w", encoding="no-such-encoding")
    assert os.listdir(tmp_path) == []


def test_positions_and_sizes_are_the_files_own(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(range(256)) * 1000)
    with zvfs.open(path, "rb") as ours, open(path, "rb") as theirs:
        for offset, whence in [(10, 0), (5, 1), (-7, 2), (1 << 20, 0), (0, 0)]:
            assert ours.seek(offset, whence) == theirs.seek(offset, whence)
            assert ours.read(33) == theirs.read(33)
            assert ours.tell() == theirs.tell()
        assert ours.read() == theirs.read()
        with pytest.raises(OSError):
            ours.raw.seek(-1)
    with zvfs.open(path, "r+b") as file:
        file.seek(100)
        file.write(b"xy")
        file.truncate(200)
    assert path.stat().st_size == 200
    assert path.read_bytes()[99:103] == b"cxyf"


def test_appends_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for line in ("a\n", "b\n"):
        with zvfs.open(path, "a") as file:
            file.write(line)
    assert path.read_text() == "a\nb\n"


def test_what_is_read_is_what_was_written_without_a_buffer_too(tmp_path: Path) -> None:
    path, content = tmp_path / "x", os.urandom(3 << 20)
    with zvfs.open(path, "wb", 0) as file:
        for data in (content[:100], bytearray(content[100:200]), memoryview(content)[200:]):
            rest = memoryview(data)
            while rest:
                rest = rest[file.write(rest) :]
    with zvfs.open(path, "rb", 0) as file:
        assert file.readall() == content
        assert file.read(1) == b""
        buffer = bytearray(10)
        assert file.readinto_at(buffer, 1000) == 10
        assert buffer == content[1000:1010]
        assert file.readinto_at(buffer, 1 << 30) == 0


# -- the end


def test_a_file_appears_at_close(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    with zvfs.open(path, "w") as file:
        file.write("new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize(("mode", "buffering"), [("w", -1), ("wb", -1), ("wb", 0), ("w+b", -1)])
def test_an_exception_in_the_block_leaves_the_old_file(tmp_path: Path, mode: str, buffering: int) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError):
        with zvfs.open(path, mode, buffering) as file:
            file.write("new" if mode == "w" else b"new")
            raise ZeroDivisionError
    assert file.closed
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize(("mode", "buffering"), [("w", -1), ("wb", -1), ("wb", 0)])
def test_an_object_that_is_given_up_leaves_the_old_file(tmp_path: Path, mode: str, buffering: int) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    file = zvfs.open(path, mode, buffering)
    file.write("new" if mode == "w" else b"new")
    with pytest.warns(ResourceWarning, match="unclosed file"):
        del file
        gc.collect()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["x"]


def test_a_reader_that_is_given_up_warns_as_the_built_in_one_does(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    for opened in (open, zvfs.open):
        file = opened(path)
        with pytest.warns(ResourceWarning, match="unclosed file"):
            del file
            gc.collect()


def test_a_cycle_does_not_keep_a_file(tmp_path: Path) -> None:
    file = zvfs.open(tmp_path / "x", "wb")
    file.itself = file
    seen = weakref.ref(file)
    with pytest.warns(ResourceWarning):
        del file
        gc.collect()
    assert seen() is None
    assert os.listdir(tmp_path) == []


def test_discard_and_commit_can_be_called(tmp_path: Path) -> None:
    with zvfs.open(tmp_path / "x", "w") as file:
        file.write("a")
        file.discard()
        file.write("dropped")
    assert os.listdir(tmp_path) == []
    with zvfs.open(tmp_path / "y", "w") as file:
        file.write("a")
        file.commit()
        assert (tmp_path / "y").read_text() == "a"
    assert (tmp_path / "y").read_text() == "a"


def test_exclusive_makes_a_new_file_only(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with zvfs.open(path, "x") as file:
        file.write("a")
    with pytest.raises(FileExistsError):
        zvfs.open(path, "x")
    assert path.read_text() == "a"


def test_a_write_that_failed_is_not_committed(tmp_path: Path) -> None:
    """BufferedWriter.close() closes the file below even where its flush has failed: that must not commit a part."""
    path = tmp_path / "x"
    control = zvfs.Control()
    file = zvfs.open(path, "wb", control=control)
    file.write(b"a" * 1000)
    control.set_timeout(0)
    with pytest.raises(TimeoutError):
        file.flush()
    with pytest.raises(TimeoutError):
        file.close()
    assert file.closed
    assert os.listdir(tmp_path) == []


def test_a_write_that_was_late_may_be_made_again(tmp_path: Path) -> None:
    path = tmp_path / "x"
    control = zvfs.Control()
    with zvfs.open(path, "wb", control=control) as file:
        file.write(b"a" * 1000)
        control.set_timeout(0)
        with pytest.raises(TimeoutError):
            file.flush()
        control.set_timeout(None)
    assert path.read_bytes() == b"a" * 1000


def test_a_pipe_is_written_in_place(fifo: Path) -> None:
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_bytes()))
    reader.start()
    with zvfs.open(fifo, "w") as file:
        file.write("through")
        assert not file.seekable()
    reader.join()
    assert read == [b"through"]
    assert stat.S_ISFIFO(fifo.stat().st_mode)


# -- what is refused


def test_the_wrong_direction_is_unsupported(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("a")
    with zvfs.open(path, "rb", 0) as file, pytest.raises(io.UnsupportedOperation):
        file.write(b"a")
    with zvfs.open(tmp_path / "y", "wb", 0) as file, pytest.raises(io.UnsupportedOperation):
        file.readinto(bytearray(1))
    with zvfs.open(path, "rb", 0) as file, pytest.raises(io.UnsupportedOperation):
        file.fileno()


def test_a_closed_file_is_closed(tmp_path: Path) -> None:
    file = zvfs.open(tmp_path / "x", "wb", 0)
    file.close()
    file.close()
    for call in (file.tell, file.flush, file.readable, file.stat, lambda: file.write(b"a")):
        with pytest.raises(ValueError, match="closed"):
            call()


@pytest.mark.parametrize(("mode", "buffering"), [("w", -1), ("wb", -1), ("wb", 0), ("rb", -1), ("r+b", -1)])
def test_an_open_file_cannot_be_pickled(tmp_path: Path, mode: str, buffering: int) -> None:
    (tmp_path / "x").write_text("a")
    with zvfs.open(tmp_path / "x", mode, buffering) as file:
        with pytest.raises(TypeError, match="cannot pickle an open file: pickle its descriptor"):
            pickle.dumps(file)


def test_a_file_may_outlive_its_registry(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("a")
    registry = zvfs.Registry(providers={"file": {}})
    file = registry.open(tmp_path / "x")
    registry.close()
    with pytest.raises(ValueError, match="closed"):
        registry.stat(tmp_path / "x")
    with file:
        assert file.read() == "a"


def test_a_nul_in_a_descriptor_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        zvfs.open("/tmp/a\0b")


def test_a_server_without_uploads_is_told_as_that(web: WebServer) -> None:
    # The last of several ways to open said what to add to a flag that the first ones had.
    web.takes_uploads, web.objects["/there"] = False, b"old"
    for name in ("there", "none"):
        with pytest.raises(OSError, match="405"):
            with zvfs.open(f"{web.url}/{name}", "wb") as file:
                file.write(b"new")
    assert web.objects == {"/there": b"old"}


def test_a_file_and_a_name_are_given_times(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for mode, content in [("w", "text"), ("wb", b"bytes")]:
        with zvfs.open(path, mode) as file:
            file.set_modified(1_000_000_000_123_456_789)  # type: ignore[attr-defined]
            file.write(content)
        assert path.stat().st_mtime_ns == 1_000_000_000_123_456_789
    with zvfs.Registry(providers={"file": {"root": [tmp_path]}}) as registry:
        registry.set_modified(tmp_path, -5)
        assert registry.stat(tmp_path).modified_ns == -5
        with pytest.raises(FileNotFoundError):
            registry.set_modified(tmp_path / "none", 0)
        with pytest.raises(OSError, match="1677 to 2262") as raised:
            registry.set_modified(path, 2**63)
        assert raised.value.errno == errno.EOVERFLOW
    with zvfs.open("null:", "wb") as null, pytest.raises(OSError) as raised:
        null.set_modified(0)  # type: ignore[attr-defined]
    assert raised.value.errno == errno.ENOTSUP
