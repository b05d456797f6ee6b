"""The cluster: the connection to a scheduler, and its workers by name."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from distributed import Client, Future
from distributed.comm.core import FatalCommClosedError
from distributed.security import Security

from deepmatrix.errors import DeepmatrixError, EngineError
from deepmatrix.fleet import calls, certificates
from deepmatrix.fleet.parcels import Order
from deepmatrix.fleet.reaching import CONNECT_S, no_answer, split_address, wait_for_scheduler

#: For how long a scheduler, and then a worker, may be away before it counts as gone, in seconds.
RETURN_S: Final = 30.0

#: How soon it is noticed that a worker has gone, in seconds.
LOOK_S: Final = 1.0

T = TypeVar("T")


class WorkerFailed(EngineError):
    """A worker could not do what it was asked to."""


class Lost(WorkerFailed):
    """The scheduler, or a worker, went away."""


class Cluster:
    """A connection to the scheduler at *address*; *folder* has the certificates of a client.

    *label*: what the user calls the fleet; its address, if left out. *waits* is called with what is
    wrong where no scheduler answers yet: it has *return_s* seconds.

    Raises:
        ArgumentError: the address or the folder is wrong.
        EngineError: no scheduler answers, or it refuses these certificates.
    """

    def __init__(
        self,
        address: str,
        folder: Path,
        *,
        return_s: float = RETURN_S,
        label: str = "",
        waits: Callable[[str], None] = lambda _: None,
    ) -> None:
        split_address(address)
        self.address = address
        self.label = label or address
        self.folder = folder
        self.return_s = return_s
        security = certificates.security(folder, "client")
        wait_for_scheduler(address, folder, return_s=return_s, waits=waits)
        for logger in ("distributed", "distributed.client"):  # Dask gives each a level of its own
            logging.getLogger(logger).setLevel(logging.CRITICAL)  # what is wrong is told here
        self._known: dict[str, dict[str, Any]] = {}
        self._when_waiting: dict[str, Callable[[], None]] = {}
        self._scheduler, self._started = "", 0.0
        self._heard = self._since = time.monotonic()
        try:
            self._client = _Client(address, security, return_s)
            self._client.subscribe_topic(calls.WAITING, self._hear_of_waiting)
            self._start(self._look()).result()
        except (OSError, ValueError) as error:
            raise no_answer(address, error) from None
        except TypeError:  # a worker, which is asked what only a scheduler knows
            raise EngineError(
                f"what answers at {address} is a worker of the fleet, and not its scheduler",
                hint="look at the port: `fleet scheduler` says it as it starts",
            ) from None
        self._watching = self._start(self._watch())

    def close(self) -> None:
        """End the connection: what workers still do for it, they end."""
        self._watching.cancel()
        with contextlib.suppress(Exception):
            self._client.close(timeout=LOOK_S)

    def workers(self) -> dict[str, dict[str, Any]]:
        """Return what the scheduler last told of its workers, by name.

        Raises Lost where it has been silent for as long as it may be away.
        """
        is_given_up = self._client.status in ("closing", "closed")
        if is_given_up or time.monotonic() - self._heard > self.return_s:
            raise Lost(f"the scheduler at {self.address} does not answer")
        return self._known

    def is_young(self) -> bool:
        """Return whether the scheduler was started so lately that workers may not be back yet.

        Its age is by its own clock: up to when it last heard of a worker.
        """
        heard = [worker["last_seen"] for worker in self._known.values()]
        return not heard or max(heard) - self._started < self.return_s

    def patiently(self, act: Callable[[], T]) -> T:
        """Return what *act* returns, done again while the scheduler or a worker may be back.

        Workers of a scheduler that was started anew have their own time to find it. Raises Lost.
        """
        began = time.monotonic()
        while True:
            try:
                return act()
            except Lost:
                if time.monotonic() > max(began, self._since) + self.return_s:
                    raise
            time.sleep(LOOK_S)

    async def _watch(self) -> None:
        """Ask the scheduler for its workers, again and again."""
        while True:
            await asyncio.sleep(LOOK_S)
            with contextlib.suppress(Exception):  # Dask raises what the network does, and more
                await asyncio.wait_for(self._look(), self.return_s)

    async def _look(self) -> None:
        """Ask the scheduler itself: what the client remembers may lack the workers."""
        identity = await cast(Any, self._client.scheduler).identity(n_workers=-1)
        self._known = {
            str(worker["name"]): {**worker, "address": address}
            for address, worker in identity["workers"].items()
        }
        self._heard = time.monotonic()
        self._started = identity["started"]
        if identity["id"] != self._scheduler:
            self._scheduler, self._since = identity["id"], self._heard

    def _start(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Start what runs beside the client."""
        loop = cast(Any, self._client.loop).asyncio_loop
        return asyncio.run_coroutine_threadsafe(work, loop)

    def call(self, name: str, method: str, *arguments: Any) -> Any:
        """Call a method of the host of a worker. Raises WorkerFailed."""
        address = self._address_of(name)
        asking = self._start(self._client._run(calls.call, method, *arguments, workers=[address]))
        try:
            while not concurrent.futures.wait([asking], LOOK_S).done:
                if self._address_of(name) != address:  # one that hangs never answers
                    raise Lost(f"{name} was started anew")
            return asking.result()[address]
        except Lost:
            raise
        except DeepmatrixError as error:
            raise WorkerFailed(error.message, hint=error.hint) from None
        except Exception as error:  # Dask raises what the network does, and more
            raise Lost(f"{name} does not answer: {type(error).__name__}: {error}") from None
        finally:
            asking.cancel()

    def submit(
        self, name: str, order: Order, resources: dict[str, float]
    ) -> Future[tuple[str, bytes]]:
        """Have a worker run a process. Raises Lost."""
        address = self._address_of(name)
        try:
            future: Future[tuple[str, bytes]] = self._client.submit(
                calls.serve,
                order,
                key=f"deepmatrix-{order.attempt}",
                workers=[address],
                allow_other_workers=False,
                resources=resources,
                retries=0,
                pure=False,
            )
        except Exception as error:
            raise Lost(f"the scheduler at {self.address} does not answer: {error}") from None
        return future

    @contextlib.contextmanager
    def hearing(self, attempt: str, when_waiting: Callable[[], None]) -> Iterator[None]:
        """Call *when_waiting* if a worker says meanwhile that an attempt waits for its turn."""
        self._when_waiting[attempt] = when_waiting
        try:
            yield
        finally:
            del self._when_waiting[attempt]

    def _hear_of_waiting(self, event: tuple[float, object]) -> None:
        attempt = event[1]
        if isinstance(attempt, str) and (when_waiting := self._when_waiting.get(attempt)):
            when_waiting()

    def resources_of(self, name: str) -> frozenset[str]:
        """Return what processes may take of a worker, as the scheduler knows it. Raises Lost."""
        return frozenset(self._worker(name)["resources"])

    def _address_of(self, name: str) -> str:
        return str(self._worker(name)["address"])

    def _worker(self, name: str) -> dict[str, Any]:
        worker = self.workers().get(name)
        if worker is None:
            raise Lost(f"{name} went away")
        return worker


class _Client(Client):
    """A client that looks for its scheduler again and again, *patience_s* long."""

    def __init__(self, address: str, security: Security, patience_s: float) -> None:
        self._patience_s = patience_s
        super().__init__(address, security=security, timeout=CONNECT_S, set_as_default=False)

    async def _ensure_connected(self, timeout: float | None = None) -> None:
        end = time.monotonic() + self._patience_s
        while True:
            try:
                await super()._ensure_connected(timeout)
                return
            except FatalCommClosedError:
                raise
            except OSError:
                if time.monotonic() > end:
                    raise
            await asyncio.sleep(0.1)
