"""Processes that measure take turns."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

from deepmatrix.machine import locks
from deepmatrix.paths import ROOT

#: Takes its turn again and again, with next to no time between, until it is killed.
GREEDY = """
import sys, threading, time
from pathlib import Path
from deepmatrix.machine import locks
locks.SAMPLING = Path(sys.argv[1])
while True:
    with locks.exclusive_cpus([0], threading.Event(), lambda: None):
        print("mine", flush=True)
        time.sleep(0.05)
"""


def test_who_waits_is_told_and_let_in_by_one_that_asks_again_at_once() -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", GREEDY, str(locks.SAMPLING)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    told: list[float] = []
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "mine\n"
        for _ in range(5):
            with locks.exclusive_cpus(
                [0], threading.Event(), lambda: told.append(time.monotonic())
            ):
                pass
    finally:
        other.kill()
        other.wait()
        assert other.stdout is not None
        other.stdout.close()
    assert told  # it had to wait, and came in all the same


def test_a_wait_ends_when_it_is_cancelled() -> None:
    cancel = threading.Event()
    with (
        locks.exclusive_cpus([0], threading.Event(), lambda: None),
        locks.exclusive_cpus([0, 1], cancel, cancel.set),
    ):
        pass


def test_those_on_other_cpus_do_not_wait() -> None:
    told = threading.Event()
    first = locks.exclusive_cpus([0], threading.Event(), lambda: None)
    with first, locks.exclusive_cpus([1], threading.Event(), told.set):
        pass
    assert not told.is_set()
