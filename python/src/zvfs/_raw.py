# SPDX-License-Identifier: Apache-2.0
"""An open file, without a buffer."""

from __future__ import annotations

import errno
import io
import warnings
from ctypes import byref, c_char, c_void_p
from typing import TYPE_CHECKING, Any, NoReturn

from . import _abi
from ._calls import call, call_that_waits
from ._control import Control
from ._errors import made
from ._library import zvfs
from ._stat import Stat, given

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

    from ._modes import Mode
    from ._registry import Registry

# What readall asks for where the size is not known, and the most that a write copies out of a read-only view.
_CHUNK = 1 << 20
# Looked up here, not in each read.
_COUNT_MAX = _abi.COUNT_MAX
_char_of = c_char.from_buffer


class RawFile(io.RawIOBase):
    """An open file. Made by zvfs.open(..., buffering=0), and below what the other forms of open() return.

    What was written is complete once commit() or close() has returned, and only if nothing failed before. It is discarded by
    discard(), by an exception in a with-block, by a failed write, and if the file is given up without a close.
    """

    def __init__(self, registry: Registry, handle: c_void_p, mode: Mode, control: Control, timeout: float | None) -> None:
        self._handle: c_void_p | None = handle
        self._registry = registry  # lives as long as its files
        self._mode = mode
        self._control = control
        self._timeout = timeout
        self._capabilities: int = zvfs().zvfs_handle_capabilities(handle)
        # A file of the kernel's with positions: only its disk is waited for, which the built-in files cannot interrupt either.
        at_once = _abi.CAP_FD | _abi.CAP_SEEKABLE
        self._waits = self._capabilities & at_once != at_once
        self._at_once = not self._waits and timeout is None
        self._incomplete = False  # the last write failed
        self._ended = not mode.writes  # nothing is left to commit or to discard
        self._discarded = False
        self._warns = True  # if it is given up without a close
        self.name: str = zvfs().zvfs_handle_shown(handle).decode("utf-8", "replace")

    # -- what it is

    @property
    def mode(self) -> str:
        """The mode that it was opened with: "rb", "wb", "rb+"..."""
        return str(self._mode)

    @property
    def control(self) -> Control:
        """Cancel and deadline of this file."""
        return self._control

    def readable(self) -> bool:
        self._open_handle()
        return self._mode.reads and bool(self._capabilities & _abi.CAP_READABLE)

    def writable(self) -> bool:
        self._open_handle()
        return self._mode.writes and bool(self._capabilities & _abi.CAP_WRITABLE)

    def seekable(self) -> bool:
        self._open_handle()
        return bool(self._capabilities & _abi.CAP_SEEKABLE)

    def isatty(self) -> bool:
        return bool(self._capabilities & _abi.CAP_STAT) and self.stat().kind == "terminal"

    def stat(self) -> Stat:
        """Asks for size, time and kind. Raises ENOTSUP where the provider knows none."""
        out = _abi.Stat()
        self._call(zvfs().zvfs_handle_stat, byref(out))
        return Stat.of(out)

    # -- reading

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        if not self.readable():
            raise io.UnsupportedOperation("read")
        start, size = _address(buffer)
        return self._call(zvfs().zvfs_handle_read, start, size) if size else 0

    def readinto_at(self, buffer: WriteableBuffer, offset: int, /) -> int:
        """Reads at an offset, without the file's position; 0: past the end. Threads may do so at the same time."""
        if offset < 0:
            raise ValueError(f"offset {offset}: give 0 or more")
        start, size = _address(buffer)
        if not size:
            return 0
        # Half of a read of a few KiB is Python, so what need not be asked is not.
        if self._at_once and self._handle:
            return call(zvfs().zvfs_handle_read_at, self._handle, start, size, offset)
        return self._call(zvfs().zvfs_handle_read_at, start, size, offset)

    def readall(self) -> bytes:
        content = bytearray(self._expected())
        filled = 0
        while got := self.readinto(memoryview(content)[filled:]):
            filled += got
            if filled == len(content):
                content.extend(bytes(max(filled, _CHUNK)))
        return bytes(memoryview(content)[:filled])

    def _expected(self) -> int:
        """How much is left, and one byte more, so that the end is seen without another buffer."""
        if not self._capabilities & _abi.CAP_STAT or not self.seekable():
            return _CHUNK
        size = self.stat().size
        return _CHUNK if size is None else max(size - self.tell(), 0) + 1

    # -- writing

    def write(self, data: ReadableBuffer, /) -> int:
        if not self.writable():
            raise io.UnsupportedOperation("write")
        start, size = _content(data)
        if self._discarded or not size:
            return size
        self._incomplete = True
        taken = self._call(zvfs().zvfs_handle_write, start, size)
        self._incomplete = False
        return taken

    def flush(self) -> None:
        """Hands on what the provider buffers, without waiting for a disk or a peer."""
        super().flush()  # refuses a closed file
        if not self._ended:
            self._call(zvfs().zvfs_handle_flush, _abi.FLUSH_PUSH)

    def sync(self) -> None:
        """Returns once what was written is durable, or taken by the reader."""
        self._call(zvfs().zvfs_handle_flush, _abi.FLUSH_SYNC)

    def truncate(self, size: int | None = None, /) -> int:
        if not self.writable():
            raise io.UnsupportedOperation("truncate")
        size = self.tell() if size is None else size
        if size < 0:
            raise made(errno.EINVAL, f"truncate {self.name} to {size}: give 0 or more")
        self._call(zvfs().zvfs_handle_truncate, size)
        return size

    def set_modified(self, modified_ns: int) -> None:
        """Sets the time that the file has once it is committed, whatever is written. Some stores take none after the first write, and
        others none at all (ENOTSUP); the file can then be written without."""
        self._call(zvfs().zvfs_handle_set_modified, given(modified_ns))

    # -- positions

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._call(zvfs().zvfs_handle_seek, offset, whence)

    def tell(self) -> int:
        return self._call(zvfs().zvfs_handle_tell)

    # -- the end

    def commit(self) -> None:
        """Ends the writing, waits until the work is complete, and raises if it is not. May be repeated after TimeoutError."""
        if self._incomplete:
            raise made(errno.EIO, f"commit {self.name}: its last write failed; repeat that or discard the file")
        self._call(zvfs().zvfs_handle_finish, _abi.FINISH_COMMIT)
        self._ended = True

    def discard(self) -> None:
        """Ends the writing as failed: a file that was to appear as a whole leaves no trace, a pipe breaks. Further writes are
        dropped. After a commit, and for a file that is read, this does nothing."""
        if self._ended:
            return
        self._discarded = self._ended = True
        self._call(zvfs().zvfs_handle_finish, _abi.FINISH_DISCARD)

    def close(self) -> None:
        """Commits what was written, or discards it if the last write failed, and closes the file."""
        if self._handle is None:
            return
        try:
            if not self._ended:
                self.discard() if self._incomplete else self.commit()
        finally:
            self._release()

    def _release(self) -> None:
        """Closes the handle. What had no commit leaves no trace."""
        handle = self._open_handle()
        code = zvfs().zvfs_handle_close(handle)
        if code == -_abi.EBUSY:
            raise made(errno.EBUSY, f"close {self.name}: another thread is in a call of it; cancel its control first")
        self._ended = True
        super().close()
        self._handle = None

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close() if kind is None else end_failed(self)

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is None:
            return
        if self._warns:
            warnings.warn(f"unclosed file {self!r}", ResourceWarning, stacklevel=2, source=self)
        self._release()

    def __repr__(self) -> str:
        state = "closed " if self._handle is None else ""
        return f"<{state}zvfs.RawFile {self.name!r} {self.mode!r}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("cannot pickle an open file: pickle its descriptor")

    # -- calls

    def _open_handle(self) -> c_void_p:
        if self._handle is None:
            raise ValueError("I/O operation on closed file")
        return self._handle

    def _call(self, function: Any, *arguments: Any) -> int:
        handle = self._open_handle()
        if self._timeout is not None:
            self._control.set_timeout(self._timeout)
        if self._waits:
            return call_that_waits(self._control, function, handle, *arguments)
        return call(function, handle, *arguments)


def end_failed(file: Any) -> None:
    """Discards and closes a file whose block raised. EBUSY: a call that could not be cancelled was left behind and has the file
    still; the block's exception says why."""
    try:
        file.discard()
        file.close()
    except OSError as failure:
        if failure.errno != errno.EBUSY:
            raise


def _address(buffer: WriteableBuffer) -> tuple[Any, int]:
    """Where a buffer that is read into lies, and its size. Nothing is copied; the address keeps the buffer alive and in place."""
    # The commonest kind by itself: a view costs as much as the rest of this.
    size = len(buffer) if type(buffer) is bytearray else memoryview(buffer).nbytes
    return (byref(_char_of(buffer)) if size else None), (size if size < _COUNT_MAX else _COUNT_MAX)


def _content(data: ReadableBuffer) -> tuple[Any, int]:
    """The same for data to write: ctypes has no address of a read-only view, so of one at most a chunk is copied."""
    if isinstance(data, bytes):
        return data, min(len(data), _abi.COUNT_MAX)
    view = memoryview(data).cast("B")
    if view.readonly:
        chunk = bytes(view[:_CHUNK])
        return chunk, len(chunk)
    return _address(view)
