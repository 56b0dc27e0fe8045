# SPDX-License-Identifier: Apache-2.0
"""What a mode of open() means: "rb", "w", "x+"..."""

from __future__ import annotations

from dataclasses import dataclass

from . import _abi


@dataclass(frozen=True)
class Mode:
    """A mode, taken apart."""

    kind: str
    """One of r, w, x, a."""
    plus: bool
    text: bool

    @property
    def reads(self) -> bool:
        return self.kind == "r" or self.plus

    @property
    def writes(self) -> bool:
        return self.kind != "r" or self.plus

    def __str__(self) -> str:
        return f"{self.kind}b{'+' if self.plus else ''}"

    def attempts(self, supported: int) -> list[int]:
        """The flags to open with, in the order to try them: the next where a file lacks what its provider has (ENOTSUP). The last
        of "w" may leave old content in place, which the caller must then empty.

        Of what a provider does not support, only EXCLUSIVE and APPEND are asked for nevertheless: they must not be left out. A
        pipe has nothing to create or to empty.
        """
        direction = (_abi.OPEN_READ if self.reads else 0) | (_abi.OPEN_WRITE if self.writes else 0)
        create = supported & _abi.OPEN_CREATE
        empty = supported & _abi.OPEN_TRUNCATE
        atomic = supported & _abi.OPEN_ATOMIC
        if self.kind == "r":
            return [direction]
        if self.kind == "a":
            return [direction | create | _abi.OPEN_APPEND, direction | _abi.OPEN_APPEND]
        if self.kind == "x":
            new = direction | _abi.OPEN_CREATE | _abi.OPEN_EXCLUSIVE
            return [new | atomic, new]
        return list(dict.fromkeys([direction | create | empty | atomic, direction | create | empty, direction]))


def parse(mode: str) -> Mode:
    """Takes a mode apart.

    Raises ValueError for one that the built-in open() refuses too.
    """
    letters = set(mode)
    kinds = letters & set("rwxa")
    if len(letters) != len(mode) or letters - set("rwxabt+") or len(kinds) != 1 or {"b", "t"} <= letters:
        raise ValueError(f"mode {mode!r}: give one of r, w, x, a; then + to read and write; then b for bytes or t for text")
    return Mode(kinds.pop(), "+" in letters, "b" not in letters)
