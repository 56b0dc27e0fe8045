# SPDX-License-Identifier: Apache-2.0
"""Runs a WebAssembly guest under a manifest, by libzvm."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from ctypes import byref, c_void_p
from typing import Any

from . import _abi, _channels
from ._calls import call
from ._library import zvm
from ._manifest import read
from ._report import Report, RunFailed
from ._text import to_c

class Session:
    """One run of a guest, from its manifest to its report."""

    def __init__(
        self,
        manifest: str | os.PathLike[str],
        channels: Mapping[str, Any],
        program: bytes | None,
        arguments: Iterable[str],
        environment: Mapping[str, str],
        configuration: str | os.PathLike[str] | None,
        worker: str | os.PathLike[str] | None,
        job: str | None,
    ) -> None:
        self._pointer = c_void_p()
        self._channels: list[_channels.FileChannel] = []
        options = _abi.SessionOptions(
            configuration=None if configuration is None else to_c(configuration, "configuration"),
            worker=None if worker is None else to_c(worker, "worker"),
            job=None if job is None else to_c(job, "job"),
        )
        text = read(manifest)
        call(zvm().zvm_session_new, text, len(text), byref(options), byref(self._pointer))
        if program is not None:
            call(zvm().zvm_session_program, self._pointer, program, len(program))
        for argument in arguments:
            call(zvm().zvm_session_argument, self._pointer, to_c(argument, "arguments"))
        for name, value in environment.items():
            call(zvm().zvm_session_environment, self._pointer, to_c(name, "environment"), to_c(value, "environment"))
        for alias, file in channels.items():
            self._supply(alias, file)

    def _supply(self, alias: str, file: Any) -> None:
        channel = _channels.FileChannel(file)
        number, table = _channels.add(channel)
        try:
            call(zvm().zvm_session_channel, self._pointer, to_c(alias, "channels"), byref(table))
        except BaseException:
            _channels.drop(number)
            raise
        self._channels.append(channel)

    def start(self, ended: Any) -> None:
        """Starts the run. `ended`, an EndedFn that the caller keeps, is called on another thread when there is a report."""
        call(zvm().zvm_session_start, self._pointer, ended, None)

    def cancel(self) -> None:
        """Ends the run; `ended` is called soon."""
        call(zvm().zvm_session_cancel, self._pointer)

    def report(self, check: bool) -> Report:
        """The report of a run that has ended. What a channel's file object raised is raised here."""
        for channel in self._channels:
            if channel.failure is not None:
                raise channel.failure
        text: bytes = zvm().zvm_session_report(self._pointer, _abi.REPORT_JSON)
        report = Report.of(text.decode())
        if check and (report.exit_code != 0 or report.guest_code != 0):
            raise RunFailed(report)
        return report

    def __del__(self) -> None:
        pointer, self._pointer = getattr(self, "_pointer", None), c_void_p()
        if pointer:
            zvm().zvm_session_free(pointer)


def run(
    manifest: str | os.PathLike[str],
    *,
    channels: Mapping[str, Any] = {},
    program: bytes | None = None,
    arguments: Iterable[str] = (),
    environment: Mapping[str, str] = {},
    configuration: str | os.PathLike[str] | None = None,
    worker: str | os.PathLike[str] | None = None,
    job: str | None = None,
    timeout: float | None = None,
    check: bool = False,
) -> Report:
    """Runs a guest, and returns its report, whatever it says.

    - `manifest`: a manifest's path, as a pathlib.Path, or its text, as a str
    - `channels`: file objects in the place of sources: {"/dev/stdin": open("x", "rb"), "/dev/stdout": io.BytesIO()}. They stay open.
      What one raises ends the run, and is raised here
    - `program`: the WebAssembly program, in the place of the manifest's Program
    - `arguments`, `environment`: after those of the manifest, and in the place of them
    - `configuration`: the operator's file, for the other channels; None: there must be none
    - `worker`: the command `zvfs`, which then compiles the program in a process of its own. Use it for untrusted programs
    - `job`: the run's name
    - `timeout`: seconds, after which the run is cancelled and TimeoutError raised. The manifest's Timeout holds too
    - `check`: raises RunFailed if the run or the guest failed

    KeyboardInterrupt, and what else a signal handler raises, cancels the run.
    """
    session = Session(manifest, channels, program, arguments, environment, configuration, worker, job)
    over = threading.Event()
    ended = _abi.EndedFn(lambda _: over.set())
    session.start(ended)
    try:
        in_time = over.wait(timeout)
    except BaseException:
        _stop(session, over)
        raise
    if not in_time:
        _stop(session, over)
        raise TimeoutError(f"run a guest: not done after {timeout} s, cancelled")
    return session.report(check)


def _stop(session: Session, over: threading.Event) -> None:
    """Cancels a run, and waits for its end, which comes within 1 s even if a channel's file object does not return."""
    session.cancel()
    over.wait()
