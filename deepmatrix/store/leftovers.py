"""What must not be in a run's directory: unfinished files of a killed process, and links."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Final

from deepmatrix.errors import RecordError

#: Folders whose entries are replaced as a whole, under a name that ends in ``.part`` until then.
REPLACED: Final = ("artifacts", "causes")

#: Folders of other people's files, which may have any name, by their depth in a run.
THEIRS: Final = {1: ("models", "given"), 3: ("model",)}

#: The name of a file that `deepmatrix.boundary.writing` or `deepmatrix.workloads` has not finished.
UNFINISHED: Final = re.compile(r"\.\d+\.part$")


def sweep(run: Path) -> None:
    """Remove the unfinished files of a killed process, and none that belongs to a model."""
    shutil.rmtree(run / "scratch", ignore_errors=True)
    for name in REPLACED:
        for folder in (run / name).glob("*.part"):
            shutil.rmtree(folder, ignore_errors=True)
    for parent, folders, names in os.walk(run):
        depth = len(Path(parent).relative_to(run).parts) + 1
        folders[:] = [name for name in folders if name not in THEIRS.get(depth, ())]
        for name in filter(UNFINISHED.search, names):
            (Path(parent) / name).unlink()


def refuse_links(run: Path) -> None:
    """Raise RecordError where a link is in a run: it may lead out of it, to anything."""
    pending = [str(run)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_symlink():
                    raise RecordError(
                        f"{entry.path}: a link; a run has none",
                        hint="remove it, or put in its place what it points at",
                    )
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
