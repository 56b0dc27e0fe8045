"""What several tests need: a registry, a web server with ranges and uploads, and a check that nothing is left open."""

from __future__ import annotations

import gc
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import zvfs
from zvfs import _library


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    """A test that leaves a descriptor behind fails: those that the library and its providers keep were there after a first use."""
    zvfs.open("/dev/null", "rb").close()
    gc.collect()
    before = _descriptors()
    yield
    # Arrow's threads let go of a file when they come to it.
    deadline = time.monotonic() + 20
    while (left := _left(before)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left


def _left(before: dict[str, str]) -> dict[str, str]:
    gc.collect()
    left = {fd: shown for fd, shown in _descriptors().items() if fd not in before}
    # The others are a provider's own: its epoll, its sockets that are kept alive, its wake-ups.
    return {fd: shown for fd, shown in left.items() if shown.startswith(("/", "pipe:"))}


def _descriptors() -> dict[str, str]:
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:
            pass  # the listing's own
    return found


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


class WebServer:
    """A server of objects in memory, on a port of this machine."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.answers = threading.Event()
        """Cleared: requests wait for it before they are answered."""
        self.answers.set()
        self.asked = threading.Event()
        """A request has come."""
        self.takes_uploads = True
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                owner.asked.set()
                owner.answers.wait(30)
                content = owner.objects.get(self.path)
                if content is None:
                    return self._answer(404, b"")
                headers = {"ETag": f'"{hash(content):x}"', "Accept-Ranges": "bytes"}
                found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
                if not found:
                    return self._answer(200, content, headers)
                first, last = int(found[1]), min(int(found[2] or len(content)), len(content) - 1)
                if first > last:
                    return self._answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
                headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
                self._answer(206, content[first : last + 1], headers)

            do_HEAD = do_GET

            def handle_expect_100(self) -> bool:
                if owner.takes_uploads:
                    return super().handle_expect_100()
                self._answer(405, b"")
                return False

            def do_PUT(self) -> None:
                owner.objects[self.path] = self._body()
                self._answer(201, b"")

            def _body(self) -> bytes:
                if "Content-Length" in self.headers:
                    return self.rfile.read(int(self.headers["Content-Length"]))
                chunks = []
                while size := int(self.rfile.readline(), 16):
                    chunks.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(chunks)

            def _answer(self, status: int, body: bytes, headers: dict[str, str] = {}) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                pass  # a client that has gone

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self.answers.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def web() -> Iterator[WebServer]:
    server = WebServer()
    yield server
    server.close()


@pytest.fixture
def registry() -> Iterator[zvfs.Registry]:
    """The providers that belong to the library, with their default settings."""
    with zvfs.Registry(providers={"file": {}, "mem": {}, "null": {}, "http": {}, "tcp": {}}) as made:
        yield made


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


_MOTO = os.environ.get("ZVFS_MOTO")
"""A folder with moto, an S3 server in Python."""

_SERVER = """
import sys
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import main
s3_backends[DEFAULT_ACCOUNT_ID]["aws"].create_bucket("bucket", "us-east-1")
main(["-H", "127.0.0.1", "-p", sys.argv[1]])
"""


@pytest.fixture(scope="module")
def object_store() -> Iterator[dict[str, Any]]:
    """The configuration for a running server with a bucket named `bucket`."""
    if not _MOTO or not Path(_library.provider_folder(), "libzvfs_object.so").exists():
        pytest.skip("ZVFS_MOTO names no folder with moto, or there is no libzvfs_object.so")
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(port)],
        env=os.environ | {"PYTHONPATH": _MOTO},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while not _answers(port):
            assert server.poll() is None and time.monotonic() < deadline, "moto does not start"
            time.sleep(0.05)
        yield {"object": {"endpoint": f"http://127.0.0.1:{port}", "access-key": "jobs", "secret-key": "words"}, "file": {}}
    finally:
        server.kill()
        server.wait()


def _answers(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0
