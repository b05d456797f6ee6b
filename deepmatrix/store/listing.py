"""The runs of a folder, by their plans."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from deepmatrix.invocation import command_line

#: At most this many runs are listed by name.
LISTED_RUNS: Final = 5

#: A part of a run's name that stands for it has so many characters: fewer are a mistake.
LEAST_PART: Final = 4


def plans(parent: Path) -> list[Path]:
    """Return the plans of all runs, without what is no plain file: that is of no run."""
    paths = parent.glob("[!.]*/plan.json")
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def named(path: Path, parent: Path) -> Path:
    """Return where a run is that a user names: by its name among the runs, or by its path.

    A part of a name will do, of `LEAST_PART` characters or more, where no other run has it.
    """
    below = parent / path
    is_name = path.name == str(path) and path.suffix != ".json"
    if below.exists() or not is_name or path.exists():
        return below if below.exists() else path
    if len(path.name) < LEAST_PART:
        return below
    alike = [plan.parent for plan in plans(parent) if path.name in plan.parent.name]
    return alike[0] if len(alike) == 1 else below


def known_runs(parent: Path) -> str:
    """Return the names of the newest runs, or the command that makes one, for a hint."""
    names = sorted(path.parent.name for path in plans(parent))
    if not names:
        return f"make one with `{command_line('verify', 'MODEL')}` or `{command_line('matrix')}`"
    earlier = len(names) - LISTED_RUNS
    listed = ", ".join(names[-LISTED_RUNS:])
    return f"runs there: {listed}{f', and {earlier} before these' if earlier > 0 else ''}"
