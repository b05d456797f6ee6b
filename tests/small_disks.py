"""Disks of their own, small enough that a test can fill them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepmatrix.errors import EngineError
from deepmatrix.machine import processes


@contextlib.contextmanager
def mounted(folder: Path, size: str) -> Iterator[Path]:
    """Mount an empty disk at a new *folder*, of a *size* as mount writes it, such as ``1m``.

    The test is skipped where that cannot be done.
    """
    folder.mkdir()
    try:
        processes.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)])
    except EngineError as error:
        pytest.skip(error.message)
    try:
        yield folder
    finally:
        processes.run(["umount", str(folder)])
