"""Cells in containers, through a Docker engine on this machine or another.

Nothing of this machine is mounted: a process gets its control directory through the engine's
archive interface and gives it back the same way, so that a remote engine works like a local one.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from docker.errors import APIError, NotFound

from deepmatrix.config.matrix import Matrix
from deepmatrix.engines import Ended, Ending, Prepared, Progress, Task, archives, endings
from deepmatrix.engines.docker import (
    abilities,
    containers,
    image_files,
    interruptible,
    leftovers,
    registry,
)
from deepmatrix.engines.docker.answers import Info, NotUnderstood
from deepmatrix.engines.docker.connection import (
    FAILURES,
    RETURN_S,
    Connection,
    error_line,
    no_answer,
)
from deepmatrix.engines.docker.endpoints import Endpoint
from deepmatrix.engines.docker.following import follow
from deepmatrix.engines.docker.volumes.harness import HarnessVolume
from deepmatrix.engines.docker.volumes.sizes import VolumeSizes
from deepmatrix.engines.timeline import Timeline
from deepmatrix.engines.watch import Stop
from deepmatrix.errors import EngineError
from deepmatrix.images import build, inspection, interpreters
from deepmatrix.images.registry.pulling import Step, Wanted
from deepmatrix.images.sbom.contents import Entry
from deepmatrix.machine import binfmt, folders
from deepmatrix.machine.clocks import Stopwatch
from deepmatrix.paths import HARNESS
from deepmatrix.planning.cells import Capabilities, Cell


class DockerEngine:
    """An engine behind the Docker API. See `deepmatrix.engines.Engine`.

    *matrix* is needed to build images. *extra* are more files to ship beside the harness, by
    path below `harness_volume.MOUNT_POINT`. ``references`` holds the image of each prepared cell.

    Raises:
        EngineError: no engine answers at *endpoint*.
    """

    name = "docker"
    isolates = True
    is_here = True

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        matrix: Matrix | None = None,
        harness: Path = HARNESS,
        extra: Mapping[str, Path] | None = None,
        return_s: float = RETURN_S,
    ) -> None:
        self.endpoint = endpoint
        self.references: dict[str, str] = {}
        self._matrix = matrix
        files = {f"harness/{name}": path for name, path in archives.list_files(harness).items()}
        self._connection = Connection(endpoint, return_s=return_s)
        self._api = self._connection.api
        self._harness = HarnessVolume(self._api, {**files, **(extra or {})})
        self._sizes = VolumeSizes(self._connection, containers.VOLUME)
        self._run_id = ""
        self._swept = True
        self._lock, self._running_count = threading.Lock(), 0
        self._cancel = threading.Event()  # the one of the last process
        self._is_silent = False
        try:
            self._info: Info = self._connection.info()
        except EngineError:
            self._connection.close()
            raise

    def capabilities(self) -> Capabilities:
        """Return what this engine can run. Raises EngineError if it does not answer."""
        self._info = info = self._connection.info()
        native = binfmt.docker_name(info.architecture)
        return Capabilities(
            engine=self.name,
            native=frozenset({native}),
            emulated=abilities.emulated_architectures(self.endpoint, info) - {native},
            devices=frozenset({"cpu", "cuda"} if abilities.gpu_request(info) else {"cpu"}),
            lacking=self._lacking(),
            cpus=info.cpus,
            memory_bytes=info.memory,
            emulator=binfmt.emulator(native),
        )

    def _lacking(self) -> Mapping[str, str]:
        if self._matrix is None:
            return {}
        environment = self.endpoint.environment()
        return interpreters.MissingInterpreters(matrix=self._matrix, environment=environment)

    def describe(self) -> dict[str, str]:
        """Facts about the engine that belong in the run's records."""
        info, version = self._info, self._connection.version()
        return {
            "product": abilities.product(version),
            "version": version.version,
            "api": self._api.api_version,
            "found": self.endpoint.origin,
            "system": f"{info.system} ({info.architecture})",
            "kernel": info.kernel,
            "storage": info.storage,
            "cgroup": info.cgroup,
            "security": ", ".join(info.security),
            **abilities.machine_facts(self.endpoint, info),
        }

    def product(self) -> str:
        """Name who answers the Docker API: ``Docker`` or ``Podman``."""
        return abilities.product(self._connection.version())

    def prepare(self, cells: Sequence[Cell], progress: Progress) -> dict[str, Prepared]:
        """Pull or build the images that are missing. A cell that has none then has ``error``."""
        if self._matrix is None:
            raise ValueError("an engine without a matrix cannot build")
        log = folders.cache() / "build.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        prepared = build.prepare(
            cells,
            self._matrix,
            environment=self.endpoint.environment(),
            log=log,
            progress=progress,
            pull=self.pull,
        )
        self.references |= {image.cell_id: image.reference for image in prepared.values()}
        return prepared

    def adopt(self, cell: Cell, earlier: Prepared) -> Prepared:
        """Take the image of an earlier run. See `deepmatrix.engines.Engine`."""
        error = inspection.absence(earlier, self.endpoint.environment())
        if not error:
            self.references[cell.plain.id] = earlier.reference
        return earlier.adopted(cell.id, error)

    def push(self, reference: str, to: str, step: Step) -> str:
        """Push an image to a registry; return its name there, with its digest.

        Raises EngineError.
        """
        return registry.push(self._connection.api, reference, to, step)

    def pull(self, wanted: Wanted, step: Step) -> None:
        """Pull an image by its digest and name it. Raises NotPulled, EngineError."""
        registry.pull(self._connection.api, wanted, step)

    def read_files(self, image: str, wanted: Callable[[str], bool]) -> list[Entry]:
        """Return files of an image without running anything of it. Raises EngineError, Refused."""
        try:
            return image_files.read(self._connection.api, image, wanted)
        except FAILURES as error:
            raise EngineError(f"{image} cannot be read: {error_line(error)}") from None

    def open(self, run_id: str) -> None:
        """Remove the leftovers of dead runs, and begin to ship the harness."""
        self._run_id = run_id
        try:
            leftovers.sweep_dead(self._api)
        except FAILURES as error:
            raise no_answer(self.endpoint, error) from None
        if image := next(filter(None, self.references.values()), None):
            self._harness.fill_ahead(image, run_id)

    def close(self) -> None:
        """Remove the harness, and the leftovers from when the engine was away.

        Also ends the connections; the next call makes new ones.
        """
        if self._is_silent:
            return  # and the next start sweeps
        with contextlib.suppress(interruptible.NoAnswer):
            interruptible.call(self._close, self._cancel)

    def _close(self) -> None:
        self._sizes.close()
        with contextlib.suppress(*FAILURES):
            if not self._swept:
                self._sweep_own()
            self._harness.remove()
        self._connection.close()

    def run(self, task: Task, cancel: threading.Event) -> Ended:
        """Run one process in a container of its own. See `deepmatrix.engines.Engine`."""
        self._cancel = cancel
        waiting = Stopwatch()
        try:
            return interruptible.call(lambda: self._run(task, cancel), cancel)
        except interruptible.NoAnswer:
            self._is_silent = True
            return Ended(
                ending="cancelled",
                cause="interrupted",
                wall_s=waiting.wall_s,
                may_be_left=f"{self.endpoint.origin} does not answer. A container and "
                f"volumes with the label {leftovers.RUN}={task.run_id} may be left; the "
                "next run there removes them",
            )

    def _run(self, task: Task, cancel: threading.Event) -> Ended:
        timeline = Timeline(task, "container")
        code: int | None = None
        try:
            with self._running():
                try:
                    stop, code = self._attempt(timeline, cancel)
                except FAILURES as error:
                    stop = self._stop_for(error, task)
        except FAILURES as error:  # leftovers could not be removed
            stop = self._stop_for(error, task)
        return timeline.ended(stop, code)

    def _attempt(self, timeline: Timeline, cancel: threading.Event) -> tuple[Stop, int | None]:
        task = timeline.task
        gpu = abilities.gpu_request(self._info) if task.cell.device == "cuda" else None
        if task.cell.device == "cuda" and not gpu:
            cause = f"{self.endpoint.origin} has no NVIDIA runtime"
            return Stop(ending="no-device", cause=cause), None
        image = self.references.get(task.cell.plain.id)
        if image is None:
            return Stop(ending="start-failed", cause=f"{task.cell.id} has no image"), None
        api = self._connection.api
        volume = self._harness.fill(image, self._run_id)
        with (
            containers.task_container(
                api, task, image=image, harness_volume=volume, gpu=gpu
            ) as container,
            self._sizes.watched(container) as volume_bytes,
        ):
            timeline.mark_start()
            stop, code = follow(self._connection, container, timeline, cancel, volume_bytes)
            if task.keeps_compiled and stop.ending == "exited":
                containers.keep_compiled(api, container, task, image)
            if stop.ending not in endings.WITHOUT_FILES:
                stop = containers.fetch_files(api, container, task, stop)
            return stop, code

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        """Count the processes that run now. Where none does, remove leftovers of a lost engine."""
        with self._lock:
            if not self._swept and not self._running_count:
                self._sweep_own()
            self._running_count += 1
        try:
            yield
        finally:
            with self._lock:
                self._running_count -= 1
                if not self._swept and not self._running_count:
                    with contextlib.suppress(*FAILURES):  # the next process tries again
                        self._sweep_own()

    def _sweep_own(self) -> None:
        """Remove everything of the run; the harness is shipped anew with the next process.

        One that is being shipped first arrives: the engine would refuse to remove its volume.
        """
        self._harness.forget()
        leftovers.sweep_own(self._api, self._run_id)
        self._swept = True

    def _stop_for(self, error: Exception, task: Task) -> Stop:
        """Return what an error of the engine means: it refused the process, or it went away.

        A refusal has no code that tells a device from the rest. Where a process asked for a GPU,
        that is the likely reason; the cause is what the engine says.
        """
        if isinstance(error, NotFound):
            return Stop(ending="start-failed", cause=error_line(error))
        if isinstance(error, APIError) and self._connection.answers():
            is_cuda = task.cell.device == "cuda"
            ending: Ending = "no-device" if is_cuda else "start-failed"
            return Stop(ending=ending, cause=error_line(error))
        self._swept = False
        if not self._connection.comes_back():
            return_s = self._connection.return_s
            cause = f"the engine went away and was not back after {return_s:g} s"
            return Stop(ending="engine-lost", cause=cause)
        cause = "the engine went away, and came back"
        if isinstance(error, NotUnderstood):  # one that shuts down may have cut its answer short
            cause = f"it did not answer like a container engine: {error_line(error)}"
        return Stop(ending="engine-lost", cause=cause)


def connect(endpoint: Endpoint, matrix: Matrix | None = None) -> DockerEngine:
    """Return the engine at *endpoint*. Raises EngineError when it does not answer."""
    return DockerEngine(endpoint, matrix=matrix)
