# SPDX-License-Identifier: Apache-2.0
"""Cancel and deadline, for one file or for all files of a job."""

from __future__ import annotations

from ctypes import byref, c_void_p
from dataclasses import dataclass
from typing import NoReturn

from . import _abi
from ._calls import call
from ._library import zvfs


@dataclass(frozen=True)
class Waiting:
    """What the calls under a control wait for."""

    seconds: float
    """Since the wait began."""
    what: str
    """In words: "a reader of netpipe `a`"; empty: nothing, or the provider does not say."""
    refusal: str
    """Why the last attempt failed; empty: none has."""


class Control:
    """Ends the calls of every file that was opened with it. Any thread may use it at any time.

    `timeout`: seconds from now, after which the calls end with TimeoutError; None: no deadline.
    """

    def __init__(self, timeout: float | None = None) -> None:
        self._pointer = c_void_p()
        self._cancelled = False
        call(zvfs().zvfs_control_new, byref(self._pointer))
        if timeout is not None:
            self.set_timeout(timeout)

    def cancel(self) -> None:
        """Ends the calls in progress, and all later ones, with ECANCELED. Does not wait for them."""
        self._cancelled = True
        self._interrupt()

    def lift(self) -> None:
        """Undoes a cancel, for later calls."""
        self._cancelled = False
        self._resume()

    @property
    def cancelled(self) -> bool:
        """Whether cancel() was called, and not undone."""
        return self._cancelled

    def set_timeout(self, seconds: float | None) -> None:
        """Sets the time, from now, after which calls end with TimeoutError, those in progress too; None: no deadline.

        Such a call lost nothing, and may be repeated once the deadline is moved.
        """
        call(zvfs().zvfs_control_set_deadline, self._pointer, nanoseconds(seconds))

    def waiting(self) -> Waiting:
        """Returns what the calls under this control wait for now; of several waits, the longest."""
        out = _abi.Waiting()
        call(zvfs().zvfs_control_waiting, self._pointer, byref(out))
        return Waiting(out.ns / 1e9, out.object.decode("utf-8", "replace"), out.refusal.decode("utf-8", "replace"))

    def fileno(self) -> int:
        """Returns a descriptor that is readable while the control is cancelled or late. Poll it and never read or close it."""
        return call(zvfs().zvfs_control_fd, self._pointer)

    def _interrupt(self) -> None:
        call(zvfs().zvfs_control_cancel, self._pointer)

    def _resume(self) -> None:
        if not self._cancelled:
            call(zvfs().zvfs_control_lift, self._pointer)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("cannot pickle a Control: it belongs to this process")

    def __del__(self) -> None:
        pointer, self._pointer = getattr(self, "_pointer", None), c_void_p()
        if pointer:
            zvfs().zvfs_control_free(pointer)


def nanoseconds(seconds: float | None) -> int:
    """Seconds as the library counts them.

    Raises ValueError for a negative time.
    """
    if seconds is None:
        return _abi.UNLIMITED
    if not seconds >= 0:
        raise ValueError(f"timeout {seconds!r}: give seconds, 0 or more, or None")
    return int(seconds * 1e9) if seconds < 1e10 else _abi.UNLIMITED
