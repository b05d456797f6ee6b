"""The runs of a folder, by their plans."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from deepmatrix.invocation import command_line

#: At most this many runs are listed by name.
LISTED_RUNS: Final = 5


def plans(parent: Path) -> list[Path]:
    """Return the plans of all runs, without what is no plain file: that is of no run."""
    paths = parent.glob("[!.]*/plan.json")
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def named(path: Path, parent: Path) -> Path:
    """Return where a run is that a user names: by its name among the runs, or by its path."""
    below = parent / path
    is_name = path.name == str(path) and path.suffix != ".json"
    return below if below.exists() or (is_name and not path.exists()) else path


def known_runs(parent: Path) -> str:
    """Return the names of the newest runs, or the command that makes one, for a hint."""
    names = sorted(path.parent.name for path in plans(parent))
    if not names:
        return f"make one with `{command_line('verify', 'MODEL')}` or `{command_line('matrix')}`"
    earlier = len(names) - LISTED_RUNS
    listed = ", ".join(names[-LISTED_RUNS:])
    return f"runs there: {listed}{f', and {earlier} before these' if earlier > 0 else ''}"
