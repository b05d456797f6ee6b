"""Processes that measure take turns."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

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


def test_a_waiting_process_gets_the_lock_from_one_that_locks_again_at_once() -> None:
    greedy = subprocess.Popen(
        [sys.executable, "-c", GREEDY, str(locks.SAMPLING)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    waits: list[float] = []
    try:
        assert greedy.stdout is not None
        assert greedy.stdout.readline() == "mine\n"
        for _ in range(5):
            with locks.exclusive_cpus(
                [0], threading.Event(), lambda: waits.append(time.monotonic())
            ):
                pass
    finally:
        greedy.kill()
        greedy.wait()
        assert greedy.stdout is not None
        greedy.stdout.close()
    assert waits  # it had to wait, and came in all the same


def test_a_wait_ends_when_it_is_cancelled() -> None:
    cancel = threading.Event()
    with (
        locks.exclusive_cpus([0], threading.Event(), lambda: None),
        locks.exclusive_cpus([0, 1], cancel, cancel.set),
    ):
        pass


def test_processes_on_other_cpus_do_not_wait() -> None:
    waited = threading.Event()
    first = locks.exclusive_cpus([0], threading.Event(), lambda: None)
    with first, locks.exclusive_cpus([1], threading.Event(), waited.set):
        pass
    assert not waited.is_set()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells boots apart")
def test_machines_that_share_a_home_folder_do_not_wait_for_each_other(tmp_path: Path) -> None:
    take = (
        "import threading; from deepmatrix.machine import locks\n"
        "with locks.exclusive_cpus([3], threading.Event(), lambda: None): pass\n"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "XDG_RUNTIME_DIR": ""}
    subprocess.run([sys.executable, "-c", take], cwd=ROOT, env=environment, check=True)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert {path.name for path in (tmp_path / "deepmatrix").iterdir()} == {
        f"sampling-{boot}-3.lock"
    }
