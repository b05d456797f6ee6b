"""The cluster: the connection to a scheduler, and its workers by name."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import threading
import time
from pathlib import Path
from typing import Any, Final, cast

import dask
from distributed import Client, Future

from deepmatrix.errors import ArgumentError, DeepmatrixError, EngineError
from deepmatrix.fleet import calls, certificates
from deepmatrix.fleet.parcels import Order
from deepmatrix.invocation import command_line

#: What an address of a scheduler begins with: connections are encrypted, or there are none.
SCHEME: Final = "tls://"

#: For how long a scheduler, and a worker, may be away before it counts as gone, in seconds.
RETURN_S: Final = 30.0

#: How soon it is noticed that a worker has gone, in seconds.
LOOK_S: Final = 1.0


class WorkerFailed(EngineError):
    """A worker could not do what it was asked to."""


class Lost(WorkerFailed):
    """The scheduler, or a worker, went away."""


class Cluster:
    """A connection to the scheduler at *address*; *folder* has the certificates of a client.

    Raises:
        ArgumentError: the address or the folder is wrong.
        EngineError: no scheduler answers, or it refuses these certificates.
    """

    def __init__(self, address: str, folder: Path, *, return_s: float = RETURN_S) -> None:
        check_address(address)
        self.address = address
        self.return_s = return_s
        security = certificates.security(folder, "client")
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what is wrong is told here
        self._lock = threading.Lock()
        self._known: dict[str, dict[str, Any]] = {}
        self._looked_at = -LOOK_S
        # A client that has lost its scheduler looks for it as long as it may take to connect.
        dask.config.set({"distributed.comm.timeouts.connect": f"{return_s:g}s"})
        try:
            self._client = Client(
                address, security=security, timeout=f"{return_s:g}s", set_as_default=False
            )
        except (OSError, ValueError) as error:
            raise EngineError(
                f"no scheduler of a fleet answers at {address}: {error}",
                hint=f"start one with `{command_line('fleet', 'scheduler', 'FOLDER')}`, and "
                "use the certificates that were made with its own",
            ) from None

    def close(self) -> None:
        """End the connection: what workers still do for it, they end."""
        with contextlib.suppress(Exception):
            self._client.close(timeout=LOOK_S)

    def workers(self) -> dict[str, dict[str, Any]]:
        """Return what the scheduler tells of its workers, by name. Raises Lost."""
        with self._lock:
            if time.monotonic() - self._looked_at >= LOOK_S:
                self._known = self._look()
                self._looked_at = time.monotonic()
            return self._known

    def _look(self) -> dict[str, dict[str, Any]]:
        try:
            listed = self._client.scheduler_info(n_workers=-1)["workers"]
        except Exception as error:  # Dask raises what the network does, and more
            raise self._lost(error) from None
        return {
            str(worker["name"]): {**worker, "address": address}
            for address, worker in listed.items()
        }

    def call(self, name: str, method: str, *arguments: Any) -> Any:
        """Call a method of the host of a worker. Raises WorkerFailed."""
        address = self._address_of(name)
        loop = cast(Any, self._client.loop).asyncio_loop
        asking = asyncio.run_coroutine_threadsafe(
            self._client._run(calls.call, method, *arguments, workers=[address]), loop
        )
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

    def await_worker(self, name: str) -> None:
        """Wait until a worker is there, for as long as one may be away. Raises Lost."""
        end = time.monotonic() + self.return_s
        while True:
            try:
                self._address_of(name)
                return
            except Lost:
                if time.monotonic() > end:
                    raise
            time.sleep(LOOK_S)

    def submit(self, name: str, order: Order, resources: dict[str, float]) -> Future[str]:
        """Have a worker run a process. Raises Lost."""
        address = self._address_of(name)
        try:
            future: Future[str] = self._client.submit(
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
            raise self._lost(error) from None
        return future

    def _address_of(self, name: str) -> str:
        worker = self.workers().get(name)
        if worker is None:
            raise Lost(f"{name} went away")
        return str(worker["address"])

    def _lost(self, error: Exception) -> Lost:
        return Lost(f"the scheduler at {self.address} does not answer: {error or type(error)}")


def check_address(address: str) -> None:
    """Raise ArgumentError for what is no encrypted address of a scheduler."""
    host, colon, port = address.removeprefix(SCHEME).rpartition(":")
    if not address.startswith(SCHEME) or not (host and colon and port.isdecimal()):
        raise ArgumentError(
            f"'{address}' is no address of a fleet's scheduler",
            hint=f"write it like {SCHEME}name:8786; connections without TLS are not made",
        )
