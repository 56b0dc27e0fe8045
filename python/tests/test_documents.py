"""docs/python.md: its examples have right types, and do what they say."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).parent.parent.parent
_BLOCKS = re.findall(r"^```python\n(.*?)^```$", (_ROOT / "docs/python.md").read_text(), re.DOTALL | re.MULTILINE)


def defined(name: str) -> Any:
    """What the block that defines a function defines."""
    names: dict[str, Any] = {}
    exec(next(block for block in _BLOCKS if f"def {name}(" in block), names)
    return names[name]


def test_the_examples_have_right_types(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    assert len(_BLOCKS) >= 5
    for number, block in enumerate(_BLOCKS):
        (tmp_path / f"block_{number}.py").write_text(block)
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", "/dev/null", *sorted(tmp_path.glob("*.py"))],
        cwd=tmp_path,
        env=os.environ | {"MYPYPATH": str(_ROOT / "python/src")},
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout


def test_the_copy_copies(tmp_path: Path) -> None:
    content = os.urandom(300_000)
    (tmp_path / "x").write_bytes(content)
    asyncio.run(defined("copy")(str(tmp_path / "x"), str(tmp_path / "y")))
    assert (tmp_path / "y").read_bytes() == content


def test_the_guest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(_ROOT / "examples/jobs/wordcount")
    assert re.search(r"\b3\b.* in [0-9.]+ s", defined("count_words")(b"one two three\n"), re.DOTALL)
