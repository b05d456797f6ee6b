"""The folder of a build, with secrets in it, and the removal of what killed builds left."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from deepmatrix.machine import owner, proctree, scratch

#: The begin of every such folder's name, below the system's temporary folder.
PREFIX = "deepmatrix-build-"


@contextlib.contextmanager
def build_folder() -> Iterator[Path]:
    """Make a folder that only this user can read; remove it, with its secrets, in the end."""
    with scratch.private_folder(PREFIX) as folder:
        yield folder


def builder_environment() -> dict[str, str]:
    """Return what marks a builder as one of this process, so that `sweep` finds it."""
    return {proctree.MARK: f"{owner.this_process()}/build"}


def sweep() -> None:
    """End the builders of killed processes, and remove their folders."""
    proctree.kill_marked(owner.is_gone)
    scratch.sweep(PREFIX)
