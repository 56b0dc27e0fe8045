# SPDX-License-Identifier: Apache-2.0
"""Files for asyncio, by the calls that do not wait.

    async with await zvfs.aio.open("/run/in.fifo") as source, await zvfs.aio.open("tcp://host:7000", "w") as target:
        while data := await source.read():
            await target.write(data)

Pipes, FIFOs, terminals, sockets and netpipes cost no thread, however many wait: the event loop watches one descriptor of each. For all
other files a thread of the registry's makes the calls, 64 at once (Registry(poll_threads=...)).

A task that is cancelled, also by asyncio.timeout(), leaves its file as it was: nothing is lost, and the call may be made again.
"""

from __future__ import annotations

import asyncio
import errno
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from ctypes import byref, c_void_p
from typing import Any

from . import _abi, _modes
from ._configuration import Settings
from ._control import Control
from ._errors import failure, made
from ._library import zvfs
from ._raw import _address, _content
from ._registry import Registry, default, open_options
from ._report import Report
from ._session import Session
from ._text import descriptor as to_descriptor

__all__ = ["File", "open", "run"]


async def open(
    descriptor: str | os.PathLike[str],
    mode: str = "r",
    *,
    control: Control | None = None,
    settings: Mapping[str, Settings] | None = None,
    registry: Registry | None = None,
) -> File:
    """Opens a descriptor for bytes: "r", "w" or "x", as zvfs.open(). The open itself does not hold up the loop either.

    Raises what the open fails with; EMFILE if the registry's poll threads are all in use.
    """
    parsed = _modes.parse(mode)
    if parsed.plus or parsed.kind == "a":
        raise ValueError(f"mode {mode!r}: give r, w or x")
    registry = registry or default()
    control = control or Control()
    name = to_descriptor(descriptor)
    attempts = parsed.attempts(0)
    if parsed.writes:
        # It may load a provider's library, and that no call does without waiting.
        supported = await asyncio.to_thread(registry._supported, name, control)
        attempts = parsed.attempts(supported)
    options = open_options(control, settings, None)
    for at, flags in enumerate(attempts):
        options.flags = flags
        file = File(registry, name, options, parsed, control)
        try:
            await file._opened()
            file._refuse_old_content(flags)
            return file
        except BaseException as problem:
            file._release()
            if getattr(problem, "errno", None) != _abi.ENOTSUP or at + 1 == len(attempts):
                raise
    raise AssertionError("attempts() is never empty")


class File:
    """An open file of zvfs.aio.open(). It belongs to one event loop, and takes one call at a time.

    `async with` commits at its end, and discards if the block raised.
    """

    def __init__(
        self, registry: Registry, name: bytes, options: _abi.OpenOptions, mode: _modes.Mode, control: Control
    ) -> None:
        self._handle: c_void_p | None = None
        self._registry = registry
        self._mode = mode
        self._control = control
        self._busy = False
        self._ended = not mode.writes
        self._incomplete = False
        handle = c_void_p()
        _attempt(zvfs().zvfs_registry_open_start, registry._open(), name, byref(options), byref(handle))
        self._handle = handle
        self._wanted = _abi.FOR_READ if mode.reads else _abi.FOR_WRITE
        self.name: str = zvfs().zvfs_handle_shown(handle).decode("utf-8", "replace")

    async def read(self, size: int = 64 << 10) -> bytes:
        """Reads up to so many bytes: waits for at least one. b"": the end."""
        buffer = bytearray(size)
        return bytes(memoryview(buffer)[: await self.readinto(buffer)])

    async def readinto(self, buffer: Any) -> int:
        """As read, into a buffer. Returns the count; 0: the end."""
        start, size = _address(buffer)
        if not size:
            return 0
        return await self._until(_abi.FOR_READ, zvfs().zvfs_handle_try_read, start, size)

    async def write(self, data: Any) -> None:
        """Writes all of the data. If that fails or is cancelled on the way, the file cannot be committed any more."""
        rest = memoryview(data).cast("B")
        if not len(rest):
            return
        incomplete, self._incomplete = self._incomplete, True
        while len(rest):
            start, size = _content(rest)
            rest = rest[await self._until(_abi.FOR_WRITE, zvfs().zvfs_handle_try_write, start, size) :]
        self._incomplete = incomplete

    async def commit(self) -> None:
        """Ends the writing, and waits until the work is complete. Raises if it is not."""
        if self._incomplete:
            raise made(errno.EIO, f"commit {self.name}: a write of it failed or was cancelled; discard the file")
        await self._until(_abi.FOR_FINISH, zvfs().zvfs_handle_try_finish, _abi.FINISH_COMMIT)
        self._ended = True

    def discard(self) -> None:
        """Closes the file; what was written and not committed leaves no trace, and a pipe breaks. Does not wait."""
        self._release()

    async def close(self) -> None:
        """Commits what was written, and closes the file."""
        if self._handle is None:
            return
        try:
            if not self._ended and not self._incomplete:
                await self.commit()
        finally:
            self._release()

    @property
    def closed(self) -> bool:
        return self._handle is None

    @property
    def control(self) -> Control:
        """Cancel and deadline of this file."""
        return self._control

    async def __aenter__(self) -> File:
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        if kind is not None:
            self.discard()
        await self.close()

    def __aiter__(self) -> File:
        return self

    async def __anext__(self) -> bytes:
        if data := await self.read():
            return data
        raise StopAsyncIteration

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            warnings.warn(f"unclosed file {self!r}", ResourceWarning, stacklevel=2, source=self)
            self._release()

    def __repr__(self) -> str:
        return f"<{'closed ' if self._handle is None else ''}zvfs.aio.File {self.name!r} {str(self._mode)!r}>"

    def _release(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            zvfs().zvfs_handle_close(handle)

    def _open_handle(self) -> c_void_p:
        if self._handle is None:
            raise ValueError("I/O operation on closed file")
        return self._handle

    async def _opened(self) -> None:
        """Waits for the open that was started. An interest notices that it is done, or raises what it failed with."""
        while True:
            interest = self._interest(self._wanted)
            if zvfs().zvfs_handle_capabilities(self._open_handle()):
                return
            await _event(interest, self._control)

    def _refuse_old_content(self, flags: int) -> None:
        """What was opened for "w" without being emptied must have no content: no call that does not wait empties it."""
        empty = _abi.OPEN_TRUNCATE | _abi.OPEN_ATOMIC | _abi.OPEN_EXCLUSIVE
        seekable = zvfs().zvfs_handle_capabilities(self._open_handle()) & _abi.CAP_SEEKABLE
        if self._mode.writes and seekable and not flags & empty:
            raise made(errno.EINVAL, f"open {self.name}: it has to be emptied, which only zvfs.open does")

    async def _until(self, wanted: int, function: Any, *arguments: Any) -> int:
        """Tries a call until it is not "not now"."""
        if self._busy:
            raise RuntimeError(f"{self!r}: another task is in a call of it")
        self._busy = True
        try:
            while (result := _attempt(function, self._open_handle(), *arguments)) == -_abi.EAGAIN:
                interest = self._interest(wanted)
                if not interest.ready:
                    await _event(interest, self._control)
            return result
        finally:
            self._busy = False

    def _interest(self, wanted: int) -> _abi.Interest:
        interest = _abi.Interest()
        _attempt(zvfs().zvfs_handle_interest, self._open_handle(), wanted, byref(interest))
        return interest


def _attempt(function: Any, *arguments: Any) -> int:
    """Makes a call that does not wait; EAGAIN is a result."""
    error = _abi.Error()
    result: int = function(*arguments, error)
    if result < 0 and result != -_abi.EAGAIN:
        raise failure(error)
    return result


async def _event(interest: _abi.Interest, control: Control) -> None:
    """Waits for what an interest names: events on its descriptor, its time, or the control's end."""
    loop = asyncio.get_running_loop()
    woken: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not woken.done():
            woken.set_result(None)

    undo: list[Callable[[], object]] = []
    try:
        undo.append(_watches(loop).watch(control, wake))
        if interest.fd >= 0:
            # An error or a hang-up, which all that is awaited where events are 0, wakes a reader too.
            if interest.events & _abi.EVENT_READ or not interest.events:
                loop.add_reader(interest.fd, wake)
                undo.append(lambda: loop.remove_reader(interest.fd))
            if interest.events & _abi.EVENT_WRITE:
                loop.add_writer(interest.fd, wake)
                undo.append(lambda: loop.remove_writer(interest.fd))
        if interest.ns != _abi.UNLIMITED:
            undo.append(loop.call_later(interest.ns / 1e9, wake).cancel)
        await woken
    finally:
        for step in undo:
            step()


class _Watches:
    """The controls that a loop watches. A control has one descriptor, and any number of tasks wait under it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiters: dict[int, set[Callable[[], None]]] = {}

    def watch(self, control: Control, wake: Callable[[], None]) -> Callable[[], None]:
        """Calls `wake` once the control has ended; returns what undoes that."""
        fd = control.fileno()
        waiters = self._waiters.setdefault(fd, set())
        if not waiters:
            self._loop.add_reader(fd, self._wake, fd)
        waiters.add(wake)

        def unwatch() -> None:
            waiters.discard(wake)
            if not waiters and self._waiters.get(fd) is waiters:
                del self._waiters[fd]
                self._loop.remove_reader(fd)

        return unwatch

    def _wake(self, fd: int) -> None:
        for wake in tuple(self._waiters.get(fd, ())):
            wake()


def _watches(loop: asyncio.AbstractEventLoop) -> _Watches:
    """The loop's own. It is kept in the loop, and goes with it."""
    found: _Watches | None = getattr(loop, "_zvfs_watches", None)
    if found is None:
        found = _Watches(loop)
        loop._zvfs_watches = found  # type: ignore[attr-defined]
    return found


async def run(
    manifest: str | os.PathLike[str],
    *,
    channels: Mapping[str, Any] = {},
    program: bytes | None = None,
    arguments: Iterable[str] = (),
    environment: Mapping[str, str] = {},
    configuration: str | os.PathLike[str] | None = None,
    worker: str | os.PathLike[str] | None = None,
    job: str | None = None,
    check: bool = False,
) -> Report:
    """Runs a guest as zvfs.run(), on a thread of the library's. If the task is cancelled, so is the run, and its end awaited."""
    loop = asyncio.get_running_loop()
    session = Session(manifest, channels, program, arguments, environment, configuration, worker, job)
    over = asyncio.Event()
    ended = _abi.EndedFn(lambda _: loop.call_soon_threadsafe(over.set))
    session.start(ended)
    try:
        await over.wait()
    except BaseException:
        session.cancel()
        await over.wait()
        raise
    return session.report(check)
