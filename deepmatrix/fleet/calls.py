"""Calls: the functions that Dask runs on a worker, for its host.

A session is a task of Dask's, which takes resources. Everything else is called beside the tasks, so
that it waits for none, in a thread, so that it holds nothing up.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from typing import Any, Final

from distributed import Worker, get_worker
from distributed.core import Status
from distributed.diagnostics.plugin import WorkerPlugin
from distributed.worker import thread_state  # type: ignore[attr-defined]

from deepmatrix.fleet.host import Host
from deepmatrix.fleet.parcels import Order

#: The name of the plugin by which a worker has its host.
PLUGIN: Final = "deepmatrix"

#: The topic of Dask's events by which a worker says which attempt waits for its turn.
WAITING: Final = "deepmatrix-waiting"

#: How soon a process is ended that nobody waits for any more, in seconds.
LOOK_S: Final = 0.5


class HostPlugin(WorkerPlugin):
    """Gives a worker its host."""

    name = PLUGIN

    def __init__(self, host: Host) -> None:
        self.host = host


def host_of(worker: Worker) -> Host:
    """Return the host of a worker."""
    plugin = worker.plugins[PLUGIN]
    assert isinstance(plugin, HostPlugin)
    return plugin.host


async def call(method: str, *arguments: Any, dask_worker: Worker) -> Any:
    """Call a method of the worker's host."""
    return await asyncio.to_thread(getattr(host_of(dask_worker), method), *arguments)


def serve(order: Order) -> tuple[str, bytes]:
    """Run a process, as a task of Dask's; return the answer as JSON, and small results with it.

    The process ends when the task is cancelled, when its controller or the scheduler is gone, and
    when the worker closes: Dask itself cannot end a task that runs.
    """
    worker, key, cancel, over = get_worker(), thread_state.key, threading.Event(), threading.Event()

    def look() -> None:
        while not over.wait(LOOK_S):
            task = worker.state.tasks.get(key)
            if task is None or task.state != "executing" or worker.status != Status.running:
                cancel.set()
                return

    watching = threading.Thread(target=look, daemon=True)
    watching.start()
    try:
        waiting = functools.partial(worker.log_event, WAITING, order.attempt)
        answer, results = host_of(worker).serve(order, cancel, waiting)
        return answer.model_dump_json(), results
    finally:
        over.set()
