"""Removing folders that a process which is not trusted may have nested as deep as it likes."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from pathlib import Path


def remove(folder: Path) -> None:
    """Remove a folder as far as that is possible, however deep."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except RecursionError:  # until Python 3.13 it calls itself for each level
        _flatten(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _flatten(folder: Path) -> None:
    """Move every folder below *folder* to its top, which keeps paths short too."""
    numbers = itertools.count()
    pending = [folder]
    while pending:
        with os.scandir(pending.pop()) as entries:
            subfolders = [
                Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)
            ]
        for path in subfolders:
            moved = folder / f".removed-{next(numbers)}"
            with contextlib.suppress(OSError):
                path.rename(moved)
                pending.append(moved)
