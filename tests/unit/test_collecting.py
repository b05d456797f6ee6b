"""Several processes collect from a run what one does, and end with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from deepmatrix.errors import EngineError, RecordError
from deepmatrix.results import assembling, merging
from deepmatrix.results.collecting import processes
from deepmatrix.results.collecting.collected import Collected
from deepmatrix.store.runs import Run
from tests.unit.test_results import PLAN, all_jobs, whole


def test_two_processes_collect_what_one_does(tmp_path: Path) -> None:
    run = whole(tmp_path)
    strange = run.record_path(all_jobs(PLAN)[0]).parent.with_name("strange") / "r0.json"
    strange.parent.mkdir()
    strange.write_text("no record")
    one = merging.merge([run], processes=1)
    two = merging.merge([Run.open(run.path)], processes=2)
    assert any("strange" in problem for problem in one.problems)
    assert two.model_dump_json() == one.model_dump_json()


def test_what_further_cells_give_comes_after_and_replaces_nothing() -> None:
    pool = ("torch", "pool")
    collected = Collected(notes={pool: "of the first cell"}, anew=[("why", "a")])
    further = {pool: "of the second cell", ("torch", "dense"): "new"}
    collected.absorb(Collected(notes=further, anew=[("why", "b")]))
    assert collected.notes == {**further, pool: "of the first cell"}
    assert collected.anew == [("why", "a"), ("why", "b")]


def test_jobs_of_a_reason_are_together_whichever_cells_lie_between() -> None:
    pairs = [("b", "1"), ("a", "2"), ("b", "3")]
    assert assembling._by_first(pairs) == {"a": ("2",), "b": ("1", "3")}


def test_what_is_wrong_in_another_process_is_one_error(tmp_path: Path) -> None:
    run = whole(tmp_path / "a")
    other = whole(tmp_path / "b", wall_s=9.0)
    with pytest.raises(RecordError, match="two different records of the job") as raised:
        merging.merge([run, other], processes=2)
    assert raised.value.hint
    assert not multiprocessing.active_children()


def test_a_killed_process_is_one_error(tmp_path: Path) -> None:
    killer = threading.Thread(target=kill_a_process)
    killer.start()
    with pytest.raises(EngineError, match="was killed"):
        merging.merge([whole(tmp_path)], processes=2)
    killer.join()
    assert not multiprocessing.active_children()


def kill_a_process() -> None:
    while not (children := multiprocessing.active_children()):
        time.sleep(0.01)
    children[0].kill()


def test_a_process_that_is_killed_while_it_answers_is_one_error() -> None:
    mine, its = multiprocessing.Pipe()
    os.write(its.fileno(), struct.pack("!i", 1000) + b"half")
    its.close()
    with pytest.raises(EngineError, match="was killed"):
        processes._receive(mine)


#: Shows a run, for which two processes collect; sends all of them a signal when they have started.
INTERRUPTED = """
import multiprocessing, os, sys, threading, time
from deepmatrix.cli.main import main
from deepmatrix.results import merging

def send():
    while not multiprocessing.active_children():
        time.sleep(0.01)
    time.sleep(float(sys.argv[3]))
    os.killpg(0, int(sys.argv[2]))

merging.processes_for = lambda plan: 2
threading.Thread(target=send, daemon=True).start()
sys.exit(main(["show", sys.argv[1]]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("after_s", [0, 0.1])  # they load the program for longer
def test_a_signal_to_all_processes_ends_them_with_one_line(
    name: str, after_s: float, tmp_path: Path
) -> None:
    number = str(int(getattr(signal, name)))
    ended = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(whole(tmp_path).path), number, str(after_s)],
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
        timeout=100,
    )
    assert (ended.stderr, ended.returncode) == ("error: interrupted\n", 130)


def test_only_large_plans_are_worth_several_processes() -> None:
    assert processes.processes_for(PLAN) == 1
    large = replace(PLAN, rounds_native=processes.LEAST_JOBS)
    assert processes.processes_for(large) == min(
        len(processes.usable_cpus()), processes.MOST_PROCESSES
    )
