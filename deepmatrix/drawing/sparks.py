"""Sparks: numbers and signs in one character each, for a line of a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

Value = TypeVar("Value")

#: The heights of a block.
LEVELS = "▁▂▃▄▅▆▇█"


def sparkline(
    values: Sequence[float | None], width: int, reach: tuple[float, float] | None = None
) -> str:
    """Return positive numbers as blocks on a logarithmic scale, at most *width* of them.

    Where there are more numbers, each block is the largest of several. A number that is not there,
    or has no place on that scale, is a space. *reach*: the ends of the scale, by default the least
    and the greatest number.
    """
    largest = [
        max((value for value in part if value and 0 < value < math.inf), default=None)
        for part in parts(values, width)
    ]
    present = [value for value in largest if value]
    if not present:
        return " " * len(largest)
    low, high = map(math.log, reach or (min(present), max(present)))
    return "".join(
        LEVELS[_level((math.log(value) - low) / (high - low) if high > low else 0.0)]
        if value
        else " "
        for value in largest
    )


def _level(share: float) -> int:
    return min(int(share * len(LEVELS)), len(LEVELS) - 1)


def parts(values: Sequence[Value], count: int) -> list[Sequence[Value]]:
    """Return values in at most *count* groups of neighbours, all of one size but the last."""
    size = max(-(-len(values) // max(count, 1)), 1)
    return [values[first : first + size] for first in range(0, len(values), size)]
