"""Merging records into results: one row a cell, a training, an inference, a verdict.

Records stream by in the order of their keys, a group (cell, subject) at a time, so that memory
does not grow with their number. The result does not depend on their order, on how they are
split over directories, or on duplicates.
"""

from __future__ import annotations

import heapq
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from deepmatrix.config.sections import ExpectedFailure
from deepmatrix.errors import RecordError
from deepmatrix.images.prepared import Prepared
from deepmatrix.judging import canaries, parity
from deepmatrix.judging.verdicts import Verdict, judge, terms_of
from deepmatrix.planning.cells import Cell
from deepmatrix.planning.plan import Artifact, Plan
from deepmatrix.results import findings, timings
from deepmatrix.results.efficiency import Shares
from deepmatrix.results.rows import (
    CellRow,
    ExportRow,
    IdiomRow,
    InferenceRow,
    NoteRow,
    PassRow,
    PortabilityRow,
    ProbeRow,
    Results,
    ScenarioRow,
    ServingRow,
    StartupRow,
    TrainingRow,
)
from deepmatrix.results.statistics import estimate
from deepmatrix.results.timings import floats, steady, warmup_of
from deepmatrix.store.records import UNDONE, Cause, JobRecord, TrainData
from deepmatrix.store.runs import Manifest, Run
from deepmatrix.workloads import networks
from harness.record import PARITY, TRAIN

#: Steps up to which the difference of losses from gold is told, besides the last.
GROWTH = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

#: Phases of which the training table tells.
TRAINING = frozenset({PARITY, TRAIN})


def merge(runs: Sequence[Run], known: Sequence[ExpectedFailure] | None = None) -> Results:
    """Merge the records of one run, or of the parts of one that ran on several machines.

    *known* failures stand for the run's own, where more is known by now. They are of this
    project's own artifacts: none excuses a person's own model.

    Raises:
        RecordError: no part, parts of different plans, or two different records of one job.
    """
    manifest = _common_manifest(runs)
    if manifest.plan.imports:
        known = ()
    if known is not None:
        matrix = manifest.matrix.model_copy(update={"expected_failures": tuple(known)})
        manifest = manifest.model_copy(update={"matrix": matrix})
    causes = {key: one for run in runs for key, one in run.causes().items()}
    rows = _Rows(manifest, _gold_losses(runs, manifest), _prepared(runs), causes)
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
        workload: floats(losses)
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
        self,
        manifest: Manifest,
        gold: dict[str, np.ndarray],
        prepared: dict[str, Prepared],
        causes: Mapping[tuple[str, str], Cause],
    ) -> None:
        self._causes = causes
        self._manifest = manifest
        self._gold = gold
        self._prepared = prepared
        self._training: dict[tuple[str, str], TrainingRow] = {}
        self._startup: list[StartupRow] = []
        self._inference: list[InferenceRow] = []
        self._serving: list[ServingRow] = []
        self._scenarios: list[ScenarioRow] = []
        self._exports: list[ExportRow] = []
        self._passes: list[PassRow] = []
        self._idioms: list[IdiomRow] = []
        self._probes: list[ProbeRow] = []
        self._remarks: dict[tuple[str, str], str] = {}
        self._verdicts: dict[tuple[str, str], tuple[Verdict, bool]] = {}
        self._notes: dict[str, _CellNotes] = {}
        self._cells = {cell.id: cell for cell in manifest.plan.cells}
        self._subjects = {
            "produce": {*manifest.plan.workloads, *(one.name for one in manifest.plan.imports)},
            "consume": {artifact.id for artifact in manifest.plan.artifacts()},
        }
        self._imports = {one.name for one in manifest.plan.imports}
        self._looked: dict[tuple[str, str], JobRecord] = {}
        self._expected: dict[str, int] = {}

    def add(self, group: list[JobRecord]) -> None:
        """Take the records of one (cell, subject). Raises RecordError for one not planned."""
        first = group[0]
        for record in group:
            self._check(record)
        known = self._manifest.matrix.expected_failure(first.cell, first.subject)
        self._notes.setdefault(first.cell, _CellNotes()).add(group, known)
        self._inference.extend(timings.inference(group))
        self._startup.extend(timings.startup(group))
        self._serving.extend(timings.serving(group))
        self._scenarios.extend(timings.scenarios(group))
        self._exports.extend(timings.exports(group))
        if first.subject in self._imports:
            self._looked[first.cell, first.subject] = first
        elif first.wave == "produce":
            self._produced(group)
        else:
            consumer = self._cells[first.cell]
            terms = terms_of(self._manifest, consumer, first.subject)
            verdict = judge(group, terms, "")
            self._verdicts[first.subject, first.cell] = (verdict, first.emulated)

    def _produced(self, group: list[JobRecord]) -> None:
        first = group[0]
        self._training[first.cell, first.subject] = self._training_row(group)
        self._passes.extend(timings.passes(group))
        name = self._cells[first.cell].name
        tolerance = self._manifest.matrix.tolerances.parity
        network = self._manifest.matrix.workloads[first.workload].network
        known = self._manifest.matrix.expected_failure(first.cell, first.workload)
        self._idioms.extend(findings.idioms(group, name, network, tolerance, known))
        self._probes.extend(findings.probed(group, tolerance))
        for one in group:
            step = one.output.first_step() if one.output else None
            for about, note in (step.notes if step else {}).items():
                self._remarks.setdefault((name, about), note)

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
        cells += [self._skipped_row(one.cell, one.reason) for one in plan.skipped]
        shares = self._shares()
        training = [
            shares.of_training(self._training.get((cell.id, workload)))
            or self._untrained(cell, workload)
            for cell in plan.producers()
            for workload in plan.workloads
            if not TRAINING.isdisjoint(plan.phases)
        ]
        inference = [shares.of_inference(row) for row in self._inference]
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
            inference=tuple(inference),
            serving=tuple(self._serving),
            scenarios=tuple(self._scenarios),
            exports=tuple(self._exports),
            passes=tuple(shares.of_passes(row) for row in self._passes),
            idioms=tuple(self._idioms),
            probes=tuple(self._probes),
            notes=tuple(
                NoteRow(name=name, about=about, note=note)
                for (name, about), note in sorted(self._remarks.items())
            ),
            portability=tuple(portability),
            findings=tuple(_findings(training, portability)),
            warnings=(
                *self._disturbed(),
                *self._no_longer(training, portability),
                *timings.warnings(training, inference),
                *_cautions(portability),
            ),
            problems=(
                *self._mixed(),
                *_problems(cells, training, portability),
                *findings.problems(self._idioms, self._probes),
            ),
        )

    def _shares(self) -> Shares:
        matrix = self._manifest.matrix
        of_network = {
            name: networks.NETWORKS[workload.network] for name, workload in matrix.workloads.items()
        }
        peaks: dict[tuple[str, ...], float] = {}
        machines = {cell_id: notes.machine() for cell_id, notes in self._notes.items()}
        for cell_id, notes in self._notes.items():
            machine = machines[cell_id]
            peaks[machine] = max(peaks.get(machine, 0.0), notes.peak or 0.0)
        native = {
            cell_id: peaks[machines[cell_id]]
            for cell_id, notes in self._notes.items()
            if not notes.emulated and self._cells[cell_id].device == "cpu"
        }
        return Shares(networks=of_network, peaks=native)

    def _disturbed(self) -> Iterator[str]:
        """Yield a warning for each native cell that a disturbed machine touched to the end."""
        for cell_id, notes in self._notes.items():
            strayed = [] if notes.emulated else canaries.strays(notes.canaries)
            if strayed:
                yield (
                    f"{cell_id}: the machine was slower at {len(strayed)} of "
                    f"{len(notes.canaries)} jobs"
                )

    def _no_longer(
        self, training: Sequence[TrainingRow], portability: Sequence[PortabilityRow]
    ) -> Iterator[str]:
        """Yield a warning for each thing known to fail that does not, anywhere in the run."""
        done = [(row.cell, row.workload, row.status) for row in training]
        done += [(row.consumer, row.artifact, row.verdict) for row in portability]
        failed = {
            self._manifest.matrix.expected_failure(cell, subject)
            for cell, subject, status in done
            if status not in ("ok", "match", "not-run")
        }
        right = {
            self._manifest.matrix.expected_failure(cell, subject)
            for cell, subject, status in done
            if status in ("ok", "match")
        }
        for reason in sorted(right - failed - {""}):
            yield f"known to fail, and does not: {reason}"

    def _mixed(self) -> Iterator[str]:
        """Yield a problem when the harness changed while the run went on."""
        harnesses: dict[tuple[str, ...], set[str]] = {}  # a runner in another language is another
        for cell_id, notes in self._notes.items():
            harnesses.setdefault(self._cells[cell_id].command, set()).update(notes.harnesses)
        for found in harnesses.values():
            if len(found) > 1:
                yield f"the records are of different harnesses: {', '.join(sorted(found))}"

    def _expected_jobs(self, plan: Plan) -> dict[str, int]:
        """Return how many records each cell must have: consumers, one for what was exported."""
        expected = {
            cell.id: plan.rounds(cell) * len(plan.workloads) if cell.role == "framework" else 0
            for cell in plan.cells
        }
        for one in plan.imports:
            expected[one.cell] += 1
        for artifact in plan.artifacts():
            if not self._made(artifact):
                continue  # a problem already; its artifact may not be there
            for cell in plan.consumers(artifact.format):
                expected[cell.id] += plan.rounds_of(artifact, cell)
        return expected

    def _made(self, artifact: Artifact) -> bool:
        looked = self._looked.get((artifact.producer, artifact.workload))
        trained = self._training.get((artifact.producer, artifact.workload))
        return bool(looked and looked.status == "ok") or bool(trained and trained.status == "ok")

    def _cell_row(self, cell: Cell) -> CellRow:
        prepared = self._prepared.get(cell.id)
        notes = self._notes.get(cell.id, _CellNotes())
        status, reason = notes.status()
        if prepared and prepared.error and not notes.jobs:
            status, reason = "build-failed", prepared.error
        return CellRow(
            cell=cell.id,
            name=cell.name,
            language=cell.language,
            status=status,
            reason=reason,
            emulated=notes.emulated if notes.jobs else cell.id in self._manifest.plan.emulated,
            engine=notes.engine,
            version=_version(cell.name, notes.environment.get("versions", {})),
            versions=notes.environment.get("versions", {}),
            environment=notes.environment,
            image=prepared.reference if prepared else "",
            image_bytes=prepared.size_bytes if prepared else None,
            build_s=prepared.build_s if prepared and prepared.built else None,
            import_s=estimate(notes.import_s),
            peak_flops=notes.peak,
            peak_memory_bytes=notes.peak_memory_bytes,
            memory_source=notes.memory_source,
            energy_j=notes.energy_j,
            jobs=notes.jobs,
            failed=notes.failed,
            known=notes.known,
            missing=max(self._expected.get(cell.id, 0) - notes.jobs, 0),
        )

    def _skipped_row(self, cell: Cell, reason: str) -> CellRow:
        return CellRow(
            cell=cell.id,
            name=cell.name,
            language=cell.language,
            status="not-run",
            reason=reason,
            excluded=reason == self._manifest.matrix.exclusion(cell.id),
        )

    def _training_row(self, group: list[JobRecord]) -> TrainingRow:
        first = group[0]
        workload = self._manifest.matrix.workloads[first.workload]
        trained = [data for record in group if record.output and (data := record.output.train())]
        step_s = estimate([steady(data.step_s, data.warmup) for data in trained])
        near, growth = self._loss_errors(first.workload, trained)
        accuracy = float(np.min([data.accuracy for data in trained])) if trained else None
        step = next((record.parity for record in group if record.parity), None)
        wrong = parity.first_wrong(step, self._manifest.matrix.tolerances.parity) if step else ""
        status, reason = self._training_status(group, accuracy, near)
        compared = PARITY in self._manifest.plan.phases
        if status == "ok" and step is None and compared:
            status, reason = "failed", "its first step was not compared with gold"
        if wrong:
            status, reason = "failed", f"first outside tolerance: {wrong}"
        return TrainingRow(
            cell=first.cell,
            workload=first.workload,
            emulated=first.emulated,
            status=status,
            reason=reason,
            known=self._known(status, first.cell, first.workload),
            step_s=step_s,
            unsteady=sum(not warmup_of(data.step_s, data.warmup).steady for data in trained),
            samples_per_s=workload.batch / step_s.median if step_s else None,
            accuracy=accuracy,
            accuracy_wanted=workload.accuracy,
            output_error=parity.worst(step.outputs) if step else None,
            gradient_error=parity.worst(step.gradients) if step else None,
            first_wrong=wrong,
            loss_error=near,
            loss_error_all=growth[-1][1] if growth else None,
            loss_growth=growth,
        )

    def _known(self, status: str, cell: str, subject: str) -> str:
        if status in ("ok", "match"):
            return ""
        return self._manifest.matrix.expected_failure(cell, subject)

    def _loss_errors(
        self, workload: str, trained: list[TrainData]
    ) -> tuple[float | None, tuple[tuple[int, float], ...]]:
        """Return the largest loss difference from gold in the first steps, and how it grows."""
        gold = self._gold.get(workload)
        if gold is None or not trained:
            return None, ()
        rounds = [floats(data.losses) for data in trained]
        if any(losses.shape != gold.shape for losses in rounds):
            return None, ()
        so_far = np.maximum.accumulate(np.abs(np.stack(rounds) - gold).max(axis=0))
        steps = self._manifest.matrix.tolerances.steps
        marks = sorted({*(n for n in GROWTH if n < len(so_far)), len(so_far)})
        growth = tuple((mark, float(so_far[mark - 1])) for mark in marks)
        return float(so_far[:steps][-1]), growth

    def _training_status(
        self, group: list[JobRecord], accuracy: float | None, loss_error: float | None
    ) -> tuple[str, str]:
        tolerances = self._manifest.matrix.tolerances
        wanted = self._manifest.matrix.workloads[group[0].workload].accuracy
        for one in group:
            if one.status != "ok":
                return one.status, one.cause
        if TRAIN not in self._manifest.plan.phases:
            return "ok", ""
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
                cause = self._causes.get((artifact.id, consumer.id)) if found else None
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
                    basis=verdict.basis,
                    precision=verdict.precision,
                    producer_error=verdict.producer_error,
                    reason=verdict.reason,
                    known=self._known(verdict.word, consumer.id, artifact.id)
                    or self._known_of_producer(verdict, artifact),
                    cause=cause if verdict.word != "match" else None,
                    outputs=verdict.deviations,
                    repeatable=verdict.repeatable,
                )

    def _known_of_producer(self, verdict: Verdict, artifact: Artifact) -> str:
        produced = self._training.get((artifact.producer, artifact.workload))
        return produced.known if produced and verdict.word == "not-run" else ""

    def _why_unjudged(self, artifact: Artifact, consumer: str) -> str:
        if looked := self._looked.get((artifact.producer, artifact.workload)):
            if looked.status != "ok":
                return f"the model cannot be read: {looked.cause}"
            return self._why_missing(consumer)
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
        self.energy_j: float | None = None
        self.harnesses: set[str] = set()
        self.canaries: dict[str, canaries.Rates] = {}
        self.peak: float | None = None
        self.emulated = False
        self.engine = ""
        self.jobs = 0
        self.failed = 0
        self.known = 0
        self._worst = ("not-run", "not reached")

    def add(self, group: list[JobRecord], known: str) -> None:
        """Add the records of one subject, which the cell may be *known* to fail at."""
        for record in group:
            self._add(record, known)

    def _add(self, record: JobRecord, known: str) -> None:
        if self.jobs == 0:
            self._worst = ("ok", "")
        self.jobs += 1
        self.emulated = record.emulated
        self.engine = record.engine
        if record.status != "ok" and known:
            self.known += 1
        elif record.status != "ok":
            self.failed += 1
            if self._worst[0] == "ok":
                self._worst = (record.status, record.cause)
        if record.output is None:
            return
        self.environment = self.environment or record.output.environment.model_dump()
        self.harnesses.add(record.output.harness)
        self.memory_source = record.output.memory_source or self.memory_source
        if record.energy_j is not None:
            self.energy_j = (self.energy_j or 0.0) + record.energy_j
        peak = record.output.peak_memory_bytes
        if record.tree_bytes and record.output.memory_source == "process":
            peak, self.memory_source = max(peak or 0, record.tree_bytes), "process tree"
        if peak is not None:
            self.peak_memory_bytes = max(peak, self.peak_memory_bytes or 0)
        if found := canaries.rates(record):
            self.canaries[record.job] = found
            self.peak = max(self.peak or 0.0, canaries.peak(record.output.canaries) or 0.0)
        if (data := record.output.startup()) and not data.cold:
            self.import_s.append(floats([data.import_s]))

    def status(self) -> tuple[str, str]:
        return self._worst

    def machine(self) -> tuple[str, ...]:
        """Return what tells the machine apart from others."""
        facts = ("machine", "processor", "emulated")
        return (self.engine, *(str(self.environment.get(fact)) for fact in facts))


def _version(name: str, versions: Mapping[str, str]) -> str:
    """Return the version of what a cell is named after, or of what it is a variant of."""
    known = [one for one in versions if name.startswith(one)]
    return versions[max(known, key=len)] if known else ""


def _cautions(rows: Iterable[PortabilityRow]) -> Iterator[str]:
    """Yield, once an output, why a match with its gold says little."""
    cautions = {
        (row.artifact, output.name, output.caution)
        for row in rows
        for output in row.outputs
        if output.caution
    }
    for artifact, output, caution in sorted(cautions):
        yield f"{artifact}: a match of output {output} says little: {caution}"


def _findings(
    training: Sequence[TrainingRow], portability: Sequence[PortabilityRow]
) -> Iterator[str]:
    """Yield, a line each, what failed and is known to."""
    for trained in training:
        if trained.known:
            yield f"{trained.cell}, {trained.workload}: {trained.status}: {trained.known}"
    for judged in portability:
        if judged.known and judged.verdict != "not-run":
            yield f"{judged.artifact} on {judged.consumer}: {judged.verdict}: {judged.known}"


def _problems(
    cells: Sequence[CellRow],
    training: Sequence[TrainingRow],
    portability: Sequence[PortabilityRow],
) -> Iterator[str]:
    """Yield, a line each, everything that makes the run exit with 1.

    A cell that the plan skipped is no problem, nor what is known to fail: they have their reason.
    """
    built = {row.cell for row in cells if row.jobs}
    for row in cells:
        if row.status == "build-failed":
            yield f"{row.cell}: not built: {row.reason}"
        elif row.missing > 0:
            yield f"{row.cell}: {row.missing} of {row.jobs + row.missing} jobs were not reached"
    for trained in training:
        if trained.status != "ok" and trained.cell in built and not trained.known:
            yield f"{trained.cell}, {trained.workload}: {trained.status}: {trained.reason}"
    for judged in portability:
        if judged.verdict != "match" and judged.consumer in built and not judged.known:
            yield f"{judged.artifact} on {judged.consumer}: {judged.verdict}: {judged.reason}"
