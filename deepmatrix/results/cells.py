"""Rows of cells: what all records of one cell tell, and how many of its jobs are missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deepmatrix.images.prepared import Prepared
from deepmatrix.judging import noise
from deepmatrix.planning.cells import Cell
from deepmatrix.planning.plan import Plan
from deepmatrix.results.rows import CellRow
from deepmatrix.results.timing.rows import MachineRow
from deepmatrix.results.timing.statistics import estimate
from deepmatrix.results.timing.timings import floats
from deepmatrix.store.manifests import Manifest
from deepmatrix.store.records import JobRecord
from deepmatrix.store.reported.output import Output

#: Facts of a process's environment that tell one machine from another.
MACHINE_FACTS = ("machine", "processor", "emulated")

#: Versions that every process reports beside its library's, even where the library never started.
PLATFORM = frozenset({"numpy", "node", "chromium"})


@dataclass(kw_only=True)
class OnMachine:
    """What the records of one cell tell of one of its machines.

    *is_measured*: times of the cell count there. *rates*: of its jobs there. *import_s*: of fresh
    processes, seconds.
    """

    engine: str = ""
    environment: dict[str, Any] = field(default_factory=dict)
    is_measured: bool = False
    rates: dict[str, noise.Rates] = field(default_factory=dict)
    import_s: list[np.ndarray] = field(default_factory=list)
    peak_flops: float | None = None

    def add_rates(self, record: JobRecord, output: Output) -> None:
        """Add what the canaries of a job measured."""
        if rates := noise.rates(record):
            self.rates[record.job] = rates
            self.peak_flops = max(self.peak_flops or 0.0, noise.peak_flops(output.canaries) or 0.0)

    def identity(self, machine: str) -> tuple[str, ...]:
        """Return what tells the machine, with the engine there, from others."""
        facts = (str(self.environment.get(fact)) for fact in MACHINE_FACTS)
        return (self.engine, machine, *facts)


class CellSummary:
    """All records of one cell, all subjects together; *machines*: by the id of the machine."""

    def __init__(self) -> None:
        self.machines: dict[str, OnMachine] = {}
        self.peak_memory_bytes: int | None = None
        self._serving_memory: dict[
            str, dict[str, list[tuple[int, str]]]
        ] = {}  # by workload and artifact
        self.memory_source = ""
        self.energy_j: float | None = None
        self.harnesses: set[str] = set()
        self.emulated = False
        self.work_s = 0.0
        self.jobs = 0
        self.failed = 0
        self.expected_failures = 0
        self.status = "not-run"
        self.reason = "no job has run"

    def add(self, group: Sequence[JobRecord], expected_failure: str, *, is_timed: bool) -> None:
        """Add the records of one subject. *expected_failure*: why the cell may fail at it."""
        for record in group:
            if self.jobs == 0:
                self.status, self.reason = "ok", ""
            self.jobs += 1
            self.work_s += record.wall_s
            self.emulated = record.emulated
            on_machine = self.machines.setdefault(record.machine, OnMachine())
            on_machine.engine = record.engine
            on_machine.is_measured |= is_timed
            self._count_failure(record, expected_failure)
            if record.output:
                environment = on_machine.environment or record.output.environment.model_dump()
                on_machine.environment = environment
                self._add_output(record, record.output)
                if is_timed or record.emulated:  # native checked work has other work beside it
                    on_machine.add_rates(record, record.output)
                start = record.output.startup()
                if is_timed and record.output.place == 1 and start and not start.cold:
                    on_machine.import_s.append(floats([start.import_s]))

    def _count_failure(self, record: JobRecord, expected_failure: str) -> None:
        if record.status == "ok":
            return
        if expected_failure:
            self.expected_failures += 1
            return
        self.failed += 1
        if self.status == "ok":
            self.status, self.reason = record.status, record.cause

    def _add_output(self, record: JobRecord, output: Output) -> None:
        self.harnesses.add(output.harness)
        if record.energy_j is not None:
            self.energy_j = (self.energy_j or 0.0) + record.energy_j
        self._add_memory(record, output.peak_memory_bytes, output.memory_source or "")

    def _add_memory(self, record: JobRecord, peak: int | None, source: str) -> None:
        """Count the peak of a fresh process; others hold what they served before."""
        if record.output and record.output.place > 1:
            return
        self.memory_source = self.memory_source or source
        if record.tree_bytes and source == "process":
            peak, self.memory_source = max(peak or 0, record.tree_bytes), "process tree"
        if peak is not None:
            self.peak_memory_bytes = max(peak, self.peak_memory_bytes or 0)
            if record.wave == "consume":
                served = self._serving_memory.setdefault(record.workload, {})
                served.setdefault(record.subject, []).append((peak, record.job))

    @property
    def serving_memory(self) -> dict[str, tuple[int, str]]:
        """The bytes that a fresh process needs to serve one model, and its job, by workload.

        The least of several rounds: the first one may hold the files that it reads, which the
        system keeps for all, and a control group counts where they were read first. So where a
        model has several rounds, those of fewer tell nothing.
        """
        memory = {}
        for workload, served in self._serving_memory.items():
            rounds = max(map(len, served.values()))
            memory[workload] = max(min(peaks) for peaks in served.values() if len(peaks) == rounds)
        return memory

    @property
    def measured(self) -> dict[str, OnMachine]:
        """The machines on which its times were measured, or all of it was checked, by their ids."""
        timed = {name: each for name, each in self.machines.items() if each.is_measured}
        return timed or self.machines

    @property
    def measured_on(self) -> str:
        """The machine on which its times were measured, or all was checked; empty without one."""
        return next(iter(self.measured)) if len(self.measured) == 1 else ""

    @property
    def first(self) -> OnMachine:
        """The first of the machines on which it was measured."""
        return next(iter(self.measured.values()), OnMachine())

    @property
    def environment(self) -> dict[str, Any]:
        """The environment of its processes: where it was measured, before any other."""
        places = (*self.measured.values(), *self.machines.values())
        return next((place.environment for place in places if place.environment), {})

    def machine_rows(self) -> Iterator[MachineRow]:
        """Yield a row for each machine that measured it, where there are several."""
        timed = {name: each for name, each in self.machines.items() if each.is_measured}
        for name, each in timed.items() if len(timed) > 1 else ():
            yield MachineRow(
                machine=name,
                engine=each.engine,
                environment=each.environment,
                peak_flops=each.peak_flops,
            )


def by_machine(group: Sequence[JobRecord]) -> list[list[JobRecord]]:
    """Return the records of one cell and subject, those of each machine together."""
    parts: dict[str, list[JobRecord]] = {}
    for record in group:
        parts.setdefault(record.machine, []).append(record)
    return list(parts.values())


def cell_row(
    cell: Cell,
    summary: CellSummary | None,
    prepared: Prepared | None,
    *,
    expected_jobs: int,
    plan: Plan,
) -> CellRow:
    """Return the row of a planned cell, run or not."""
    summary = summary or CellSummary()
    status, reason = summary.status, summary.reason
    if prepared and prepared.error and not summary.jobs:
        status, reason = "build-failed", prepared.error
    versions = summary.environment.get("versions", {})
    return CellRow(
        cell=cell.id,
        name=cell.name,
        language=cell.language,
        evaluator=cell.is_evaluator,
        float32_by=cell.system.float32_by or "",
        status=status,
        reason=reason,
        emulated=summary.emulated if summary.jobs else cell.id in plan.emulated,
        engine=summary.first.engine,
        machine=summary.measured_on,
        machines=tuple(summary.machine_rows()),
        version=_version(cell, versions),
        versions=versions,
        environment=summary.environment,
        image=prepared.reference if prepared else "",
        image_id=prepared.image_id if prepared else "",
        base=prepared.base if prepared else "",
        pulled=prepared.pulled if prepared else "",
        not_pulled=prepared.not_pulled if prepared else "",
        image_bytes=prepared.size_bytes if prepared else None,
        build_s=prepared.build_s if prepared and prepared.built else None,
        import_s=estimate(summary.first.import_s),
        peak_flops=summary.first.peak_flops,
        peak_memory_bytes=summary.peak_memory_bytes,
        **_serving(summary.serving_memory, plan),
        memory_source=summary.memory_source,
        energy_j=summary.energy_j,
        work_s=summary.work_s,
        jobs=summary.jobs,
        failed=summary.failed,
        expected_failures=summary.expected_failures,
        missing=max(expected_jobs - summary.jobs, 0),
    )


def _serving(memory: Mapping[str, tuple[int, str]], plan: Plan) -> dict[str, Any]:
    """Return the fields of what serving takes, of the same workload in all cells."""
    opening = min(memory, key=plan.lot, default="")
    peak, job = memory.get(opening, (None, ""))
    return {
        "serving_memory_bytes": peak,
        "serving_memory_of": opening,
        "serving_memory_job": job,
    }


def skipped_rows(manifest: Manifest) -> Iterator[CellRow]:
    """Yield a row for each cell that the plan skipped."""
    for skipped in manifest.plan.skipped:
        cell = skipped.cell
        yield CellRow(
            cell=cell.id,
            name=cell.name,
            language=cell.language,
            status="not-run",
            reason=skipped.reason,
            excluded=manifest.matrix.exclusion(cell.id) is not None,
            evaluator=cell.is_evaluator,
        )


def native_peaks(
    summaries: Mapping[str, CellSummary], cells: Mapping[str, Cell]
) -> dict[tuple[str, str], float]:
    """Return the peak, FLOP/s, of each machine of each native CPU cell, by cell and machine.

    All cells of a machine count.
    """
    peaks: dict[tuple[str, ...], float] = {}
    for summary in summaries.values():
        for machine, each in summary.machines.items():
            identity = each.identity(machine)
            peaks[identity] = max(peaks.get(identity, 0.0), each.peak_flops or 0.0)
    return {
        (cell_id, machine): peaks[each.identity(machine)]
        for cell_id, summary in summaries.items()
        if not summary.emulated and cells[cell_id].device == "cpu"
        for machine, each in summary.machines.items()
    }


def noise_warnings(summaries: Mapping[str, CellSummary]) -> Iterator[str]:
    """Yield a warning for each native cell with noisy rounds that no retry replaced."""
    for cell_id, noisy in noisy_jobs(summaries).items():
        count = sum(len(machine.rates) for machine in summaries[cell_id].machines.values())
        yield (
            f"{cell_id}: {len(noisy)} of {count} jobs are noisy: the "
            "machine was slower; measure again when it is idle"
        )


def noisy_jobs(summaries: Mapping[str, CellSummary]) -> dict[str, list[str]]:
    """Return the noisy jobs of the native cells that have some, by cell.

    The rounds of each machine are compared with each other alone.
    """
    noisy = {
        cell_id: [
            job for machine in summary.machines.values() for job in noise.noisy_jobs(machine.rates)
        ]
        for cell_id, summary in summaries.items()
        if not summary.emulated
    }
    return {cell_id: jobs for cell_id, jobs in noisy.items() if jobs}


def harness_problems(
    summaries: Mapping[str, CellSummary], cells: Mapping[str, Cell]
) -> Iterator[str]:
    """Yield a problem where the harness changed during the run."""
    harnesses: dict[tuple[str, ...], set[str]] = {}  # each language has a harness of its own
    for cell_id, summary in summaries.items():
        harnesses.setdefault(cells[cell_id].command, set()).update(summary.harnesses)
    for hashes in harnesses.values():
        if len(hashes) > 1:
            yield (
                f"the records are of different harnesses: {', '.join(sorted(hashes))}; "
                "start a new run"
            )


def _version(cell: Cell, versions: Mapping[str, str]) -> str:
    """Return the version of a cell's library, empty where it never started.

    It is that of the cell's distribution. Where the process names its library otherwise, as
    ``libtorch`` for ``torch``, it is the first that the process reports.
    """
    if cell.distribution in versions:
        return versions[cell.distribution]
    return next((version for name, version in versions.items() if name not in PLATFORM), "")
