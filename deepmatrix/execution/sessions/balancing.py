"""Balancing: how many jobs share a process, so that all lanes end together."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Final

#: So many jobs share a process at most: the longer it lives, the more of what it served stays.
LONGEST: Final = 64

#: A process starts in the time of so many jobs that are only checked: 15 s for 2 s under emulation.
START_JOBS: Final = 8

#: What ends within so many times of the best is as good: each start takes memory and energy.
NEARLY: Final = 1.03


def longest_queue(groups: Sequence[tuple[bool, int]], lanes: int) -> int:
    """Return how many jobs may share a process, so that the lanes are done nearly first.

    A group is what one cell has to do: whether it comes after the groups that do not, and its jobs.
    Each process starts the cell anew. So of all lengths that end nearly as soon as the best, the
    greatest is taken: it needs the fewest starts.
    """
    if lanes == 1 or not groups:
        return LONGEST
    most = min(max(jobs for _, jobs in groups), LONGEST)
    ends = {longest: _end(groups, longest, lanes) for longest in range(1, most + 1)}
    soon = NEARLY * min(ends.values())
    return max(longest for longest, end in ends.items() if end <= soon)


def lengths(jobs: int, longest: int) -> list[int]:
    """Return the lengths of the queues of some jobs: full ones, and one for those that are left."""
    full, remainder = divmod(jobs, longest)
    return [longest] * full + [remainder] * bool(remainder)


def _end(groups: Sequence[tuple[bool, int]], longest: int, lanes: int) -> int:
    """Return when the lanes are done, in jobs: each takes the longest queue that is left."""
    queues = sorted(
        (is_later, -length) for is_later, jobs in groups for length in lengths(jobs, longest)
    )
    ends = [0] * lanes
    for _, shortness in queues:
        heapq.heapreplace(ends, ends[0] + START_JOBS - shortness)
    return max(ends)
