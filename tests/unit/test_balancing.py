"""Into how many processes the jobs of cells are split."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from deepmatrix.execution.sessions.balancing import (
    LONGEST,
    SPLITS_PER_LANE,
    START_JOBS,
    balance,
    fewest,
    parts,
)

GROUPS = st.lists(st.tuples(st.booleans(), st.integers(1, 200)), max_size=30)


class Counted(list[tuple[bool, int]]):
    """Groups that count how often somebody goes through them."""

    passes = 0

    def __iter__(self) -> Iterator[tuple[bool, int]]:
        self.passes += 1
        return super().__iter__()


def end_of(groups: list[tuple[bool, int]], counts: list[int], lanes: int) -> int:
    """Return when the last lane is done, in jobs, where each takes the next queue when it is free.

    Long queues come first, in each of both parts.
    """
    ends = [0] * lanes
    for later in (False, True):
        lengths = [
            length
            for (is_later, jobs), count in zip(groups, counts, strict=True)
            if is_later is later
            for length in parts(jobs, count)
        ]
        for length in sorted(lengths, reverse=True):
            heapq.heapreplace(ends, ends[0] + START_JOBS + length)
    return max(ends)


@given(jobs=st.integers(1, 500), count=st.integers(1, 50))
def test_parts_hold_all_jobs_and_differ_by_a_single_job_at_most(jobs: int, count: int) -> None:
    lengths = parts(jobs, count)
    assert sum(lengths) == jobs
    assert len(lengths) == count
    assert max(lengths) - min(lengths) <= 1


@given(groups=GROUPS, lanes=st.integers(1, 20))
def test_splitting_never_makes_the_lanes_later_nor_a_process_empty(
    groups: list[tuple[bool, int]], lanes: int
) -> None:
    needed = [fewest(jobs) for _, jobs in groups]
    counts = balance(groups, lanes)
    assert end_of(groups, counts, lanes) <= end_of(groups, needed, lanes)
    assert sum(counts) <= sum(needed) + lanes * SPLITS_PER_LANE
    for (_, jobs), count, least in zip(groups, counts, needed, strict=True):
        assert least <= count <= jobs
        assert max(parts(jobs, count)) <= LONGEST


def test_a_cell_that_holds_up_the_other_lanes_is_split_among_them() -> None:
    assert balance([(False, 40)], lanes=4) == [4]
    assert balance([(False, 40), (True, 2)], lanes=2) == [2, 1]


def test_cells_that_fill_the_lanes_are_not_split() -> None:
    assert balance([(False, 20)] * 4, lanes=4) == [1, 1, 1, 1]
    assert balance([(False, 20)], lanes=1) == [1]


def test_nothing_is_split_where_a_start_costs_more_than_it_saves() -> None:
    # One of these in two halves would end two lanes half a job sooner.
    assert balance([(False, START_JOBS), (False, START_JOBS - 1)], lanes=2) == [1, 1]
    assert balance([(False, 1), (False, 2), (True, 2)], lanes=2) == [1, 1, 1]


def test_many_groups_that_fill_the_lanes_are_laid_out_only_once() -> None:
    few, many = Counted([(False, 2)] * 64), Counted([(False, 2)] * 10_000)
    assert balance(few, lanes=64) == [1] * 64
    assert balance(many, lanes=64) == [1] * 10_000
    assert many.passes == few.passes < SPLITS_PER_LANE * 2
