"""What must not stay: unfinished runs, and files of a run, of killed processes; and links."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from deepmatrix.boundary import removing
from deepmatrix.errors import RecordError
from deepmatrix.machine import owner

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


#: How the name of a run begins that is not whole yet, and what names the process that makes it.
NEW, OWNER = ".new-", "owner"


@contextlib.contextmanager
def filling(run: Path) -> Iterator[Path]:
    """Give a folder beside a new run that takes its place once all is in it.

    It is removed where that fails, as those of killed processes are. Raises RecordError where a
    run of this name exists.
    """
    run.parent.mkdir(parents=True, exist_ok=True)
    for folder in owner.left_behind(run.parent.glob(f"{NEW}*/{OWNER}")):
        removing.remove(folder)
    if os.path.lexists(run):
        raise _exists(run)
    part = Path(tempfile.mkdtemp(prefix=NEW, dir=run.parent))
    try:
        part.chmod(0o755)
        (part / OWNER).write_text(str(owner.this_process()), encoding="utf-8")
        yield part
        part.rename(run)
        (run / OWNER).unlink()
    except OSError as error:
        removing.remove(part)
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR) and os.path.lexists(run):
            raise _exists(run) from None
        raise
    except BaseException:
        removing.remove(part)
        raise


def _exists(run: Path) -> RecordError:
    return RecordError(
        f"{run} exists already",
        hint=f"choose another --name, or finish that run with --resume {run.name}",
    )


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

    The folder of unfinished jobs is not looked into: nothing of it is read. A folder that another
    process puts in its place, or removes, meanwhile is looked for no more.
    """
    pending = [(str(run), 0)]
    while pending:
        folder, depth = pending.pop()
        if depth > DEEPEST:
            raise RecordError(
                f"{folder}: folders are nested more than {DEEPEST} deep; a run has no such",
                hint="remove the outermost of them that is not the run's own",
            )
        with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_symlink():
                    raise RecordError(
                        f"{entry.path}: a link; a run has none",
                        hint="remove it, or put in its place what it points at",
                    )
                if entry.is_dir(follow_symlinks=False) and (depth or entry.name != SCRATCH):
                    pending.append((entry.path, depth + 1))
