"""What every unit test needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepmatrix.machine import locks


@pytest.fixture(autouse=True)
def _own_turn(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test wait for a run that measures on this machine."""
    folder: Path = tmp_path_factory.getbasetemp()
    monkeypatch.setattr(locks, "SAMPLING", folder / "sampling.lock")
