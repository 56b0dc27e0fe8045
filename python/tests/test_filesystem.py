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


def test_makes_folders_and_removes_trees(fs: Any, tmp_path: Path) -> None:
    root = f"zvfs://file:{tmp_path}"
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("kept")
    fs.makedirs(f"{root}/a/b c/d")
    fs.makedirs(f"{root}/a/b c", exist_ok=True)
    assert (tmp_path / "a" / "b c" / "d").is_dir()
    for refused in (f"{root}/a", f"{root}/a/b%20c"):
        with pytest.raises(FileExistsError):
            fs.mkdir(refused)
    with pytest.raises(FileNotFoundError):
        fs.mkdir(f"{root}/x/y", create_parents=False)
    with pytest.raises(OSError):
        fs.rmdir(f"{root}/a")
    fs.pipe_file(f"{root}/a/b%20c/file", b"x")
    (tmp_path / "a" / "link").symlink_to(tmp_path / "kept")
    with pytest.raises(IsADirectoryError):
        fs.rm(f"{root}/a")
    fs.rm(f"{root}/a", recursive=True)
    # The link went, and not what it led to.
    assert os.listdir(tmp_path) == ["kept"] and os.listdir(tmp_path / "kept") == ["file"]
    # Nor does one that is itself named: what it led to was removed.
    for name in ("link", "a link"):
        (tmp_path / name).symlink_to(tmp_path / "kept")
        fs.rm(f"{root}/{name}".replace(" ", "%20"), recursive=True)
        (tmp_path / name).symlink_to(tmp_path / "kept")
        fs.rm(f"{tmp_path}/{name}", recursive=True)
        assert os.listdir(tmp_path) == ["kept"] and os.listdir(tmp_path / "kept") == ["file"]
    fs.rm([f"{root}/kept/file"])
    fs.rmdir(f"{root}/kept")
    assert os.listdir(tmp_path) == []


def test_a_tree_is_put_and_got(fs: Any, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    for name in ("a", "deep/b"):
        (tree / name).write_text(name)
    fs.put(str(tree), f"zvfs://file:{tmp_path}/there", recursive=True)
    fs.get(f"zvfs://file:{tmp_path}/there", str(tmp_path / "back"), recursive=True)
    assert (tmp_path / "back" / "deep" / "b").read_text() == "deep/b"


def test_names_that_descriptors_encode_are_put_and_got_as_they_are(fs: Any, tmp_path: Path) -> None:
    """Found: "a b" and "a%20b" became one file, "q?x#y" ended the whole put, and a get made files with encoded names."""
    tree = tmp_path / "tree"
    names = ["a b", "a%20b", "q?x#y", "sp ace%\u00e9", "deep er/100%", "deep er/%2e%2e"]
    (tree / "deep er").mkdir(parents=True)
    for name in names:
        (tree / name).write_text(name)
    for number, there in enumerate([f"zvfs://file:{tmp_path}/there", f"{tmp_path}/bare"]):
        fs.put(str(tree), there, recursive=True)
        back = tmp_path / f"back{number}"
        fs.get(there, str(back), recursive=True)
        for folder in (tmp_path / there.rpartition("/")[2], back):
            found = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
            assert found == {name: name for name in names}
    # One file: into a folder, and under a name that is given.
    fs.put(str(tree / "a b"), f"zvfs://file:{tmp_path}/back0/")
    (tmp_path / "one").mkdir()
    fs.get(f"zvfs://file:{tmp_path}/back0/a%20b", f"{tmp_path}/one/")
    fs.get(f"zvfs://file:{tmp_path}/back0/a%20b", f"{tmp_path}/one/a%20c")
    fs.put(str(tree / "a b"), f"zvfs://file:{tmp_path}/one/d%20e")
    assert sorted(os.listdir(tmp_path / "one")) == ["a b", "a%20c", "d e"]


def test_a_tree_is_gone_through_without_its_links_to_folders(fs: Any, tmp_path: Path) -> None:
    tree, beside = tmp_path / "tree", tmp_path / "beside"
    for folder in (tree / "deep", beside):
        folder.mkdir(parents=True)
        (folder / "file").write_text("content")
    (tree / "link").symlink_to(beside)
    (tree / "deep" / "above").symlink_to("..")
    (tree / "file").symlink_to(beside / "file")
    files = [f"{tree}/deep/file", f"{tree}/file"]
    with pytest.warns(UserWarning, match="may be a link to a folder; links=True goes into those"):
        assert fs.find(str(tree)) == files
    with pytest.warns(UserWarning, match="may be a link"):
        assert fs.glob(f"{tree}/**/file") == files
    with pytest.warns(UserWarning, match="may be a link"):
        fs.get(str(tree), str(tmp_path / "back"), recursive=True)
    assert sorted(os.listdir(tmp_path / "back")) == ["deep", "file"]
    assert os.listdir(tmp_path / "back" / "deep") == ["file"]
    # One that is itself named is gone into, and a listing has it.
    (tree / "deep" / "above").unlink()
    assert fs.find(f"{tree}/link") == [f"{tree}/link/file"]
    assert fs.ls(str(tree), detail=False) == [f"{tree}/{name}" for name in ("deep", "file", "link")]
    assert fs.find(str(tree), links=True) == [*files, f"{tree}/link/file"]
    assert fs.isdir(f"{tree}/link")


def test_a_link_that_leads_nowhere_hides_nothing_beside_it(fs: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.warns(UserWarning, match="leads to no file"):
        assert fs.find(str(tmp_path)) == [f"{tmp_path}/file"]
    assert [one["type"] for one in fs.ls(str(tmp_path))] == ["other", "file", "other"]


def test_pyarrow_writes_a_dataset_of_folders(fs: Any, tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.dataset
    import pyarrow.fs

    through = pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(fs))
    table = arrow.table({"year": [2024, 2025, 2025], "n": [1, 2, 3]})
    where = f"file:{tmp_path}/set"
    pyarrow.dataset.write_dataset(table, where, format="parquet", partitioning=["year"], filesystem=through)
    assert sorted(os.listdir(tmp_path / "set")) == ["2024", "2025"]
    read = pyarrow.dataset.dataset(where, filesystem=through, partitioning=["year"]).to_table()
    assert sorted(read["n"].to_pylist()) == [1, 2, 3]


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


def test_a_file_brings_its_folders_along(fs: Any, tmp_path: Path) -> None:
    """zarr makes no folder for what it writes, as there is none in an object store: it failed."""
    fs.pipe_file(f"{tmp_path}/a/b/one", b"1")
    with fs.open(f"{tmp_path}/a/c/two", "wb") as file:
        file.write(b"22")
    assert fs.cat(fs.find(f"{tmp_path}/a")) == {f"{tmp_path}/a/b/one": b"1", f"{tmp_path}/a/c/two": b"22"}
    mapped = fs.get_mapper(f"{tmp_path}/store")
    mapped["group/array/0"] = b"chunk"
    assert dict(mapped) == {"group/array/0": b"chunk"}
    with pytest.raises(FileNotFoundError):
        fs.open(f"{tmp_path}/none/file", "rb")
    assert not (tmp_path / "none").exists()


def test_a_tree_is_copied(fs: Any, tmp_path: Path) -> None:
    """A folder in it was opened as a file."""
    for name in ("tree/x", "tree/sub/deeper/y"):
        fs.pipe_file(f"{tmp_path}/{name}", name.encode())
    fs.cp(f"{tmp_path}/tree", f"{tmp_path}/copy", recursive=True)
    fs.mv(f"{tmp_path}/copy", f"{tmp_path}/moved", recursive=True)
    assert (tmp_path / "moved/sub/deeper/y").read_text() == "tree/sub/deeper/y"
    assert (tmp_path / "moved/x").read_text() == "tree/x"
    assert not (tmp_path / "copy").exists() and (tmp_path / "tree/x").exists()


def test_hints_for_caches_are_let_through(fs: Any, tmp_path: Path) -> None:
    """dask opens Parquet files with them: a TypeError."""
    (tmp_path / "file").write_bytes(b"content")
    with fs.open(f"{tmp_path}/file", "rb", cache_type="parts", cache_options={"data": {}}, default_cache="none") as file:
        assert file.read() == b"content"
