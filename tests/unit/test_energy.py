"""Energy, of a made-up folder of counters: few machines have any."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from deepmatrix.engines import Ended
from deepmatrix.execution.runner import Runner
from deepmatrix.machine import energy, locks
from deepmatrix.planning.cells import Capabilities
from deepmatrix.planning.plan import WAVES
from deepmatrix.store.runs import Run
from tests.unit.test_reuse import CELLS, AnsweringEngine, Told, small_matrix, small_plan


def domain(root: Path, name: str, counter: str, used: int | str) -> None:
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "name").write_text(counter + "\n")
    (folder / "energy_uj").write_text(f"{used}\n")
    (folder / "max_energy_range_uj").write_text("1000000000\n")


def test_joules_are_summed_over_packages_only(tmp_path: Path) -> None:
    for name, counter, used in (
        ("intel-rapl:0", "package-0", 1_000_000),
        ("intel-rapl:1", "package-1", 5_000_000),
        ("intel-rapl:0:0", "core", 9_000_000),
    ):
        domain(tmp_path, name, counter, used)
    before = energy.read_counters(tmp_path)
    domain(tmp_path, "intel-rapl:0", "package-0", 3_500_000)
    domain(tmp_path, "intel-rapl:1", "package-1", 5_500_000)
    domain(tmp_path, "intel-rapl:0:0", "core", 9_900_000)
    assert energy.joules_between(before, energy.read_counters(tmp_path), tmp_path) == pytest.approx(
        3.0
    )


def test_an_overflowed_counter_is_corrected(tmp_path: Path) -> None:
    domain(tmp_path, "intel-rapl:0", "package-0", 999_000_000)
    before = energy.read_counters(tmp_path)
    domain(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    assert energy.joules_between(before, energy.read_counters(tmp_path), tmp_path) == pytest.approx(
        2.0
    )


def test_without_counters_there_are_no_joules(tmp_path: Path) -> None:
    assert energy.read_counters(tmp_path / "missing") == {}
    assert energy.joules_between({}, {}) is None
    domain(tmp_path, "intel-rapl:0", "package-0", "secret")
    assert energy.read_counters(tmp_path) == {}


@dataclass
class ConsumingEngine(AnsweringEngine):
    """Each job takes two joules more from the counter below *root*."""

    root: Path = Path()

    def capabilities(self) -> Capabilities:
        return replace(super().capabilities(), memory_bytes=self.cpus * (16 << 30))

    def _answer(self, folder: Path) -> Ended:
        self.use()
        return super()._answer(folder)

    def use(self) -> None:
        domain(self.root, "intel-rapl:0", "package-0", 2_000_000 * (len(self.ran) + 1))


@pytest.mark.parametrize(("is_here", "beside"), [(True, False), (False, False), (True, True)])
def test_energy_is_that_of_timed_jobs_alone_on_this_machine(
    is_here: bool, beside: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counters = tmp_path / "counters"
    monkeypatch.setattr(locks, "SAMPLING", tmp_path / "sampling.lock")  # it waits for no other run
    monkeypatch.setattr(energy, "read_counters", functools.partial(energy.read_counters, counters))
    engine = ConsumingEngine(root=counters, is_here=is_here, cpus=3 if beside else 1)
    domain(counters, "intel-rapl:0", "package-0", 0)
    plan = small_plan(*CELLS)
    matrix = small_matrix(beside=beside)
    run = Run.create(tmp_path, plan, matrix, version="1", name="one")
    Runner(run=run, engine=engine, watcher=Told()).execute()

    measured = {record.job: record.energy_j for record in run.records()}
    jobs = [job for wave in WAVES for job in plan.jobs(wave)]
    assert {plan.is_timed(job) for job in jobs} == {True, False}
    alone = {job.id for job in jobs if plan.is_timed(job) and is_here and not beside}
    assert measured == {job.id: 2.0 if job.id in alone else None for job in jobs}
