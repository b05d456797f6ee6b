"""Temporary folders with secrets, and the removal of those that killed processes left."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from deepmatrix.machine import owner

#: In such a folder, the label of the process that made it.
OWNER: Final = "owner"


@contextlib.contextmanager
def private_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """Make a folder that only this user can read; remove it, with its secrets, in the end.

    *parent*: the system's temporary folder, if left out. Raises OSError.
    """
    with tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / OWNER).write_text(str(owner.this_process()), "utf-8")
        yield folder


def sweep(prefix: str, parent: Path | None = None) -> None:
    """Remove such folders of killed processes."""
    marks = (parent or Path(tempfile.gettempdir())).glob(f"{prefix}*/{OWNER}")
    for folder in owner.left_behind(marks):
        with contextlib.suppress(OSError):  # somebody else's, or removed just now
            if _is_ours(folder):
                shutil.rmtree(folder)


def _is_ours(folder: Path) -> bool:
    """Say whether this user made a folder; a link may lead anywhere."""
    return not folder.is_symlink() and (
        not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
    )
