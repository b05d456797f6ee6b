"""How many jobs of a cell share a process."""

from __future__ import annotations

import heapq
import itertools

from hypothesis import given
from hypothesis import strategies as st

from deepmatrix.execution.sessions.balancing import (
    LONGEST,
    NEARLY,
    START_JOBS,
    lengths,
    longest_queue,
)

GROUPS = st.lists(st.tuples(st.booleans(), st.integers(1, 200)), min_size=1, max_size=30)


def end_of(groups: list[tuple[bool, int]], longest: int, lanes: int) -> int:
    """Return when the last lane is done, in jobs, where each takes the next queue when it is free.

    Long queues come first, in each of both parts.
    """
    ends = [0] * lanes
    for later in (False, True):
        of_part = [lengths(jobs, longest) for is_later, jobs in groups if is_later is later]
        for length in sorted(itertools.chain.from_iterable(of_part), reverse=True):
            heapq.heapreplace(ends, ends[0] + START_JOBS + length)
    return max(ends)


@given(jobs=st.integers(0, 500), longest=st.integers(1, LONGEST))
def test_queues_hold_all_jobs_are_full_but_for_one_and_none_is_empty(
    jobs: int, longest: int
) -> None:
    queues = lengths(jobs, longest)
    assert sum(queues) == jobs
    assert all(length == longest for length in queues[:-1])
    assert all(0 < length <= longest for length in queues)


@given(groups=GROUPS, lanes=st.integers(2, 20))
def test_no_other_length_ends_much_sooner_and_none_as_soon_has_fewer_starts(
    groups: list[tuple[bool, int]], lanes: int
) -> None:
    chosen = longest_queue(groups, lanes)
    assert 1 <= chosen <= LONGEST
    end = end_of(groups, chosen, lanes)
    best = min(end_of(groups, longest, lanes) for longest in range(1, LONGEST + 1))
    assert end <= NEARLY * best
    for longer in range(chosen + 1, LONGEST + 1):
        has_fewer_starts = any(lengths(jobs, longer) != lengths(jobs, chosen) for _, jobs in groups)
        assert not has_fewer_starts or end_of(groups, longer, lanes) > NEARLY * best


def test_a_cell_that_holds_up_the_other_lanes_is_split_among_them() -> None:
    assert longest_queue([(False, 40)], lanes=4) == 10
    assert longest_queue([(False, 40), (True, 2)], lanes=2) == 25


def test_cells_that_fill_the_lanes_are_not_split() -> None:
    assert longest_queue([(False, 20)] * 4, lanes=4) == 20
    assert longest_queue([(False, 20)], lanes=1) == LONGEST
    assert longest_queue([], lanes=4) == LONGEST


def test_nothing_is_split_where_a_start_costs_more_than_it_saves() -> None:
    assert longest_queue([(False, START_JOBS), (False, START_JOBS - 1)], lanes=2) == START_JOBS
    assert longest_queue([(False, 1), (False, 2), (True, 2)], lanes=2) == 2
