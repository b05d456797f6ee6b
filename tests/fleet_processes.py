"""A fleet on this machine: a real scheduler and real workers, in processes, with TLS.

They are forked from a process that has imported all they need: to start takes them no time.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

from deepmatrix.cli import main
from deepmatrix.engines import Engine
from deepmatrix.execution.runner import Runner
from deepmatrix.fleet import certificates, serving
from deepmatrix.fleet.cluster import RETURN_S
from deepmatrix.fleet.connecting import connected
from deepmatrix.store.runs import Run
from tests import fleet_controller, fleet_worker
from tests.unit.examples import MATRIX
from tests.unit.test_sessions import CONSUMER, Quiet

STARTS_S = 60.0

#: Dask leaves a socket open where it gives up connecting, before TLS or in it.
gives_up_connecting = pytest.mark.filterwarnings(
    "ignore:unclosed <(ssl.SSLSocket|socket.socket):ResourceWarning"
)

FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(["pytest", __name__])


def be_scheduler(arguments: list[str], ttl_s: float) -> None:
    """Be a scheduler that takes workers for gone after *ttl_s* of silence."""
    serving.SCHEDULING["distributed.scheduler.worker-ttl"] = f"{ttl_s:g}s"
    main.main(["fleet", "scheduler", *arguments])


def be_worker(arguments: list[str]) -> None:
    fleet_worker.main(*arguments)


def be_controller(arguments: list[str]) -> None:
    fleet_controller.main(*arguments)


def _write_to(log: Path, act: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    with log.open("wb") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    act(*arguments)


class Processes:
    """Processes, each with what it printed so far."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: dict[str, ForkServerProcess] = {}

    def start(self, name: str, act: Callable[..., None], *arguments: Any) -> None:
        """Have a process call a function."""
        log = self._folder / f"{name}.log"
        log.touch()
        process = FORKING.Process(target=_write_to, args=(log, act, arguments), daemon=True)
        process.start()
        self._started[name] = process

    def wait_for(self, name: str, word: str) -> str:
        """Return the first line with a word, once a process has printed it."""
        end = time.monotonic() + STARTS_S
        while True:
            text = (self._folder / f"{name}.log").read_text()
            if lines := [line for line in text.splitlines() if word in line]:
                return lines[0]
            assert self._started[name].is_alive(), text
            assert time.monotonic() < end, f"{name} never wrote {word}: {text}"
            time.sleep(0.05)

    def kill(self, name: str) -> None:
        self._started[name].kill()
        self.wait(name)

    def wait(self, name: str) -> int | None:
        """Return the exit code of a process, once it has ended."""
        self._started[name].join()
        return self._started[name].exitcode

    def send(self, name: str, number: int) -> None:
        pid = self._started[name].pid
        assert pid is not None
        os.kill(pid, number)

    def end(self) -> None:
        for process in self._started.values():
            process.terminate()
        for process in self._started.values():
            process.join(10)
            if process.is_alive():
                process.kill()
                process.join()
            process.close()


class Fleet:
    """A scheduler, and the workers that a test starts.

    *return_s*: how long they may be away. *ttl_s*: how long a worker may be silent. *aside*: the
    workers that could not be used when they were connected, and why. *waits*: done once where the
    scheduler has no worker. *settled_s*: for how long no further one may have come.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.tls = folder, folder / "tls"
        self.return_s, self.ttl_s = RETURN_S, 30.0
        certificates.make_certificates(self.tls)
        self.processes = Processes(folder)
        self.address = ""
        self.aside: dict[str, str] = {}
        self.waits: Callable[[str], None] = lambda _: None
        self.settled_s = 0.1  # most tests start all workers before

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def start_scheduler(self) -> None:
        """Start the scheduler, or start it again at the same address."""
        port = str(self.port if self.address else 0)
        arguments = [str(self.tls), "--host", "127.0.0.1", "--port", port]
        self.processes.start("scheduler", be_scheduler, arguments, self.ttl_s)
        self.address = self.processes.wait_for("scheduler", "scheduler at ").split()[-1]

    def restart_scheduler(self) -> None:
        """Kill the scheduler, and start it again."""
        self.processes.kill("scheduler")
        self.start_scheduler()

    def start_worker(self, name: str, *settings: str) -> None:
        """Start a worker, with settings of `tests.fleet_worker`."""
        if not self.address:
            self.start_scheduler()
        work = str(self.folder / "work")
        arguments = [self.address, str(self.tls), name, work, *settings]
        self.processes.start(name, be_worker, arguments)
        self.processes.wait_for(name, "connected to ")

    @contextlib.contextmanager
    def engines(self) -> Iterator[list[Engine]]:
        with connected(
            self.address,
            self.tls,
            MATRIX,
            put_aside=self.aside.__setitem__,
            waits=self.waits,
            settled_s=self.settled_s,
            return_s=self.return_s,
        ) as engines:
            yield list(engines)

    def serve(self, run: Run, watcher: Any = None) -> None:
        with self.engines() as engines:
            runner = Runner(
                run=run,
                engine=engines[0],
                watcher=watcher or Quiet(),
                cells={CONSUMER},
                others=engines[1:],
            )
            runner.execute(["consume"])

    def end(self) -> None:
        self.processes.end()


@contextlib.contextmanager
def ended(fleet: Fleet) -> Iterator[Fleet]:
    """Yield a fleet, whose processes end after."""
    try:
        yield fleet
    finally:
        fleet.end()
