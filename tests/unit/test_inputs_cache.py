"""Inputs that another run made are copied, not made anew, where all that makes them is the same."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from deepmatrix.config.matrix import Matrix
from deepmatrix.execution.reuse import inputs_cache
from deepmatrix.execution.reuse.inputs_cache import make_inputs
from deepmatrix.planning.plan import Plan
from deepmatrix.store.runs import Run
from deepmatrix.workloads import inputs
from harness import record
from tests.unit.examples import MATRIX, new_run, planned

WORKLOAD = "seq2seq-tiny"
PLAN = replace(planned("torch-debian12-amd64-cpu"), workloads=(WORKLOAD,))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "deepmatrix" / "inputs"


class Told:
    """A watcher that keeps what it is told of inputs."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def making_inputs(self, workload: str) -> None:
        self.events.append(f"making {workload}")

    def made_inputs(self, workload: str) -> None:
        self.events.append(f"made {workload}")


@pytest.mark.usefixtures("cache")
def test_only_what_is_made_is_told(tmp_path: Path) -> None:
    watcher: Any = Told()
    for name in ("first", "second"):
        make_inputs(new_run(tmp_path / name, PLAN), watcher)
    assert watcher.events == [f"making {WORKLOAD}", f"made {WORKLOAD}"]


def made(folder: Path, plan: Plan = PLAN, matrix: Matrix = MATRIX) -> Run:
    run = new_run(folder, plan, matrix=matrix)
    make_inputs(run)
    return run


def contents(run: Run) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.inputs.iterdir()}


def with_workload(**changes: Any) -> Matrix:
    workload = MATRIX.workloads[WORKLOAD].model_copy(update=changes)
    return MATRIX.model_copy(update={"workloads": {**MATRIX.workloads, WORKLOAD: workload}})


def test_inputs_from_the_cache_are_those_that_were_made(cache: Path, tmp_path: Path) -> None:
    first = contents(made(tmp_path / "first"))
    (kept,) = cache.iterdir()
    with zipfile.ZipFile(kept) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files[inputs.GOLD] = b'{"losses": [0.25], "accuracy": 0.5}'  # so that a copy is told
    with zipfile.ZipFile(kept, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    second = contents(made(tmp_path / "second"))
    assert json.loads(second.pop(f"{WORKLOAD}{inputs.GOLD}"))["losses"] == [0.25]
    assert len(second) == 4
    assert second.items() <= first.items()


@pytest.mark.parametrize(
    ("plan", "matrix"),
    [
        (replace(PLAN, seed=1), MATRIX),
        (replace(PLAN, held_out=True), MATRIX),
        (replace(PLAN, phases=("parity", "deploy")), MATRIX),
        (PLAN, with_workload(batch=4)),
    ],
    ids=["seed", "held-out", "phases", "batch"],
)
def test_what_makes_other_inputs_is_kept_apart(
    cache: Path, tmp_path: Path, plan: Plan, matrix: Matrix
) -> None:
    made(tmp_path / "first")
    other = contents(made(tmp_path / "other", plan, matrix))
    assert len(list(cache.iterdir())) == 2
    for kept in cache.iterdir():
        kept.unlink()
    assert contents(made(tmp_path / "anew", plan, matrix)) == other


@pytest.mark.parametrize(
    ("place", "name", "changed"),
    [
        (record, "IDIOM_STEPS", 1),
        (inputs_cache, "_processor", lambda: {"processor": "another"}),
    ],
    ids=["steps of an idiom", "processor"],
)
def test_what_makes_other_inputs_outside_of_the_settings_is_kept_apart(
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: ModuleType,
    name: str,
    changed: Any,
) -> None:
    made(tmp_path / "first")
    monkeypatch.setattr(place, name, changed)
    made(tmp_path / "second")
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "folder"])
def test_a_damaged_cache_is_made_anew(cache: Path, tmp_path: Path, damage: str) -> None:
    first = contents(made(tmp_path / "first"))
    (kept,) = cache.iterdir()
    content = bytearray(kept.read_bytes())
    kept.unlink()
    if damage == "folder":
        kept.mkdir()
    else:
        content[200] ^= 1
        sizes = {"cut": len(content) // 2, "bit": len(content), "empty": 0}
        kept.write_bytes(content[: sizes[damage]])
    assert contents(made(tmp_path / "second")) == first


def test_a_cache_that_cannot_be_written_stops_no_run(tmp_path: Path, cache: Path) -> None:
    cache.parent.parent.mkdir(parents=True)
    cache.parent.write_text("a file")
    assert len(contents(made(tmp_path / "run"))) == 5


def test_what_was_used_least_lately_makes_room(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path / "first")
    (oldest,) = cache.iterdir()
    monkeypatch.setattr(inputs_cache, "MOST_BYTES", 2 * oldest.stat().st_size + 1000)
    made(tmp_path / "second", replace(PLAN, seed=1))
    (newer,) = set(cache.iterdir()) - {oldest}
    os.utime(newer, (1, 1))
    made(tmp_path / "third", replace(PLAN, seed=2))
    assert oldest.is_file()
    assert not newer.exists()
    assert len(list(cache.iterdir())) == 2


def test_what_is_too_large_to_be_kept_removes_nothing(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path / "first")
    (kept,) = cache.iterdir()
    monkeypatch.setattr(inputs_cache, "MOST_BYTES", kept.stat().st_size + 1000)
    made(tmp_path / "larger", replace(PLAN, held_out=True))
    assert list(cache.iterdir()) == [kept]


def test_what_killed_processes_have_not_finished_is_removed(cache: Path, tmp_path: Path) -> None:
    made(tmp_path / "first")
    abandoned, unfinished = cache / "a.zip.1.part", cache / "b.zip.2.part"
    for part in (abandoned, unfinished):
        part.write_bytes(b"PK")
    os.utime(abandoned, (1, 1))
    made(tmp_path / "second", replace(PLAN, seed=1))
    assert not abandoned.exists()
    assert unfinished.is_file()
