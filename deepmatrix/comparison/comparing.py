"""Comparing the results of two runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from deepmatrix.comparison import verdicts
from deepmatrix.comparison.changes import Comparison, OtherVersion, Side
from deepmatrix.comparison.limits import Limit, growth_of, shares_of
from deepmatrix.comparison.machines import align
from deepmatrix.comparison.sizes import compare_sizes
from deepmatrix.comparison.times import compare_times, lost_times, times_of, with_operators
from deepmatrix.results.rows import ModelRow, Results


def compare_results(
    base: Results, head: Results, names: tuple[str, str], wanted: Sequence[Limit] = ()
) -> Comparison:
    """Return what changed from one run to another.

    Args:
        base: the earlier results.
        head: the later ones.
        names: what the user calls them.
        wanted: limits, for which smaller differences may have to be named.
    """
    aligned = align(base, head)
    judged = verdicts.compare_machines(aligned.base, aligned.head, growth_of(wanted))
    before, after = times_of(aligned.base), times_of(aligned.head)
    titles = {**before.titles, **after.titles}
    times, single = compare_times(before.medians, after.medians, aligned.same, titles)
    return Comparison(
        base=side(base, names[0]),
        head=side(head, names[1]),
        failures=tuple(judged.failures),
        changes=tuple(judged.changes),
        drifts=tuple(judged.drifts),
        accepted=tuple(judged.accepted),
        unchanged=judged.unchanged,
        added=judged.added,
        gone=judged.gone,
        compared=judged.compared,
        times=tuple(with_operators(times, aligned.base, aligned.head)),
        single=single,
        lost_times=tuple(lost_times(before.medians, after.medians, aligned.same, titles)),
        untimed=aligned.untimed,
        sizes=tuple(compare_sizes(base, head, shares_of(wanted))),
        other_versions=tuple(_other_versions(base, head)),
        other_inputs=tuple(
            after.name for before, after in _shared(base, head) if _has_other_inputs(before, after)
        ),
        other_files=tuple(
            after.name for before, after in _shared(base, head) if _has_other_files(before, after)
        ),
    )


def _other_versions(base: Results, head: Results) -> Iterator[OtherVersion]:
    """Yield the cells that ran on both sides in different versions, those alike together."""
    before = {cell.cell: cell.version for cell in base.cells if cell.jobs}
    alike: dict[tuple[str, str], list[str]] = {}
    for cell in head.cells:
        old = before.get(cell.cell, "")
        if cell.jobs and old and cell.version and old != cell.version:
            alike.setdefault((old, cell.version), []).append(cell.cell)
    for (old, new), cells in alike.items():
        yield OtherVersion(cells=tuple(cells), base=old, head=new)


def _shared(base: Results, head: Results) -> Iterator[tuple[ModelRow, ModelRow]]:
    """Yield each own model of both sides as either has it."""
    before = {model.artifact: model for model in base.models}
    for model in head.models:
        if model.artifact in before:
            yield before[model.artifact], model


def _has_other_inputs(before: ModelRow, after: ModelRow) -> bool:
    """Return whether known inputs differ in type, shape or range."""
    return bool(before.inputs and after.inputs) and _drawn(before) != _drawn(after)


def _has_other_files(before: ModelRow, after: ModelRow) -> bool:
    """Return whether known files differ, whatever they are called."""
    digests = [sorted(model.sha256.values()) for model in (before, after)]
    return all(digests) and digests[0] != digests[1]


def _drawn(model: ModelRow) -> list[dict[str, Any]]:
    return [entry.model_dump(exclude={"values", "steers"}) for entry in model.inputs]


def side(results: Results, name: str) -> Side:
    """Return who is compared, by the name that the user gave."""
    return Side(name=name, run=results.run, created=results.created, version=results.version)
