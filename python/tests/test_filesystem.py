"""The fsspec file system, and what stands on it."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from conftest import WebServer

fsspec = pytest.importorskip("fsspec")

from zvfs.filesystem import ZvfsFileSystem  # noqa: E402


@pytest.fixture
def fs() -> Any:
    return fsspec.filesystem("zvfs", skip_instance_cache=True)


def test_is_found_by_its_protocol(fs: Any) -> None:
    assert isinstance(fs, ZvfsFileSystem)
    assert fs._strip_protocol("zvfs://file:/srv/x/") == "file:/srv/x"
    assert fs._strip_protocol("zvfs:///srv/x") == "/srv/x"
    assert fs._strip_protocol(["zvfs://s3://bucket/key"]) == ["s3://bucket/key"]


def test_reads_writes_lists_and_removes(fs: Any, tmp_path: Path) -> None:
    root = f"zvfs://file:{tmp_path}"
    fs.pipe_file(f"{root}/a b", b"0123456789")
    assert (tmp_path / "a b").read_bytes() == b"0123456789"
    assert fs.cat_file(f"{root}/a%20b") == b"0123456789"
    for start, end in [(2, 5), (-3, None), (None, -3), (-5, -2), (3, None), (5, 2), (0, 100)]:
        assert fs.cat_file(f"{tmp_path}/a b", start, end) == b"0123456789"[start:end], (start, end)
    (tmp_path / "d").mkdir()
    assert fs.ls(root, detail=False) == [f"file:{tmp_path}/a%20b", f"file:{tmp_path}/d"]
    assert [(one["size"], one["type"]) for one in fs.ls(root)][0] == (10, "file")
    assert fs.isdir(f"{root}/d") and fs.isfile(f"{tmp_path}/a b") and not fs.exists(f"{root}/none")
    assert fs.ls(f"{tmp_path}/a b", detail=False) == [f"{tmp_path}/a b"]
    fs.cp_file(f"{tmp_path}/a b", f"{root}/d/c")
    assert fs.find(str(tmp_path)) == [f"{tmp_path}/a b", f"{tmp_path}/d/c"]
    fs.rm_file(f"{tmp_path}/a b")
    assert os.listdir(tmp_path) == ["d"]


def test_text_and_compression_go_through_fsspec_open(tmp_path: Path) -> None:
    with fsspec.open(f"zvfs://{tmp_path}/x.gz", "wt", compression="gzip") as file:
        file.write("text")
    assert (tmp_path / "x.gz").read_bytes()[:2] == b"\x1f\x8b"
    with fsspec.open(f"zvfs://{tmp_path}/x.gz", "rt", compression="gzip") as file:
        assert file.read() == "text"


def test_can_be_pickled_and_made_of_a_configuration(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("a")
    made = ZvfsFileSystem(providers={"file": {"root": [str(tmp_path)]}})
    again = pickle.loads(pickle.dumps(made))
    assert again.cat_file(f"{tmp_path}/x") == b"a"
    with pytest.raises(PermissionError):
        again.cat_file("/etc/hostname")
    ZvfsFileSystem.clear_instance_cache()


def test_pandas_reads_and_writes_csv(tmp_path: Path, web: WebServer) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": range(1000), "b": [f"t{n}" for n in range(1000)]})
    frame.to_csv(f"zvfs://{tmp_path}/x.csv", index=False)
    web.objects["/x.csv"] = (tmp_path / "x.csv").read_bytes()
    for descriptor in (f"{tmp_path}/x.csv", f"file:{tmp_path}/x.csv", f"{web.url}/x.csv"):
        pandas.testing.assert_frame_equal(pandas.read_csv(f"zvfs://{descriptor}"), frame)


def test_pyarrow_reads_parquet(tmp_path: Path, web: WebServer) -> None:
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.fs
    import pyarrow.parquet
    import zvfs

    table = arrow.table({"a": list(range(10_000)), "b": [str(n) for n in range(10_000)]})
    with zvfs.open(tmp_path / "x.parquet", "wb") as file:
        pyarrow.parquet.write_table(table, file)
    web.objects["/x.parquet"] = (tmp_path / "x.parquet").read_bytes()
    with zvfs.open(f"{web.url}/x.parquet", "rb") as file:
        assert pyarrow.parquet.read_table(file).equals(table)
    through = pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(fsspec.filesystem("zvfs")))
    for descriptor in (f"{tmp_path}/x.parquet", f"{web.url}/x.parquet"):
        assert pyarrow.parquet.read_table(descriptor, filesystem=through, columns=["a"]).num_rows == 10_000
