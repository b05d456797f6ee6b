"""What a rating rests on: shares of what was counted, and ratios to the best of a period."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Share:
    """*part* of a *whole*, which is not 0."""

    part: int
    whole: int


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A figure over the best of its period, 1 and more, with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One input of a rating of a framework. *record*: a file below the folder of all runs."""

    area: str
    what: str
    framework: str
    figure: Share | Ratio
    text: str
    record: str


#: A rating compares: a row of fewer systems has none.
LEAST_SYSTEMS = 2


def largest_table(
    frameworks: Sequence[str], fields: Iterable[tuple[str, str]]
) -> tuple[Set[str], Set[str]]:
    """Return the rows and the frameworks of the largest table without a gap.

    Of tables of one size it is that of more frameworks, then that of the frameworks that come
    first.

    Args:
        frameworks: all of them, in their order.
        fields: those that are filled, each by its row and its framework.
    """
    having: dict[str, set[str]] = {}
    for row, framework in fields:
        having.setdefault(row, set()).add(framework)
    tables = [
        (frozenset(row for row, names in having.items() if names >= set(chosen)), chosen)
        for count in range(len(frameworks), LEAST_SYSTEMS - 1, -1)
        for chosen in itertools.combinations(frameworks, count)
    ]
    rows, chosen = max(
        (table for table in tables if table[0]),
        key=lambda table: (len(table[0]) * len(table[1]), len(table[1])),
        default=(frozenset(), ()),
    )
    return rows, frozenset(chosen)
