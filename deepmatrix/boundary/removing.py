"""Removing folders that a process which is not trusted may have nested as deep as it likes."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from pathlib import Path


def remove(folder: Path) -> None:
    """Remove a folder as far as that is possible, however deep, and what is closed in it too."""
    with contextlib.suppress(RecursionError):  # until Python 3.13 it calls itself for each level
        shutil.rmtree(folder, ignore_errors=True)
    if folder.is_dir() and not folder.is_symlink():
        _flatten(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _flatten(folder: Path) -> None:
    """Open every folder below *folder*, and move it to its top, which keeps paths short too."""
    numbers = itertools.count()
    pending = [folder]
    with contextlib.suppress(OSError):
        folder.chmod(0o700)
    while pending:
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as entries:
            subfolders = [
                Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)
            ]
            for path in subfolders:
                moved = folder / f".removed-{next(numbers)}"
                with contextlib.suppress(OSError):
                    path.chmod(0o700)  # one that is closed can be neither read nor moved
                    path.rename(moved)
                    pending.append(moved)
