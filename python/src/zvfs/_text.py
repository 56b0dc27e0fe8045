# SPDX-License-Identifier: Apache-2.0
"""Texts as C takes them."""

from __future__ import annotations

import os
from urllib.parse import quote


def to_c(value: str | bytes | os.PathLike[str] | os.PathLike[bytes], what: str) -> bytes:
    """An argument as C takes it.

    Raises ValueError for a NUL in it, which would end it there.
    """
    encoded = os.fsencode(value)
    if b"\0" in encoded:
        raise ValueError(f"{what}: a NUL in it")
    return encoded


def descriptor(value: str | os.PathLike[str]) -> bytes:
    """A descriptor as C takes it. A path that is not UTF-8 is written as the provider `file` writes one."""
    encoded = to_c(value, "descriptor")
    try:
        encoded.decode()
    except UnicodeDecodeError:
        return b"file:" + quote(encoded).encode() if encoded.startswith(b"/") else encoded
    return encoded
