"""carry.py: a wheel with the libraries in it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("hatchling")

_PACKAGE = Path(__file__).parent.parent


def build(folder: Path, **environment: str) -> zipfile.ZipFile:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("ZVFS_")}
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
        + ["--wheel-dir", folder, _PACKAGE],
        env=variables | environment,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    return zipfile.ZipFile(next(folder.glob("*.whl")))


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """An installation of files that only look like libraries: they name the glibc that their symbols need."""
    names = ["lib/libzvfs.so.1", "lib/libzvm.so.1", "lib/zvfs/zvfs-provider", "share/zvfs/LICENSE"]
    names += [f"lib/zvfs/libzvfs_{name}.so" for name in ("file", "http", "mem", "null", "tcp", "sftp")]
    for name in names:
        path = tmp_path / "prefix" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\0GLIBC_2.2.5\0GLIBC_2.17\0" + (b"GLIBC_2.34\0" if "zvm" in name else b""))
    (tmp_path / "prefix/lib/zvfs/zvfs-provider").chmod(0o755)
    return tmp_path / "prefix"


def test_carries_an_installation(tmp_path: Path, prefix: Path) -> None:
    with build(tmp_path, ZVFS_PREFIX=str(prefix)) as wheel:
        carried = {name for name in wheel.namelist() if name.startswith("zvfs/installed/")}
        assert "zvfs/installed/lib/libzvfs.so.1" in carried
        assert "zvfs/installed/lib/zvfs/libzvfs_http.so" in carried
        assert not any("sftp" in name for name in carried)
        assert wheel.getinfo("zvfs/installed/lib/zvfs/zvfs-provider").external_attr >> 16 & 0o111
        assert wheel.filename is not None
        assert wheel.filename.endswith(f"-py3-none-manylinux_2_34_{os.uname().machine}.whl")
        assert "zvfs/py.typed" in wheel.namelist()


def test_carries_the_providers_that_are_named(tmp_path: Path, prefix: Path) -> None:
    with build(tmp_path, ZVFS_PREFIX=str(prefix), ZVFS_PROVIDERS="sftp") as wheel:
        carried = {name for name in wheel.namelist() if name.endswith(".so")}
        assert carried == {"zvfs/installed/lib/zvfs/libzvfs_sftp.so"}


def test_is_pure_python_without_a_prefix(tmp_path: Path) -> None:
    with build(tmp_path) as wheel:
        assert wheel.filename is not None and wheel.filename.endswith("-py3-none-any.whl")
        assert not any("installed" in name for name in wheel.namelist())


def test_says_what_a_prefix_lacks(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as raised:
        build(tmp_path, ZVFS_PREFIX=str(tmp_path))
    assert b"libzvfs.so.1: no such file" in raised.value.stderr + raised.value.stdout
