"""Lanes: how many there are, on which CPUs, and what runs in them."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepmatrix.config.sections import Limits
from deepmatrix.errors import ArgumentError
from deepmatrix.execution.sessions.lanes import Cpus, checked_cpus, timed_cpus, work_off
from deepmatrix.planning.cells import Capabilities
from tests.unit.examples import MATRIX

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
            timed_cpus(asked, able)
        return
    lanes = checked_cpus(asked, able)
    used = [cpu for lane in lanes for cpu in lane]
    assert len(used) == len(set(used)) <= cpus
    assert {len(lane) for lane in lanes} == {threads}
    assert len(lanes) == 1 or len(lanes) * each <= memory
    assert max(timed_cpus(asked, able)) == cpus - 1


def test_lanes_stay_on_the_cpus_that_are_named() -> None:
    lanes = checked_cpus(limits(cpus=(2, 3, 5)), engine(8, 512 * GIB))
    assert sorted(lanes) == [(2,), (3,), (5,)]


def test_lanes_work_side_by_side_and_take_everything_once() -> None:
    done: list[tuple[int, Cpus]] = []
    meet = threading.Barrier(3)

    def do(piece: int, cpus: Cpus) -> None:
        meet.wait(timeout=60)  # passes only where three work at once
        done.append((piece, cpus))

    work_off(range(9), [(0,), (1,), (2,)], do, threading.Event())
    assert sorted(piece for piece, _ in done) == list(range(9))
    assert {cpus for _, cpus in done} == {(0,), (1,), (2,)}


def test_the_first_error_ends_all_lanes_and_is_raised() -> None:
    cancel = threading.Event()
    done: list[int] = []

    def do(piece: int, cpus: Cpus) -> None:
        del cpus
        if piece == 0:
            raise ValueError("the disk is full")
        while not cancel.is_set():
            time.sleep(0.01)
        done.append(piece)

    with pytest.raises(ValueError, match="the disk is full"):
        work_off(range(20), [(0,), (1,)], do, cancel)
    assert len(done) <= 1
