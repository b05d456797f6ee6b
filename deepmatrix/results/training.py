"""Rows of training: parity of the first step, losses against gold, accuracy, time a step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from deepmatrix.judging import parity
from deepmatrix.planning.cells import Cell
from deepmatrix.results.rows import TrainingRow
from deepmatrix.results.timing.statistics import Samples, estimate
from deepmatrix.results.timing.timings import floats, steady, warmup_of
from deepmatrix.store.manifests import Manifest
from deepmatrix.store.records import JobRecord, Parity
from deepmatrix.store.reported.phases import TrainData
from deepmatrix.workloads import networks
from deepmatrix.workloads.guessing import guessed_accuracy
from harness.record import PARITY, TRAIN

#: Steps up to which the difference of losses from gold is reported, besides the last.
GROWTH = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

#: The losses of at most this many steps, evenly spaced, are in the results.
MOST_LOSSES = 60

#: Phases that the training table reports.
TRAINING_PHASES = frozenset({PARITY, TRAIN})

#: (step, largest difference of a loss from gold up to it; None where that is not finite).
LossGrowth = tuple[tuple[int, float | None], ...]


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    """A status with its reason, and the phase and error type that it comes from."""

    status: str = "ok"
    reason: str = ""
    failed_phase: str = ""
    error_type: str = ""


@dataclass(frozen=True, kw_only=True)
class TrainingRows:
    """Makes rows of training. *gold_losses*: one loss a step, by workload."""

    manifest: Manifest
    gold_losses: Mapping[str, Samples]

    @cached_property
    def _cells(self) -> Mapping[str, Cell]:
        return {cell.id: cell for cell in self.manifest.plan.cells}

    def row(self, group: Sequence[JobRecord], *, is_timed: bool) -> TrainingRow:
        """Return the row of all rounds of one cell and workload."""
        first = group[0]
        matrix, precision = self.manifest.matrix, self._cells[first.cell].precision
        workload = matrix.workloads[first.workload]
        rounds = [data for record in group if record.output and (data := record.output.train())]
        timed = rounds if is_timed else []
        step_s = estimate([steady(data.step_s, data.warmup) for data in timed])
        loss_error, growth = self._loss_errors(first.cell, first.workload, rounds)
        wanted = self._accuracy_wanted(first.cell, first.workload)
        accuracy = greedy = None
        if rounds and wanted is not None:
            accuracy = _worst(data.accuracy for data in rounds)
            greedy = _worst(data.greedy_accuracy for data in rounds)
        step = next((record.parity for record in group if record.parity), None)
        first_wrong = self._first_wrong(first, step)
        outcome = self._outcome(group, accuracy, loss_error)
        if outcome.status == "ok" and step is None and PARITY in self.manifest.plan.phases:
            outcome = _failed("the first step was not compared with gold")
        if first_wrong:
            outcome = _failed(f"first outside tolerance: {first_wrong}")
        expected_failure = matrix.expected_failure(first.cell, first.workload)
        return TrainingRow(
            cell=first.cell,
            workload=first.workload,
            emulated=first.emulated,
            machine=first.machine if is_timed else "",
            precision=precision,
            float32_cell=_float32_cell(first.cell, self._cells),
            **vars(outcome),
            expected_failure=expected_failure if outcome.status != "ok" else "",
            step_s=step_s,
            unsteady=sum(not warmup_of(floats(data.step_s), data.warmup).steady for data in timed),
            samples_per_s=workload.batch / step_s.median if step_s else None,
            accuracy=accuracy,
            greedy_accuracy=greedy,
            accuracy_wanted=wanted or 0.0,
            guessed_accuracy=guessed_accuracy(workload.network),
            output_error=parity.worst_parity_error(step.outputs) if step else None,
            gradient_error=parity.worst_parity_error(step.gradients) if step else None,
            first_wrong=first_wrong,
            loss_error=loss_error,
            loss_error_all=growth[-1][1] if growth else None,
            loss_growth=growth,
            losses=self._losses(first.workload, rounds),
            layers=step.outputs if step else {},
            gradients=step.gradients if step else {},
        )

    def _first_wrong(self, record: JobRecord, step: Parity | None) -> str:
        """Return what of a first step is first outside its tolerance, or nothing."""
        if step is None:
            return ""
        matrix, precision = self.manifest.matrix, self._cells[record.cell].precision
        network = networks.NETWORKS[matrix.workloads[record.workload].network]
        return parity.first_wrong(step, network, matrix.tolerances, precision)

    def missing_row(
        self, cell_id: str, workload: str, reason: str, *, pending: bool
    ) -> TrainingRow:
        """Return the row of a training without records."""
        return TrainingRow(
            cell=cell_id,
            workload=workload,
            emulated=cell_id in self.manifest.plan.emulated,
            status="not-run",
            reason=reason,
            pending=pending,
            accuracy_wanted=self._accuracy_wanted(cell_id, workload) or 0.0,
        )

    def _accuracy_wanted(self, cell: str, workload: str) -> float | None:
        """Return what a training has to reach; None where it ends after its first steps."""
        steps = len(self.gold_losses.get(workload, ()))
        if self.manifest.plan.steps(cell, steps) < steps:
            return None
        return self.manifest.matrix.workloads[workload].accuracy

    def _loss_errors(
        self, cell: str, workload: str, rounds: Sequence[TrainData]
    ) -> tuple[float | None, LossGrowth]:
        """Return the largest loss difference from gold in the first steps, and how it grows."""
        gold = self.gold_losses.get(workload)
        if gold is None or not gold.size or not rounds:
            return None, ()
        gold = gold[: self.manifest.plan.steps(cell, len(gold))]
        losses = [floats(data.losses) for data in rounds]
        if any(of_round.shape != gold.shape for of_round in losses):
            return None, ()
        with np.errstate(over="ignore", invalid="ignore"):
            largest = np.maximum.accumulate(np.abs(np.stack(losses) - gold).max(axis=0))
        steps = self.manifest.matrix.tolerances.steps
        marks = sorted({*(step for step in GROWTH if step < len(largest)), len(largest)})
        growth = tuple((mark, _finite(float(largest[mark - 1]))) for mark in marks)
        return float(largest[:steps][-1]), growth

    def _losses(
        self, workload: str, rounds: Sequence[TrainData]
    ) -> tuple[tuple[int, float | None, float], ...]:
        """Return step, loss and gold's loss of at most `MOST_LOSSES` steps of the first round."""
        gold = self.gold_losses.get(workload)
        if gold is None or not rounds:
            return ()
        pairs = list(zip(rounds[0].losses, gold.tolist(), strict=False))
        every = -(-len(pairs) // MOST_LOSSES) or 1
        return tuple(
            (step, _finite(loss), right)
            for step, (loss, right) in enumerate(pairs, 1)
            if step % every == 0 or step == 1
        )

    def _outcome(
        self, group: Sequence[JobRecord], accuracy: float | None, loss_error: float | None
    ) -> _Outcome:
        matrix = self.manifest.matrix
        wanted = self._accuracy_wanted(group[0].cell, group[0].workload)
        for record in group:
            if record.status != "ok":
                return _Outcome(
                    status=record.status,
                    reason=record.cause,
                    failed_phase=record.failed_phase,
                    error_type=record.error_type,
                )
        if TRAIN not in self.manifest.plan.phases:
            return _Outcome()
        if not any(record.output and record.output.train() for record in group):
            return _failed("the training gave no result")
        if loss_error is None:
            return _failed("the losses cannot be compared with gold: their number differs")
        if accuracy is not None and wanted is not None and not accuracy >= wanted:
            return _failed(f"accuracy {accuracy:.3f} is below {wanted}")
        is_reduced = self._cells[group[0].cell].precision != "float32"
        if not is_reduced and not loss_error <= matrix.tolerances.loss:
            return _failed(f"loss differs from gold by {loss_error:.1e}")
        return _Outcome()


def _float32_cell(cell_id: str, cells: Mapping[str, Cell]) -> str:
    """Return the id of the cell that a variant in less than float32 stands beside, or nothing."""
    cell = cells[cell_id]
    if cell.precision == "float32" or not cell.system.variant_of:
        return ""
    original = replace(cell, name=cell.system.variant_of).id
    return original if original in cells else ""


def _worst(of_rounds: Iterable[float | None]) -> float | None:
    return min((value for value in of_rounds if value is not None), default=None)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _failed(reason: str) -> _Outcome:
    return _Outcome(status="failed", reason=reason)
