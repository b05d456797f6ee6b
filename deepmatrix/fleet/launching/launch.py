"""Launching a fleet: its scheduler here, and the workers of all machines that its file lists."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Protocol

from deepmatrix.errors import EngineError, system_error
from deepmatrix.fleet import certificates, serving
from deepmatrix.fleet.cluster import Cluster
from deepmatrix.fleet.launching import document
from deepmatrix.fleet.launching.document import Fleet
from deepmatrix.fleet.launching.ssh import SshWorker
from deepmatrix.fleet.reaching import SCHEME
from deepmatrix.machine import scratch

#: The begin of the name of every folder with the certificates of a fleet.
PREFIX: Final = ".deepmatrix-fleet-"

#: How soon it is noticed that a worker has come, or will not, in seconds.
LOOK_S: Final = 0.5


class Launcher(Protocol):
    """What starts workers, by their names, and ends them."""

    names: list[str]

    def start(self) -> None:
        """Start them. Raises EngineError."""

    def check(self, missing: set[str]) -> None:
        """Raise EngineError where some of the missing workers will not come."""

    def log(self) -> str:
        """Return what they printed last."""

    def end(self) -> None:
        """End them, and wait for that."""


@contextlib.contextmanager
def launched(path: Path, say: Callable[[str], None]) -> Iterator[tuple[str, Path]]:
    """Start the fleet of a file; yield its scheduler's address and its certificates; end it after.

    Raises:
        ArgumentError: the file is not there, or a package is missing.
        ConfigError: it is wrong.
        EngineError: a worker does not come.
    """
    fleet = document.load(path)
    with _folder(path, fleet) as folder, contextlib.ExitStack() as ending:
        tls = folder / "tls"
        certificates.make_certificates(tls)
        (tls / certificates.AUTHORITY_KEY).unlink()  # nobody joins this fleet later
        address = ending.enter_context(serving.scheduling(tls, port=fleet.port))
        if fleet.address:
            address = f"{SCHEME}{fleet.address}:{address.rpartition(':')[2]}"
        launchers = _launchers(fleet, address, folder)
        ending.callback(_end, launchers)
        for launcher in launchers:
            say(f"starting {', '.join(launcher.names)}")
            launcher.start()
        _await(launchers, address, tls, fleet.wait_s)
        yield address, tls


@contextlib.contextmanager
def _folder(path: Path, fleet: Fleet) -> Iterator[Path]:
    """Yield a folder for certificates and logs, where the jobs of Slurm find it; remove it after.

    Those of killed processes are removed before. Raises EngineError where it cannot be made.
    """
    parent = path.parent / (fleet.slurm.folder or "") if fleet.slurm else None
    scratch.sweep(PREFIX, parent)
    with contextlib.ExitStack() as removing:
        try:
            folder = removing.enter_context(scratch.private_folder(PREFIX, parent))
        except OSError as error:
            raise system_error(error, parent or "") from None
        yield folder.resolve()


def _launchers(fleet: Fleet, address: str, folder: Path) -> list[Launcher]:
    tls, logs = folder / "tls", folder / "logs"
    logs.mkdir()
    launchers: list[Launcher] = [
        SshWorker(host, address, tls, logs / f"host-{place}.log")
        for place, host in enumerate(fleet.hosts)
    ]
    if fleet.slurm:
        from deepmatrix.fleet.launching.slurm import SlurmWorkers  # noqa: PLC0415  # its own package

        launchers.append(SlurmWorkers(fleet.slurm, address, tls, logs))
    return launchers


def _await(launchers: Sequence[Launcher], address: str, tls: Path, wait_s: float) -> None:
    """Wait until all workers are connected. Raises EngineError."""
    end = time.monotonic() + wait_s
    expected = {name for launcher in launchers for name in launcher.names}
    with contextlib.closing(Cluster(address, tls)) as cluster:
        while missing := expected - cluster.workers().keys():
            for launcher in launchers:
                launcher.check(missing)
            if time.monotonic() > end:
                logs = "".join(
                    starter.log() for starter in launchers if missing & set(starter.names)
                )
                raise EngineError(
                    f"{', '.join(sorted(missing))} did not come within {wait_s:g} s{logs}",
                    hint=f"can {address} be reached from there? If not, name this machine in "
                    "`address`; where a queue is long, raise `wait_s`",
                )
            time.sleep(LOOK_S)


def _end(launchers: Sequence[Launcher]) -> None:
    with ThreadPoolExecutor(len(launchers)) as ending:
        list(ending.map(lambda launcher: launcher.end(), launchers))
