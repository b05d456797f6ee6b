"""The sizes of the volumes that processes write into, as the engine measures them.

Few engines can limit a volume, and one that is full stops every other job, so volumes are watched
while their processes run. The engine measures them: a process cannot hinder that, its CPUs are not
used, and it works on a remote engine. A process that is done before the first look costs nothing.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from deepmatrix.engines.docker.answers import Details, Volume, Volumes, read
from deepmatrix.engines.docker.connection import FAILURES, Connection
from deepmatrix.errors import EngineError
from deepmatrix.machine.clocks import Stopwatch

#: How often to look, in seconds.
INTERVAL_S = 2.0

#: The engine measures all its volumes, also those of others: at most this share of the time.
SHARE = 0.05

#: How long an engine may take to finish its look when the watching ends, in seconds.
CLOSE_S = 2.0


class VolumeSizes:
    """Watches a volume of each container that runs, at *mount_point*; one thread for all."""

    def __init__(self, connection: Connection, mount_point: str) -> None:
        self._connection = connection
        self._mount_point = mount_point
        self._bytes: dict[str, int] = {}
        self._names: dict[str, str] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()  # of the present thread

    @contextlib.contextmanager
    def watched(self, container: str) -> Iterator[Callable[[], int]]:
        """Watch the volume of a container; yield what returns its bytes when last looked."""
        with self._lock:
            self._bytes[container] = 0
            if self._thread is None:
                self._stopped = threading.Event()
                self._thread = threading.Thread(
                    target=self._watch, args=(self._stopped,), daemon=True, name="volumes"
                )
                self._thread.start()
        try:
            yield lambda: self._bytes[container]
        finally:
            with self._lock:
                del self._bytes[container]
                self._names.pop(container, None)

    def close(self) -> None:
        """End the thread; the next container starts another."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._stopped.set()
        if thread:
            thread.join(CLOSE_S)

    def _watch(self, stopped: threading.Event) -> None:
        pause_s = INTERVAL_S
        while not stopped.wait(pause_s):
            watch = Stopwatch()
            with contextlib.suppress(EngineError, *FAILURES):  # the process's own calls report it
                self._look()
            pause_s = max(INTERVAL_S, watch.wall_s / SHARE)

    def _look(self) -> None:
        with self._lock:
            containers = list(self._bytes)
        if not containers:
            return
        names = {self._name(container): container for container in containers}
        for volume in self._volumes():
            container = names.get(volume.name)
            with self._lock:
                if container in self._bytes:
                    self._bytes[container] = volume.usage.size

    def _name(self, container: str) -> str:
        if container not in self._names:
            details = read(Details, self._connection.api.inspect_container(container))
            self._names[container] = next(
                mount.name for mount in details.mounts if mount.destination == self._mount_point
            )
        return self._names[container]

    def _volumes(self) -> list[Volume]:
        """Return the engine's volumes; the SDK's own call measures images too, for seconds."""
        api = self._connection.api
        response = api._get(api._url("/system/df"), params={"type": "volume"})  # type: ignore[attr-defined]
        return read(Volumes, api._result(response, json=True)).volumes
