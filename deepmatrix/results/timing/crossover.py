"""Where the time of a call stops being constant and becomes proportional to its size.

A line, fixed + each x size, is fitted to the times of a cell over batches, or over lengths of a
sequence. Its fixed part is dispatch, what a call costs whatever its size; the other is arithmetic.
They are equal at the size fixed / each: the half-performance length (Hockney, The Science of
Computer Benchmarking, 1996), where half of the largest throughput is reached.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from deepmatrix.results.timing.measured import Measured
from deepmatrix.results.timing.rows import CrossoverRow
from deepmatrix.results.timing.statistics import Estimate, Samples, estimate
from deepmatrix.workloads.networks import Network

BATCH, LENGTH = "batch", "length"

#: A line of two numbers is tested only by further sizes.
FEWEST_SIZES = 4


@dataclass(frozen=True, kw_only=True)
class Line:
    """A fitted line: estimates over rounds, see `CrossoverRow`."""

    fixed_s: Estimate
    each_s: Estimate
    half: Estimate | None
    misfit: float


def fit(times: Mapping[int, Estimate]) -> Line | None:
    """Fit a line to times by size, round by round; None where rounds or sizes are too few.

    The squares of relative differences are least, so that each size counts the same, and neither
    part of the line is negative.
    """
    rounds = {len(time.round_medians) for time in times.values()}
    if len(times) < FEWEST_SIZES or len(rounds) != 1:
        return None
    sizes = np.array(list(times), dtype=np.float64)
    medians = np.array([time.round_medians for time in times.values()])
    lines = np.array([_least_squares(sizes, of_round) for of_round in medians.T])
    fixed, slope = _over_rounds(lines[:, 0]), _over_rounds(lines[:, 1])
    half = _over_rounds(lines[:, 0] / lines[:, 1]) if lines[:, 1].all() else None
    middle = np.array([time.median for time in times.values()])
    misfits = np.abs((fixed.median + slope.median * sizes) / middle - 1)
    return Line(fixed_s=fixed, each_s=slope, half=half, misfit=float(misfits.max()))


def _over_rounds(values: Samples) -> Estimate:
    estimated = estimate([values[place : place + 1] for place in range(len(values))])
    assert estimated is not None  # there is a round
    return estimated


def _least_squares(sizes: Samples, times: Samples) -> tuple[float, float]:
    """Return the fixed and the proportional part, neither negative."""
    columns = np.stack([1 / times, sizes / times], axis=1)
    fixed, slope = np.linalg.lstsq(columns, np.ones(len(sizes)))[0].tolist()
    if fixed < 0:
        return 0.0, float(columns[:, 1].sum() / (columns[:, 1] ** 2).sum())
    if slope < 0:
        return float(columns[:, 0].sum() / (columns[:, 0] ** 2).sum()), 0.0
    return fixed, slope


def crossovers(
    times: Iterable[Measured], networks: Mapping[str, Network]
) -> Iterator[CrossoverRow]:
    """Yield a row for all that was timed at enough sizes; *networks* by workload.

    Lengths are those of workloads whose networks differ in nothing else, at the smallest and at
    the largest batch.
    """
    by_batch: dict[tuple[str, ...], list[Measured]] = {}
    by_length: dict[tuple[str, str, str, str, int], list[Measured]] = {}
    for timed in times:
        by_batch.setdefault((timed.cell, timed.machine, timed.subject, timed.kind), []).append(
            timed
        )
        if timed.subject in networks:
            alike = _without_length(networks[timed.subject])
            key = (timed.cell, timed.machine, alike, timed.kind, timed.batch)
            by_length.setdefault(key, []).append(timed)
    for group in by_batch.values():
        yield from _row(group, {row.batch: row.time for row in group}, BATCH)
    batches = {key[-1] for key, group in by_length.items() if len(group) >= FEWEST_SIZES}
    for (*_, batch), group in by_length.items():
        if batch in (min(batches, default=0), max(batches, default=0)):
            sizes = {networks[row.subject]["input"][0]: row.time for row in group}
            yield from _row(group, dict(sorted(sizes.items())), LENGTH)


def _row(
    group: Sequence[Measured], times: Mapping[int, Estimate], over: str
) -> Iterator[CrossoverRow]:
    line = fit(times)
    if line is None:
        return
    first = group[0]
    family, _, _ = first.workload.rpartition("-")
    yield CrossoverRow(
        cell=first.cell,
        subject=first.subject if over == BATCH else family,
        workload=first.workload if over == BATCH else family,
        emulated=False,
        measured=first.kind,
        over=over,
        batch=first.batch if over == LENGTH else None,
        **vars(line),
        times=tuple((size, timed.median) for size, timed in times.items()),
    )


def _without_length(network: Network) -> str:
    """Return a text that networks share which differ in their name and their length only."""
    return json.dumps([network["layers"], network["input"][1:], network.get("task")])
