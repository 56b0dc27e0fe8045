"""zvfs.run(): guests, with file objects as channels."""

from __future__ import annotations

import asyncio
import io
import os
import threading
from pathlib import Path
from typing import Any

import pytest
import zvfs

_MANIFEST = """\
Version = 20140509
Program = /none
Memory = 1048576, 0
Timeout = 30
Channel = /in, /dev/stdin, 0, 1000000, 1g, 0, 0
Channel = /out, /dev/stdout, 0, 0, 0, 1000000, 1g
Channel = /err, /dev/stderr, 0, 0, 0, 10, 4096
"""

# Copies standard input to standard output, 4,096 bytes at a time, and exits with 7 if a call fails.
_COPY = b"""(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (loop $next
      (i32.store (i32.const 0) (i32.const 64))
      (i32.store (i32.const 4) (i32.const 4096))
      (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then (call $exit (i32.const 7))))
      (if (i32.load (i32.const 8)) (then
        (i32.store (i32.const 4) (i32.load (i32.const 8)))
        (if (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)) (then (call $exit (i32.const 7))))
        (br $next))))))
"""

_SPIN = b'(module (memory (export "memory") 1) (func (export "_start") (loop $l (br $l))))'


def run(program: bytes = _COPY, *, stdin: Any = None, stdout: Any = None, **options: Any) -> zvfs.Report:
    channels = {
        "/dev/stdin": io.BytesIO() if stdin is None else stdin,
        "/dev/stdout": io.BytesIO() if stdout is None else stdout,
        "/dev/stderr": io.BytesIO(),
    }
    return zvfs.run(_MANIFEST, program=program, channels=channels, **options)


def test_file_objects_are_channels() -> None:
    content, out = os.urandom(100_000), io.BytesIO()
    report = run(stdin=io.BytesIO(content), stdout=out, check=True)
    assert out.getvalue() == content
    assert (report.exit_code, report.state, report.errno, report.guest_code) == (0, "ok", None, 0)
    channels = {channel.alias: channel for channel in report.channels}
    assert channels["/dev/stdin"].traffic.get_bytes == 100_000
    assert channels["/dev/stdout"].traffic.put_bytes == 100_000
    assert [output.state for output in channels["/dev/stdout"].outputs] == ["committed"]
    assert report.fuel and '"exit_code":0' in report.json.replace(" ", "")


def test_a_channel_may_be_a_file_of_zvfs(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"through")
    with zvfs.open(tmp_path / "in", "rb") as source, zvfs.open(tmp_path / "out", "wb") as target:
        run(stdin=source, stdout=target, check=True)
    assert (tmp_path / "out").read_bytes() == b"through"


def test_what_a_file_object_raises_is_raised() -> None:
    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            raise ZeroDivisionError("in the middle")

    with pytest.raises(ZeroDivisionError, match="in the middle"):
        run(stdin=Broken())
    with pytest.raises(TypeError, match="open it for bytes"):
        run(stdin=io.StringIO("text"))


def test_a_reader_that_has_gone_is_the_guests_to_know() -> None:
    read, write = os.pipe()
    os.close(read)
    with open(write, "wb", 0) as target:
        report = run(stdin=io.BytesIO(b"a"), stdout=target)
    assert report.guest_code == 7
    with pytest.raises(zvfs.RunFailed) as raised:
        run(stdin=io.BytesIO(b"a"), stdout=_Gone(), check=True)
    assert raised.value.report.guest_code == 7


class _Gone:
    """Writable, and says nothing else of itself."""

    def write(self, data: bytes) -> int:
        raise BrokenPipeError


def test_a_run_that_takes_too_long_is_cancelled() -> None:
    with pytest.raises(TimeoutError, match="cancelled"):
        run(_SPIN, timeout=0.1)


def test_ctrl_c_ends_a_run() -> None:
    from test_waiting import interrupt, signalled

    running = threading.Event()

    class In(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            running.set()
            buffer[:1] = b"a"
            return 1

    with signalled(interrupt, running.is_set), pytest.raises(KeyboardInterrupt):
        run(stdin=In())


def test_a_manifest_is_a_path_or_a_text(tmp_path: Path) -> None:
    (tmp_path / "copy.wat").write_bytes(_COPY)
    (tmp_path / "in.txt").write_text("from a file")
    path = tmp_path / "x.manifest"
    path.write_text(
        _MANIFEST.replace("/none", "${MANIFEST_DIR}/copy.wat")
        .replace("/in,", '"${MANIFEST_DIR}/in.txt",')
        .replace("/out,", "${MANIFEST_DIR}/out.txt,")
    )
    from zvfs import _library

    toml = tmp_path / "zvfs.toml"
    toml.write_text(f'provider-path = ["{_library.provider_folder()}"]\n[provider.file]\n')
    toml.chmod(0o600)
    zvfs.run(path, channels={"/dev/stderr": io.BytesIO()}, configuration=toml, check=True)
    assert (tmp_path / "out.txt").read_text() == "from a file"
    with pytest.raises(OSError, match="MANIFEST 1"):
        zvfs.run("Nonsense = 1\n")
    with pytest.raises(OSError):
        zvfs.run(_MANIFEST, channels={"/no/such": io.BytesIO()})


def test_a_run_in_an_event_loop() -> None:
    async def main() -> None:
        out = io.BytesIO()
        channels = {"/dev/stdin": io.BytesIO(b"a"), "/dev/stdout": out, "/dev/stderr": io.BytesIO()}
        await zvfs.aio.run(_MANIFEST, program=_COPY, channels=channels, check=True)
        assert out.getvalue() == b"a"
        channels["/dev/stdout"] = io.BytesIO()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(zvfs.aio.run(_MANIFEST, program=_SPIN, channels=channels), 0.1)

    asyncio.run(main())


def test_nothing_is_kept_of_a_run() -> None:
    from zvfs import _channels

    run(stdin=io.BytesIO(b"a"))
    assert _channels._open == {}
