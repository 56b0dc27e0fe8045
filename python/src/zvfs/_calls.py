# SPDX-License-Identifier: Apache-2.0
"""Calls of the library, and how a signal gets through to a program that waits in one.

Python runs its signal handlers on the main thread and between two instructions only, and no call of libzvfs ends with EINTR. So
the main thread never waits in C: a thread of its own, kept for the next time, makes the call, and the main thread waits for a
lock, which Python interrupts. That costs about 20 us for a call. Calls on other threads, and on files that never wait, are made
directly.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Protocol

from . import _abi, _errors

# How long a handler's exception waits for the call that it ended. A handle with CANCEL takes 100 ms at most; a call that takes
# longer is left behind on its thread.
_GRACE = 1.0


class Cancellable(Protocol):
    """What ends a call in progress."""

    def _interrupt(self) -> None: ...

    def _resume(self) -> None: ...


def call(function: Any, *arguments: Any) -> int:
    """Makes a call whose last argument is `zvfs_error *err`. Raises what fails; returns what does not."""
    try:
        error = _errors_free.pop()
    except IndexError:
        error = _abi.Error()
    result: int = function(*arguments, error)
    if result < 0:
        raise _errors.failure(error)
    # It was not written. To make one takes as long as the shortest call itself.
    _errors_free.append(error)
    return result


def call_that_waits(control: Cancellable, function: Any, *arguments: Any) -> int:
    """As call(), and signal handlers run meanwhile. If one raises, the call is cancelled and its exception goes on."""
    if threading.current_thread() is not threading.main_thread():
        return call(function, *arguments)
    caller = _idle.pop() if _idle else _Caller()
    job = _Job(lambda: call(function, *arguments))
    try:
        caller.jobs.put(job)
        job.done.acquire()
    except BaseException:
        if not job.finished:
            control._interrupt()
            if not job.done.acquire(timeout=_GRACE):
                caller.jobs.put(None)  # left behind: its thread ends with the call
                raise
            control._resume()
        _idle.append(caller)
        raise
    _idle.append(caller)
    return job.outcome()


class _Job:
    def __init__(self, function: Callable[[], int]) -> None:
        self._function = function
        self._result: int = 0
        self._failure: BaseException | None = None
        self.finished = False
        self.done = threading.Lock()
        self.done.acquire()

    def run(self) -> None:
        try:
            self._result = self._function()
        except BaseException as failure:
            self._failure = failure
        self.finished = True
        self.done.release()

    def outcome(self) -> int:
        failure, self._failure = self._failure, None
        if failure is None:
            return self._result
        try:
            raise failure
        finally:
            del failure  # the exception's own frame must not hold it


class _Caller:
    """A thread that makes the main thread's calls, one after the other. There are several only while handlers call too."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[_Job | None] = SimpleQueue()
        threading.Thread(target=self._run, name="zvfs-caller", daemon=True).start()

    def _run(self) -> None:
        while (job := self.jobs.get()) is not None:
            job.run()
            del job  # and the buffers that it holds


_idle: list[_Caller] = []
# Of calls that did not fail: as many as there were calls at a time.
_errors_free: list[_abi.Error] = []
# A fork takes none of these threads along.
os.register_at_fork(after_in_child=_idle.clear)
