"""zipfile, pandas and Arrow read from a file, a web server and an object store, by `zvfs.open` and by fsspec."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zvfs
from conftest import WebServer

fsspec = pytest.importorskip("fsspec")

ROWS = 10_000

Put = Callable[[str, bytes], str]


@pytest.fixture(params=["file", "http", "s3"])
def providers(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """What the place that is tested needs."""
    from zvfs.filesystem import ZvfsFileSystem

    if request.param == "s3":
        yield request.getfixturevalue("object_store")
    else:
        yield {request.param: {}}
    ZvfsFileSystem.clear_instance_cache()


@pytest.fixture
def put(providers: dict[str, Any], tmp_path: Path, web: WebServer) -> Put:
    """Puts some content where it is to be read, and says by which descriptor."""

    def put_there(name: str, content: bytes) -> str:
        if "http" in providers:
            web.objects[f"/{name}"] = content
            return f"{web.url}/{name}"
        if "object" in providers:
            with zvfs.Registry(providers=providers) as registry, registry.open(f"s3://bucket/{name}", "wb") as target:
                target.write(content)
            return f"s3://bucket/{name}"
        (tmp_path / name).write_bytes(content)
        return f"file:{tmp_path}/{name}"

    return put_there


def test_zipfile_reads(providers: dict[str, Any], put: Put) -> None:
    members = {f"folder/{number}": os.urandom(50_000) for number in range(5)}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as written:
        for name, content in members.items():
            written.writestr(name, content)
    descriptor = put("x.zip", archive.getvalue())
    with zvfs.Registry(providers=providers) as registry, registry.open(descriptor, "rb") as file:
        with zipfile.ZipFile(file) as read:
            assert read.testzip() is None
            assert {name: read.read(name) for name in reversed(read.namelist())} == members
    with fsspec.open(f"zvfs://{descriptor}", "rb", providers=providers) as file, zipfile.ZipFile(file) as read:
        assert read.read("folder/3") == members["folder/3"]


def test_pandas_reads(providers: dict[str, Any], put: Put) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": range(ROWS), "b": [f"t{number}" for number in range(ROWS)]})
    text = frame.to_csv(index=False).encode()
    descriptor = put("x.csv", text)
    read = pandas.read_csv(f"zvfs://{descriptor}", storage_options={"providers": providers})
    pandas.testing.assert_frame_equal(read, frame)
    with zvfs.Registry(providers=providers) as registry, registry.open(descriptor, "r", newline="") as file:
        pandas.testing.assert_frame_equal(pandas.read_csv(file), frame)


def test_arrow_reads(providers: dict[str, Any], put: Put) -> None:
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.fs
    import pyarrow.parquet

    table = arrow.table({"a": list(range(ROWS)), "b": [str(number) for number in range(ROWS)]})
    written = io.BytesIO()
    pyarrow.parquet.write_table(table, written, row_group_size=ROWS // 4)
    descriptor = put("x.parquet", written.getvalue())
    with zvfs.Registry(providers=providers) as registry, registry.open(descriptor, "rb") as file:
        assert pyarrow.parquet.read_table(file).equals(table)
    through = pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(fsspec.filesystem("zvfs", providers=providers)))
    column = pyarrow.parquet.read_table(descriptor, filesystem=through, columns=["a"])
    assert column.equals(table.select(["a"]))
