# SPDX-License-Identifier: Apache-2.0
"""What is known of a file or a name."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from . import _abi
from ._errors import made


@dataclass(frozen=True)
class Stat:
    """What is known of a file."""

    size: int | None
    """Bytes; None: not known."""
    modified_ns: int | None
    """Nanoseconds since 1970-01-01 UTC; None: not known."""
    kind: str
    """"regular", "directory", "stream", "device", "terminal" or "unknown"."""
    version: str | None
    """Equal tags mean equal content: an ETag, a generation; None: there is none."""

    @staticmethod
    def of(found: _abi.Stat) -> Stat:
        return Stat(
            size=None if found.size == _abi.SIZE_UNKNOWN else found.size,
            modified_ns=None if found.modified_ns == _abi.TIME_UNKNOWN else found.modified_ns,
            kind=_abi.KINDS[found.kind] if found.kind < len(_abi.KINDS) else "unknown",
            version=found.version.decode("utf-8", "replace") or None,
        )


def given(modified_ns: int) -> int:
    """A time that is to be set, as C takes it: ctypes would cut a larger number."""
    if not -(2**63) < modified_ns < 2**63:
        raise made(errno.EOVERFLOW, f"set_modified: {modified_ns} ns is not within 1677 to 2262")
    return modified_ns


@dataclass(frozen=True)
class Entry:
    """One name in a directory."""

    name: str
    """The last component only. Bytes that are not UTF-8 are surrogates, as os.listdir has them."""
    stat: Stat | None
    """None: not known without a call of stat()."""
