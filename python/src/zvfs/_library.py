# SPDX-License-Identifier: Apache-2.0
"""Finds and loads libzvfs and libzvm.

By ctypes: it is part of Python, so the package needs no compiler and no other package, releases the GIL in every call, and
passes the address of a caller's buffer without a copy. cffi's calls are 0.4 us shorter (1.1 against 1.5 us), which does not
show in a read of 64 KiB, and it brings a C parser that runs at each import.
"""

from __future__ import annotations

import ctypes
import functools
import os
from pathlib import Path

from . import _abi

# What a wheel carries: a prefix of its own, laid out as `make install` lays out any other.
_CARRIED = Path(__file__).resolve().parent / "installed"


@functools.cache
def zvfs() -> ctypes.CDLL:
    """libzvfs, loaded at its first use."""
    return _load("libzvfs.so.1", _abi.ZVFS)


@functools.cache
def zvm() -> ctypes.CDLL:
    """libzvm, which contains the engine, loaded at the first run of a guest."""
    return _load("libzvm.so.1", _abi.ZVM)


def version() -> str:
    """Returns the version of the libzvfs that is loaded."""
    text: bytes = zvfs().zvfs_version()
    return text.decode()


def provider_folder() -> str:
    """Returns the folder of the providers that belong to the loaded libzvfs: ../lib/zvfs, seen from its own."""
    zvfs()
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        for line in maps:
            path = line.rstrip("\n").split(maxsplit=5)[-1]
            if os.path.basename(path).startswith("libzvfs.so"):
                return os.path.join(os.path.dirname(os.path.dirname(path)), "lib", "zvfs")
    raise FileNotFoundError(_abi.ENOENT, "find the folder of providers: libzvfs is not mapped; give provider_path")


def _load(name: str, functions: dict[str, tuple[object, list[object]]]) -> ctypes.CDLL:
    library = ctypes.CDLL(_find(name))
    for function, (result, arguments) in functions.items():
        declared = getattr(library, function, None)
        if declared is None:
            raise ImportError(f"load {library._name}: it has no {function}; install the zvfs that this package came with, or later")
        declared.restype = result
        declared.argtypes = arguments
    return library


def _find(name: str) -> str:
    """The environment's ZVFS_PREFIX, else what came with this package, else whatever the dynamic linker finds."""
    prefix = os.environ.get("ZVFS_PREFIX")
    if prefix:
        return os.path.join(prefix, "lib", name)
    carried = _CARRIED / "lib" / name
    return str(carried) if carried.exists() else name
