"""Clocks: durations by the monotonic clock, points in time only where the two clocks agree."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

#: The clock of the day may differ by this from the monotonic one over a process, in seconds.
#: A time server moves it by less; a person, a leap or a machine that slept moves it by more.
TOLERATED_S = 0.05


@dataclass
class Stopwatch:
    """Measures a process: its duration from the making of this, and when its start was asked."""

    began: float = field(default_factory=time.monotonic)
    _started: tuple[float, float] | None = None

    def start(self) -> None:
        """Note that the process is requested now."""
        self._started = (time.time(), time.monotonic())

    @property
    def wall_s(self) -> float:
        """Seconds since this was made, by the monotonic clock."""
        return time.monotonic() - self.began

    @property
    def started_at(self) -> float | None:
        """When the start was requested; None before, and where the clock was moved since."""
        if self._started is None:
            return None
        day, monotonic = self._started
        moved = (time.time() - day) - (time.monotonic() - monotonic)
        return day if abs(moved) <= TOLERATED_S and day >= 0 else None
