"""Connecting to a fleet whose workers are not there yet."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepmatrix.errors import EngineError
from tests.fleet_processes import Fleet, gives_up_connecting
from tests.unit.test_sessions import real_processes

pytestmark = [real_processes, gives_up_connecting]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path)
    try:
        fleet.start_scheduler()
        yield fleet
    finally:
        fleet.end()
        gc.collect()


def test_a_scheduler_that_has_no_worker_yet_is_given_time_for_all_that_come(fleet: Fleet) -> None:
    def start_workers(reason: str) -> None:
        assert reason == "the scheduler has no worker yet"
        fleet.start_worker("first")
        fleet.start_worker("second")

    fleet.waits = start_workers
    fleet.settled_s = 3.0  # the scheduler may be asked between the two
    with fleet.engines() as engines:
        assert [engine.worker for engine in engines] == ["first", "second"]


def test_a_run_does_not_begin_with_the_first_worker_that_is_back(fleet: Fleet) -> None:
    fleet.start_worker("first")
    fleet.settled_s = 6.0
    later = threading.Timer(2.0, fleet.start_worker, ["second"])
    later.start()
    with fleet.engines() as engines:
        assert [engine.worker for engine in engines] == ["first", "second"]
    later.join()


def test_where_the_only_worker_goes_while_further_ones_may_come_one_is_waited_for(
    fleet: Fleet,
) -> None:
    fleet.start_worker("first")
    fleet.settled_s = 3.0
    threading.Timer(1.0, fleet.processes.kill, ["first"]).start()
    later = threading.Timer(5.0, fleet.start_worker, ["second"])
    later.start()
    with fleet.engines() as engines:
        assert [engine.worker for engine in engines] == ["second"]
    later.join()


def test_nothing_waits_where_there_is_a_worker(fleet: Fleet) -> None:
    fleet.start_worker("first")
    fleet.waits = lambda _: pytest.fail("it waited")
    with fleet.engines() as engines:
        assert len(engines) == 1


def test_a_scheduler_that_nobody_works_for_is_an_error_that_says_what_to_do(fleet: Fleet) -> None:
    fleet.return_s = 3.0
    with pytest.raises(EngineError, match="has no worker") as raised, fleet.engines():
        pass
    assert fleet.address in raised.value.hint
