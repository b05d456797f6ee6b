"""Rows of generation: whether the tokens are right, and how fast they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from deepmatrix.judging import generation
from deepmatrix.judging.terms import Terms
from deepmatrix.results.timing.rows import GenerationRow
from deepmatrix.results.timing.statistics import Estimate, estimate
from deepmatrix.store.records import JobRecord
from deepmatrix.store.reported.serving import GenerationData


def generated(
    group: Sequence[JobRecord], terms: Terms, *, is_timed: bool
) -> Iterator[GenerationRow]:
    """Yield the row of one (cell, artifact) where its model generates; the worst round counts."""
    rounds = [
        (record.generated, record.agreement, terms.of(record))
        for record in group
        if record.generated and record.agreement
    ]
    if not rounds:
        return
    first = group[0]
    worst, agreement, judged_by = min(
        rounds, key=lambda round: (not generation.fault(*round), round[0].equal)
    )
    data = [measured for record in group if (measured := _data(record))]
    prefill = (
        _estimate(data, lambda measured: measured.prefill_s[measured.steady]) if is_timed else None
    )
    step = _estimate(data, _steps) if is_timed else None
    yield GenerationRow(
        cell=first.cell,
        artifact=first.subject,
        workload=first.workload,
        emulated=first.emulated,
        machine=first.machine if is_timed else "",
        prompt=worst.prompt,
        steps=worst.steps,
        equal=worst.equal,
        margin=worst.margin,
        near_tie=generation.near_tie(worst, agreement, judged_by),
        fault=generation.fault(worst, agreement, judged_by),
        prefill_s=prefill,
        prefill_tokens_per_s=_rate(worst.prompt, prefill),
        step_s=step,
        decode_tokens_per_s=_rate(1, step),
        cache_bytes=max((measured.cache_bytes for measured in data), default=None),
    )


def near_ties(rows: Iterable[GenerationRow]) -> Iterator[str]:
    """Yield a warning for each artifact whose tokens are other ones where rounding decides."""
    for row in rows:
        if row.near_tie:
            yield f"{row.artifact} on {row.cell}: {row.near_tie}"


def _data(record: JobRecord) -> GenerationData | None:
    inference = record.output.infer() if record.output else None
    return inference.generation if inference else None


def _steps(data: GenerationData) -> list[float]:
    return [seconds for steps in data.step_s[data.steady] for seconds in steps]


def _estimate(
    rounds: Sequence[GenerationData], samples: Callable[[GenerationData], Sequence[float]]
) -> Estimate | None:
    return estimate([np.asarray(samples(data), np.float64) for data in rounds])


def _rate(tokens: int, seconds: Estimate | None) -> float | None:
    """Return tokens a second; None where the clock was too coarse to say."""
    return tokens / seconds.median if seconds and seconds.median else None
