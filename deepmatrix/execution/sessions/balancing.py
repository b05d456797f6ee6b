"""Balancing: into how many processes each cell's jobs are split, so that all lanes end together."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from typing import Final

#: So many jobs share a process at most: the longer it lives, the more of what it served stays.
LONGEST: Final = 64

#: A process starts in the time of so many jobs that are only checked: 15 s for 2 s under emulation.
START_JOBS: Final = 8

#: How many more processes than they need lanes are offered, each.
SPLITS_PER_LANE: Final = 3

#: What ends within so many times of the best is as good: each start takes memory and energy.
NEARLY: Final = 1.03


def parts(jobs: int, count: int) -> list[int]:
    """Return the lengths of *count* queues of nearly the same length for a number of *jobs*."""
    return [jobs // count + (place < jobs % count) for place in range(count)]


def fewest(jobs: int) -> int:
    """Return the number of processes that some jobs need at least."""
    return math.ceil(jobs / LONGEST)


def balance(groups: Sequence[tuple[bool, int]], lanes: int) -> list[int]:
    """Return for each group the number of processes with which the lanes are done nearly first.

    A group is what one cell has to do: whether it comes after the groups that do not, and its jobs.
    Each process starts the cell anew. So a group is split only where it holds up the lanes: what
    ends last is split once more, again and again. Of all these splits, the one with the fewest
    processes is taken that ends nearly as soon as the best. None ends sooner than lanes that have
    all the same to do, with the fewest starts: what ends nearly as soon as these is taken at once.
    """
    counts = [fewest(jobs) for _, jobs in groups]
    soonest = sum(START_JOBS * fewest(jobs) + jobs for _, jobs in groups) / lanes
    tried: list[tuple[int, list[int]]] = []
    for _ in range(lanes * SPLITS_PER_LANE if lanes > 1 else 0):
        end, longest = _last(groups, counts, lanes)
        if end <= NEARLY * soonest:
            return counts
        tried.append((end, list(counts)))
        if longest is None:
            break
        counts[longest] += 1
    soon = NEARLY * min((end for end, _ in tried), default=0)
    return next((split for end, split in tried if end <= soon), counts)


def _last(
    groups: Sequence[tuple[bool, int]], counts: Sequence[int], lanes: int
) -> tuple[int, int | None]:
    """Return when the lanes are done, in jobs, and the group to split: it ends last.

    Where what ends last is a single job, it is the longest of that lane before it; None where none
    can be split.
    """
    queues = sorted(
        (is_later, -length, group)
        for group, ((is_later, jobs), count) in enumerate(zip(groups, counts, strict=True))
        for length in parts(jobs, count)
    )
    ends = [(0, lane) for lane in range(lanes)]
    served: list[list[tuple[int, int]]] = [[] for _ in range(lanes)]
    for _, shortness, group in queues:
        end, lane = ends[0]
        heapq.heapreplace(ends, (end + START_JOBS - shortness, lane))
        served[lane].append((-shortness, group))
    end, lane = max(ends)
    ordered = [*reversed(served[lane][-1:]), *sorted(served[lane], reverse=True)]
    return end, next((group for length, group in ordered if length > 1), None)
