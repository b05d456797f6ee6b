"""The harness in a volume of the engine, copied once a run and mounted into every container."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Mapping
from pathlib import Path

from docker import APIClient
from docker.types import Mount

from deepmatrix.engines import archives
from deepmatrix.engines.docker import leftovers
from deepmatrix.engines.docker.connection import FAILURES
from deepmatrix.errors import EngineError

#: Where the processes of a container find the harness.
MOUNT_POINT = "/opt/deepmatrix"


class HarnessVolume:
    """A volume with *files*, by path below `MOUNT_POINT`; made when the first process needs it."""

    def __init__(self, api: APIClient, files: Mapping[str, Path]) -> None:
        self._api = api
        self._files = files
        self._name: str | None = None
        self._lock = threading.Lock()
        self._ahead: threading.Thread | None = None

    def fill(self, image: str, run_id: str) -> str:
        """Return the volume's name; make and fill it first where this run has none yet.

        Only a container can be filled through the API. One of *image* is made for that, but never
        started.
        """
        with self._lock:
            if self._name is None:
                self._name = self._make(image, run_id)
            return self._name

    def fill_ahead(self, image: str, run_id: str) -> None:
        """Begin to fill it, in a thread, while the first process is still being planned.

        What goes wrong then goes wrong again with the first process, which reports it.
        """

        def fill() -> None:
            with contextlib.suppress(*FAILURES, EngineError):
                self.fill(image, run_id)

        self._ahead = threading.Thread(target=fill, daemon=True, name="harness")
        self._ahead.start()

    def remove(self) -> None:
        """Remove the volume, if it is still there; wait for what fills it, or is about to."""
        if name := self.forget():
            leftovers.remove_volume(self._api, name)

    def forget(self) -> str | None:
        """Return the volume's name, if it has one yet; the next process makes another volume.

        Waits for what fills it, or is about to.
        """
        if self._ahead:
            self._ahead.join()
        with self._lock:
            name, self._name = self._name, None
            return name

    def _make(self, image: str, run_id: str) -> str:
        name = f"deepmatrix-{secrets.token_hex(6)}"
        labels = leftovers.labels(run_id)
        self._api.create_volume(name, labels=labels)
        try:
            self._fill(image, name, labels)
        except BaseException:  # without a name nobody would remove it
            with contextlib.suppress(*FAILURES):
                leftovers.remove_volume(self._api, name)
            raise
        return name

    def _fill(self, image: str, name: str, labels: dict[str, str]) -> None:
        container = f"{name}-fill"
        mounts = [Mount(MOUNT_POINT, name, no_copy=True)]
        try:
            self._api.create_container(
                image,
                name=container,
                command=["true"],
                labels=labels,
                host_config=self._api.create_host_config(mounts=mounts, network_mode="none"),
            )
            with archives.pack(self._files, user=0) as archive:
                self._api.put_archive(container, MOUNT_POINT, archive)
        finally:
            leftovers.remove_container(self._api, container)
