# SPDX-License-Identifier: Apache-2.0
"""Channels of a guest that are file objects of Python's.

The library calls these functions on the session's thread, one at a time for a session. The functions themselves live as long as the
process, since the last call may come after the run: `arg` is a channel's number in a table.
"""

from __future__ import annotations

import ctypes
import itertools
from typing import Any

from . import _abi
from ._errors import code_of


class FileChannel:
    """A channel that reads from, or writes to, a file object. The object stays open, and belongs to the caller."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.failure: BaseException | None = None
        """What the file object raised; a reader that has gone (BrokenPipeError) is the guest's to know."""

    def table(self, number: int) -> _abi.Channel:
        """The functions for the library. A file object that says nothing of its directions is given both."""
        table = _abi.Channel(arg=number, close=_close)
        if _says(self._file, "readable"):
            table.read = _read
        if _says(self._file, "writable"):
            table.write = _write
            table.finish = _finish
        return table

    def read(self, buffer: int, size: int) -> int:
        data = self._file.read1(size) if hasattr(self._file, "read1") else self._file.read(size)
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"a channel of {self._file!r}: its read returned {type(data).__name__}; open it for bytes")
        ctypes.memmove(buffer, bytes(data), len(data))
        return len(data)

    def write(self, buffer: int, size: int) -> int:
        taken = self._file.write(ctypes.string_at(buffer, size))
        return size if taken is None else int(taken)

    def finish(self, how: int) -> int:
        if how == _abi.FINISH_COMMIT:
            self._file.flush()
        return 0

    def guarded(self, call: Any, *arguments: Any) -> int:
        """No exception leaves a call: it is kept for whoever ran the session."""
        try:
            result: int = call(*arguments)
            return result
        except BrokenPipeError:
            return -_abi.EPIPE
        except BaseException as failure:
            self.failure = failure
            return code_of(failure)


# Those whose close has not yet been called.
_open: dict[int, FileChannel] = {}
_numbers = itertools.count(1)


def add(channel: FileChannel) -> tuple[int, _abi.Channel]:
    """Keeps a channel until its close is called; its number and its table."""
    number = next(_numbers)
    _open[number] = channel
    return number, channel.table(number)


def drop(number: int) -> None:
    """Forgets a channel that the library did not take."""
    _open.pop(number, None)


def _says(file: Any, direction: str) -> bool:
    asked = getattr(file, direction, None)
    method = "read" if direction == "readable" else "write"
    return bool(asked()) if asked is not None else hasattr(file, method)


@_abi.ChannelCallFn  # type: ignore[untyped-decorator]
def _read(number: int, buffer: int, size: int) -> int:
    channel = _open[number]
    return channel.guarded(channel.read, buffer, size)


@_abi.ChannelCallFn  # type: ignore[untyped-decorator]
def _write(number: int, buffer: int, size: int) -> int:
    channel = _open[number]
    return channel.guarded(channel.write, buffer, size)


@_abi.ChannelFinishFn  # type: ignore[untyped-decorator]
def _finish(number: int, how: int) -> int:
    channel = _open[number]
    return channel.guarded(channel.finish, how)


@_abi.ChannelCloseFn  # type: ignore[untyped-decorator]
def _close(number: int) -> None:
    drop(number)
