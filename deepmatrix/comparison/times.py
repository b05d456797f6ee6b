"""Comparing times on one machine: what became slower or faster, beyond chance, and by what."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from deepmatrix.comparison.changes import LostTime, OperatorChange, Quantity, TimeChange
from deepmatrix.comparison.machines import Place
from deepmatrix.comparison.significance import Ratio, compare_rounds, holm
from deepmatrix.results.rows import Results
from deepmatrix.results.timing.rows import BOTH_PASSES
from deepmatrix.results.timing.statistics import LEVEL, Estimate

#: A time is compared from here on, in seconds: no clock shows a shorter one.
SHORTEST = 1e-9

#: An operator counts if it adds so many seconds: profilers count whole microseconds.
LEAST_ADDED = 1e-6

#: Quantity, cell, machine, subject, batch.
Key = tuple[Quantity, str, str, str, int]

#: The medians of the rounds of each time, seconds.
Medians = Mapping[Key, Sequence[float]]

#: The times of operators in each round, seconds, by their kind.
Operators = Mapping[str, Sequence[float]]


@dataclass(frozen=True, kw_only=True)
class Times:
    """The native times of a run, seconds, and what users call their models."""

    estimates: Mapping[Key, Estimate]
    titles: Mapping[str, str]

    @property
    def medians(self) -> Medians:
        """The medians of the rounds of each time, seconds."""
        return {key: estimate.round_medians for key, estimate in self.estimates.items()}


def times_of(results: Results) -> Times:
    """Return what a run timed on native cells; and where."""
    return Times(
        estimates={key: estimate for key, estimate in _estimates(results) if estimate},
        titles={model.artifact: model.name for model in results.models},
    )


def _estimates(results: Results) -> Iterator[tuple[Key, Estimate | None]]:
    for row in results.inference:
        if not row.emulated:
            yield ("inference", row.cell, row.machine, row.subject, row.batch), row.p50_s
    for trained in results.training:
        if not trained.emulated:
            key = (trained.cell, trained.machine, trained.workload, 0)
            yield ("training step", *key), trained.step_s
    for step in results.steps:
        if not step.emulated:
            key = (step.cell, step.machine, step.workload, step.batch)
            yield ("training step", *key), step.step_s
    for passed in results.passes:
        if not passed.emulated:
            key = (passed.cell, passed.machine, passed.workload, passed.batch)
            yield ("forward", *key), passed.forward_s
            yield (BOTH_PASSES, *key), passed.backward_s
    for served in results.serving:
        if not served.emulated:
            key = (served.cell, served.machine, served.subject, 0)
            yield ("first inference", *key), served.start_s
    for generated in results.generation:
        if not generated.emulated:
            key = (generated.cell, generated.machine, generated.artifact, 0)
            yield ("prefill", *key), generated.prefill_s
            yield ("decode", *key), generated.step_s


@dataclass(frozen=True, kw_only=True)
class _Pair:
    key: Key
    base: Sequence[float]
    head: Sequence[float]
    count: int = 1

    @property
    def place(self) -> Place:
        return self.key[1:3]


def compare_times(
    base: Medians, head: Medians, same: Collection[Place], titles: Mapping[str, str]
) -> tuple[list[TimeChange], int]:
    """Return every comparison of times, and how many have too few rounds to tell anything.

    Beside each time, the mean of a cell's inferences is compared, round by round: what slows a
    whole cell down is certain earlier than what slows down one artifact. The p-values of all of
    them are adjusted together, by Holm's method.

    Args:
        base: the earlier times.
        head: the later ones.
        same: the cells, with their machines, where both measured.
        titles: what users call their models, by artifact.
    """
    keys = sorted(key for key in base.keys() & head.keys() if key[1:3] in same)
    compared = [_Pair(key=key, base=base[key], head=head[key]) for key in keys]
    pairs = [pair for pair in compared if _can_tell(pair.base, pair.head)]
    means = list(_means(pairs))
    ratios = [
        *compare_rounds([(pair.base, pair.head) for pair in pairs]),
        *compare_rounds([(pair.base, pair.head) for pair in means]),
    ]
    adjusted = holm([ratio.p for ratio in ratios])
    changes = [
        _change(pair, ratio, p, titles)
        for pair, ratio, p in zip([*pairs, *means], ratios, adjusted, strict=True)
    ]
    return changes, len(compared) - len(pairs)


def lost_times(
    base: Medians, head: Medians, same: Collection[Place], titles: Mapping[str, str]
) -> Iterator[LostTime]:
    """Yield the times that only the earlier side has. Arguments as of `compare_times`."""
    for quantity, cell, machine, subject, batch in sorted(base.keys() - head.keys()):
        if (cell, machine) in same:
            yield LostTime(
                cell=cell,
                machine=machine,
                quantity=quantity,
                subject=titles.get(subject, subject),
                batch=batch,
            )


def _can_tell(base: Sequence[float], head: Sequence[float]) -> bool:
    """Return whether both sides have rounds that vary: two or more, of times that clocks show."""
    return min(len(base), len(head)) > 1 and min(*base, *head) >= SHORTEST


def _means(pairs: Sequence[_Pair]) -> Iterator[_Pair]:
    """Yield, for each cell and machine with several inferences, the geometric means of its rounds.

    Only those that have as many rounds as the cell's others are in it.
    """
    by_place: dict[Place, list[_Pair]] = {}
    for pair in pairs:
        if pair.key[0] == "inference":
            by_place.setdefault(pair.place, []).append(pair)
    for place, inferences in by_place.items():
        counts = max((len(pair.base), len(pair.head)) for pair in inferences)
        whole = [pair for pair in inferences if (len(pair.base), len(pair.head)) == counts]
        if len(whole) > 1:
            yield _Pair(
                key=("all", *place, "", 0),
                base=_geometric([pair.base for pair in whole]),
                head=_geometric([pair.head for pair in whole]),
                count=len(whole),
            )


def _geometric(rows: Sequence[Sequence[float]]) -> list[float]:
    """Return the geometric mean of each round over several times of as many rounds."""
    return [
        math.exp(sum(map(math.log, values)) / len(values)) for values in zip(*rows, strict=True)
    ]


def _change(pair: _Pair, ratio: Ratio, p: float, titles: Mapping[str, str]) -> TimeChange:
    quantity, cell, machine, subject, batch = pair.key
    is_certain = p < 1 - LEVEL
    return TimeChange(
        cell=cell,
        machine=machine,
        quantity=quantity,
        subject=titles.get(subject, subject),
        artifact=subject if subject in titles else "",
        batch=batch,
        count=pair.count,
        base_s=None if quantity == "all" else _middle(pair.base),
        head_s=None if quantity == "all" else _middle(pair.head),
        rounds=(len(pair.base), len(pair.head)),
        ratio=ratio.value,
        low=ratio.low,
        high=ratio.high,
        p=p,
        word=("slower" if ratio.value > 1 else "faster") if is_certain else "cannot tell",
    )


def _middle(medians: Sequence[float]) -> float:
    """Return the geometric mean of the medians of rounds, whose ratio is what is compared."""
    return math.exp(sum(map(math.log, medians)) / len(medians))


def with_operators(
    changes: Sequence[TimeChange], base: Results, head: Results
) -> Iterator[TimeChange]:
    """Yield the changes; the inferences of slower cells with the operators that became slower."""
    slower = {change.place for change in changes if change.word == "slower"}
    before, after = _operators(base), _operators(head)
    for change in changes:
        key = (change.cell, change.machine, change.subject, change.batch)
        if change.quantity == "inference" and change.place in slower and change.ratio > 1:
            slowed = slower_operators(before.get(key, {}), after.get(key, {}))
            yield change.model_copy(update={"operators": tuple(slowed)})
        else:
            yield change


def _operators(results: Results) -> dict[tuple[str, str, str, int], Operators]:
    """Return times of operators by cell, machine, what users call the subject, and batch size."""
    titles = {model.artifact: model.name for model in results.models}
    return {
        (row.cell, row.machine, titles.get(row.subject, row.subject), row.batch): row.operators
        for row in results.inference
    }


def slower_operators(base: Operators, head: Operators) -> list[OperatorChange]:
    """Return the operators that became slower beyond chance, or are new: what adds most first.

    The p-values of all of them are adjusted together, by Holm's method.
    """
    shared = sorted(kind for kind in base.keys() & head.keys() if _can_tell(base[kind], head[kind]))
    ratios = compare_rounds([(base[kind], head[kind]) for kind in shared])
    adjusted = holm([ratio.p for ratio in ratios])
    slower = [
        OperatorChange(kind=kind, base_s=_middle(base[kind]), head_s=_middle(head[kind]))
        for kind, ratio, p in zip(shared, ratios, adjusted, strict=True)
        if ratio.value > 1 and p < 1 - LEVEL
    ]
    new = [
        OperatorChange(kind=kind, base_s=None, head_s=_middle(times))
        for kind, times in head.items()
        if base and kind not in base and times and min(times) >= SHORTEST
    ]
    counted = [change for change in (*slower, *new) if change.added_s >= LEAST_ADDED]
    return sorted(counted, key=lambda change: (-change.added_s, change.kind))
