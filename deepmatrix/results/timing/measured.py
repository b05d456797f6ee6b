"""What was timed in a run, in one form: steps of training and inferences of every cell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from deepmatrix.results.rows import TrainingRow
from deepmatrix.results.timing.rows import InferenceRow, StepRow
from deepmatrix.results.timing.statistics import Estimate

STEP, INFERENCE = "training step", "inference"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The time of a batch. *subject*: the workload, or the artifact that was served."""

    cell: str
    machine: str
    subject: str
    workload: str
    kind: str
    batch: int
    time: Estimate


def measured(
    training: Iterable[TrainingRow],
    steps: Iterable[StepRow],
    inference: Iterable[InferenceRow],
    batches: Mapping[str, int],
) -> Iterator[Measured]:
    """Yield what native cells took; *batches*: that of training, by workload."""
    found: set[tuple[str, str, str, int]] = set()
    for row in steps:
        found.add((row.cell, row.machine, row.workload, row.batch))
        yield Measured(
            cell=row.cell,
            machine=row.machine,
            subject=row.workload,
            workload=row.workload,
            kind=STEP,
            batch=row.batch,
            time=row.step_s,
        )
    for trained in training:
        batch = batches[trained.workload]
        key = (trained.cell, trained.machine, trained.workload, batch)
        if trained.step_s and key not in found:
            yield Measured(
                cell=trained.cell,
                machine=trained.machine,
                subject=trained.workload,
                workload=trained.workload,
                kind=STEP,
                batch=batch,
                time=trained.step_s,
            )
    for answered in inference:
        yield Measured(
            cell=answered.cell,
            machine=answered.machine,
            subject=answered.subject,
            workload=answered.workload,
            kind=INFERENCE,
            batch=answered.batch,
            time=answered.p50_s,
        )
