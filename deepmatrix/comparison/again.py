"""Measuring again: a slow-down counts where new rounds show it too."""

from __future__ import annotations

from collections.abc import Sequence

from deepmatrix.comparison.changes import Comparison, TimeChange
from deepmatrix.comparison.limits import Limit, too_slow


def suspects(comparison: Comparison, limits: Sequence[Limit]) -> list[TimeChange]:
    """Return the slow-downs that would break a limit, each once."""
    slow = [
        change
        for limit in limits
        if limit.name == "slower"
        for change in too_slow(comparison, limit)
    ]
    return list(dict.fromkeys(slow))


def confirmed(
    comparison: Comparison, again: Comparison, suspected: Sequence[TimeChange]
) -> Comparison:
    """Return a comparison in which suspects are what the second measurement says of them.

    A suspect that the second measurement does not have cannot be told.
    """
    repeated = {_key(change): change for change in again.times}
    times = []
    for change in comparison.times:
        if change not in suspected:
            times.append(change)
        elif _key(change) in repeated:
            times.append(repeated[_key(change)].model_copy(update={"again": True}))
        else:
            times.append(change.model_copy(update={"word": "cannot tell"}))
    return comparison.model_copy(update={"times": tuple(times)})


def _key(change: TimeChange) -> tuple[str, str, str, int]:
    return (change.cell, change.quantity, change.subject, change.batch)
