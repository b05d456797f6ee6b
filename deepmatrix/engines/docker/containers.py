"""Containers: one a task, within its limits; its control directory goes in and out as a tar."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from docker import APIClient
from docker.types import DeviceRequest, LogConfig, Mount, Ulimit

from deepmatrix.engines import Limits, Task, archives
from deepmatrix.engines.docker import leftovers
from deepmatrix.engines.docker.answers import End, Image, Use, read
from deepmatrix.engines.docker.volumes.harness import MOUNT_POINT
from deepmatrix.engines.timeline import ready_last
from deepmatrix.engines.watch import Stop
from deepmatrix.images import compiled
from deepmatrix.images.compiled import CompileCache

#: A volume of the container's own, and the control directory in it: the volume's top stays root's.
VOLUME, CONTROL = "/control", PurePosixPath("control")

#: What the compiler of a framework made, in it, where a task has that.
COMPILED = "compiled"

#: The emulator in it, where a task has one.
EMULATOR = "emulator"

#: The user id of every process: one that no image and no host knows.
USER = 65532

#: The name of every container: without a network it finds no other name. Frameworks whose processes
#: meet look up the name of their own machine.
HOSTNAME = "localhost"

#: Options of ``/tmp``, which is in memory and counts against the container's memory limit.
TMPFS = "rw,exec,nosuid,nodev,size=512m,mode=1777"


@contextlib.contextmanager
def task_container(
    api: APIClient, task: Task, *, image: str, harness_volume: str, gpu: DeviceRequest | None
) -> Iterator[str]:
    """Make a container that holds a copy of the control directory; yield its name, remove it."""
    container = f"deepmatrix-{secrets.token_hex(6)}"
    labels = leftovers.labels(task.run_id)
    mounts = [
        Mount(MOUNT_POINT, harness_volume, read_only=True),
        Mount(VOLUME, None, no_copy=True, labels=labels),
    ]
    try:
        api.create_container(
            image,
            name=container,
            hostname=HOSTNAME,
            entrypoint=_program(task),
            command=[f"{VOLUME}/{CONTROL}"],
            user=f"{USER}:{USER}",
            working_dir=MOUNT_POINT,
            environment={**_environment(task), "PYTHONPATH": _python_path(api, image)},
            labels={**labels, leftovers.TASK: task.id},
            stop_signal="SIGKILL",
            host_config=_host_config(api, task.limits, mounts, gpu),
        )
        files = archives.list_files(task.control).items()
        archived = {f"{CONTROL}/{name}": path for name, path in files}
        if task.emulator:
            archived[EMULATOR] = task.emulator
        with archives.pack(archived, user=USER) as archive:
            api.put_archive(container, VOLUME, archive)
        if task.keeps_compiled:
            with CompileCache(task.cell.id, image).open(COMPILED, user=USER) as archive:
                api.put_archive(container, VOLUME, archive)
        yield container
    finally:
        leftovers.remove_container(api, container)


def _program(task: Task) -> list[str]:
    """Return what a container starts, without the control directory."""
    emulator = [f"{VOLUME}/{EMULATOR}"] if task.emulator else []
    if task.cell.command:
        return [*emulator, *task.cell.command]
    return ["python3", "-m", "harness.emulated" if emulator else "harness", *emulator]


def _environment(task: Task) -> dict[str, str]:
    if not task.keeps_compiled:
        return task.environment
    cached = compiled.environment(task.cell.compile_cache, f"{VOLUME}/{COMPILED}")
    return {**task.environment, **cached}


def keep_compiled(api: APIClient, container: str, task: Task, image: str) -> None:
    """Keep what the compiler of a task's framework made, for the next one in this image."""
    chunks, _ = api.get_archive(container, f"{VOLUME}/{COMPILED}")
    try:
        CompileCache(task.cell.id, image).store(chunks)
    finally:
        chunks.close()


def fetch_files(api: APIClient, container: str, task: Task, stop: Stop) -> Stop:
    """Replace the folder of a task's job by the container's; return how the process ended.

    A process whose files are refused has crashed, unless it failed in another way before.
    """
    folder = task.folder
    limit_bytes = archives.size_below(folder) + task.limits.file_bytes
    chunks, _ = api.get_archive(container, f"{VOLUME}/{_place(task)}")
    try:
        archives.unpack(chunks, folder, limit_bytes=limit_bytes)
    except archives.Refused as error:
        return Stop(ending="crashed", cause=error.message) if stop.ending == "exited" else stop
    finally:
        # An archive that nobody reads on would hold the container, and so its removal, for minutes.
        chunks.close()
    return stop


def hand_in(api: APIClient, container: str, task: Task) -> None:
    """Put the files of the next job to where the process in a container waits for them."""
    files = ready_last(archives.list_files(task.folder))
    archived = {f"{_place(task)}/{name}": path for name, path in files.items()}
    with archives.pack(archived, user=USER) as archive:
        api.put_archive(container, VOLUME, archive)


def _place(task: Task) -> str:
    """Return where a task's job has its control directory, in the volume."""
    return (CONTROL / task.folder.relative_to(task.control)).as_posix()


def wait(api: APIClient, container: str) -> int:
    """Wait for the end of a container; return its exit code. Raises NotUnderstood."""
    # None waits for ever; without it the SDK gives up after its own time-out.
    return read(End, api.wait(container, timeout=None)).code


def count_processes(api: APIClient, container: str) -> int:
    """Return how many processes and threads a container has. Raises NotUnderstood."""
    return read(Use, api.stats(container, stream=False, one_shot=True)).processes.count


def _host_config(
    api: APIClient, limits: Limits, mounts: list[Mount], gpu: DeviceRequest | None
) -> dict[str, Any]:
    return api.create_host_config(
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
        mounts=mounts,
        # The log is read while it is written, and counted; the engine stores none of it.
        log_config=LogConfig(type="none"),
        device_requests=[gpu] if gpu else None,
    )


def _python_path(api: APIClient, image: str) -> str:
    """Return PYTHONPATH: the harness, then what the image sets itself."""
    answer = read(Image, api.inspect_image(image))  # type: ignore[no-untyped-call]
    own = [
        entry.removeprefix("PYTHONPATH=")
        for entry in answer.config.variables
        if entry.startswith("PYTHONPATH=")
    ]
    return ":".join([MOUNT_POINT, *filter(None, own)])
