"""What must not be in a run's directory: unfinished files of a killed process, and links."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from deepmatrix.boundary import removing
from deepmatrix.errors import RecordError

#: Folders whose entries are replaced as a whole, under a name that ends in ``.part`` until then.
REPLACED: Final = ("artifacts", "causes")

#: Folders of other people's files, which may have any name, by their depth in a run.
THEIRS: Final = {1: ("models", "given"), 3: ("model",)}

#: The folder of the control directories of jobs that are being done.
SCRATCH: Final = "scratch"

#: Folders of a run are nested less deep than this, those of a model included.
DEEPEST: Final = 64

#: The name of a file that `deepmatrix.boundary.writing` or `deepmatrix.workloads` has not finished.
UNFINISHED: Final = re.compile(r"\.\d+\.part$")


def sweep(run: Path) -> None:
    """Remove the unfinished files of a killed process, and none that belongs to a model."""
    removing.remove(run / SCRATCH)
    for name in REPLACED:
        for folder in (run / name).glob("*.part"):
            removing.remove(folder)
    for parent, folders, names in os.walk(run):
        depth = len(Path(parent).relative_to(run).parts) + 1
        folders[:] = [name for name in folders if name not in THEIRS.get(depth, ())]
        for name in filter(UNFINISHED.search, names):
            (Path(parent) / name).unlink()


def check_tree(run: Path) -> None:
    """Raise RecordError where a link is in a run, which may lead to anything, or a deep nest.

    The folder of unfinished jobs is not looked into: nothing of it is read.
    """
    pending = [(str(run), 0)]
    while pending:
        folder, depth = pending.pop()
        if depth > DEEPEST:
            raise RecordError(
                f"{folder}: folders are nested more than {DEEPEST} deep; a run has no such",
                hint="remove the outermost of them that is not the run's own",
            )
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_symlink():
                    raise RecordError(
                        f"{entry.path}: a link; a run has none",
                        hint="remove it, or put in its place what it points at",
                    )
                if entry.is_dir(follow_symlinks=False) and (depth or entry.name != SCRATCH):
                    pending.append((entry.path, depth + 1))
