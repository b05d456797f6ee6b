"""Rows of times from the records of one (cell, subject), and warnings about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from deepmatrix.results.rows import TrainingRow
from deepmatrix.results.timing.rows import (
    ExportRow,
    InferenceRow,
    PassRow,
    ScenarioRow,
    ServingRow,
    StartupRow,
    StepRow,
)
from deepmatrix.results.timing.statistics import Estimate, Samples, Warmup, estimate, spread, warmup
from deepmatrix.store.records import JobRecord
from deepmatrix.store.reported.phases import StartupData

#: Rounds of one measurement that differ by more than this share cause a warning.
LARGEST_SPREAD = 0.2

TAIL = (0.9, 0.99)


def startup(group: list[JobRecord], *, is_timed: bool) -> Iterator[StartupRow]:
    """Yield the row of a producer's start, where it succeeded; without times if it is not timed."""
    first = group[0]
    if first.wave == "consume":
        return
    starts = [start for record in group if record.output and (start := record.output.startup())]
    if not starts:
        return
    timed = starts if is_timed else []
    parts = {
        name: [value for start in timed if not start.cold and (value := getattr(start, name))]
        for name in StartupData.model_fields
        if name.endswith("_s")
    }
    cold = next((start for start in timed if start.cold), None)
    yield StartupRow(
        cell=first.cell,
        workload=first.workload,
        emulated=first.emulated,
        machine=first.machine if is_timed else "",
        cold_import_s=cold.import_s if cold else None,
        cold_read_bytes=cold.read_bytes if cold else None,
        **{name: _estimate(values) for name, values in parts.items()},
    )


def inference(group: list[JobRecord]) -> Iterator[InferenceRow]:
    """Yield a row for each batch size. The group is timed."""
    first = group[0]
    inferred = [data for record in group if record.output and (data := record.output.infer())]
    for batch in sorted({int(batch) for data in inferred for batch in data.batches}):
        key = str(batch)
        measured = [data.batches[key] for data in inferred if key in data.batches]
        samples = [floats(data.latency_s) for data in measured]
        warmups = [
            warmup_of(times, data.warmup) for times, data in zip(samples, measured, strict=True)
        ]
        rounds = [times[warm.length :] for times, warm in zip(samples, warmups, strict=True)]
        p50 = estimate(rounds, tail=TAIL)
        if p50 is not None:
            yield InferenceRow(
                cell=first.cell,
                subject=first.subject,
                workload=first.workload,
                emulated=first.emulated,
                machine=first.machine,
                batch=batch,
                p50_s=replace(p50, tail=()),
                p90_s=p50.tail[0],
                p99_s=p50.tail[1],
                range_s=_range(rounds),
                unsteady=sum(not warm.steady for warm in warmups),
                operators=_by_kind([data.operators.get(key, {}) for data in inferred]),
                samples_per_s=batch / p50.median,
            )


def _by_kind(rounds: Sequence[Mapping[str, float]]) -> dict[str, tuple[float, ...]]:
    """Return the times of the rounds by what was timed in them."""
    kinds = sorted({kind for times in rounds for kind in times})
    return {kind: tuple(times[kind] for times in rounds if kind in times) for kind in kinds}


def _range(rounds: Sequence[Samples]) -> tuple[float, ...]:
    """Return the least, the quartiles and the greatest of the samples of all rounds."""
    ordered = np.sort(np.concatenate(rounds))
    return tuple(_quartile(ordered, share) for share in (0.0, 0.25, 0.75, 1.0))


def _quartile(ordered: Samples, share: float) -> float:
    """Return what np.quantile returns, to the last bit; that is ten times slower on so few."""
    place = share * (ordered.size - 1)
    below = int(place)
    low, high = float(ordered[below]), float(ordered[min(below + 1, ordered.size - 1)])
    part, width = place - below, high - low
    return high - width * (1 - part) if part >= 0.5 else low + width * part


def serving(group: list[JobRecord], *, is_timed: bool) -> Iterator[ServingRow]:
    """Yield the row of a consumer's time to first inference, where it succeeded.

    Only what came first in its process has one.
    """
    first = group[0]
    if first.wave == "produce":
        return
    outputs = [record.output for record in group if record.output and record.output.startup()]
    if not outputs:
        return
    starts = [
        (record, start)
        for record in group
        if is_timed
        and record.output
        and record.output.place == 1
        and (start := record.output.startup())
    ]
    start_s = [
        start.answered_at - record.started_at
        for record, start in starts
        if record.started_at is not None
        and start.answered_at is not None
        and not start.cold
        # Clocks of two machines may differ, and a clock may be moved: the answer came while the
        # process ran, by the monotonic clock.
        and 0 < start.answered_at - record.started_at <= record.wall_s
    ]
    warm = [start for _, start in starts if not start.cold]
    yield ServingRow(
        cell=first.cell,
        subject=first.subject,
        workload=first.workload,
        emulated=first.emulated,
        machine=first.machine if is_timed else "",
        start_s=_estimate(start_s),
        interpreter_s=_estimate_of(warm, "interpreter_s"),
        import_s=_estimate_of(warm, "import_s"),
        load_s=_estimate_of([start for _, start in starts], "build_s"),
        first_forward_s=_estimate_of([start for _, start in starts], "first_forward_s"),
    )


def scenarios(group: list[JobRecord]) -> Iterator[ScenarioRow]:
    """Yield a row for each of MLPerf's scenarios that was run."""
    first = group[0]
    inferred = first.output.infer() if first.output else None
    for name, scenario in sorted(inferred.scenarios.items()) if inferred else ():
        yield ScenarioRow(
            cell=first.cell,
            subject=first.subject,
            workload=first.workload,
            emulated=first.emulated,
            scenario=name,
            valid=scenario.valid,
            samples_per_s=scenario.samples_per_s,
            p90_s=scenario.p90_s,
            p99_s=scenario.p99_s,
            bound_s=scenario.bound_s,
        )


def _estimate_of(starts: Sequence[StartupData], name: str) -> Estimate | None:
    return _estimate([value for start in starts if (value := getattr(start, name)) is not None])


def _estimate(values: Sequence[float]) -> Estimate | None:
    return estimate([floats([value]) for value in values])


def exports(group: list[JobRecord], *, is_timed: bool) -> Iterator[ExportRow]:
    """Yield a row for each exported model."""
    for record in group:
        for exported in record.output.artifacts if record.output else ():
            yield ExportRow(
                cell=record.cell,
                workload=record.workload,
                format=exported.format,
                emulated=record.emulated,
                bytes=sum(file.bytes for file in exported.files),
                export_s=exported.export_s if is_timed else None,
                opset=exported.opset,
                exporter=exported.exporter,
            )


def passes(group: list[JobRecord]) -> Iterator[PassRow]:
    """Yield the row of a batch forward, and forward with backward. The group is timed."""
    first = group[0]
    timed = [data for record in group if record.output and (data := record.output.passes())]
    forward, backward = (
        estimate([steady(data.latency_s, data.warmup) for data in measured])
        for measured in ([data.forward for data in timed], [data.backward for data in timed])
    )
    if forward and backward:
        yield PassRow(
            cell=first.cell,
            workload=first.workload,
            emulated=first.emulated,
            machine=first.machine,
            batch=timed[0].batch,
            forward_s=forward,
            backward_s=backward,
        )


def steps(group: list[JobRecord]) -> Iterator[StepRow]:
    """Yield a row of steps of training for each batch size. The group is timed."""
    first = group[0]
    timed = [data for record in group if record.output and (data := record.output.steps())]
    for batch in sorted({int(batch) for data in timed for batch in data.batches}):
        measured = [data.batches[key] for data in timed if (key := str(batch)) in data.batches]
        step_s = estimate([steady(data.latency_s, data.warmup) for data in measured])
        if step_s is not None:
            yield StepRow(
                cell=first.cell,
                workload=first.workload,
                emulated=first.emulated,
                machine=first.machine,
                batch=batch,
                step_s=step_s,
                unsteady=sum(
                    not warmup_of(floats(data.latency_s), data.warmup).steady for data in measured
                ),
            )


def warmup_of(samples: Samples, declared: int) -> Warmup:
    """Return the warm-up of a round: at least what was declared, more where more is found."""
    further = warmup(samples[declared:])
    return Warmup(length=declared + further.length, steady=further.steady)


def steady(samples: Sequence[float], declared: int) -> Samples:
    """Return the samples of a round without its warm-up."""
    times = floats(samples)
    return times[warmup_of(times, declared).length :]


def floats(values: Sequence[float]) -> Samples:
    """Return samples as an array, float64."""
    return np.asarray(values, dtype=np.float64)


def warnings(
    training: Sequence[TrainingRow], steps: Sequence[StepRow], inference: Sequence[InferenceRow]
) -> Iterator[str]:
    """Yield, for each native cell, warnings about unstable times."""
    times: dict[str, list[tuple[Estimate, int]]] = {}
    for row in training:
        if row.step_s and not row.emulated:
            times.setdefault(row.cell, []).append((row.step_s, row.unsteady))
    for step in steps:
        times.setdefault(step.cell, []).append((step.step_s, step.unsteady))
    for served in inference:
        if not served.emulated:
            times.setdefault(served.cell, []).append((served.p50_s, served.unsteady))
    for cell, measured in times.items():
        spread_out = sum(spread(estimated) > LARGEST_SPREAD for estimated, _ in measured)
        unsteady_count = sum(unsteady > 0 for _, unsteady in measured)
        if spread_out:
            yield (
                f"{cell}: in {spread_out} of {len(measured)} measurements the rounds differ by "
                f"more than {LARGEST_SPREAD:.0%}; measure again on an idle machine"
            )
        if unsteady_count:
            yield (
                f"{cell}: {unsteady_count} of {len(measured)} measurements did not reach a steady "
                "state; longer measurements may give other medians"
            )
