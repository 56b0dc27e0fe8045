"""An object store: pandas, Arrow and zipfile on s3://."""

from __future__ import annotations

import os
import zipfile
from typing import Any

import pytest
import zvfs


def test_a_zip_of_a_store(object_store: dict[str, Any]) -> None:
    content = os.urandom(300_000)
    with zvfs.Registry(providers=object_store) as registry:
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


def test_pandas_and_arrow_read_from_a_store(object_store: dict[str, Any]) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame({"a": range(1000), "b": [f"t{n}" for n in range(1000)]})
    options = {"providers": object_store}
    frame.to_csv("zvfs://s3://bucket/x.csv", index=False, storage_options=options)
    frame.to_parquet("zvfs://s3://bucket/x.parquet", storage_options=options)
    for read, name in ((pandas.read_csv, "x.csv"), (pandas.read_parquet, "x.parquet")):
        found = read(f"zvfs://s3://bucket/{name}", storage_options=options)
        pandas.testing.assert_frame_equal(found, frame, check_dtype=False)

    from zvfs.filesystem import ZvfsFileSystem

    ZvfsFileSystem.clear_instance_cache()
