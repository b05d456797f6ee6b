"""Serving: the processes of a fleet that stay: a scheduler and its workers."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Final

import dask
from distributed import Scheduler, Worker
from distributed.security import Security

from deepmatrix.errors import EngineError
from deepmatrix.fleet import certificates
from deepmatrix.fleet.calls import HostPlugin
from deepmatrix.fleet.host import Host
from deepmatrix.fleet.offers import resources
from deepmatrix.fleet.reaching import CONNECT_S, no_answer, split_address, try_connecting
from deepmatrix.machine.signals import heeded_signals
from deepmatrix.planning.cells import Capabilities

#: How soon a worker looks again for a scheduler that is away, in seconds.
AGAIN_S: Final = 2.0

#: How long a worker takes to start, its connection included, at most.
START_S = 10.0

#: For how long another worker may have the name of this one, in seconds: the scheduler takes one
#: that was cut off for alive until it has been silent for as long as it may be.
TAKEN_S = 45.0

#: A machine that measures is to be left alone: no profile, no sampling, few ticks. Nobody is told
#: anything without TLS, so that there is no dashboard either.
QUIET: Final = {
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.tick.limit": "30s",
    "distributed.diagnostics.nvml": False,
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.worker.profile.enabled": False,
}

#: A session is sent to one worker and to no other; where that worker goes away, it is lost at once,
#: and the controller decides what to do. A worker that hangs is taken for one that went away.
SCHEDULING: Final = {
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.no-workers-timeout": "60s",
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.worker-ttl": "30s",
}

#: A worker looks for its scheduler again and again, and does not sleep for long.
SEEKING: Final = {"distributed.comm.timeouts.connect": f"{CONNECT_S:g}s"}

Say = Callable[[str], None]


def schedule(folder: Path, *, host: str, port: int, say: Say) -> None:
    """Be the scheduler of a fleet until a signal comes; *folder* has its certificates.

    Raises:
        ArgumentError: there are none.
        EngineError: it cannot listen there.
    """
    security = certificates.security(folder, "scheduler")

    async def run(over: asyncio.Event) -> None:
        scheduler = await _listening(security, host, port)
        async with scheduler:
            say(f"scheduler at {scheduler.address}")
            await over.wait()

    _run(run, {**QUIET, **SCHEDULING})


async def _listening(security: Security, host: str, port: int) -> Scheduler:
    """Return a scheduler that listens. Raises EngineError."""
    try:
        scheduler: Scheduler = await Scheduler(
            host=host,
            port=port,
            protocol="tls://",
            security=security,
            dashboard=False,
            dashboard_address="127.0.0.1:0",
        )
    except (OSError, RuntimeError, ValueError) as error:
        # Dask says that it failed, and the cause is the error.
        cause = error.__cause__ if isinstance(error, RuntimeError) else error
        if not isinstance(cause, OSError | ValueError):
            raise
        raise _cannot_listen(host, port, cause) from None
    return scheduler


def _cannot_listen(host: str, port: int, cause: OSError | ValueError) -> EngineError:
    """Return what is wrong where a scheduler cannot listen. A ValueError is about its host."""
    is_unknown = isinstance(cause, ValueError | socket.gaierror)
    if is_unknown or getattr(cause, "errno", 0) == errno.EADDRNOTAVAIL:
        hint = "name an address of this machine with --host; left out, it listens at all of them"
    else:
        hint = "name another port"
    reason = getattr(cause, "strerror", None) or cause
    return EngineError(f"cannot listen at {host}:{port}: {reason}", hint=hint)


@contextlib.contextmanager
def scheduling(folder: Path, *, port: int) -> Iterator[str]:
    """Run the scheduler of a fleet in a thread; yield its address, end it after.

    Raises EngineError where it cannot listen.
    """
    security = certificates.security(folder, "scheduler")
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what is wrong is told here
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def wait_for(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    with dask.config.set({**QUIET, **SCHEDULING}):
        try:
            scheduler = wait_for(_listening(security, "0.0.0.0", port))
            try:
                yield scheduler.address
            finally:
                wait_for(scheduler.close())
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


def work(address: str, folder: Path, host: Host, say: Say, *, away_s: float | None = None) -> None:
    """Be a worker of the scheduler at *address* until a signal comes.

    Where the scheduler goes away, what runs is ended, and the worker looks for it until it is back,
    or for *away_s* seconds. One that is started again waits until the scheduler has noticed that it
    was away.

    Raises:
        ArgumentError: the address is wrong, or there are no certificates.
        EngineError: the engine does not answer, another worker has the name, or the scheduler was
            away for too long.
    """
    split_address(address)
    security = certificates.security(folder, "worker")
    host.sweep()
    offered = host.offer().capabilities
    described = ", ".join(f"{count:g} {name}" for name, count in resources(offered).items())
    say(f"worker {host.name} offers {described}")

    async def run(over: asyncio.Event) -> None:
        began, reason = time.monotonic(), ""
        while not over.is_set():
            try:
                worker = await _connect(address, security, host, offered)
            except (OSError, RuntimeError, ValueError) as error:
                is_taken = isinstance(error.__cause__, ValueError)  # the only refusal there is
                if is_taken and time.monotonic() - began > TAKEN_S:
                    raise _taken(host) from None
                why = _taken(host) if is_taken else await _why_unconnected(address, folder)
                if reason != (reason := f"{why.message}: waiting; {why.hint}"):
                    say(reason)
            else:
                reason = ""
                say(f"connected to {address}")
                await _until(over, worker)
                say("disconnected")
                began = time.monotonic()
            if away_s is not None and time.monotonic() - began > away_s and not over.is_set():
                raise EngineError(
                    f"no scheduler has answered at {address} for {away_s:g} s",
                    hint="start it, then this worker again",
                )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), AGAIN_S)

    _run(run, {**QUIET, **SEEKING})


def _taken(host: Host) -> EngineError:
    return EngineError(
        f"the fleet has a worker {host.name}",
        hint="if that is another machine, give this one another --name",
    )


async def _why_unconnected(address: str, folder: Path) -> EngineError:
    """Return why no scheduler takes this worker."""
    try:
        await asyncio.to_thread(try_connecting, address, folder, "worker")
    except EngineError as error:
        return error
    return no_answer(address)


async def _connect(address: str, security: Security, host: Host, offered: Capabilities) -> Worker:
    """Return a worker that is connected. Raises OSError, and what Dask raises where it is not."""
    worker: Worker = await Worker(
        address,
        name=host.name,
        nthreads=offered.cpus,
        resources=resources(offered),
        security=security,
        protocol="tls://",
        plugins=(HostPlugin(host),),
        memory_limit=0,
        dashboard_address="127.0.0.1:0",
        local_directory=str(host.folder),
        death_timeout=START_S,
    )
    return worker


async def _until(over: asyncio.Event, worker: Worker) -> None:
    """Wait until a worker has lost its scheduler, or is to end; close it."""
    waits = [asyncio.ensure_future(over.wait()), asyncio.ensure_future(worker.finished())]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    await worker.close()


def _run(serve: Callable[[asyncio.Event], Any], settings: dict[str, Any]) -> None:
    """Run what serves until a signal comes."""
    logging.getLogger("distributed").setLevel(logging.ERROR)
    logging.getLogger("distributed.worker").setLevel(logging.CRITICAL)  # its refusal is told

    async def run() -> None:
        over = asyncio.Event()
        with _ended_by_signal(over):
            await serve(over)

    with dask.config.set(settings):
        asyncio.run(run())


@contextlib.contextmanager
def _ended_by_signal(over: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    numbers = heeded_signals()
    for number in numbers:
        loop.add_signal_handler(number, over.set)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
