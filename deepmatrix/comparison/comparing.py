"""Comparing the results of two runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deepmatrix.comparison import verdicts
from deepmatrix.comparison.changes import Comparison, Side
from deepmatrix.comparison.machines import same_machine
from deepmatrix.comparison.sizes import compare_sizes
from deepmatrix.comparison.times import compare_times, times_of, with_operators
from deepmatrix.results.rows import ModelRow, Results


def compare_results(
    base: Results, head: Results, names: tuple[str, str], growth: float = verdicts.GROWTH
) -> Comparison:
    """Return what changed from one run to another.

    Args:
        base: the earlier results.
        head: the later ones.
        names: what the user calls them.
        growth: so many times an error has to grow to be named.
    """
    judged = verdicts.compare_verdicts(
        verdicts.worst_outcomes(base), verdicts.worst_outcomes(head), growth
    )
    cells, untimed = same_machine(base, head)
    before, after = times_of(base), times_of(head)
    titles = {**before.titles, **after.titles}
    times, single = compare_times(before.medians, after.medians, cells, titles)
    return Comparison(
        base=side(base, names[0]),
        head=side(head, names[1]),
        failures=tuple(judged.failures),
        changes=tuple(judged.changes),
        drifts=tuple(judged.drifts),
        unchanged=judged.unchanged,
        added=judged.added,
        compared=judged.compared,
        times=tuple(with_operators(times, base, head)),
        single=single,
        untimed=untimed,
        sizes=tuple(compare_sizes(base, head)),
        other_inputs=tuple(_other_inputs(base, head)),
    )


def _other_inputs(base: Results, head: Results) -> Iterator[str]:
    """Yield the names of own models whose inputs differ in type, shape or range."""
    before = {model.artifact: model for model in base.models}
    for model in head.models:
        earlier = before.get(model.artifact)
        if earlier and earlier.inputs and model.inputs and _drawn(earlier) != _drawn(model):
            yield model.name


def _drawn(model: ModelRow) -> list[dict[str, Any]]:
    return [entry.model_dump(exclude={"values", "steers"}) for entry in model.inputs]


def side(results: Results, name: str) -> Side:
    """Return who is compared, by the name that the user gave."""
    return Side(name=name, run=results.run, created=results.created, version=results.version)
