"""Rows of times, from the records of one (cell, subject), and what makes them less certain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from deepmatrix.results.rows import (
    ExportRow,
    InferenceRow,
    PassRow,
    ScenarioRow,
    ServingRow,
    StartupRow,
    TrainingRow,
)
from deepmatrix.results.statistics import Estimate, Samples, Warmup, estimate, spread, warmup
from deepmatrix.store.phases import StartupData
from deepmatrix.store.records import JobRecord

#: Rounds of one measurement that differ by more than this share make a warning.
APART = 0.2

TAIL = (0.9, 0.99)


def startup(group: list[JobRecord]) -> Iterator[StartupRow]:
    """Yield the row of a producer's start, where it started."""
    first = group[0]
    starts = [start for record in group if record.output and (start := record.output.startup())]
    if not starts or first.wave == "consume":
        return
    parts = {
        name: [value for start in starts if not start.cold and (value := getattr(start, name))]
        for name in StartupData.model_fields
        if name.endswith("_s")
    }
    cold = next((start for start in starts if start.cold), None)
    yield StartupRow(
        cell=first.cell,
        workload=first.workload,
        emulated=first.emulated,
        cold_import_s=cold.import_s if cold else None,
        cold_read_bytes=cold.read_bytes if cold else None,
        **{name: estimate([floats([one]) for one in values]) for name, values in parts.items()},
    )


def inference(group: list[JobRecord]) -> Iterator[InferenceRow]:
    """Yield a row a batch size."""
    first = group[0]
    answered = [
        data.batches for record in group if record.output and (data := record.output.infer())
    ]
    for batch in sorted({int(batch) for batches in answered for batch in batches}):
        measured = [batches[str(batch)] for batches in answered if str(batch) in batches]
        rounds = [steady(one.latency_s, one.warmup) for one in measured]
        p50 = estimate(rounds, tail=TAIL)
        if p50 is not None:
            yield InferenceRow(
                cell=first.cell,
                subject=first.subject,
                workload=first.workload,
                emulated=first.emulated,
                batch=batch,
                p50_s=replace(p50, tail=()),
                p90_s=p50.tail[0],
                p99_s=p50.tail[1],
                unsteady=sum(not warmup_of(one.latency_s, one.warmup).steady for one in measured),
                samples_per_s=batch / p50.median,
            )


def serving(group: list[JobRecord]) -> Iterator[ServingRow]:
    """Yield the row of a consumer's start, where it answered."""
    first = group[0]
    told = [
        (record.started_at, start)
        for record in group
        if record.output and (start := record.output.startup())
    ]
    if not told or first.wave == "produce":
        return
    waited = [
        start.answered_at - asked
        for asked, start in told
        if asked is not None and start.answered_at is not None and not start.cold
    ]
    yield ServingRow(
        cell=first.cell,
        subject=first.subject,
        workload=first.workload,
        emulated=first.emulated,
        # Clocks of two machines may differ by more than that.
        start_s=_estimate([one for one in waited if one > 0]),
        load_s=_estimate([start.build_s for _, start in told if start.build_s is not None]),
        first_forward_s=_estimate(
            [start.first_forward_s for _, start in told if start.first_forward_s is not None]
        ),
    )


def scenarios(group: list[JobRecord]) -> Iterator[ScenarioRow]:
    """Yield a row for each of MLPerf's scenarios that was run."""
    first = group[0]
    said = first.output.infer() if first.output else None
    for name, found in sorted(said.scenarios.items()) if said else ():
        yield ScenarioRow(
            cell=first.cell,
            subject=first.subject,
            workload=first.workload,
            emulated=first.emulated,
            scenario=name,
            valid=found.valid,
            samples_per_s=found.samples_per_s,
            p90_s=found.p90_s,
            p99_s=found.p99_s,
            bound_s=found.bound_s,
        )


def _estimate(values: Sequence[float]) -> Estimate | None:
    return estimate([floats([one]) for one in values])


def exports(group: list[JobRecord]) -> Iterator[ExportRow]:
    """Yield a row an exported model."""
    for record in group:
        for exported in record.output.artifacts if record.output else ():
            yield ExportRow(
                cell=record.cell,
                workload=record.workload,
                format=exported.format,
                emulated=record.emulated,
                bytes=sum(one.bytes for one in exported.files),
                export_s=exported.export_s,
                opset=exported.opset,
                exporter=exported.exporter,
            )


def passes(group: list[JobRecord]) -> Iterator[PassRow]:
    """Yield the row of a batch forward, and forward and backward, where they were timed."""
    first = group[0]
    timed = [found for record in group if record.output and (found := record.output.passes())]
    forward, backward = (
        estimate([steady(one.latency_s, one.warmup) for one in measured])
        for measured in ([one.forward for one in timed], [one.backward for one in timed])
    )
    if forward and backward:
        yield PassRow(
            cell=first.cell,
            workload=first.workload,
            emulated=first.emulated,
            batch=timed[0].batch,
            forward_s=forward,
            backward_s=backward,
        )


def warmup_of(samples: Sequence[float], declared: int) -> Warmup:
    """Return the warm-up of a round: what was declared, or more where more is found."""
    found = warmup(floats(samples)[declared:])
    return Warmup(length=declared + found.length, steady=found.steady)


def steady(samples: Sequence[float], declared: int) -> Samples:
    """Return the samples of a round without its warm-up."""
    return floats(samples)[warmup_of(samples, declared).length :]


def floats(values: Sequence[float]) -> Samples:
    """Return samples as an array, float64."""
    return np.asarray(values, dtype=np.float64)


def warnings(training: Sequence[TrainingRow], inference: Sequence[InferenceRow]) -> Iterator[str]:
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
