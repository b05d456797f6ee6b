"""What a rating rests on: shares of what was counted, and ratios to the best of a period."""

from __future__ import annotations

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
