"""Which providers may load, names, errors, and files over the network."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import pickle
import socket
import threading
import zipfile
from pathlib import Path

import pytest
import zvfs
from conftest import WebServer, free_port


def test_lists_stats_and_removes(registry: zvfs.Registry, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "d").mkdir()
    odd = os.fsdecode(b"\xff")
    (tmp_path / odd).touch()
    entries = {entry.name: entry for entry in registry.list(tmp_path)}
    assert set(entries) == {"a", "d", odd}
    stat = registry.stat(tmp_path / "a")
    assert (stat.size, stat.kind) == (5, "regular")
    assert stat.modified_ns == (tmp_path / "a").stat().st_mtime_ns
    assert registry.stat(tmp_path / "d").kind == "directory"
    registry.remove(tmp_path / "a")
    with pytest.raises(FileNotFoundError):
        registry.stat(tmp_path / "a")
    with pytest.raises(IsADirectoryError):
        registry.remove(tmp_path / "d")
    with pytest.raises(NotADirectoryError):
        registry.list(tmp_path / odd)


def test_errors_are_of_their_own_kinds(registry: zvfs.Registry, tmp_path: Path) -> None:
    cases = [
        ("/no/such", "r", FileNotFoundError, errno.ENOENT),
        (str(tmp_path), "r", IsADirectoryError, errno.EISDIR),
        ("nosuch:x", "r", OSError, errno.EPROTONOSUPPORT),
        ("", "r", OSError, errno.EINVAL),
    ]
    for descriptor, mode, kind, number in cases:
        with pytest.raises(kind) as raised:
            registry.open(descriptor, mode)
        assert raised.value.errno == number, descriptor
        assert raised.value.strerror
        assert not zvfs.is_retryable(raised.value)


def test_an_error_shows_no_password(registry: zvfs.Registry, web: WebServer) -> None:
    address = web.url.removeprefix("http://")
    with pytest.raises(FileNotFoundError) as raised:
        registry.open(f"http://someone:secret@{address}/none?key=hidden")
    told = f"{raised.value} {raised.value!r} {raised.value.filename}"
    assert "/none" in told
    assert "secret" not in told and "hidden" not in told


def test_only_what_is_configured_may_load(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    (inside / "x").write_text("a")
    outside.write_text("b")
    with zvfs.Registry(providers={"file": {"root": [inside], "read-only": True}}) as registry:
        with registry.open(inside / "x") as file:
            assert file.read() == "a"
        with pytest.raises(PermissionError):
            registry.open(outside)
        with pytest.raises(OSError):
            registry.open(inside / "y", "w")
        with pytest.raises(PermissionError):
            registry.open("mem:x", "w")


def test_a_configuration_is_a_file_or_a_text(tmp_path: Path) -> None:
    from zvfs import _library

    text = f'provider-path = ["{_library.provider_folder()}"]\n[provider.mem]\n'
    path = tmp_path / "zvfs.toml"
    path.write_text(text)
    path.chmod(0o600)
    for registry in (zvfs.Registry(text=text), zvfs.Registry(path)):
        with registry:
            with registry.open("mem:x", "w") as file:
                file.write("a")
            with pytest.raises(PermissionError):
                registry.open("/etc/hostname")
    with pytest.raises(OSError, match="line 1"):
        zvfs.Registry(text="provider-path = 7")
    with pytest.raises(FileNotFoundError):
        zvfs.Registry(tmp_path / "none")
    with pytest.raises(ValueError, match="give one of them"):
        zvfs.Registry(path, text=text)


def test_a_registry_and_a_control_cannot_be_pickled(registry: zvfs.Registry) -> None:
    for thing in (registry, zvfs.Control()):
        with pytest.raises(TypeError, match="cannot pickle a"):
            pickle.dumps(thing)


def test_memory_is_shared_within_a_registry(registry: zvfs.Registry) -> None:
    content = os.urandom(1 << 20)
    with registry.open("mem:a", "wb") as file:
        file.write(content)
    with registry.open("mem:a", "rb") as file:
        assert file.read() == content
    with registry.open("mem:b", "w+b") as file:
        file.write(content)
        file.seek(100)
        assert file.read(100) == content[100:200]


def test_reads_over_http(registry: zvfs.Registry, web: WebServer) -> None:
    content = os.urandom(1 << 20)
    web.objects["/x"] = content
    with registry.open(f"{web.url}/x", "rb") as file:
        assert file.seekable()
        file.seek(-100, io.SEEK_END)
        assert file.read() == content[-100:]
        file.seek(0)
        assert hashlib.sha256(file.read()).digest() == hashlib.sha256(content).digest()
    stat = registry.stat(f"{web.url}/x")
    assert stat.size == 1 << 20 and stat.version
    with pytest.raises(FileNotFoundError):
        registry.open(f"{web.url}/none")


def test_uploads_over_http_at_close_only(registry: zvfs.Registry, web: WebServer) -> None:
    with registry.open(f"{web.url}/up", "w") as file:
        file.write("text")
        assert "/up" not in web.objects
    assert web.objects["/up"] == b"text"
    with pytest.raises(ZeroDivisionError):
        with registry.open(f"{web.url}/failed", "w") as file:
            file.write("part")
            raise ZeroDivisionError
    assert "/failed" not in web.objects


def test_a_zip_is_read_and_written_through_any_descriptor(
    registry: zvfs.Registry, web: WebServer, tmp_path: Path
) -> None:
    content = os.urandom(300_000)
    with registry.open(tmp_path / "z.zip", "wb") as target, zipfile.ZipFile(target, "w") as archive:
        archive.writestr("inner", content)
    web.objects["/z.zip"] = (tmp_path / "z.zip").read_bytes()
    for descriptor in (str(tmp_path / "z.zip"), f"{web.url}/z.zip"):
        with registry.open(descriptor, "rb") as source, zipfile.ZipFile(source) as archive:
            assert archive.read("inner") == content


def test_a_netpipe_joins_two_threads(registry: zvfs.Registry) -> None:
    port = free_port()
    content = os.urandom(1 << 20)

    def write() -> None:
        with registry.open(f"tcp://127.0.0.1:{port}", "wb") as file:
            file.write(content)

    writer = threading.Thread(target=write)
    writer.start()
    with registry.open(f"tcp://127.0.0.1:{port}", "rb") as file:
        assert file.read() == content
    writer.join()


def test_a_writer_that_gives_up_breaks_its_pipe(registry: zvfs.Registry) -> None:
    port = free_port()

    def write() -> None:
        with pytest.raises(ZeroDivisionError):
            with registry.open(f"tcp://127.0.0.1:{port}", "wb") as file:
                file.write(b"part")
                file.flush()
                raise ZeroDivisionError

    writer = threading.Thread(target=write)
    writer.start()
    with registry.open(f"tcp://127.0.0.1:{port}", "rb") as file, pytest.raises(ConnectionResetError):
        file.read()
    writer.join()


def test_the_log_goes_where_the_program_says() -> None:
    """A stranger at a pipe's door is worth a warning."""
    lines: list[tuple[int, str]] = []
    told = threading.Event()

    def log(level: int, text: str) -> None:
        lines.append((level, text))
        told.set()

    port = free_port()
    control = zvfs.Control()
    with zvfs.Registry(providers={"tcp": {}}, log=log) as registry:

        def read() -> None:
            with pytest.raises(OSError), registry.open(f"tcp://127.0.0.1:{port}", "rb", control=control) as file:
                file.read()

        reader = threading.Thread(target=read)
        reader.start()
        while not told.is_set() and reader.is_alive():
            with socket.socket() as stranger:
                if stranger.connect_ex(("127.0.0.1", port)) == 0:
                    stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
                    stranger.recv(1000)
            told.wait(0.02)
        control.cancel()
        reader.join()
    level, text = lines[0]
    assert level == 20 and "netpipe: 127.0.0.1:" in text


def test_the_version_is_the_librarys() -> None:
    assert zvfs.version().count(".") == 2
