"""Lanes: how many there are, on which CPUs, and what runs in them."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepmatrix.cli.starting import check_limits
from deepmatrix.config.sections import Limits
from deepmatrix.errors import ArgumentError
from deepmatrix.execution.sessions.lanes import (
    Lane,
    checked_lanes,
    freed_lanes,
    spare_lanes,
    timed_lane,
    work_off,
)
from deepmatrix.planning.cells import Capabilities
from tests.unit.examples import MATRIX, planned

GIB = 1 << 30


def limits(**changes: object) -> Limits:
    return MATRIX.limits.model_copy(update=changes)


def engine(cpus: int, memory: int) -> Capabilities:
    return Capabilities(engine="docker", native=frozenset(), cpus=cpus, memory_bytes=memory)


@given(
    cpus=st.integers(1, 128),
    threads=st.integers(1, 8),
    memory=st.integers(0, 512),
    each=st.integers(1, 64),
)
def test_lanes_share_no_cpu_and_promise_no_more_memory_than_there_is(
    cpus: int, threads: int, memory: int, each: int
) -> None:
    asked, able = limits(threads=threads, memory=each * GIB), engine(cpus, memory * GIB)
    if threads > cpus:
        with pytest.raises(ArgumentError):
            timed_lane(asked, able)
        return
    lanes = checked_lanes(asked, able)
    used = [cpu for lane in lanes for cpu in lane.cpus]
    assert len(used) == len(set(used)) <= cpus
    assert {len(lane.cpus) for lane in lanes} == {threads}
    assert len(lanes) == 1 or sum(lane.memory_bytes for lane in lanes) <= memory * GIB
    assert all(min(2, each) * GIB <= lane.memory_bytes <= each * GIB for lane in lanes)
    assert max(timed_lane(asked, able).cpus) == cpus - 1


@pytest.mark.parametrize(
    ("memory", "expected"), [(1, [8]), (8, [2] * 3), (16, [2] * 7), (64, [7] * 8), (512, [8] * 8)]
)
def test_an_engine_with_little_memory_keeps_its_cpus_busy(memory: int, expected: list[int]) -> None:
    lanes = checked_lanes(limits(threads=1, memory=8 * GIB), engine(8, memory * GIB))
    assert [lane.memory_bytes // GIB for lane in lanes] == expected


def test_lanes_stay_on_the_cpus_that_are_named() -> None:
    lanes = checked_lanes(limits(cpus=(2, 3, 5)), engine(8, 512 * GIB))
    assert sorted(lane.cpus for lane in lanes) == [(2,), (3,), (5,)]


def test_a_cpu_that_is_named_twice_is_one() -> None:
    asked = limits(cpus=(1, 0, 1))
    assert timed_lane(asked, engine(2, 8 * GIB)).cpus == (1, 0)
    with pytest.raises(ArgumentError, match="at least 2 of the engine's CPUs, 0 to 1"):
        timed_lane(limits(cpus=(1, 1), threads=2), engine(2, 8 * GIB))


@pytest.mark.parametrize(("cpus", "threads"), [((7,), 0), ((0,), 2)])
def test_cpus_that_the_engine_lacks_are_refused_before_a_run_is_made(
    cpus: tuple[int, ...], threads: int
) -> None:
    matrix = MATRIX.model_copy(update={"limits": limits(cpus=cpus)})
    (cell,) = planned("torch-debian12-amd64-cpu").cells
    with pytest.raises(ArgumentError, match="of the engine's CPUs, 0 to 1, are needed"):
        check_limits(matrix, engine(2, 8 * GIB), [cell.with_threads(threads) if threads else cell])


def test_a_smaller_machine_measures_on_the_cpus_that_it_has() -> None:
    assert timed_lane(limits(), engine(1, 8 * GIB), 4).cpus == (0,)
    assert timed_lane(limits(), engine(8, 8 * GIB), 4).cpus == (4, 5, 6, 7)


@given(
    cpus=st.integers(1, 64),
    memory=st.integers(1, 512).map(lambda count: count * GIB),
    threads=st.integers(1, 4),
    most=st.integers(0, 8),
)
def test_what_is_timed_keeps_its_cpus_and_memory_beside_what_is_checked(
    cpus: int, memory: int, threads: int, most: int
) -> None:
    asked, able = limits(beside=True, threads=min(threads, cpus)), engine(cpus, memory)
    timed, spare = timed_lane(asked, able, most), spare_lanes(asked, able, most)
    freed = freed_lanes(asked, able, most)
    for together in ([timed, *spare], [*freed, *spare]):
        taken = [cpu for lane in together for cpu in lane.cpus]
        assert len(taken) == len(set(taken))
    assert sum(lane.memory_bytes for lane in [*freed, *spare]) <= memory
    assert not spare or freed
    assert not spare or timed.memory_bytes + sum(lane.memory_bytes for lane in spare) <= memory
    assert all(0 not in lane.cpus and len(lane.cpus) == asked.threads for lane in spare)


@pytest.mark.parametrize(
    ("changes", "cpus", "count"),
    [
        ({"beside": True}, 8, 6),
        ({"beside": True}, 3, 1),
        ({"beside": True}, 2, 0),
        ({"beside": True, "cpus": (4, 5)}, 8, 0),
        ({}, 8, 0),
    ],
)
def test_nothing_is_checked_beside_what_is_timed_unless_asked_and_cpus_are_left(
    changes: dict[str, object], cpus: int, count: int
) -> None:
    assert len(spare_lanes(limits(**changes), engine(cpus, 512 * GIB))) == count


def test_lanes_work_side_by_side_and_take_everything_once() -> None:
    done: list[tuple[int, Lane]] = []
    lanes = [Lane((number,), GIB) for number in range(3)]
    meet = threading.Barrier(3)

    def do(piece: int, lane: Lane) -> None:
        meet.wait(timeout=60)  # passes only where three work at once
        done.append((piece, lane))

    work_off(range(9), lanes, do, threading.Event())
    assert sorted(piece for piece, _ in done) == list(range(9))
    assert {lane for _, lane in done} == {*lanes}


def test_the_first_error_ends_all_lanes_and_is_raised() -> None:
    cancel = threading.Event()
    done: list[int] = []

    def do(piece: int, lane: Lane) -> None:
        del lane
        if piece == 0:
            raise ValueError("the disk is full")
        while not cancel.is_set():
            time.sleep(0.01)
        done.append(piece)

    with pytest.raises(ValueError, match="the disk is full"):
        work_off(range(20), [Lane((number,), GIB) for number in range(2)], do, cancel)
    assert len(done) <= 1
