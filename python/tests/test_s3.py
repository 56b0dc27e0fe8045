"""An object store: pandas, Arrow and zipfile on s3://. ZVFS_MOTO is a folder with moto, an S3 server in Python."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zvfs
from conftest import free_port
from zvfs import _library

_MOTO = os.environ.get("ZVFS_MOTO")

pytestmark = pytest.mark.skipif(
    not _MOTO or not Path(_library.provider_folder(), "libzvfs_object.so").exists(),
    reason="ZVFS_MOTO names no folder with moto, or there is no libzvfs_object.so",
)

_SERVER = """
import sys
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import main
s3_backends[DEFAULT_ACCOUNT_ID]["aws"].create_bucket("bucket", "us-east-1")
main(["-H", "127.0.0.1", "-p", sys.argv[1]])
"""


@pytest.fixture(scope="module")
def providers() -> Iterator[dict[str, Any]]:
    """The configuration for a running server with a bucket named `bucket`."""
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(port)],
        env=os.environ | {"PYTHONPATH": _MOTO or ""},
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


def test_a_zip_of_a_store(providers: dict[str, Any]) -> None:
    content = os.urandom(300_000)
    with zvfs.Registry(providers=providers) as registry:
        with registry.open("s3://bucket/z.zip", "wb") as target, zipfile.ZipFile(target, "w") as archive:
            archive.writestr("inner", content)
        with registry.open("s3://bucket/z.zip", "rb") as source, zipfile.ZipFile(source) as archive:
            assert archive.read("inner") == content
        assert [entry.name for entry in registry.list("s3://bucket/")] == ["z.zip"]
        with pytest.raises(ZeroDivisionError):
            with registry.open("s3://bucket/failed", "wb") as target:
                target.write(content)
                raise ZeroDivisionError
        with pytest.raises(FileNotFoundError):
            registry.stat("s3://bucket/failed")


def test_pandas_and_arrow_read_from_a_store(providers: dict[str, Any]) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame({"a": range(1000), "b": [f"t{n}" for n in range(1000)]})
    options = {"providers": providers}
    frame.to_csv("zvfs://s3://bucket/x.csv", index=False, storage_options=options)
    frame.to_parquet("zvfs://s3://bucket/x.parquet", storage_options=options)
    for read, name in ((pandas.read_csv, "x.csv"), (pandas.read_parquet, "x.parquet")):
        found = read(f"zvfs://s3://bucket/{name}", storage_options=options)
        pandas.testing.assert_frame_equal(found, frame, check_dtype=False)

    from zvfs.filesystem import ZvfsFileSystem

    ZvfsFileSystem.clear_instance_cache()
