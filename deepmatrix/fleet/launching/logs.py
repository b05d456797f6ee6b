"""The logs of workers that were started, quoted where one does not come."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from deepmatrix.machine.processes import QUOTED_LINES


def quoted(paths: Iterable[Path]) -> str:
    """Return the last lines of some logs, below an error's first line; nothing without any."""
    lines: list[str] = []
    for path in paths:
        lines += path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return "".join(f"\n{line}" for line in lines[-QUOTED_LINES:])
