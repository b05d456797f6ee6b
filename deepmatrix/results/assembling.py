"""Assembling the results of a run from what was collected of its records."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter

from deepmatrix.images.prepared import Prepared
from deepmatrix.judging import noise
from deepmatrix.planning.cells import Cell
from deepmatrix.planning.plan import Plan
from deepmatrix.planning.subjects import Artifact
from deepmatrix.results import cells, remarks
from deepmatrix.results.collecting.collected import Collected
from deepmatrix.results.expressiveness import outcomes
from deepmatrix.results.expressiveness.rows import NoteRow
from deepmatrix.results.portability import Pair, PortabilityRows
from deepmatrix.results.precision.quantised import QuantisedRows
from deepmatrix.results.rows import (
    CellRow,
    ModelRow,
    PortabilityRow,
    Results,
    TrainingRow,
)
from deepmatrix.results.timeline import spans
from deepmatrix.results.timing import generation, timings
from deepmatrix.results.timing.crossover import crossovers
from deepmatrix.results.timing.efficiency import Efficiency
from deepmatrix.results.timing.measured import Measured, measured
from deepmatrix.results.timing.rows import InferenceRow
from deepmatrix.results.timing.scaling import scaling
from deepmatrix.results.timing.statistics import Samples
from deepmatrix.results.training import TRAINING_PHASES, TrainingRows
from deepmatrix.store.causes import Cause
from deepmatrix.store.manifests import Manifest
from deepmatrix.workloads import networks


@dataclass(frozen=True, kw_only=True)
class Assembly:
    """All that the results of a run are made of.

    *gold_losses*: by workload. *prepared*: images, by cell. *causes*: by artifact and consumer.
    *models*: users' own.
    """

    manifest: Manifest
    gold_losses: Mapping[str, Samples]
    prepared: Mapping[str, Prepared]
    causes: Mapping[Pair, Cause]
    models: tuple[ModelRow, ...]
    collected: Collected

    @cached_property
    def _portability(self) -> PortabilityRows:
        return PortabilityRows(
            manifest=self.manifest,
            causes=self.causes,
            unready={cell: image.error for cell, image in self.prepared.items() if image.error},
            training=self.collected.training,
            inspections=self.collected.inspections,
            models={model.artifact: model for model in self.models},
            judged=self.collected.judged,
        )

    @cached_property
    def _cells(self) -> Mapping[str, Cell]:
        return {cell.id: cell for cell in self.manifest.plan.cells}

    @cached_property
    def _artifacts(self) -> Mapping[str, Artifact]:
        return {artifact.id: artifact for artifact in self.manifest.plan.artifacts()}

    def results(self, engines: dict[str, dict[str, str]]) -> Results:
        """Return the rows of everything that was planned, run or not."""
        manifest, plan, rows = self.manifest, self.manifest.plan, self.collected
        efficiency = self._efficiency()
        cell_rows = [*self._cell_rows(), *cells.skipped_rows(manifest)]
        produced = self._all_produced(efficiency)
        inference = [efficiency.of_inference(row) for row in rows.inference]
        portability = list(self._portability.rows())
        quantised = QuantisedRows(self._artifacts, rows.accuracies, rows.exports, inference)
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
            startup=tuple(rows.startup),
            training=() if TRAINING_PHASES.isdisjoint(plan.phases) else tuple(produced),
            inference=tuple(inference),
            serving=tuple(rows.serving),
            scenarios=tuple(rows.scenarios),
            generation=tuple(rows.generation),
            exports=tuple(rows.exports),
            passes=tuple(efficiency.of_passes(row) for row in rows.passes),
            steps=tuple(rows.steps),
            compilation=tuple(rows.compilation),
            crossovers=tuple(crossovers(times, efficiency.networks)),
            scaling=tuple(scaling(times, plan.cells, manifest.matrix.limits.threads)),
            idioms=tuple(rows.idioms),
            probes=tuple(rows.probes),
            facts=tuple(rows.facts),
            notes=self._note_rows(),
            models=self.models,
            portability=tuple(portability),
            quantised=tuple(quantised.rows(portability)),
            timeline=tuple(spans(rows.works, self._rates())),
            noisy=tuple(itertools.chain(*cells.noisy_jobs(rows.summaries).values())),
            reused=_by_first(rows.reused),
            anew=_by_first(rows.anew),
            findings=tuple(remarks.findings(produced, portability)),
            warnings=(
                *self._warnings(produced, inference, portability),
                *remarks.not_pulled(cell_rows),
                *remarks.of_run(engines, manifest.matrix.limits),
            ),
            problems=tuple(self._problems(cell_rows, produced, portability)),
        )

    def _times(
        self, produced: Sequence[TrainingRow], inference: Sequence[InferenceRow]
    ) -> list[Measured]:
        """Return the times of training steps and inferences, by the size of their batch."""
        workloads = self.manifest.matrix.workloads
        batches = {name: workload.batch for name, workload in workloads.items()}
        return list(measured(produced, self.collected.steps, inference, batches))

    def _problems(
        self,
        cell_rows: Sequence[CellRow],
        produced: Sequence[TrainingRow],
        portability: Sequence[PortabilityRow],
    ) -> Iterator[str]:
        """Yield all that is not as expected."""
        yield from cells.harness_problems(self.collected.summaries, self._cells)
        yield from remarks.unreadable(self.collected.inspections.values())
        yield from remarks.problems(cell_rows, produced, self._of_readable(portability))
        yield from outcomes.problems(
            self.collected.idioms, self.collected.probes, self.collected.facts
        )

    def _rates(self) -> dict[str, dict[str, dict[str, noise.Rates]]]:
        return {
            cell: {machine: each.rates for machine, each in summary.machines.items()}
            for cell, summary in self.collected.summaries.items()
        }

    def _warnings(
        self,
        produced: Sequence[TrainingRow],
        inference: Sequence[InferenceRow],
        portability: Sequence[PortabilityRow],
    ) -> tuple[str, ...]:
        expected_failure = self.manifest.matrix.expected_failure
        phases = self.manifest.plan.phases
        return (
            *remarks.cautions(portability),
            *generation.near_ties(self.collected.generation),
            *cells.noise_warnings(self.collected.summaries),
            *remarks.unexpected_passes(produced, portability, expected_failure, phases),
            *timings.warnings(produced, self.collected.steps, inference),
            *remarks.wide_tolerances(portability),
            *remarks.stateful(portability, self.models),
            *remarks.gold_sources(self.models),
            *remarks.sample_inputs(self.models),
        )

    def _of_readable(self, portability: Sequence[PortabilityRow]) -> list[PortabilityRow]:
        """Return the rows of models that could be read: the others are one problem, not many."""
        inspections = self.collected.inspections
        unread = {
            model.artifact.id
            for model in self.manifest.plan.imports
            if (record := inspections.get((model.cell, model.name))) and record.status != "ok"
        }
        return [row for row in portability if row.artifact not in unread]

    def _efficiency(self) -> Efficiency:
        workloads = self.manifest.matrix.workloads
        return Efficiency(
            networks={
                name: networks.NETWORKS[workload.network] for name, workload in workloads.items()
            },
            peaks=cells.native_peaks(self.collected.summaries, self._cells),
        )

    def _cell_rows(self) -> list[CellRow]:
        plan = self.manifest.plan
        expected_jobs = self._count_expected_jobs(plan)
        return [
            cells.cell_row(
                cell,
                self.collected.summaries.get(cell.id),
                self.prepared.get(cell.id),
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
        plan = self.manifest.plan
        training_rows = TrainingRows(manifest=self.manifest, gold_losses=self.gold_losses)
        no_rows: Sequence[TrainingRow | None] = [None]
        return [
            efficiency.of_training(row)
            or training_rows.missing_row(
                cell.id,
                workload,
                self._portability.why_missing(cell.id),
                pending=cell.id not in self._portability.unready,
            )
            for cell, workload in plan.trainings()
            for row in self.collected.trained.get((cell.id, workload), no_rows)
        ]

    def _note_rows(self) -> tuple[NoteRow, ...]:
        return tuple(
            NoteRow(name=name, about=about, note=note)
            for (name, about), note in sorted(self.collected.notes.items())
        )


def _by_first(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Return the second of each pair by the first, in the order of the first."""
    grouped = itertools.groupby(sorted(pairs, key=itemgetter(0)), key=itemgetter(0))
    return {first: tuple(second for _, second in group) for first, group in grouped}
