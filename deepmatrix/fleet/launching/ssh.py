"""Workers that are started over ssh: each lives as long as its standard input."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path

from deepmatrix.errors import EngineError
from deepmatrix.fleet.launching import bundle
from deepmatrix.fleet.launching.document import AWAY, SshHost
from deepmatrix.fleet.launching.logs import quoted
from deepmatrix.machine import processes


class SshWorker:
    """The worker of a machine that ssh reaches. See `deepmatrix.fleet.launching.Launcher`.

    It gets its certificates over its standard input, and ends with it: when the run is over, and
    also when this process is killed or the connection breaks. Where the network goes without a
    word, it ends once no scheduler has answered for a minute.
    """

    def __init__(self, host: SshHost, address: str, tls: Path, log: Path) -> None:
        self.names = [host.worker]
        self._host, self._address, self._tls, self._log = host, address, tls, log
        self._process: processes.Process | None = None

    def start(self) -> None:
        """Start the worker. Raises EngineError where there is no ssh."""
        host = self._host
        arguments = ["worker", self._address, "--tls", "-", "--name", host.worker]
        arguments += ["--engine", host.engine, "--scheduler-timeout", AWAY]
        there = f"{host.command} {shlex.join(arguments)}"
        options = ["-T", "-o", "BatchMode=yes", *host.options]
        with self._log.open("wb") as output:
            self._process = processes.start(
                ["ssh", *options, "--", host.ssh, there],
                output=output,
                feed=True,
                new_session=True,  # Ctrl-C is this process's to handle
                hint="install openssh-client",
            )
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # `check` says why it has ended
            self._process.stdin.write(bundle.pack(self._tls))
            self._process.stdin.flush()

    def check(self, missing: set[str]) -> None:
        """Raise EngineError where the worker is among the missing, and will not come."""
        if self._process is not None and missing & set(self.names):
            code = self._process.poll()
            if code is not None:
                raise EngineError(
                    f"the worker on {self._host.ssh} ended with exit code {code}{self.log()}",
                    hint=f"try: ssh {self._host.ssh} {self._host.command} --help",
                )

    def log(self) -> str:
        """Return what it printed last, indented below an error."""
        return quoted([self._log])

    def end(self) -> None:
        """End the worker, and wait until it has removed what it made there."""
        if self._process is not None:
            processes.end_with_input(self._process)
