"""Spending: what took the time of a run."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Hashable

from deepmatrix.drawing import numbers

#: What the time is spent on that nothing else takes: copying inputs, judging, waiting.
REST = "the rest"

#: What took less is not worth a word.
LEAST_S = 0.5


class Spending:
    """Counts wall time by what it went to. What runs side by side shares it, so that it adds up."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counted_until = clock()
        self._active: dict[Hashable, str] = {}
        self._seconds: dict[str, float] = defaultdict(float)

    def begin(self, who: Hashable, work: str) -> None:
        """Count from now on that *who*, such as a lane, does some work: one at a time."""
        self._count()
        self._active[who] = work

    def end(self, who: Hashable) -> None:
        """Count that it has ended, if it ever began."""
        self._count()
        self._active.pop(who, None)

    def line(self) -> str:
        """Return all seconds and what took them, most first; "" where nothing took long."""
        self._count()
        spent = sorted(self._seconds.items(), key=lambda item: -item[1])
        parts = [f"{purpose} {numbers.span(taken)}" for purpose, taken in spent if taken >= LEAST_S]
        if all(part.startswith(REST) for part in parts):
            return ""
        return f"{numbers.span(sum(self._seconds.values()))}: {', '.join(parts)}"

    def _count(self) -> None:
        now = self._clock()
        active = list(self._active.values()) or [REST]
        for purpose in active:
            self._seconds[purpose] += (now - self._counted_until) / len(active)
        self._counted_until = now
