"""Merging records into results: one row a cell, a training, an inference, a verdict.

Records stream by in the order of their keys, a group (cell, subject) at a time, so that memory
does not grow with their number. The result does not depend on their order, on how they are
split over directories, or on duplicates.
"""

from __future__ import annotations

import heapq
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from matrix import canaries, parity
from matrix.errors import RecordError
from matrix.plan import Artifact, Cell, Plan
from matrix.prepared import Prepared
from matrix.records import UNDONE, JobRecord, StartupData, TrainData
from matrix.runs import Manifest, Run
from matrix.statistics import Estimate, Warmup, estimate, quantile, spread, warmup
from matrix.verdicts import Verdict, judge

#: 1: first version.
RESULTS_SCHEMA = 1

#: Rounds of one measurement that differ by more than this share make a warning.
APART = 0.2


class Row(BaseModel):
    """A row of results: frozen."""

    model_config = ConfigDict(frozen=True)


class CellRow(Row):
    """What is known of one cell."""

    cell: str
    name: str
    status: str
    reason: str = ""
    emulated: bool = False
    engine: str = ""
    versions: dict[str, str] = Field(default_factory=dict)
    environment: dict[str, Any] = Field(default_factory=dict)
    image: str = ""
    image_bytes: int | None = None
    build_s: float | None = None
    import_s: Estimate | None = None
    peak_flops: float | None = None
    peak_memory_bytes: int | None = None
    memory_source: str = ""
    jobs: int = 0
    failed: int = 0
    missing: int = 0


class TrainingRow(Row):
    """How one cell trained one workload. Times in seconds; *unsteady* rounds never settled."""

    cell: str
    workload: str
    emulated: bool
    status: str
    reason: str = ""
    step_s: Estimate | None = None
    unsteady: int = 0
    samples_per_s: float | None = None
    accuracy: float | None = None
    accuracy_wanted: float
    output_error: float | None = None
    gradient_error: float | None = None
    first_wrong: str = ""
    loss_error: float | None = None
    loss_error_all: float | None = None


class StartupRow(Row):
    """From nothing to the second step of training, or to the first answer. Times in seconds."""

    cell: str
    workload: str
    emulated: bool
    interpreter_s: Estimate | None
    import_s: Estimate | None
    build_s: Estimate | None
    first_forward_s: Estimate | None
    first_step_s: Estimate | None
    second_step_s: Estimate | None


class InferenceRow(Row):
    """How fast one cell answers: its own model, or an artifact. Times in seconds a batch."""

    cell: str
    subject: str
    workload: str
    emulated: bool
    batch: int
    p50_s: Estimate
    unsteady: int = 0
    p99_s: float
    samples_per_s: float


class PortabilityRow(Row):
    """One artifact on one consumer."""

    artifact: str
    consumer: str
    emulated: bool
    verdict: Literal["match", "drift", "error", "unsupported", "not-run"]
    error: float | None = None
    tolerance: float | None = None
    producer_error: float | None = None
    reason: str = ""


class Results(Row):
    """Everything that a run found. ``results.json``."""

    schema_version: int = RESULTS_SCHEMA
    run: str
    created: str
    version: str
    preset: str
    seed: int
    engines: dict[str, dict[str, str]]
    cells: tuple[CellRow, ...]
    startup: tuple[StartupRow, ...]
    training: tuple[TrainingRow, ...]
    inference: tuple[InferenceRow, ...]
    portability: tuple[PortabilityRow, ...]
    warnings: tuple[str, ...]
    problems: tuple[str, ...]


def schema() -> str:
    """Return the JSON Schema of ``results.json``, as published in the repository."""
    document = Results.model_json_schema(mode="serialization")
    document["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    document["title"] = "deepmatrix results"
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def merge(runs: Sequence[Run]) -> Results:
    """Merge the records of one run, or of the parts of one that ran on several machines.

    Raises:
        RecordError: no part, parts of different plans, or two different records of one job.
    """
    manifest = _common_manifest(runs)
    rows = _Rows(manifest, _gold_losses(runs, manifest), _prepared(runs))
    for group in groups(*(run.records() for run in runs)):
        rows.add(group)
    engines = {name: facts for run in runs for name, facts in run.engines().items()}
    return rows.results(dict(sorted(engines.items())))


def groups(*streams: Iterable[JobRecord]) -> Iterator[list[JobRecord]]:
    """Yield the records of each (cell, subject), rounds in order, each job once.

    Args:
        streams: records sorted by their key, as a run directory gives them.

    Raises:
        RecordError: two records of the same job say different things.
    """
    merged = heapq.merge(*streams, key=lambda record: record.key)
    for _, group in itertools.groupby(merged, key=lambda record: record.key[:2]):
        yield [_one(list(same)) for _, same in itertools.groupby(group, lambda one: one.key)]


def _one(records: list[JobRecord]) -> JobRecord:
    """Return the one record of a job; those that say nothing about the cell give way."""
    telling = [record for record in records if record.status not in UNDONE] or [
        min(records, key=JobRecord.model_dump_json)
    ]
    for other in telling[1:]:
        if other != telling[0]:
            raise RecordError(
                f"two different records of the job {other.job}",
                hint="merge parts of one run only; start a new run to measure again",
            )
    return telling[0]


def _common_manifest(runs: Sequence[Run]) -> Manifest:
    if not runs:
        raise RecordError("nothing to merge")
    first = runs[0].manifest
    for run in runs[1:]:
        for field in ("id", "plan", "matrix"):
            if getattr(run.manifest, field) != getattr(first, field):
                raise RecordError(
                    f"{run.path} and {runs[0].path} differ in their {field}",
                    hint="only parts of one run can be merged",
                )
    return first


def _gold_losses(runs: Sequence[Run], manifest: Manifest) -> dict[str, np.ndarray]:
    return {
        workload: _floats(losses)
        for run, workload in itertools.product(runs, manifest.plan.workloads)
        if (losses := run.gold_losses(workload)) is not None
    }


def _prepared(runs: Sequence[Run]) -> dict[str, Prepared]:
    """Return what the cells ran from. Of several parts, what ran counts, then who built it."""
    found: dict[str, Prepared] = {}
    for cell_id, one in itertools.chain.from_iterable(run.prepared().items() for run in runs):
        found[cell_id] = max(found.get(cell_id, one), one, key=_telling)
    return found


def _telling(one: Prepared) -> tuple[bool, bool, str]:
    return (not one.error, one.built, json.dumps(vars(one), sort_keys=True))


class _Rows:
    """Collects rows from groups of records."""

    def __init__(
        self, manifest: Manifest, gold: dict[str, np.ndarray], prepared: dict[str, Prepared]
    ) -> None:
        self._manifest = manifest
        self._gold = gold
        self._prepared = prepared
        self._training: dict[tuple[str, str], TrainingRow] = {}
        self._startup: list[StartupRow] = []
        self._inference: list[InferenceRow] = []
        self._verdicts: dict[tuple[str, str], tuple[Verdict, bool]] = {}
        self._notes: dict[str, _CellNotes] = {}
        self._cells = {cell.id: cell for cell in manifest.plan.cells}
        self._subjects = {
            "produce": set(manifest.plan.workloads),
            "consume": {artifact.id for artifact in manifest.plan.artifacts()},
        }
        self._expected: dict[str, int] = {}

    def add(self, group: list[JobRecord]) -> None:
        """Take the records of one (cell, subject). Raises RecordError for one not planned."""
        first = group[0]
        for record in group:
            self._check(record)
        self._notes.setdefault(first.cell, _CellNotes()).add(group)
        self._inference.extend(_inference_rows(group))
        self._startup.extend(_startup_rows(group))
        if first.wave == "produce":
            row = self._training_row(group)
            self._training[first.cell, first.subject] = row
        else:
            verdict = judge(group, self._manifest.matrix.tolerances, "")
            self._verdicts[first.subject, first.cell] = (verdict, first.emulated)

    def _check(self, record: JobRecord) -> None:
        cell = self._cells.get(record.cell)
        if record.run != self._manifest.id:
            raise RecordError(f"the record of {record.job} is of the run {record.run}")
        planned = cell is not None and record.round < self._manifest.plan.rounds(cell)
        if not planned or record.subject not in self._subjects[record.wave]:
            raise RecordError(
                f"the job {record.job} is not in the plan of {self._manifest.id}",
                hint="a record was moved or renamed; remove it, and run again with --resume",
            )

    def results(self, engines: dict[str, dict[str, str]]) -> Results:
        """Return the rows of everything that was planned, found or not."""
        manifest = self._manifest
        plan = manifest.plan
        self._expected = self._expected_jobs(plan)
        cells = [self._cell_row(cell) for cell in plan.cells]
        cells += [_skipped_row(one.cell, one.reason) for one in plan.skipped]
        training = [
            self._training.get((cell.id, workload)) or self._untrained(cell, workload)
            for cell in plan.producers()
            for workload in plan.workloads
        ]
        portability = list(self._portability(plan))
        return Results(
            run=manifest.id,
            created=manifest.created,
            version=manifest.version,
            preset=plan.preset,
            seed=plan.seed,
            engines=engines,
            cells=tuple(cells),
            startup=tuple(self._startup),
            training=tuple(training),
            inference=tuple(self._inference),
            portability=tuple(portability),
            warnings=(*self._disturbed(), *_warnings(training, self._inference)),
            problems=(*self._mixed(), *_problems(cells, training, portability)),
        )

    def _disturbed(self) -> Iterator[str]:
        """Yield a warning for each native cell that a disturbed machine touched to the end."""
        for cell_id, notes in self._notes.items():
            strayed = [] if notes.emulated else canaries.strays(notes.canaries)
            if strayed:
                yield (
                    f"{cell_id}: the machine was slower at {len(strayed)} of "
                    f"{len(notes.canaries)} jobs"
                )

    def _mixed(self) -> Iterator[str]:
        """Yield a problem when the harness changed while the run went on."""
        harnesses = set[str]().union(*(notes.harnesses for notes in self._notes.values()))
        if len(harnesses) > 1:
            yield f"the records are of different harnesses: {', '.join(sorted(harnesses))}"

    def _expected_jobs(self, plan: Plan) -> dict[str, int]:
        """Return how many records each cell must have: consumers, one for what was exported."""
        expected = {
            cell.id: plan.rounds(cell) * len(plan.workloads) if cell.role == "framework" else 0
            for cell in plan.cells
        }
        for artifact in plan.artifacts():
            trained = self._training.get((artifact.producer, artifact.workload))
            if trained is None or trained.status != "ok":
                continue  # a problem already; its artifact may not be there
            for cell in plan.consumers(artifact.format):
                expected[cell.id] += plan.rounds(cell)
        return expected

    def _cell_row(self, cell: Cell) -> CellRow:
        prepared = self._prepared.get(cell.id)
        notes = self._notes.get(cell.id, _CellNotes())
        status, reason = notes.status()
        if prepared and prepared.error and not notes.jobs:
            status, reason = "build-failed", prepared.error
        return CellRow(
            cell=cell.id,
            name=cell.name,
            status=status,
            reason=reason,
            emulated=notes.emulated if notes.jobs else cell.id in self._manifest.plan.emulated,
            engine=notes.engine,
            versions=notes.environment.get("versions", {}),
            environment=notes.environment,
            image=prepared.reference if prepared else "",
            image_bytes=prepared.size_bytes if prepared else None,
            build_s=prepared.build_s if prepared and prepared.built else None,
            import_s=estimate(notes.import_s),
            peak_flops=notes.peak,
            peak_memory_bytes=notes.peak_memory_bytes,
            memory_source=notes.memory_source,
            jobs=notes.jobs,
            failed=notes.failed,
            missing=max(self._expected.get(cell.id, 0) - notes.jobs, 0),
        )

    def _training_row(self, group: list[JobRecord]) -> TrainingRow:
        first = group[0]
        workload = self._manifest.matrix.workloads[first.workload]
        trained = [data for record in group if record.output and (data := record.output.train())]
        step_s = estimate([_steady(data.step_s, data.warmup) for data in trained])
        near, far = self._loss_errors(first.workload, trained)
        accuracy = float(np.min([data.accuracy for data in trained])) if trained else None
        step = next((record.parity for record in group if record.parity), None)
        wrong = parity.first_wrong(step, self._manifest.matrix.tolerances.parity) if step else ""
        status, reason = self._training_status(group, accuracy, near)
        if status == "ok" and step is None:
            status, reason = "failed", "its first step was not compared with gold"
        if wrong:
            status, reason = "failed", f"first outside tolerance: {wrong}"
        return TrainingRow(
            cell=first.cell,
            workload=first.workload,
            emulated=first.emulated,
            status=status,
            reason=reason,
            step_s=step_s,
            unsteady=sum(not _warmup(data.step_s, data.warmup).steady for data in trained),
            samples_per_s=workload.batch / step_s.median if step_s else None,
            accuracy=accuracy,
            accuracy_wanted=workload.accuracy,
            output_error=parity.worst(step.outputs) if step else None,
            gradient_error=parity.worst(step.gradients) if step else None,
            first_wrong=wrong,
            loss_error=near,
            loss_error_all=far,
        )

    def _loss_errors(
        self, workload: str, trained: list[TrainData]
    ) -> tuple[float | None, float | None]:
        """Return the largest loss difference from gold: in the first steps, and in all."""
        gold = self._gold.get(workload)
        if gold is None or not trained:
            return None, None
        rounds = [_floats(data.losses) for data in trained]
        if any(losses.shape != gold.shape for losses in rounds):
            return None, None
        differences = np.abs(np.stack(rounds) - gold)
        steps = self._manifest.matrix.tolerances.steps
        return float(differences[:, :steps].max()), float(differences.max())

    def _training_status(
        self, group: list[JobRecord], accuracy: float | None, loss_error: float | None
    ) -> tuple[str, str]:
        tolerances = self._manifest.matrix.tolerances
        wanted = self._manifest.matrix.workloads[group[0].workload].accuracy
        for record in group:
            if record.status != "ok":
                return record.status, record.cause
        if accuracy is None:
            return "failed", "it did not train"
        if loss_error is None:
            return "failed", "its losses cannot be compared with gold: there are more or fewer"
        if not accuracy >= wanted:
            return "failed", f"accuracy {accuracy:.3f} is below {wanted}"
        if not loss_error <= tolerances.loss:
            return "failed", f"loss differs from gold by {loss_error:.1e}"
        return "ok", ""

    def _untrained(self, cell: Cell, workload: str) -> TrainingRow:
        return TrainingRow(
            cell=cell.id,
            workload=workload,
            emulated=cell.id in self._manifest.plan.emulated,
            status="not-run",
            reason=self._why_missing(cell.id),
            accuracy_wanted=self._manifest.matrix.workloads[workload].accuracy,
        )

    def _portability(self, plan: Plan) -> Iterator[PortabilityRow]:
        for artifact in plan.artifacts():
            for consumer in plan.consumers(artifact.format):
                found = self._verdicts.get((artifact.id, consumer.id))
                verdict, emulated = found or (
                    Verdict(word="not-run", reason=self._why_unjudged(artifact, consumer.id)),
                    consumer.id in plan.emulated,
                )
                yield PortabilityRow(
                    artifact=artifact.id,
                    consumer=consumer.id,
                    emulated=emulated,
                    verdict=verdict.word,
                    error=verdict.error,
                    tolerance=verdict.tolerance,
                    producer_error=verdict.producer_error,
                    reason=verdict.reason,
                )

    def _why_unjudged(self, artifact: Artifact, consumer: str) -> str:
        produced = self._training.get((artifact.producer, artifact.workload))
        if produced is None:
            return f"the producer was not run: {self._why_missing(artifact.producer)}"
        if produced.status != "ok":
            return f"the producer {produced.status}: {produced.reason}"
        return self._why_missing(consumer)

    def _why_missing(self, cell_id: str) -> str:
        prepared = self._prepared.get(cell_id)
        if prepared and prepared.error:
            return f"its image was not built: {prepared.error}"
        return "not reached"


class _CellNotes:
    """What the records of one cell say of it, all subjects together."""

    def __init__(self) -> None:
        self.environment: dict[str, Any] = {}
        self.import_s: list[np.ndarray] = []
        self.peak_memory_bytes: int | None = None
        self.memory_source = ""
        self.harnesses: set[str] = set()
        self.canaries: dict[str, canaries.Rates] = {}
        self.peak: float | None = None
        self.emulated = False
        self.engine = ""
        self.jobs = 0
        self.failed = 0
        self._worst = ("not-run", "not reached")

    def add(self, group: list[JobRecord]) -> None:
        for record in group:
            self._add(record)

    def _add(self, record: JobRecord) -> None:
        if self.jobs == 0:
            self._worst = ("ok", "")
        self.jobs += 1
        self.emulated = record.emulated
        self.engine = record.engine
        if record.status != "ok":
            self.failed += 1
            if self._worst[0] == "ok":
                self._worst = (record.status, record.cause)
        if record.output is None:
            return
        self.environment = self.environment or record.output.environment.model_dump()
        self.harnesses.add(record.output.harness)
        self.memory_source = record.output.memory_source or self.memory_source
        peak = record.output.peak_memory_bytes
        if peak is not None:
            self.peak_memory_bytes = max(peak, self.peak_memory_bytes or 0)
        if found := canaries.rates(record):
            self.canaries[record.job] = found
            self.peak = max(self.peak or 0.0, canaries.peak(record.output.canaries) or 0.0)
        if data := record.output.startup():
            self.import_s.append(_floats([data.import_s]))

    def status(self) -> tuple[str, str]:
        return self._worst


def _skipped_row(cell: Cell, reason: str) -> CellRow:
    return CellRow(cell=cell.id, name=cell.name, status="not-run", reason=reason)


def _startup_rows(group: list[JobRecord]) -> Iterator[StartupRow]:
    first = group[0]
    starts = [start for record in group if record.output and (start := record.output.startup())]
    if not starts or first.wave == "consume":
        return
    parts = {
        name: [value for start in starts if (value := getattr(start, name)) is not None]
        for name in StartupData.model_fields
    }
    yield StartupRow(
        cell=first.cell,
        workload=first.workload,
        emulated=first.emulated,
        **{name: estimate([_floats([one]) for one in values]) for name, values in parts.items()},
    )


def _inference_rows(group: list[JobRecord]) -> Iterator[InferenceRow]:
    first = group[0]
    answered = [
        data.batches for record in group if record.output and (data := record.output.infer())
    ]
    for batch in sorted({int(batch) for batches in answered for batch in batches}):
        measured = [batches[str(batch)] for batches in answered if str(batch) in batches]
        rounds = [_steady(one.latency_s, one.warmup) for one in measured]
        p50, p99 = estimate(rounds), quantile(rounds, 0.99)
        if p50 is not None and p99 is not None:
            yield InferenceRow(
                cell=first.cell,
                subject=first.subject,
                workload=first.workload,
                emulated=first.emulated,
                batch=batch,
                p50_s=p50,
                unsteady=sum(not _warmup(one.latency_s, one.warmup).steady for one in measured),
                p99_s=p99,
                samples_per_s=batch / p50.median,
            )


def _warmup(samples: Sequence[float], declared: int) -> Warmup:
    """Return the warm-up of a round: what was declared, or more where more is found."""
    found = warmup(_floats(samples)[declared:])
    return Warmup(length=declared + found.length, steady=found.steady)


def _steady(samples: Sequence[float], declared: int) -> np.ndarray:
    return _floats(samples)[_warmup(samples, declared).length :]


def _floats(values: Sequence[float]) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)


def _warnings(training: Sequence[TrainingRow], inference: Sequence[InferenceRow]) -> Iterator[str]:
    """Yield, a line a native cell, what makes its times less than certain."""
    times: dict[str, list[tuple[Estimate, int]]] = {}
    for row in training:
        if row.step_s and not row.emulated:
            times.setdefault(row.cell, []).append((row.step_s, row.unsteady))
    for served in inference:
        if not served.emulated:
            times.setdefault(served.cell, []).append((served.p50_s, served.unsteady))
    for cell, measured in times.items():
        apart = sum(spread(one) > APART for one, _ in measured)
        moving = sum(unsteady > 0 for _, unsteady in measured)
        if apart:
            yield (
                f"{cell}: rounds differ by more than {APART:.0%} in {apart} of "
                f"{len(measured)} measurements"
            )
        if moving:
            yield f"{cell}: no steady state in {moving} of {len(measured)} measurements"


def _problems(
    cells: Sequence[CellRow],
    training: Sequence[TrainingRow],
    portability: Sequence[PortabilityRow],
) -> Iterator[str]:
    """Yield, a line each, everything that makes the run exit with 1.

    A cell that the plan skipped is no problem; it has its reason. The rest has to be there.
    """
    built = {row.cell for row in cells if row.jobs}
    for row in cells:
        if row.status == "build-failed":
            yield f"{row.cell}: not built: {row.reason}"
        elif row.missing > 0:
            yield f"{row.cell}: {row.missing} of {row.jobs + row.missing} jobs were not reached"
    for trained in training:
        if trained.status != "ok" and trained.cell in built:
            yield f"{trained.cell}, {trained.workload}: {trained.status}: {trained.reason}"
    for judged in portability:
        if judged.verdict != "match" and judged.consumer in built:
            yield f"{judged.artifact} on {judged.consumer}: {judged.verdict}: {judged.reason}"
