# SPDX-License-Identifier: Apache-2.0
"""Reads a manifest, and puts its own folder where it asks for it, as `zvfs run` does."""

from __future__ import annotations

import os
import re
from pathlib import Path

_TOKEN = "${MANIFEST_DIR}"


def read(manifest: str | os.PathLike[str]) -> bytes:
    """The text of a manifest: a str is one, anything else is the path of one.

    Raises ValueError for a folder whose name a manifest cannot hold.
    """
    if isinstance(manifest, str):
        return manifest.encode()
    path = Path(manifest)
    text = path.read_bytes().decode()
    if _TOKEN not in text:
        return text.encode()
    folder = str(path.parent.resolve())
    if re.search(r'[\x00-\x1f\x7f",;]', folder):
        raise ValueError(f"manifest {path}: {_TOKEN} cannot be used in the folder {folder!r}: rename it")
    return "".join(_expand(line, folder.rstrip("/")) for line in text.splitlines(keepends=True)).encode()


def _expand(line: str, folder: str) -> str:
    """Expands the token where a Program or a channel's source begins; quotes may stand around a source."""
    key, equals, value = line.partition("=")
    if key.strip() not in ("Program", "Channel"):
        return line
    # Before the alias: nothing but sources, which a ; separates.
    sources, comma, rest = value.partition(",") if key.strip() == "Channel" else (value, "", "")
    begins = re.compile(r'((?:^|;)[ \t]*"?[ \t]*)' + re.escape(_TOKEN))
    return key + equals + begins.sub(lambda found: found[1] + folder, sources) + comma + rest
