"""The folder of a build, with secrets in it, and the removal of what killed builds left."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from deepmatrix.machine import owner, proctree

#: The begin of every such folder's name, below the system's temporary folder.
PREFIX = "deepmatrix-build-"

#: In it, the label of the process that made it.
OWNER = "owner"


@contextlib.contextmanager
def build_folder() -> Iterator[Path]:
    """Make a folder that only this user can read; remove it, with its secrets, in the end."""
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / OWNER).write_text(str(owner.this_process()), "utf-8")
        yield folder


def builder_environment() -> dict[str, str]:
    """Return what marks a builder as one of this process, so that `sweep` finds it."""
    return {proctree.MARK: f"{owner.this_process()}/build"}


def sweep() -> None:
    """End the builders of killed processes, and remove their folders."""
    proctree.kill_marked(owner.is_gone)
    for folder in owner.left_behind(Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{OWNER}")):
        with contextlib.suppress(OSError):  # somebody else's, or removed just now
            if _is_ours(folder):
                shutil.rmtree(folder)


def _is_ours(folder: Path) -> bool:
    """Say whether this user made a folder; a link may lead anywhere."""
    return not folder.is_symlink() and (
        not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
    )
