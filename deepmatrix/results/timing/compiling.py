"""Rows of compiling: what first calls take longer than steady ones, and what frameworks count."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from deepmatrix.results.timing.rows import CompileRow
from deepmatrix.results.timing.statistics import Estimate, estimate
from deepmatrix.results.timing.timings import floats, steady
from deepmatrix.store.records import JobRecord
from deepmatrix.store.reported.output import Output
from deepmatrix.store.reported.phases import BatchData


def compilation(group: Sequence[JobRecord], batch: int) -> Iterator[CompileRow]:
    """Yield the row of a cell that can be eager or not; *batch*: of the workload's first calls.

    A first call also pays for what eager ones pay once, such as memory: the row of the eager cell
    tells how much that is. Starts from a cold file cache are left out.
    """
    first = group[0]
    outputs = [record.output for record in group if record.output]
    execution = next((output.environment.execution for output in outputs), None)
    if first.emulated or first.wave == "consume" or not execution:
        return
    starts = [(output, start) for output in outputs if (start := output.startup())]
    warm = [(output, start) for output, start in starts if not start.cold]
    yield CompileRow(
        cell=first.cell,
        workload=first.workload,
        emulated=first.emulated,
        machine=first.machine,
        execution=execution,
        library=next(iter(outputs[0].environment.versions), ""),
        forward_s=_estimate(
            _excess(start.first_forward_s, _steady_forward(output, batch)) for output, start in warm
        ),
        step_s=_estimate(
            _excess(start.first_step_s, _steady_step(output, batch)) for output, start in warm
        ),
        told_forward_s=_estimate(start.first_forward_compile_s for _, start in warm),
        told_step_s=_estimate(start.first_step_compile_s for _, start in warm),
    )


def _excess(first: float | None, later: float | None) -> float | None:
    return None if first is None or later is None else max(first - later, 0.0)


def _steady_forward(output: Output, batch: int) -> float | None:
    inferred = output.infer()
    return _median(inferred.batches.get(str(batch)) if inferred else None)


def _steady_step(output: Output, batch: int) -> float | None:
    if trained := output.train():
        return float(np.median(steady(trained.step_s, trained.warmup)))
    measured = output.steps()
    return _median(measured.batches.get(str(batch)) if measured else None)


def _median(data: BatchData | None) -> float | None:
    return float(np.median(steady(data.latency_s, data.warmup))) if data else None


def _estimate(values: Iterable[float | None]) -> Estimate | None:
    return estimate([floats([value]) for value in values if value is not None])
