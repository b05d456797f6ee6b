"""Comparing times: what became slower or faster, beyond chance, on the same machine."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from deepmatrix.comparison.changes import Quantity, TimeChange
from deepmatrix.results.rows import Results
from deepmatrix.results.statistics import LEVEL, Comparison, Estimate, compare, holm

#: Quantity, cell, subject, batch.
Key = tuple[Quantity, str, str, int]


@dataclass(frozen=True, kw_only=True)
class Times:
    """The native times of a run: the medians of their rounds, seconds, and users' names."""

    medians: Mapping[Key, Sequence[float]]
    titles: Mapping[str, str]


def times_of(results: Results) -> Times:
    """Return what a run timed on native cells: inference, training, passes, first inference."""
    return Times(
        medians={key: estimate.round_medians for key, estimate in _estimates(results) if estimate},
        titles={model.artifact: model.name for model in results.models},
    )


def _estimates(results: Results) -> Iterator[tuple[Key, Estimate | None]]:
    for row in results.inference:
        if not row.emulated:
            yield ("inference", row.cell, row.subject, row.batch), row.p50_s
    for trained in results.training:
        if not trained.emulated:
            yield ("training step", trained.cell, trained.workload, 0), trained.step_s
    for passed in results.passes:
        if not passed.emulated:
            key = (passed.cell, passed.workload, passed.batch)
            yield ("forward", *key), passed.forward_s
            yield ("forward and backward", *key), passed.backward_s
    for served in results.serving:
        if not served.emulated:
            yield ("first inference", served.cell, served.subject, 0), served.start_s


@dataclass(frozen=True, kw_only=True)
class _Pair:
    key: Key
    base: Sequence[float]
    head: Sequence[float]
    comparison: Comparison
    count: int = 1


def compare_times(base: Times, head: Times, cells: set[str]) -> tuple[list[TimeChange], int]:
    """Return every comparison of times, and how many have too few rounds to tell anything.

    Beside each time, the mean of a cell's inferences is compared, round by round: what slows a
    whole cell down is certain earlier than what slows down one artifact. The p-values of all of
    them are adjusted together, by Holm's method.

    Args:
        base: times.
        head: times.
        cells: those that both measured on the same machine.
    """
    keys = sorted(key for key in base.medians.keys() & head.medians.keys() if key[1] in cells)
    single, pairs = 0, []
    for key in keys:
        pair = _pair(key, base.medians[key], head.medians[key])
        if pair is None:
            single += 1
        else:
            pairs.append(pair)
    pairs += list(_means(pairs))
    adjusted = holm([pair.comparison.p for pair in pairs])
    titles = {**base.titles, **head.titles}
    return [_change(pair, p, titles) for pair, p in zip(pairs, adjusted, strict=True)], single


def _pair(key: Key, base: Sequence[float], head: Sequence[float], count: int = 1) -> _Pair | None:
    positive = min((*base, *head), default=0.0) > 0
    comparison = compare(head, base) if positive else None
    if comparison is None:
        return None
    return _Pair(key=key, base=base, head=head, comparison=comparison, count=count)


def _means(pairs: Sequence[_Pair]) -> Iterator[_Pair]:
    """Yield, for each cell with several inferences, the comparison of their geometric means.

    Only those that have as many rounds as the cell's others are in it.
    """
    by_cell: dict[str, list[_Pair]] = {}
    for pair in pairs:
        if pair.key[0] == "inference":
            by_cell.setdefault(pair.key[1], []).append(pair)
    for cell, inferences in by_cell.items():
        counts = max((len(pair.base), len(pair.head)) for pair in inferences)
        whole = [pair for pair in inferences if (len(pair.base), len(pair.head)) == counts]
        if len(whole) > 1:
            base = _geometric([pair.base for pair in whole])
            head = _geometric([pair.head for pair in whole])
            mean = _pair(("all", cell, "", 0), base, head, len(whole))
            if mean:
                yield mean


def _geometric(rows: Sequence[Sequence[float]]) -> list[float]:
    """Return the geometric mean of each round over several times of as many rounds."""
    return [
        math.exp(sum(map(math.log, values)) / len(values)) for values in zip(*rows, strict=True)
    ]


def _change(pair: _Pair, p: float, titles: Mapping[str, str]) -> TimeChange:
    quantity, cell, subject, batch = pair.key
    comparison = pair.comparison
    is_certain = p < 1 - LEVEL
    return TimeChange(
        cell=cell,
        quantity=quantity,
        subject=titles.get(subject, subject),
        batch=batch,
        count=pair.count,
        base_s=None if quantity == "all" else _middle(pair.base),
        head_s=None if quantity == "all" else _middle(pair.head),
        rounds=(len(pair.base), len(pair.head)),
        ratio=comparison.ratio,
        low=comparison.low,
        high=comparison.high,
        p=p,
        word=("slower" if comparison.ratio > 1 else "faster") if is_certain else "cannot tell",
    )


def _middle(medians: Sequence[float]) -> float:
    """Return the geometric mean of the medians of rounds, whose ratio is what is compared."""
    return math.exp(sum(map(math.log, medians)) / len(medians))
