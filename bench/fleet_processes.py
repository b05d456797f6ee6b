"""A fleet of this machine for the benchmarks: a scheduler and workers in processes, with TLS."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from common import ROOT

from deepmatrix.fleet import certificates


class Processes:
    """A scheduler and workers of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.tls = folder, folder / "tls"
        certificates.make_certificates(self.tls)
        self.started: dict[str, subprocess.Popen[bytes]] = {}
        self.address = self.start_scheduler(0)

    def start(self, name: str, *command: str) -> None:
        """Start a process of Python, whose output goes to a file."""
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'bench'}"}
        environment["PYTHONUNBUFFERED"] = "1"
        with (self.folder / f"{name}.log").open("wb") as log:
            self.started[name] = subprocess.Popen(
                [sys.executable, *command], stdout=log, stderr=log, env=environment
            )

    def await_line(self, name: str, word: str) -> str:
        """Return the last line with a word, once a process has printed one."""
        while True:
            text = (self.folder / f"{name}.log").read_text()
            if lines := [line for line in text.splitlines() if word in line]:
                return lines[-1]
            if self.started[name].poll() is not None:
                raise SystemExit(f"{name} ended: {text}")
            time.sleep(0.1)

    def start_scheduler(self, port: int) -> str:
        """Start the scheduler; return its address."""
        options = ("--host", "127.0.0.1", "--port", str(port))
        self.start("scheduler", "-m", "deepmatrix", "fleet", "scheduler", str(self.tls), *options)
        return self.await_line("scheduler", "scheduler at ").split()[-1]

    def restart_scheduler(self) -> None:
        """Kill the scheduler, and start it again at its address."""
        self.started["scheduler"].kill()
        self.started["scheduler"].wait()
        self.start_scheduler(int(self.address.rpartition(":")[2]))

    def send(self, name: str, number: int) -> None:
        """Send a signal to a process."""
        self.started[name].send_signal(number)

    def end(self) -> None:
        """End all processes."""
        for process in self.started.values():
            with contextlib.suppress(OSError):
                process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.started.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def processes(folder: Path) -> Iterator[Processes]:
    """Start a scheduler; end it and all workers in the end."""
    started = Processes(folder)
    try:
        yield started
    finally:
        started.end()
