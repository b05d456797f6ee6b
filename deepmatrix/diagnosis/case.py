"""One fault under diagnosis: its tolerances, the rows to look at, and what was tried so far."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepmatrix.diagnosis.faults import Fault
from deepmatrix.diagnosis.search.tracing import Trace, Tracer
from deepmatrix.judging import deviations, masked
from deepmatrix.judging.quantisation.quantised_steps import as_gold_is
from deepmatrix.judging.similarity import slice_error
from deepmatrix.judging.terms import terms_of
from deepmatrix.judging.verdicts import judged_outputs, limits_of
from deepmatrix.planning.subjects import Artifact
from deepmatrix.store import artifacts, truths
from deepmatrix.store.arrays import Values
from deepmatrix.store.causes import Cause, CauseKind
from deepmatrix.store.records import Agreement, Deviation, Steps
from deepmatrix.store.runs import Run

#: Integers of this many bytes hold quantised values; larger ones hold sums, places and classes.
STEP_BYTES = 2

#: Steps of 8 bits from zero to the largest value, in a symmetric range.
LARGEST_INT8 = 127


@dataclass
class Case:
    """One fault while it is diagnosed.

    *folder* receives what reproduces it. *consumer_runs* counts the runs of its consumer. The
    search for a node ends at *deadline*, by the clock of the *tracer*.
    """

    tracer: Tracer
    fault: Fault
    folder: Path
    deadline: float = math.inf
    consumer_runs: int = 0

    def __post_init__(self) -> None:
        self.described = artifacts.verify_stored(self.run, self.artifact)
        self.masks = truths.read(self.run.artifact_path(self.artifact)).masks
        terms = terms_of(self.run.manifest, self.fault.consumer, self.artifact.id)
        self.terms = terms.of(self.fault.record)
        self.outputs = {output.name: output for output in self.agreement.outputs}
        judged = judged_outputs(self.agreement, self.terms)
        self.worst = max(judged, key=self._excess, default=None) if self.outputs else None
        self.rows = self._select_rows()

    @property
    def run(self) -> Run:
        """The run that the fault is in."""
        return self.tracer.run

    @property
    def is_out_of_time(self) -> bool:
        """Whether the search has used up its time."""
        return self.tracer.clock() > self.deadline

    @property
    def artifact(self) -> Artifact:
        """The artifact with wrong outputs."""
        return self.fault.artifact

    @property
    def agreement(self) -> Agreement:
        """How far its outputs are from gold."""
        return self.fault.agreement

    @property
    def steps(self) -> Steps | None:
        """What the worst output is allowed, where the model is quantised."""
        return self.worst.steps if self.worst else None

    def tolerance_of(self, tensor: str, producer_error: float | None) -> float:
        """Return the tolerance of a tensor. An inner tensor has that of the worst output."""
        output = self.outputs.get(tensor)
        if output is None:
            name, growth = (self.worst.name, self.worst.growth) if self.worst else ("", 1.0)
            return self.terms.allowed(producer_error, name, steps=self.steps, growth=growth)[0]
        name, growth = output.name, output.growth
        return self.terms.allowed(producer_error, name, output.dtype, output.steps, growth=growth)[
            0
        ]

    def compare(
        self, tensor: str, value: Values, truth: Values, producer_error: float | None
    ) -> tuple[Deviation, float]:
        """Return the deviation of a tensor's value from what is right, and its tolerance.

        What is not compared of an output has no part in it. In a quantised model integers of 8 and
        16 bits are steps, and an inner tensor may be as many steps of 8 bits apart as the worst
        output.
        """
        value = as_gold_is(value, truth, self.described.quantised.get(tensor))
        apart = self.described.apart.get(tensor, math.inf)
        value, truth = masked.compared(value, truth, self.masks.get(tensor), apart=apart)
        scale, tolerance = deviations.output_scale(truth), self.tolerance_of(tensor, producer_error)
        if self.steps and truth.dtype.kind in "iu" and truth.dtype.itemsize <= STEP_BYTES:
            tolerance = max(tolerance, self.steps.count / scale)
        elif self.steps and tensor not in self.outputs:
            tolerance = max(tolerance, self.steps.count / LARGEST_INT8)
        measured = deviations.deviation(tensor, value, truth, scale, in_steps=bool(self.steps))
        output = self.outputs.get(tensor)
        if output and output.slices and self._is_sliced(output):
            error = slice_error(value, truth, output.slices.axis)
            return measured.model_copy(update={"error": error}), self._limit_of(output)[1]
        return measured, tolerance

    def float32_error(self, trace: Trace, tensor: str) -> float | None:
        """Return the rounding error of float32 at a tensor, else the producer's own error."""
        return trace.float32_error(tensor) if trace.single else self.agreement.producer_error

    def cause(self, kind: CauseKind, text: str, **fields: Any) -> Cause:
        """Return the cause of this fault."""
        return cause_of(self.fault, kind, text, **fields)

    def _excess(self, output: Deviation) -> float:
        """Return the error of an output over its tolerance."""
        limited, tolerance = self._limit_of(output)
        return math.inf if limited.error is None else limited.error / tolerance

    def _limit_of(self, output: Deviation) -> tuple[Deviation, float]:
        """Return an output, or its slices where they are wrong, with the tolerance."""
        *_, (limited, tolerance, _) = limits_of(output, self.agreement, self.terms)
        return limited, tolerance

    def _is_sliced(self, output: Deviation) -> bool:
        """Return whether slices of an output are wrong by their own scale."""
        return self._limit_of(output)[0] is not output

    def _select_rows(self) -> list[int]:
        """Return the smallest batch of rows with the worst one; empty stands for all rows."""
        if not self.described.in_parts or (self.worst and self._is_sliced(self.worst)):
            return []  # a slice's error has no row
        size = self.described.batch or 1
        first = (self.worst.row or 0) // size * size if self.worst else 0
        return list(range(first, first + size))


def cause_of(fault: Fault, kind: CauseKind, text: str, **fields: Any) -> Cause:
    """Return a cause of a fault."""
    return Cause(
        artifact=fault.artifact.id,
        model=fault.artifact.workload if fault.artifact.imported else "",
        consumer=fault.consumer.id,
        kind=kind,
        text=text,
        **fields,
    )


def name_node(kind: str, name: str) -> str:
    """Return how a text names a node."""
    return name if kind in name else f"{kind} '{name}'"
