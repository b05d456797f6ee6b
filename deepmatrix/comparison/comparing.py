"""Comparing the results of two runs."""

from __future__ import annotations

from deepmatrix.comparison import verdicts
from deepmatrix.comparison.changes import Comparison, Side
from deepmatrix.comparison.machines import same_machine
from deepmatrix.comparison.sizes import compare_sizes
from deepmatrix.comparison.times import compare_times, times_of
from deepmatrix.results.rows import Results


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
    judged = verdicts.compare_verdicts(verdicts.outcomes(base), verdicts.outcomes(head), growth)
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
        times=tuple(times),
        single=single,
        untimed=untimed,
        sizes=tuple(compare_sizes(base, head)),
    )


def side(results: Results, name: str) -> Side:
    """Return who is compared, by the name that the user gave."""
    return Side(name=name, run=results.run, created=results.created, version=results.version)
