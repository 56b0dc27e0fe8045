# SPDX-License-Identifier: Apache-2.0
"""zvfs: files, pipes, networks, and whatever else there is a provider for, by names.

    with zvfs.open("https://host/data.csv", newline="") as file: ...
    with zvfs.open("/srv/out.csv", "w") as file: ...           there whole, or not at all

    open        a real io object of any descriptor
    Registry    which providers may load; stat, list, remove
    Control     cancel and deadline
    run         a WebAssembly guest under a manifest
    aio         the same for asyncio
    filesystem  the same for fsspec, as zvfs://

What fails raises OSError's own kinds: FileNotFoundError, PermissionError, TimeoutError, BrokenPipeError...
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal, overload

from . import aio
from ._buffered import BufferedRandom, BufferedReader, BufferedWriter, TextFile
from ._configuration import Settings
from ._control import Control, Waiting
from ._errors import is_retryable
from ._library import version
from ._raw import RawFile
from ._registry import Registry, default
from ._report import ChannelReport, Output, Report, RunFailed, Traffic
from ._session import run
from ._stat import Entry, Stat

__all__ = [
    "BufferedRandom",
    "BufferedReader",
    "BufferedWriter",
    "ChannelReport",
    "Control",
    "Entry",
    "Output",
    "RawFile",
    "Registry",
    "Report",
    "RunFailed",
    "Settings",
    "Stat",
    "TextFile",
    "Traffic",
    "Waiting",
    "aio",
    "is_retryable",
    "open",
    "run",
    "version",
]

_Text = Literal["r", "w", "x", "a", "r+", "w+", "x+", "a+", "rt", "wt", "xt", "at", "rt+", "wt+", "xt+", "at+"]
_Reading = Literal["rb"]
_Writing = Literal["wb", "xb", "ab"]
_Both = Literal["rb+", "wb+", "xb+", "ab+", "r+b", "w+b", "x+b", "a+b"]


@overload
def open(
    descriptor: str | os.PathLike[str],
    mode: _Text = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    *,
    timeout: float | None = None,
    control: Control | None = None,
    settings: Mapping[str, Settings] | None = None,
    size: int | None = None,
    registry: Registry | None = None,
) -> TextFile: ...
@overload
def open(
    descriptor: str | os.PathLike[str],
    mode: _Reading | _Writing | _Both,
    buffering: Literal[0],
    *,
    timeout: float | None = None,
    control: Control | None = None,
    settings: Mapping[str, Settings] | None = None,
    size: int | None = None,
    registry: Registry | None = None,
) -> RawFile: ...
@overload
def open(
    descriptor: str | os.PathLike[str],
    mode: _Reading,
    buffering: Literal[-1] = -1,
    *,
    timeout: float | None = None,
    control: Control | None = None,
    settings: Mapping[str, Settings] | None = None,
    size: int | None = None,
    registry: Registry | None = None,
) -> BufferedReader: ...
@overload
def open(
    descriptor: str | os.PathLike[str],
    mode: _Writing,
    buffering: Literal[-1] = -1,
    *,
    timeout: float | None = None,
    control: Control | None = None,
    settings: Mapping[str, Settings] | None = None,
    size: int | None = None,
    registry: Registry | None = None,
) -> BufferedWriter: ...
@overload
def open(
    descriptor: str | os.PathLike[str],
    mode: _Both,
    buffering: Literal[-1] = -1,
    *,
    timeout: float | None = None,
    control: Control | None = None,
    settings: Mapping[str, Settings] | None = None,
    size: int | None = None,
    registry: Registry | None = None,
) -> BufferedRandom: ...
@overload
def open(
    descriptor: str | os.PathLike[str],
    mode: str,
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    *,
    timeout: float | None = None,
    control: Control | None = None,
    settings: Mapping[str, Settings] | None = None,
    size: int | None = None,
    registry: Registry | None = None,
) -> Any: ...
def open(
    descriptor: str | os.PathLike[str],
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    *,
    timeout: float | None = None,
    control: Control | None = None,
    settings: Mapping[str, Settings] | None = None,
    size: int | None = None,
    registry: Registry | None = None,
) -> Any:
    """Opens a descriptor, "scheme:rest" or an absolute path, as the built-in open() opens a file.

    mode, buffering, encoding, errors and newline are as there, with these differences:

    - "w" and "x" make a file that appears under its name as a whole when it is closed, and leaves the old one, or none, if the
      with-block raises, a write fails, or the object is given up. Where a provider cannot do that the file is written in place
    - close() raises if the work did not become complete: the upload failed, the reader was lost
    - the buffer has 64 KiB

    Further arguments:

    - `timeout`: seconds that each call may wait, the open too; then TimeoutError. Such a call lost nothing and may be made again
    - `control`: cancel and deadline for this and other files
    - `settings`: of this open, for its provider: {"writers": 3}
    - `size`: how many bytes will be written, if that is known
    - `registry`: which providers may load; None: the process's own, of the operator's configuration
    """
    return (registry or default()).open(
        descriptor,
        mode,
        buffering,
        encoding,
        errors,
        newline,
        timeout=timeout,
        control=control,
        settings=settings,
        size=size,
    )
