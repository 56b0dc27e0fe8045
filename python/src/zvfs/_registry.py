# SPDX-License-Identifier: Apache-2.0
"""The providers that a program may use, and what is done with names."""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from ctypes import byref, c_char_p, c_uint64, c_void_p
from errno import ENOENT
from typing import IO, Any, NoReturn

from . import _abi, _buffered, _modes
from ._calls import call, call_that_waits
from ._configuration import Settings, configuration, texts
from ._control import Control
from ._library import zvfs
from ._raw import RawFile
from ._stat import Entry, Stat, given
from ._text import descriptor as to_descriptor
from ._text import to_c

Path = str | os.PathLike[str]


class Registry:
    """Providers, each loaded and started at its first use. A program needs one, and zvfs.open() has one of its own.

    Which providers may load is decided by one of these; without any it is the operator's file (the environment's ZVFS_CONFIG,
    else /etc/zvfs/zvfs.toml), and without that the providers that belong to the library:

    - `file`: the path of a configuration, which is checked as the operator's is
    - `text`: a configuration's text, as in zvfs.toml
    - `providers`: names and settings, {"file": {"root": ["/srv/jobs"], "read-only": True}}; they are looked for in
      `provider_path`, which unless given is the folder that belongs to the library

    `log` takes a line of the providers' log: a level (10 error, 20 warning, 30 info, 40 debug) and a text. It is called on any thread,
    in the middle of a call, and must not use this package. None: warnings and errors go to standard error.

    `poll_threads` is how many threads zvfs.aio may have at once for opens and for files that cannot be polled.
    """

    def __init__(
        self,
        file: Path | None = None,
        *,
        text: str | None = None,
        providers: Mapping[str, Mapping[str, Settings]] | None = None,
        provider_path: Iterable[Path] = (),
        log: Callable[[int, str], object] | None = None,
        poll_threads: int | None = None,
    ) -> None:
        self._pointer = c_void_p()
        options = _abi.RegistryOptions(name=b"python-zvfs")
        if log is not None:
            options.log_level = 20
            options.log = _abi.LogFn(lambda _, level, line: log(level, line.decode("utf-8", "replace")))
            _log_functions.append(options.log)
        with configuration(file, text, providers, provider_path) as chosen:
            call(zvfs().zvfs_registry_new, chosen, byref(options), byref(self._pointer))
        if poll_threads is not None:
            call(zvfs().zvfs_registry_set_poll_threads, self._pointer, poll_threads)

    def open(
        self,
        descriptor: Path,
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
    ) -> IO[Any]:
        """Opens a descriptor; see zvfs.open()."""
        parsed = _modes.parse(mode)
        _buffered.check(parsed, buffering, encoding, errors, newline)
        raw = self._open_raw(descriptor, parsed, timeout, control, settings, size)
        return _buffered.wrap(raw, parsed, buffering, encoding, errors, newline)

    def stat(self, descriptor: Path, *, timeout: float | None = None, control: Control | None = None) -> Stat:
        """Asks for the status of a name."""
        control = limited(timeout, control)
        out = _abi.Stat()
        options = _abi.OpenOptions(control=control._pointer)
        call_that_waits(
            control, zvfs().zvfs_registry_stat, self._open(), to_descriptor(descriptor), byref(options), byref(out)
        )
        return Stat.of(out)

    def list(
        self, descriptor: Path, *, timeout: float | None = None, control: Control | None = None
    ) -> Sequence[Entry]:
        """Returns the names in a directory, in no order."""
        control = limited(timeout, control)
        entries: Any = []

        def each(_: object, name: Any) -> int:
            found = name.contents
            stat = Stat.of(found.stat.contents) if found.stat else None
            entries.append(Entry(os.fsdecode(ctypes.string_at(found.bytes, found.length)), stat))
            return 0

        options = _abi.OpenOptions(control=control._pointer)
        call_that_waits(
            control,
            zvfs().zvfs_registry_names,
            self._open(),
            to_descriptor(descriptor),
            byref(options),
            _abi.NameFn(each),
            None,
        )
        names: Sequence[Entry] = entries
        return names

    def remove(self, descriptor: Path, *, timeout: float | None = None, control: Control | None = None) -> None:
        """Removes a file, never a directory."""
        self._with_name(zvfs().zvfs_registry_remove, descriptor, timeout, control)

    def make_folder(self, descriptor: Path, *, timeout: float | None = None, control: Control | None = None) -> None:
        """Makes a folder, and none above it. Providers whose folders are there as soon as a name lies below make none (ENOTSUP)."""
        self._with_name(zvfs().zvfs_registry_make_folder, descriptor, timeout, control)

    def remove_folder(self, descriptor: Path, *, timeout: float | None = None, control: Control | None = None) -> None:
        """Removes an empty folder."""
        self._with_name(zvfs().zvfs_registry_remove_folder, descriptor, timeout, control)

    def set_modified(
        self, descriptor: Path, modified_ns: int, *, timeout: float | None = None, control: Control | None = None
    ) -> None:
        """Sets the time of what is there under a name, a folder too, rounded down to what the store holds. Providers that set none
        raise ENOTSUP."""
        self._with_name(zvfs().zvfs_registry_set_modified, descriptor, timeout, control, given(modified_ns))

    def _with_name(
        self, function: Any, descriptor: Path, timeout: float | None, control: Control | None, *more: Any
    ) -> None:
        control = limited(timeout, control)
        options = _abi.OpenOptions(control=control._pointer)
        call_that_waits(control, function, self._open(), to_descriptor(descriptor), byref(options), *more)

    def close(self) -> None:
        """Frees the registry. Providers stop when their last file is closed, and deliver what was ended, in up to 5 s."""
        pointer, self._pointer = getattr(self, "_pointer", None), c_void_p()
        if pointer:
            zvfs().zvfs_registry_free(pointer)

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("cannot pickle a Registry: make one of the same configuration in the other process")

    def _open(self) -> c_void_p:
        if not self._pointer:
            raise ValueError("the registry is closed")
        return self._pointer

    def _open_raw(
        self,
        descriptor: Path,
        mode: _modes.Mode,
        timeout: float | None,
        control: Control | None,
        settings: Mapping[str, Settings] | None,
        size: int | None,
    ) -> RawFile:
        own = limited(timeout, control)
        name = to_descriptor(descriptor)
        options = open_options(own, settings, size)
        attempts = mode.attempts(self._supported(name, own) if mode.kind != "r" else 0)
        before: OSError | None = None
        for at, flags in enumerate(attempts):
            options.flags = flags
            handle = c_void_p()
            try:
                call_that_waits(
                    own, zvfs().zvfs_registry_open, self._open(), name, byref(options), byref(handle)
                )
                break
            except BaseException as failure:
                zvfs().zvfs_handle_close(handle)  # an open that succeeded while its exception was on its way
                is_last = at + 1 == len(attempts)
                if is_last and before and getattr(failure, "errno", None) in (_abi.ENOTSUP, ENOENT):
                    # It comes of what was left out: a server without uploads has nothing to be replaced, either.
                    raise before from None
                if is_last or not isinstance(failure, OSError) or failure.errno != _abi.ENOTSUP:
                    raise
                before = failure
        raw = RawFile(self, handle, mode, own, timeout)
        if mode.kind == "w" and not options.flags & (_abi.OPEN_TRUNCATE | _abi.OPEN_ATOMIC) and raw.seekable():
            try:
                raw.truncate(0)
            except BaseException:
                raw._release()
                raise
        return raw

    def _supported(self, name: bytes, control: Control) -> int:
        """The flags that the provider of a descriptor supports. Its first use loads it."""
        out = c_uint64()
        call_that_waits(control, zvfs().zvfs_registry_supported_flags, self._open(), name, byref(out))
        return out.value


def limited(timeout: float | None, control: Control | None) -> Control:
    """The control of a call: the caller's, or a new one with the call's own time."""
    if control is None:
        return Control(timeout)
    if timeout is not None:
        raise ValueError("timeout and control: give one of them; a control has a timeout of its own")
    return control


def open_options(
    control: Control, settings: Mapping[str, Settings] | None, size: int | None
) -> _abi.OpenOptions:
    """The options of an open. The strings live as long as they do."""
    options = _abi.OpenOptions(control=control._pointer, expected_size=size or 0)
    if settings:
        lines = [to_c(f"{name}={value}", "settings") for name, values in settings.items() for value in texts(values)]
        options.settings = (c_char_p * (len(lines) + 1))(*lines, None)
    return options


_default: Registry | None = None
_making = threading.Lock()


def default() -> Registry:
    """The process's own registry, of the operator's configuration, made at its first use and freed when the process exits."""
    global _default
    with _making:
        if _default is None:
            _default = Registry()
        return _default


@atexit.register
def _deliver() -> None:
    if _default is not None:
        _default.close()


def _forget() -> None:
    """In the child of a fork, which can use nothing of its parent's."""
    global _default, _making
    _default = None
    _making = threading.Lock()


os.register_at_fork(after_in_child=_forget)

# Providers may log until the process ends, so these are never freed.
_log_functions: list[object] = []
