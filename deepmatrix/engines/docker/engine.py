"""Cells in containers, through a Docker engine on this machine or another.

The one module that speaks to the Docker SDK. It mounts nothing of this machine: a process gets
its control directory through the engine's archive interface and gives it back the same way, so
that a remote engine works like a local one.
"""

from __future__ import annotations

import contextlib
import http.client
import platform
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import requests
import urllib3.exceptions
from docker import APIClient
from docker.errors import APIError, DockerException, NotFound
from docker.tls import TLSConfig
from docker.types import DeviceRequest, LogConfig, Mount, Ulimit

from deepmatrix.config.matrix import Matrix
from deepmatrix.engines import (
    Ended,
    Limits,
    Prepared,
    Progress,
    Task,
    archives,
    endings,
    owner,
    watch,
)
from deepmatrix.engines.docker.endpoints import Endpoint
from deepmatrix.engines.watch import Stop, Tail
from deepmatrix.errors import EngineError
from deepmatrix.images import bases, build, interpreters
from deepmatrix.machine import binfmt, processes
from deepmatrix.paths import HARNESS
from deepmatrix.planning.cells import Capabilities, Cell

#: The harness on this machine, and where processes find it.
SHIPPED = "/opt/deepmatrix"

#: A volume of its own, and the control directory in it: the volume's top stays root's.
VOLUME, CONTROL = "/control", "control"

#: Who runs a process: nobody that an image or this machine knows.
USER = 65532

#: Labels of everything that this module makes.
RUN, TASK, OWNER = "deepmatrix.run", "deepmatrix.task", "deepmatrix.owner"

#: How long an engine may take for one answer, to come back after it went away, and to end a
#: process that was killed. Seconds.
ANSWER_S = 60
RETURN_S = 20.0
KILL_S = 30.0

#: ``/tmp`` of a container, in memory and within its limit.
TMPFS = "rw,exec,nosuid,nodev,size=512m,mode=1777"

#: How a connection that breaks shows itself.
LOST = (
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
)


_Attempt = tuple[Stop, int | None, float | None]
"""How it ended, its exit code, and when its start was asked for."""


class DockerEngine:
    """An engine behind the Docker API. See `deepmatrix.engines.Engine`.

    *matrix* is needed to build images. *extra* are more files to ship beside the harness, by
    path below `SHIPPED`. ``references`` holds the image of each prepared cell.
    """

    name = "docker"

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
        self._files = {
            **{f"harness/{name}": path for name, path in archives.tree(harness).items()},
            **(extra or {}),
        }
        self._return_s = return_s
        self._api = _connect(endpoint)
        self._run_id = ""
        self._volume: str | None = None
        self._lock = threading.Lock()
        self._swept = True
        try:
            self._info: dict[str, Any] = self._ask_info()
        except EngineError:
            self._api.close()
            raise

    # What it can do ---------------------------------------------------------------------------

    def capabilities(self) -> Capabilities:
        """Say what this engine can run. Raises EngineError if it does not answer."""
        self._info = info = self._ask_info()
        native = binfmt.docker_name(info["Architecture"])
        return Capabilities(
            engine=self.name,
            native=frozenset({native}),
            emulated=self._emulated() - {native},
            devices=frozenset({"cpu", "cuda"} if self._gpu() else {"cpu"}),
            lacking=self._lacking(),
            cpus=info["NCPU"],
            memory_bytes=info["MemTotal"],
        )

    def _lacking(self) -> dict[str, str]:
        if self._matrix is None:
            return {}
        return interpreters.lacking(self._matrix, self.endpoint.environment())

    def describe(self) -> dict[str, str]:
        """Facts about the engine that belong in the run's records."""
        info, version = self._info, self._api.version()
        return {
            "product": self.product(),
            "version": version["Version"],
            "api": self._api.api_version,
            "found": self.endpoint.origin,
            "system": f"{info['OperatingSystem']} ({info['Architecture']})",
            "kernel": info["KernelVersion"],
            "storage": info.get("Driver", ""),
            "cgroup": info.get("CgroupVersion", ""),
            "security": ", ".join(info.get("SecurityOptions") or ()),
        }

    def product(self) -> str:
        """Name who answers the Docker API: ``Docker`` or ``Podman``."""
        components = self._api.version().get("Components") or ()
        is_podman = any("Podman" in str(one.get("Name")) for one in components)
        return "Podman" if is_podman else "Docker"

    def _ask_info(self) -> dict[str, Any]:
        try:
            info: dict[str, Any] = self._api.info()
        except (DockerException, *LOST) as error:
            raise _silent(self.endpoint, error) from None
        return info

    def _emulated(self) -> frozenset[str]:
        if self._is_local():
            return binfmt.emulated()
        # What another machine can run, BuildKit there finds out by trying.
        builder = self.endpoint.context or "default"
        try:
            text = processes.run(
                ["docker", "buildx", "inspect", builder],
                environment=self.endpoint.environment(),
                timeout_s=ANSWER_S,
            )
        except EngineError:
            return frozenset()
        listed = next((line for line in text.splitlines() if line.startswith("Platforms:")), "")
        return frozenset(re.findall(r"linux/(\w+)\*?(?=,|$)", listed))

    def _is_local(self) -> bool:
        """Say whether containers share this machine's kernel."""
        return (
            self.endpoint.url.startswith("unix:")
            and self._info["OSType"] == platform.system().lower()
            and self._info["KernelVersion"] == platform.release()
        )

    def _gpu(self) -> DeviceRequest | None:
        """Return what asks for all NVIDIA devices, or None where there is no way to."""
        found = self._info.get("DiscoveredDevices") or ()
        if any(str(one.get("ID", "")).startswith("nvidia.com/gpu=") for one in found):
            return DeviceRequest(driver="cdi", device_ids=["nvidia.com/gpu=all"])
        if "nvidia" in self._info.get("Runtimes", {}):
            return DeviceRequest(count=-1, capabilities=[["gpu"]])
        return None

    def prepare(self, cells: Sequence[Cell], progress: Progress) -> dict[str, Prepared]:
        """Build the images that are missing. A cell that cannot be built has ``error``."""
        if self._matrix is None:
            raise ValueError("an engine without a matrix cannot build")
        log = bases.cache() / "build.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        prepared = build.prepare(
            cells,
            self._matrix,
            environment=self.endpoint.environment(),
            log=log,
            progress=progress,
        )
        self.references |= {one.cell_id: one.reference for one in prepared.values()}
        return prepared

    # A run ------------------------------------------------------------------------------------

    def open(self, run_id: str) -> None:
        """Remove what dead runs left. The harness is shipped with the first process."""
        self._run_id = run_id
        try:
            self._sweep_dead()
        except (DockerException, *LOST) as error:
            raise _silent(self.endpoint, error) from None

    def close(self) -> None:
        """Remove the harness, and what could not be removed while the engine was away.

        Also ends the connections; the next question makes new ones.
        """
        with contextlib.suppress(DockerException, *LOST):
            if not self._swept:
                self._sweep_own()
            self._unship()
        self._api.close()

    def run(self, task: Task, cancel: threading.Event) -> Ended:
        """Run one process in a container of its own. See `deepmatrix.engines.Engine`."""
        began = time.monotonic()
        tail = Tail(task.limits.log_bytes)
        code: int | None = None
        asked: float | None = None
        try:
            if not self._swept:
                self._sweep_own()
            stop, code, asked = self._attempt(task, cancel, tail)
        except NotFound as error:
            stop = Stop(ending="start-failed", cause=_said(error))
        except (DockerException, *LOST) as error:
            stop = self._explain(error)
        return Ended(
            ending=stop.ending,
            cause=stop.cause,
            exit_code=code,
            wall_s=time.monotonic() - began,
            started_at=asked,
            log=tail.text(),
        )

    def _attempt(self, task: Task, cancel: threading.Event, tail: Tail) -> _Attempt:
        if task.cell.device == "cuda" and not self._gpu():
            cause = f"{self.endpoint.origin} has no NVIDIA runtime"
            return Stop(ending="no-device", cause=cause), None, None
        image = self.references.get(task.cell.id)
        if image is None:
            return Stop(ending="start-failed", cause=f"{task.cell.id} has no image"), None, None
        self._ship(image)
        with self._container(task, image) as container:
            asked = time.time()
            stop, code = self._follow(container, task, cancel, tail)
            if stop.ending != "cancelled":
                stop = self._fetch(container, task, stop)
            return stop, code, asked

    @contextlib.contextmanager
    def _container(self, task: Task, image: str) -> Iterator[str]:
        """Make a container that holds a copy of the control directory; remove it after."""
        container = f"deepmatrix-{secrets.token_hex(6)}"
        try:
            self._api.create_container(
                image,
                name=container,
                entrypoint=list(task.cell.command or ("python3", "-m", "harness")),
                command=[f"{VOLUME}/{CONTROL}"],
                user=f"{USER}:{USER}",
                working_dir=SHIPPED,
                environment={**task.environment, "PYTHONPATH": self._python_path(image)},
                labels={RUN: task.run_id, TASK: task.id, OWNER: str(owner.me())},
                stop_signal="SIGKILL",
                host_config=self._host_config(task),
            )
            files = archives.tree(task.control).items()
            sent = {f"{CONTROL}/{name}": path for name, path in files}
            with archives.pack(sent, user=USER) as archive:
                self._api.put_archive(container, VOLUME, archive)
            yield container
        finally:
            self._remove(container)

    def _host_config(self, task: Task) -> dict[str, Any]:
        limits = task.limits
        gpu = self._gpu() if task.cell.device == "cuda" else None
        return self._api.create_host_config(
            network_mode="none",
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            # A process with the id 1 survives its own abort(); under an init it does not.
            init=True,
            pids_limit=limits.processes,
            mem_limit=limits.memory_bytes,
            memswap_limit=limits.memory_bytes,
            cpuset_cpus=",".join(map(str, limits.cpus)) or None,
            ulimits=[
                Ulimit(name="core", soft=0, hard=0),
                Ulimit(name="fsize", soft=limits.file_bytes, hard=limits.file_bytes),
            ],
            tmpfs={"/tmp": TMPFS},
            mounts=[
                Mount(SHIPPED, self._volume, read_only=True),
                Mount(VOLUME, None, no_copy=True, labels=self._labels()),
            ],
            # The log is read while it is written, and counted; the engine keeps none of it.
            log_config=LogConfig(type="none"),
            device_requests=[gpu] if gpu else None,
        )

    def _follow(
        self, container: str, task: Task, cancel: threading.Event, tail: Tail
    ) -> tuple[Stop, int | None]:
        """Start a container, wait for its end or bring it about, and say how it ended."""
        follower = _Follower(self._api, container, tail)
        self._api.start(container)
        follower.start()
        stop = watch.wait(follower.wake, cancel=cancel, deadline_s=task.deadline_s)
        if stop is None and tail.is_over:
            stop = tail.stop()
        if stop:
            if stop.ending == "timeout" and self._is_out_of_processes(container, task.limits):
                stop = endings.out_of_processes(task.limits)
            with contextlib.suppress(APIError):  # it may have ended just now
                self._api.kill(container, "SIGKILL")
        code = follower.result()
        if stop:
            return stop, None
        if tail.is_over:
            return tail.stop(), code
        return self._by_itself(container, code, task.limits), code

    def _by_itself(self, container: str, code: int, limits: Limits) -> Stop:
        state = self._api.inspect_container(container)["State"]
        number = endings.signal_of(code)
        oom = bool(state.get("OOMKilled"))
        if number in (9, 15) and not oom:
            self._stays()
            # On cgroup v2 the engine may not have heard of the memory limit's kill.
            if number == 9 and not self._was_killed_by_hand(container):
                oom = True
        return endings.by_itself(code, oom=oom, limits=limits)

    def _was_killed_by_hand(self, container: str) -> bool:
        now = int(time.time()) + 1
        events = self._api.events(
            since=0,
            until=now,
            filters={"container": container, "event": ["kill", "stop"]},
            decode=True,
        )
        return any(True for _ in events)

    def _is_out_of_processes(self, container: str, limits: Limits) -> bool:
        stats = self._api.stats(container, stream=False, one_shot=True)
        current = stats.get("pids_stats", {}).get("current", 0)
        return bool(current >= limits.processes)

    def _fetch(self, container: str, task: Task, stop: Stop) -> Stop:
        """Copy what the process left over the task's control directory."""
        sent = sum(path.stat().st_size for path in archives.tree(task.control).values())
        chunks, _ = self._api.get_archive(container, f"{VOLUME}/{CONTROL}")
        try:
            archives.unpack(chunks, task.control, limit_bytes=sent + task.limits.file_bytes)
        except archives.Refused as error:
            return Stop(ending="crashed", cause=error.message) if stop.ending == "exited" else stop
        return stop

    # The harness ------------------------------------------------------------------------------

    def _ship(self, image: str) -> None:
        """Put the harness into a volume, once a run. *image* is not started, only borrowed."""
        with self._lock:
            if self._volume:
                return
            volume = f"deepmatrix-{secrets.token_hex(6)}"
            self._api.create_volume(volume, labels=self._labels())
            container = f"{volume}-fill"
            mounts = [Mount(SHIPPED, volume, no_copy=True)]
            try:
                self._api.create_container(
                    image,
                    name=container,
                    command=["true"],
                    labels=self._labels(),
                    host_config=self._api.create_host_config(mounts=mounts, network_mode="none"),
                )
                with archives.pack(self._files, user=0) as archive:
                    self._api.put_archive(container, SHIPPED, archive)
            finally:
                self._remove(container)
            self._volume = volume

    def _unship(self) -> None:
        if self._volume:
            with contextlib.suppress(NotFound):
                self._api.remove_volume(self._volume, force=True)
            self._volume = None

    def _python_path(self, image: str) -> str:
        """Return PYTHONPATH: the harness, then what the image says itself."""
        config: dict[str, Any] = self._api.inspect_image(image)["Config"]  # type: ignore[no-untyped-call]
        own = [
            entry.removeprefix("PYTHONPATH=")
            for entry in config.get("Env") or ()
            if entry.startswith("PYTHONPATH=")
        ]
        return ":".join([SHIPPED, *filter(None, own)])

    def _labels(self) -> dict[str, str]:
        return {RUN: self._run_id, OWNER: str(owner.me())}

    # What is left -----------------------------------------------------------------------------

    def _remove(self, container: str) -> None:
        """Remove a container and its volumes, running or not, and see it gone."""
        end = time.monotonic() + KILL_S
        while True:
            try:
                self._api.remove_container(container, v=True, force=True)
            except NotFound:
                return
            except APIError as error:
                # 409: its removal is under way.
                if error.status_code != 409 or time.monotonic() > end:
                    raise
                time.sleep(0.1)
            else:
                return

    def _sweep_own(self) -> None:
        """Remove everything of this process, the harness too: it is shipped again."""
        self._sweep(lambda label: label == str(owner.me()))
        self._volume = None
        self._swept = True

    def _sweep_dead(self) -> None:
        """Remove everything whose maker surely runs no more."""
        self._sweep(owner.is_gone)

    def _sweep(self, is_left: Callable[[str], bool]) -> None:
        ours = {"label": OWNER}
        for container in self._api.containers(all=True, filters=ours):
            if is_left(container["Labels"][OWNER]):
                self._remove(container["Id"])
        for volume in self._api.volumes(filters=ours)["Volumes"] or ():
            if is_left(volume["Labels"][OWNER]):
                with contextlib.suppress(NotFound):
                    self._api.remove_volume(volume["Name"], force=True)

    def _explain(self, error: Exception) -> Stop:
        """Say what an error of the engine means: it refused, or it went away."""
        if isinstance(error, APIError) and self._answers():
            said = _said(error)
            if "could not select device driver" in said or "nvidia" in said.lower():
                return Stop(ending="no-device", cause=said)
            return Stop(ending="start-failed", cause=said)
        self._swept = False
        if not self._comes_back():
            cause = f"the engine went away and was not back after {self._return_s:g} s"
            return Stop(ending="engine-lost", cause=cause)
        with contextlib.suppress(DockerException, *LOST):
            self._sweep_own()
        return Stop(ending="engine-lost", cause="the engine went away, and came back")

    def _answers(self) -> bool:
        try:
            _knock(self.endpoint.url)
            return bool(self._api.ping())
        except (DockerException, *LOST):
            return False

    def _stays(self) -> None:
        """Raise unless the engine answers for a while: one that stops kills its containers."""
        for _ in range(4):
            time.sleep(0.25)
            self._api.ping()

    def _comes_back(self) -> bool:
        """Wait for the engine to answer, and to go on doing so."""
        end = time.monotonic() + self._return_s
        while time.monotonic() < end:
            time.sleep(0.5)
            if self._answers():
                with contextlib.suppress(DockerException, *LOST):
                    self._stays()
                    return True
        return False


class _Follower(threading.Thread):
    """Reads a container's output as it is written, then waits for its end.

    ``wake`` is set when it ended, was lost, or has written more than it may.
    """

    def __init__(self, api: APIClient, container: str, tail: Tail) -> None:
        super().__init__(daemon=True, name=f"follow {container}")
        self.wake = threading.Event()
        self._api = api
        self._container = container
        self._tail = tail
        self._code: int | None = None
        self._error: BaseException | None = None
        # Before the start, so that nothing is missed.
        self._stream = api.attach(container, stdout=True, stderr=True, stream=True, logs=False)

    def run(self) -> None:
        """Work until the container ended."""
        try:
            self._read()
            # None waits for ever; without it the SDK gives up after its own time-out.
            self._code = self._api.wait(self._container, timeout=None)["StatusCode"]
        except (DockerException, *LOST) as error:
            self._error = error
        finally:
            self.wake.set()

    def _read(self) -> None:
        try:
            for chunk in self._stream:
                self._tail.add(chunk)
                if self._tail.is_over:
                    self.wake.set()
                    return
        finally:
            self._stream.close()
            # The SDK itself leaves a file on the socket open.
            self._stream._response.close()  # type: ignore[attr-defined]

    def result(self) -> int:
        """Return the exit code, once it ended. Raises what broke the connection."""
        self.join(KILL_S)
        if self._error:
            raise self._error
        if self._code is None:
            raise ConnectionError("the engine does not end a container")
        return self._code


def connect(endpoint: Endpoint, matrix: Matrix | None = None) -> DockerEngine:
    """Return the engine at *endpoint*. Raises EngineError when it does not answer."""
    return DockerEngine(endpoint, matrix=matrix)


def _connect(endpoint: Endpoint) -> APIClient:
    tls: TLSConfig | None = None
    if endpoint.tls:
        folder = endpoint.tls
        tls = TLSConfig(
            client_cert=(str(folder / "cert.pem"), str(folder / "key.pem")),
            ca_cert=str(folder / "ca.pem"),
            verify=endpoint.verify,
        )
    try:
        _knock(endpoint.url)
        return APIClient(
            base_url=endpoint.url,
            version="auto",
            timeout=ANSWER_S,
            tls=tls or False,
            use_ssh_client=True,
        )
    except (DockerException, *LOST) as error:
        raise _silent(endpoint, error) from None


def _knock(url: str) -> None:
    """Raise OSError when nobody listens on a local socket; the SDK would leave its own open."""
    parts = urlparse(url)
    if parts.scheme == "unix" and hasattr(socket, "AF_UNIX"):
        with socket.socket(socket.AF_UNIX) as local:
            # However many slashes there are, to the SDK the path is absolute.
            local.connect("/" + f"{parts.netloc}{parts.path}".lstrip("/"))


def _silent(endpoint: Endpoint, error: Exception) -> EngineError:
    """Return the error for an engine that does not answer, with what to do about it."""
    text = str(error)
    where = endpoint.origin
    if endpoint.url not in where:
        where += f" ({endpoint.url})"
    if "Permission denied" in text or "PermissionError" in text:
        return EngineError(
            f"{where}: permission denied",
            hint="add yourself to the group that owns the socket (usually `docker`), or use sudo",
        )
    if "paramiko" in text:
        return EngineError(
            f"{where} is reached by ssh, which needs the package paramiko",
            hint="install it where this runs, or forward the engine's socket by ssh -L",
        )
    reasons = ("Connection refused", "No such file or directory", "timed out", "EOF")
    reason = next((reason for reason in reasons if reason in text), text.splitlines()[0][:200])
    return EngineError(
        f"no container engine answers at {where}: {reason}",
        hint="start it, or set one up with `nox -s engine`, or use --engine venv",
    )


def _said(error: Exception) -> str:
    """Return an engine's own words in one line."""
    text = str(getattr(error, "explanation", None) or error)
    return " ".join(text.split())[:300]
