"""Collecting rows from groups of records, one (cell, subject) at a time."""

from __future__ import annotations

from collections.abc import Mapping

from deepmatrix.errors import RecordError
from deepmatrix.judging.terms import terms_of
from deepmatrix.judging.verdicts import judge
from deepmatrix.planning.plan import Job
from deepmatrix.results.cells import CellSummary, by_machine
from deepmatrix.results.collecting.collected import Collected
from deepmatrix.results.expressiveness import outcomes
from deepmatrix.results.portability import Judged
from deepmatrix.results.timeline import works_of
from deepmatrix.results.timing import generation, timings
from deepmatrix.results.timing.compiling import compilation
from deepmatrix.results.timing.statistics import Samples
from deepmatrix.results.training import TrainingRows
from deepmatrix.store.manifests import Manifest
from deepmatrix.store.records import JobRecord


class RowCollector:
    """Collects the rows of a run's cells from their records. *gold_losses*: by workload."""

    def __init__(self, manifest: Manifest, gold_losses: Mapping[str, Samples]) -> None:
        self.collected = Collected()
        self._manifest = manifest
        self._cells = {cell.id: cell for cell in manifest.plan.cells}
        self._imports = {model.name for model in manifest.plan.imports}
        self._artifacts = {artifact.id: artifact for artifact in manifest.plan.artifacts()}
        self._subjects = {
            "produce": {*manifest.plan.workloads, *self._imports},
            "consume": set(self._artifacts),
        }
        self._training_rows = TrainingRows(manifest=manifest, gold_losses=gold_losses)

    def take(self) -> Collected:
        """Return what was collected so far, and begin anew."""
        collected, self.collected = self.collected, Collected()
        return collected

    def add(self, group: list[JobRecord]) -> None:
        """Add the records of one (cell, subject). Raises RecordError for one not planned."""
        first, rows = group[0], self.collected
        for record in group:
            self._check(record)
            if record.reused:
                rows.reused.append((record.reused, record.job))
            elif record.anew:
                rows.anew.append((record.anew, record.job))
        expected_failure = self._manifest.matrix.expected_failure(first.cell, first.subject)
        is_timed = self._is_timed(first)
        summary = rows.summaries.setdefault(first.cell, CellSummary())
        summary.add(group, expected_failure, is_timed=is_timed)
        rows.works.extend(works_of(group))
        parts = by_machine(group) if is_timed else [group]
        for part in parts:
            rows.startup.extend(timings.startup(part, is_timed=is_timed))
            rows.serving.extend(timings.serving(part, is_timed=is_timed))
            if is_timed:
                rows.inference.extend(timings.inference(part))
                rows.steps.extend(timings.steps(part))
        rows.scenarios.extend(timings.scenarios(group))
        rows.exports.extend(timings.exports(group, is_timed=is_timed))
        if first.subject in self._imports:
            rows.inspections[first.cell, first.subject] = first
        elif first.wave == "produce":
            self._add_produced(group, is_timed=is_timed)
        else:
            terms = terms_of(self._manifest, self._cells[first.cell], first.subject)
            judged = Judged(verdict=judge(group, terms, ""), emulated=first.emulated)
            rows.judged[first.subject, first.cell] = judged
            agreements = [record.agreement for record in group if record.agreement]
            known = [
                agreement.accuracy for agreement in agreements if agreement.accuracy is not None
            ]
            if known:
                rows.accuracies[first.subject, first.cell] = min(known)
            for part in parts:
                rows.generation.extend(generation.generated(part, terms, is_timed=is_timed))

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
        first, rows, matrix = group[0], self.collected, self._manifest.matrix
        row = self._training_rows.row(group, is_timed=is_timed)
        rows.training[first.cell, first.subject] = row
        parts = by_machine(group) if is_timed else []
        batch = matrix.workloads[first.workload].batch
        for part in parts:
            rows.passes.extend(timings.passes(part))
            rows.compilation.extend(compilation(part, batch))
        several = [self._training_rows.row(part, is_timed=True) for part in parts]
        rows.trained[first.cell, first.subject] = several if len(parts) > 1 else [row]
        name = self._cells[first.cell].name
        tolerance = matrix.tolerances.parity
        network = matrix.workloads[first.workload].network
        expected_failure = matrix.expected_failure(first.cell, first.workload)
        rows.idioms.extend(outcomes.idioms(group, name, network, tolerance, expected_failure))
        rows.probes.extend(outcomes.probed(group, tolerance))
        rows.facts.extend(outcomes.facts(group))
        for record in group:
            step = record.output.first_step() if record.output else None
            for about, note in (step.notes if step else {}).items():
                rows.notes.setdefault((name, about), note)

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
