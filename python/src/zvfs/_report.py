# SPDX-License-Identifier: Apache-2.0
"""What a run of a guest reports: docs/report.md, as objects."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Traffic:
    """Reads and writes that reached a provider, and their bytes."""

    gets: int
    get_bytes: int
    puts: int
    put_bytes: int


@dataclass(frozen=True)
class Output:
    """What became of a target."""

    state: str
    """committed, discarded, partial or unknown."""
    in_place: str | None
    """Why it was written in place; None: it was to appear as a whole."""


@dataclass(frozen=True)
class ChannelReport:
    """One channel."""

    alias: str
    network: bool
    traffic: Traffic
    digest: str | None
    exhausted: tuple[str, ...]
    """The quotas that refused a call: gets, get_size, puts, put_size."""
    outputs: tuple[Output, ...]


@dataclass(frozen=True)
class Report:
    """How a run went."""

    exit_code: int
    """The host's result: 0, or one of docs/report.md's table."""
    state: str
    """ok, or what happened, in one line."""
    errno: int | None
    """The error that ended the run, as in the module errno; None: it ended well, or for another reason."""
    guest_code: int | None
    """The guest's exit code; None: it did not exit by itself."""
    system_seconds: float
    user_seconds: float
    fuel: int | None
    nondeterministic: bool
    digest: str | None
    local: Traffic
    network: Traffic
    channels: tuple[ChannelReport, ...]
    notes: tuple[str, ...]
    json: str
    """The whole report, as zvfs run --report json writes it, with the fields that a later version has added."""

    @staticmethod
    def of(text: str) -> Report:
        """Makes a report of its JSON. Fields that are not known here are in `json` only."""
        found = json.loads(text)
        return Report(
            exit_code=found["exit_code"],
            state=found["state"],
            errno=found.get("errno"),
            guest_code=found["guest_code"],
            system_seconds=found["cpu"]["system_seconds"],
            user_seconds=found["cpu"]["user_seconds"],
            fuel=found["fuel"],
            nondeterministic=found["nondeterministic"],
            digest=found["digest"],
            local=_traffic(found["local"]),
            network=_traffic(found["network"]),
            channels=tuple(_channel(channel) for channel in found["channels"]),
            notes=tuple(found["notes"]),
            json=text,
        )


class RunFailed(Exception):
    """A run that did not end well, where run() was told to check that."""

    def __init__(self, report: Report) -> None:
        code = "" if report.guest_code is None else f", the guest's {report.guest_code}"
        super().__init__(f"run a guest: {report.state} (exit code {report.exit_code}{code})")
        self.report = report


def _traffic(found: dict[str, Any]) -> Traffic:
    return Traffic(found["gets"], found["get_bytes"], found["puts"], found["put_bytes"])


def _channel(found: dict[str, Any]) -> ChannelReport:
    return ChannelReport(
        alias=found["alias"],
        network=found["network"],
        traffic=_traffic(found),
        digest=found["digest"],
        exhausted=tuple(found["exhausted"]),
        outputs=tuple(Output(output["state"], output["in_place"]) for output in found["outputs"]),
    )
