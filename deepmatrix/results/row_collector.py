"""Collecting rows from groups of records, one (cell, subject) at a time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

from deepmatrix.errors import RecordError
from deepmatrix.images.prepared import Prepared
from deepmatrix.judging import noise
from deepmatrix.judging.terms import terms_of
from deepmatrix.judging.verdicts import judge
from deepmatrix.planning.plan import Job, Plan
from deepmatrix.results import cells, expressiveness, remarks
from deepmatrix.results.cells import CellSummary, by_machine
from deepmatrix.results.portability import Judged, Pair, PortabilityRows
from deepmatrix.results.precision.quantised import QuantisedRows
from deepmatrix.results.rows import (
    CellRow,
    IdiomRow,
    ModelRow,
    NoteRow,
    PortabilityRow,
    ProbeRow,
    Results,
    TrainingRow,
)
from deepmatrix.results.timeline import Timeline
from deepmatrix.results.timing import generation, timings
from deepmatrix.results.timing.compiling import compilation
from deepmatrix.results.timing.crossover import crossovers
from deepmatrix.results.timing.efficiency import Efficiency
from deepmatrix.results.timing.measured import Measured, measured
from deepmatrix.results.timing.rows import (
    CompileRow,
    ExportRow,
    GenerationRow,
    InferenceRow,
    PassRow,
    ScenarioRow,
    ServingRow,
    StartupRow,
    StepRow,
)
from deepmatrix.results.timing.scaling import scaling
from deepmatrix.results.timing.statistics import Samples
from deepmatrix.results.training import TRAINING_PHASES, TrainingRows
from deepmatrix.store.causes import Cause
from deepmatrix.store.manifests import Manifest
from deepmatrix.store.records import JobRecord
from deepmatrix.workloads import networks


class RowCollector:
    """Collects the rows of one run from its records."""

    def __init__(
        self,
        manifest: Manifest,
        gold_losses: Mapping[str, Samples],
        prepared: Mapping[str, Prepared],
        causes: Mapping[Pair, Cause],
        models: Sequence[ModelRow] = (),
    ) -> None:
        self._manifest = manifest
        self._prepared = prepared
        self._models = tuple(models)
        self._cells = {cell.id: cell for cell in manifest.plan.cells}
        self._imports = {model.name for model in manifest.plan.imports}
        self._artifacts = {artifact.id: artifact for artifact in manifest.plan.artifacts()}
        self._subjects = {
            "produce": {*manifest.plan.workloads, *self._imports},
            "consume": set(self._artifacts),
        }
        self._summaries: dict[str, CellSummary] = {}
        self._timeline = Timeline()
        self._training: dict[Pair, TrainingRow] = {}
        self._trained: dict[Pair, list[TrainingRow | None]] = {}  # one a machine
        self._inspections: dict[Pair, JobRecord] = {}
        self._training_rows = TrainingRows(manifest=manifest, gold_losses=gold_losses)
        self._portability = PortabilityRows(
            manifest=manifest,
            causes=causes,
            unready={cell_id: image.error for cell_id, image in prepared.items() if image.error},
            training=self._training,
            inspections=self._inspections,
            models={model.artifact: model for model in models},
        )
        self._startup: list[StartupRow] = []
        self._inference: list[InferenceRow] = []
        self._serving: list[ServingRow] = []
        self._scenarios: list[ScenarioRow] = []
        self._generation: list[GenerationRow] = []
        self._exports: list[ExportRow] = []
        self._passes: list[PassRow] = []
        self._steps: list[StepRow] = []
        self._compilation: list[CompileRow] = []
        self._idioms: list[IdiomRow] = []
        self._probes: list[ProbeRow] = []
        self._notes: dict[tuple[str, str], str] = {}
        self._reused: dict[str, list[str]] = {}
        self._anew: dict[str, list[str]] = {}
        self._accuracies: dict[Pair, float] = {}

    def add(self, group: list[JobRecord]) -> None:
        """Add the records of one (cell, subject). Raises RecordError for one not planned."""
        first = group[0]
        for record in group:
            self._check(record)
            if record.reused:
                self._reused.setdefault(record.reused, []).append(record.job)
            elif record.anew:
                self._anew.setdefault(record.anew, []).append(record.job)
        expected_failure = self._manifest.matrix.expected_failure(first.cell, first.subject)
        is_timed = self._is_timed(first)
        summary = self._summaries.setdefault(first.cell, CellSummary())
        summary.add(group, expected_failure, is_timed=is_timed)
        self._timeline.add(group)
        parts = by_machine(group) if is_timed else [group]
        for part in parts:
            self._startup.extend(timings.startup(part, is_timed=is_timed))
            self._serving.extend(timings.serving(part, is_timed=is_timed))
            if is_timed:
                self._inference.extend(timings.inference(part))
                self._steps.extend(timings.steps(part))
        self._scenarios.extend(timings.scenarios(group))
        self._exports.extend(timings.exports(group, is_timed=is_timed))
        if first.subject in self._imports:
            self._inspections[first.cell, first.subject] = first
        elif first.wave == "produce":
            self._add_produced(group, is_timed=is_timed)
        else:
            terms = terms_of(self._manifest, self._cells[first.cell], first.subject)
            judged = Judged(verdict=judge(group, terms, ""), emulated=first.emulated)
            self._portability.judged[first.subject, first.cell] = judged
            agreements = [record.agreement for record in group if record.agreement]
            known = [
                agreement.accuracy for agreement in agreements if agreement.accuracy is not None
            ]
            if known:
                self._accuracies[first.subject, first.cell] = min(known)
            for part in parts:
                self._generation.extend(generation.generated(part, terms, is_timed=is_timed))

    def _count_rounds(self, record: JobRecord) -> int:
        """Return how many rounds are planned of a record's cell and subject."""
        plan, cell = self._manifest.plan, self._cells.get(record.cell)
        if cell is None or record.subject not in self._subjects[record.wave]:
            return 0
        if record.wave == "consume":
            return plan.rounds_of(self._artifacts[record.subject], cell)
        return plan.training_rounds(cell, record.subject)

    def _is_timed(self, record: JobRecord) -> bool:
        """Return whether the times of a record's job count."""
        job = Job(
            wave=record.wave,
            cell=record.cell,
            subject=record.subject,
            round=record.round,
            phases=self._manifest.plan.phases,
            artifact=self._artifacts.get(record.subject) if record.wave == "consume" else None,
        )
        return not record.emulated and self._manifest.plan.is_timed(job)

    def _add_produced(self, group: list[JobRecord], *, is_timed: bool) -> None:
        first, matrix = group[0], self._manifest.matrix
        row = self._training_rows.row(group, is_timed=is_timed)
        self._training[first.cell, first.subject] = row
        parts = by_machine(group) if is_timed else []
        batch = matrix.workloads[first.workload].batch
        for part in parts:
            self._passes.extend(timings.passes(part))
            self._compilation.extend(compilation(part, batch))
        several = [self._training_rows.row(part, is_timed=True) for part in parts]
        self._trained[first.cell, first.subject] = [*several] if len(parts) > 1 else [row]
        name = self._cells[first.cell].name
        tolerance = matrix.tolerances.parity
        network = matrix.workloads[first.workload].network
        expected_failure = matrix.expected_failure(first.cell, first.workload)
        self._idioms.extend(
            expressiveness.idioms(group, name, network, tolerance, expected_failure)
        )
        self._probes.extend(expressiveness.probed(group, tolerance))
        for record in group:
            step = record.output.first_step() if record.output else None
            for about, note in (step.notes if step else {}).items():
                self._notes.setdefault((name, about), note)

    def _check(self, record: JobRecord) -> None:
        if record.run != self._manifest.id:
            raise RecordError(
                f"the record of {record.job} is of the run {record.run}, and the run is "
                f"{self._manifest.id}",
                hint="remove the record, and run again with --resume",
            )
        if record.round >= self._count_rounds(record):
            raise RecordError(
                f"the job {record.job} is not in the plan of {self._manifest.id}",
                hint="a record was moved or renamed; remove it, and run again with --resume",
            )

    def results(self, engines: dict[str, dict[str, str]]) -> Results:
        """Return the rows of everything that was planned, run or not."""
        manifest, plan = self._manifest, self._manifest.plan
        efficiency = self._efficiency()
        cell_rows = [*self._cell_rows(), *cells.skipped_rows(manifest)]
        produced = self._all_produced(efficiency)
        inference = [efficiency.of_inference(row) for row in self._inference]
        portability = list(self._portability.rows())
        beside = QuantisedRows(self._artifacts, self._accuracies, self._exports, inference)
        times = self._times(produced, inference)
        return Results(
            run=manifest.id,
            created=manifest.created,
            version=manifest.version,
            preset=plan.preset,
            seed=plan.seed,
            engines=engines,
            beside=manifest.matrix.limits.beside,
            cells=tuple(cell_rows),
            startup=tuple(self._startup),
            training=() if TRAINING_PHASES.isdisjoint(plan.phases) else tuple(produced),
            inference=tuple(inference),
            serving=tuple(self._serving),
            scenarios=tuple(self._scenarios),
            generation=tuple(self._generation),
            exports=tuple(self._exports),
            passes=tuple(efficiency.of_passes(row) for row in self._passes),
            steps=tuple(self._steps),
            compilation=tuple(self._compilation),
            crossovers=tuple(crossovers(times, efficiency.networks)),
            scaling=tuple(scaling(times, plan.cells, manifest.matrix.limits.threads)),
            idioms=tuple(self._idioms),
            probes=tuple(self._probes),
            notes=self._note_rows(),
            models=self._models,
            portability=tuple(portability),
            quantised=tuple(beside.rows(portability)),
            timeline=tuple(self._timeline.spans(self._rates())),
            noisy=tuple(itertools.chain(*cells.noisy_jobs(self._summaries).values())),
            reused={run: tuple(jobs) for run, jobs in sorted(self._reused.items())},
            anew={reason: tuple(jobs) for reason, jobs in sorted(self._anew.items())},
            findings=tuple(remarks.findings(produced, portability)),
            warnings=(
                *self._warnings(produced, inference, portability),
                *remarks.not_pulled(cell_rows),
                *remarks.on_limits(manifest.matrix.limits),
            ),
            problems=tuple(self._problems(cell_rows, produced, portability)),
        )

    def _times(
        self, produced: Sequence[TrainingRow], inference: Sequence[InferenceRow]
    ) -> list[Measured]:
        """Return the times of training steps and inferences, by the size of their batch."""
        workloads = self._manifest.matrix.workloads
        batches = {name: workload.batch for name, workload in workloads.items()}
        return list(measured(produced, self._steps, inference, batches))

    def _problems(
        self,
        cell_rows: Sequence[CellRow],
        produced: Sequence[TrainingRow],
        portability: Sequence[PortabilityRow],
    ) -> Iterator[str]:
        """Yield all that is not as expected."""
        yield from cells.harness_problems(self._summaries, self._cells)
        yield from remarks.unreadable(self._inspections.values())
        yield from remarks.problems(cell_rows, produced, self._of_readable(portability))
        yield from expressiveness.problems(self._idioms, self._probes)

    def _rates(self) -> dict[tuple[str, str], dict[str, noise.Rates]]:
        return {
            (cell, machine): each.rates
            for cell, summary in self._summaries.items()
            for machine, each in summary.machines.items()
        }

    def _warnings(
        self,
        produced: Sequence[TrainingRow],
        inference: Sequence[InferenceRow],
        portability: Sequence[PortabilityRow],
    ) -> tuple[str, ...]:
        expected_failure = self._manifest.matrix.expected_failure
        return (
            *remarks.cautions(portability),
            *generation.near_ties(self._generation),
            *cells.noise_warnings(self._summaries),
            *remarks.unexpected_passes(produced, portability, expected_failure),
            *timings.warnings(produced, self._steps, inference),
            *remarks.wide_tolerances(portability),
            *remarks.stateful(portability, self._models),
            *remarks.gold_sources(self._models),
            *remarks.sample_inputs(self._models),
        )

    def _of_readable(self, portability: Sequence[PortabilityRow]) -> list[PortabilityRow]:
        """Return the rows of models that could be read: the others are one problem, not many."""
        unread = {
            model.artifact.id
            for model in self._manifest.plan.imports
            if (record := self._inspections.get((model.cell, model.name))) and record.status != "ok"
        }
        return [row for row in portability if row.artifact not in unread]

    def _efficiency(self) -> Efficiency:
        workloads = self._manifest.matrix.workloads
        return Efficiency(
            networks={
                name: networks.NETWORKS[workload.network] for name, workload in workloads.items()
            },
            peaks=cells.native_peaks(self._summaries, self._cells),
        )

    def _cell_rows(self) -> list[CellRow]:
        plan = self._manifest.plan
        expected_jobs = self._count_expected_jobs(plan)
        return [
            cells.cell_row(
                cell,
                self._summaries.get(cell.id),
                self._prepared.get(cell.id),
                expected_jobs=expected_jobs[cell.id],
                plan=plan,
            )
            for cell in plan.cells
        ]

    def _count_expected_jobs(self, plan: Plan) -> dict[str, int]:
        """Return how many records each cell must have."""
        expected = {
            cell.id: sum(plan.training_rounds(cell, workload) for workload in plan.workloads)
            if cell.role == "framework"
            else 0
            for cell in plan.cells
        }
        for model in plan.imports:
            expected[model.cell] += 1
        for artifact in plan.artifacts():
            if self._portability.is_produced(artifact):  # else its producer is the problem
                for cell in plan.consumers_of(artifact):
                    expected[cell.id] += plan.rounds_of(artifact, cell)
        return expected

    def _all_produced(self, efficiency: Efficiency) -> Sequence[TrainingRow]:
        """Return a row for each framework and workload, whatever phases the plan has.

        Without phases of training they fill no table, but a job that failed is a problem all the
        same.
        """
        plan = self._manifest.plan
        no_rows: list[TrainingRow | None] = [None]
        return [
            efficiency.of_training(row)
            or self._training_rows.missing_row(
                cell.id,
                workload,
                self._portability.why_missing(cell.id),
                pending=cell.id not in self._portability.unready,
            )
            for cell, workload in plan.trainings()
            for row in self._trained.get((cell.id, workload), no_rows)
        ]

    def _note_rows(self) -> tuple[NoteRow, ...]:
        return tuple(
            NoteRow(name=name, about=about, note=note)
            for (name, about), note in sorted(self._notes.items())
        )
