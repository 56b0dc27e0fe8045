# SPDX-License-Identifier: Apache-2.0
"""Puts an installed zvfs into the wheel: the libraries, the providers, and the program that runs a provider in a process.

    make install PREFIX=/tmp/zvfs
    ZVFS_PREFIX=/tmp/zvfs pip wheel --no-deps ./python            carries what Cargo builds by default
    ZVFS_PREFIX=/tmp/zvfs ZVFS_PROVIDERS="file http object" ...   carries these providers

Without ZVFS_PREFIX the wheel is for any system, and finds at run time what is installed there.
"""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_DEFAULT = "file http mem null tcp"


class Carry(BuildHookInterface[Any]):
    """Hatchling's hook."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        prefix = os.environ.get("ZVFS_PREFIX")
        if not prefix or version == "editable":
            return
        names = os.environ.get("ZVFS_PROVIDERS", _DEFAULT).split()
        files = ["lib/libzvfs.so.1", "lib/libzvm.so.1", "lib/zvfs/zvfs-provider", "share/zvfs/LICENSE"]
        files += [f"lib/zvfs/libzvfs_{name}.so" for name in names]
        for file in files:
            path = Path(prefix, file)
            if not path.is_file():
                raise FileNotFoundError(f"build a wheel with {path}: no such file; ZVFS_PREFIX is where `make install` put it")
            build_data["force_include"][str(path)] = f"zvfs/installed/{file}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{_platform([Path(prefix, file) for file in files])}"


def _platform(libraries: list[Path]) -> str:
    """The oldest glibc that the libraries run with, as PyPI names it: the newest version that one of their symbols asks for."""
    versions = [int(minor) for path in libraries for minor in re.findall(rb"GLIBC_2\.(\d+)\b", path.read_bytes())]
    return f"manylinux_2_{max(versions)}_{platform.machine()}"
