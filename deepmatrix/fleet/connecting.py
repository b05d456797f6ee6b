"""Connecting: the engines of all workers of a fleet, for one matrix."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deepmatrix.config.matrix import Matrix
from deepmatrix.errors import ArgumentError, EngineError
from deepmatrix.fleet.cluster import RETURN_S, Cluster, Lost
from deepmatrix.fleet.engine import WorkerEngine
from deepmatrix.invocation import command_line
from deepmatrix.planning.cells import Capabilities, Cell

#: At most so many cells are named that no worker can run.
LISTED_CELLS = 8

#: Where no further worker has come for so many seconds, all are there that will come. One that has
#: lost its scheduler looks for it every two seconds.
SETTLED_S = 5.0


@contextlib.contextmanager
def connected(
    address: str,
    folder: Path,
    matrix: Matrix,
    *,
    put_aside: Callable[[str, str], None],
    waits: Callable[[str], None] = lambda _: None,
    return_s: float = RETURN_S,
    settled_s: float = SETTLED_S,
    label: str = "",
) -> Iterator[list[WorkerEngine]]:
    """Yield the engines of the workers at a scheduler, by their names; close all of it after.

    A scheduler that was started lately may not have all of them back: where no further one has come
    for *settled_s* seconds, they are all. Where it has none, or does not answer itself, *waits* is
    called with that, and they have *return_s* seconds to come. *put_aside* is called with the name
    of each worker that cannot be used, and why: it does not answer, its engine fails, or it has
    another version of this program. *return_s* is also for how long each may be away before it
    counts as gone. *label*: what the user calls the fleet; its address, if left out.

    Raises:
        ArgumentError: the address or the certificates are wrong.
        EngineError: the scheduler does not answer, has no worker, or none that can be used.
    """
    cluster = Cluster(address, folder, return_s=return_s, label=label, waits=waits)
    with contextlib.ExitStack() as closing:
        closing.callback(cluster.close)
        names = _gathered(cluster, waits, settled_s)
        engines: list[WorkerEngine] = []
        failures: dict[str, EngineError] = {}

        def ask(name: str) -> None:
            try:
                engines.append(WorkerEngine(cluster, name, matrix))
            except EngineError as error:
                failures[name] = error

        with ThreadPoolExecutor(len(names)) as asking:
            list(asking.map(ask, names))
        if not engines:
            raise _none_left(address, failures)
        for name, error in sorted(failures.items()):
            put_aside(name, error.message)
        engines.sort(key=lambda engine: engine.worker)
        for engine in engines:  # a run that ends before it opens them closes none
            closing.callback(engine.close)
        yield engines


def _gathered(cluster: Cluster, waits: Callable[[str], None], settled_s: float) -> list[str]:
    """Return the names of the workers. Raises Lost where none comes in time."""

    def known() -> list[str]:
        names = sorted(cluster.workers())
        if not names:
            command = command_line("worker", cluster.address, "--tls", "FOLDER")
            raise Lost(
                f"the scheduler at {cluster.address} has no worker",
                hint=f"start one with `{command}`",
            )
        return names

    if not cluster.workers():
        waits("the scheduler has no worker yet")
    names, count = cluster.patiently(known), 0
    while cluster.is_young() and count < len(names):  # the others come soon
        count = len(names)
        time.sleep(settled_s)
        names = cluster.patiently(known)
    return names


def _none_left(address: str, failures: Mapping[str, EngineError]) -> EngineError:
    """Return the error for a fleet of which no worker can be used: why of each."""
    reasons = [f"{name}: {error.message}" for name, error in sorted(failures.items())]
    hints = dict.fromkeys(error.hint for error in failures.values() if error.hint)
    return EngineError(
        "\n".join([f"no worker of the scheduler at {address} can be used", *reasons]),
        hint="; ".join(hints) or "look at what the workers print, and start them again",
    )


def check_match(cells: Sequence[Cell], able: Sequence[Capabilities]) -> None:
    """Raise ArgumentError for cells of an architecture or a device that no worker has."""
    offered = {
        (architecture, device)
        for capabilities in able
        for architecture in capabilities.native | capabilities.emulated
        for device in capabilities.devices
    }
    missing: dict[tuple[str, str], list[str]] = {}
    for cell in cells:
        if (cell.architecture, cell.device) not in offered:
            missing.setdefault((cell.architecture, cell.device), []).append(cell.id)
    if missing:
        raise ArgumentError(
            "\n".join(
                f"no worker of the fleet has {architecture} with {device}, for {_listed(ids)}"
                for (architecture, device), ids in sorted(missing.items())
            ),
            hint="start a worker that has it, or leave these cells out with --exclude",
        )


def _listed(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - LISTED_CELLS} more" if len(ids) > LISTED_CELLS else ""
    return f"{', '.join(ids[:LISTED_CELLS])}{more}"
