# SPDX-License-Identifier: Apache-2.0
"""io's own buffers and text, which end as RawFile says: an exception, or an object that is given up, is never a good end."""

from __future__ import annotations

import io
import warnings
from typing import IO, Any, NoReturn

from ._modes import Mode
from ._raw import RawFile, end_failed

# What one call of the library moves at a time. io's own 8 KiB would be a call, and for a web server a request's share, each.
_SIZE = 64 << 10


class _Ends:
    """What the classes below add to io's."""

    raw: Any

    def _raw_file(self) -> RawFile | None:
        """None: detached, or never made."""
        try:
            raw = self.raw
        except (AttributeError, ValueError):
            return None
        return raw if isinstance(raw, RawFile) else None

    def commit(self) -> None:
        """Writes what is buffered, ends the writing, and waits until the work is complete. Raises if it is not."""
        self.flush()  # type: ignore[attr-defined]
        self.raw.commit()

    def set_modified(self, modified_ns: int) -> None:
        """Sets the time that the file has once it is committed; see RawFile.set_modified."""
        self.raw.set_modified(modified_ns)

    def discard(self) -> None:
        """Ends the writing as failed: what is buffered is dropped, and what was written leaves no trace where that can be."""
        self.raw.discard()

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close() if kind is None else end_failed(self)  # type: ignore[attr-defined]

    def __del__(self) -> None:
        raw = self._raw_file()
        if raw is None or raw.closed:
            return
        if raw._warns:
            warnings.warn(f"unclosed file {self!r}", ResourceWarning, stacklevel=2, source=self)
        raw.discard()
        self.close()  # type: ignore[attr-defined]

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("cannot pickle an open file: pickle its descriptor")


class BufferedReader(_Ends, io.BufferedReader):
    """io.BufferedReader over a RawFile."""


class BufferedWriter(_Ends, io.BufferedWriter):
    """io.BufferedWriter over a RawFile."""


class BufferedRandom(_Ends, io.BufferedRandom):
    """io.BufferedRandom over a RawFile."""


class TextFile(_Ends, io.TextIOWrapper):
    """io.TextIOWrapper over one of the above."""

    @property
    def raw(self) -> Any:
        """The file below the buffer."""
        return self.buffer.raw  # type: ignore[attr-defined]


def check(mode: Mode, buffering: int, encoding: str | None, errors: str | None, newline: str | None) -> None:
    """Refuses what the built-in open() refuses, before anything is opened."""
    if mode.text and buffering == 0:
        raise ValueError("can't have unbuffered text I/O")
    if not mode.text:
        for name, value in (("encoding", encoding), ("errors", errors), ("newline", newline)):
            if value is not None:
                raise ValueError(f"binary mode doesn't take an argument {name!r}")


def wrap(
    raw: RawFile, mode: Mode, buffering: int, encoding: str | None, errors: str | None, newline: str | None
) -> IO[Any]:
    """Puts a buffer and a text layer around a file, as the built-in open() does. Owns the file, also if it fails."""
    if buffering == 0:
        return raw  # type: ignore[return-value]
    outer: Any = raw
    try:
        by_line = buffering == 1 or (buffering < 0 and mode.text and raw.isatty())
        size = buffering if buffering > 1 else _SIZE
        if mode.reads and mode.writes:
            outer = BufferedRandom(raw, size)
        elif mode.writes:
            outer = BufferedWriter(raw, size)
        else:
            outer = BufferedReader(raw, size)
        if mode.text:
            outer = TextFile(outer, encoding, errors, newline, by_line)
            outer.mode = mode.kind + ("+" if mode.plus else "")
    except BaseException:
        raw.discard()
        outer.close()
        raise
    file: IO[Any] = outer
    return file
