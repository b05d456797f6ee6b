"""What every unit test needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deepmatrix.config.reading import cached
from deepmatrix.machine import locks
from tests import small_disks


@pytest.fixture(autouse=True)
def _own_turn(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test wait for a run that measures on this machine."""
    folder: Path = tmp_path_factory.getbasetemp()
    monkeypatch.setattr(locks, "SAMPLING", folder / "sampling.lock")


@pytest.fixture(autouse=True, scope="session")
def _own_documents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let no test push a user's documents out of the cache."""
    folder = tmp_path_factory.mktemp("documents")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cached, "_folder", lambda: folder)
        yield


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a file system of 1 MiB."""
    with small_disks.mounted(tmp_path / "disk", "1m") as folder:
        yield folder
