"""Labels on containers and volumes, and the removal of those that a dead process left behind."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from docker import APIClient
from docker.errors import APIError, NotFound

from deepmatrix.engines.docker.answers import Container, Volumes, read
from deepmatrix.machine import owner

#: Labels of every container and volume that deepmatrix makes.
RUN, TASK, OWNER = "deepmatrix.run", "deepmatrix.task", "deepmatrix.owner"

#: How long an engine may take to end a process that was killed, in seconds.
KILL_S = 30.0


def labels(run_id: str) -> dict[str, str]:
    """Return the labels of what this process makes for a run."""
    return {RUN: run_id, OWNER: str(owner.this_process())}


def remove_container(api: APIClient, container: str) -> None:
    """Remove a container and its volumes, running or not, and wait until it is gone."""
    end = time.monotonic() + KILL_S
    while True:
        try:
            api.remove_container(container, v=True, force=True)
        except NotFound:
            return
        except APIError as error:
            # 409: its removal is under way.
            if error.status_code != 409 or time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


def remove_volume(api: APIClient, volume: str) -> None:
    """Remove a volume, if it is still there."""
    with contextlib.suppress(NotFound):
        api.remove_volume(volume, force=True)


def sweep_own(api: APIClient, run_id: str) -> None:
    """Remove every container and volume that this process made for a run, the harness's too.

    The worker of a fleet may serve several runs at once.
    """
    _sweep(api, lambda label: label == str(owner.this_process()), f"{RUN}={run_id}")


def sweep_dead(api: APIClient) -> None:
    """Remove every container and volume whose creating process has exited."""
    _sweep(api, owner.is_gone)


def _sweep(api: APIClient, is_leftover: Callable[[str], bool], *labels: str) -> None:
    """Remove what has all *labels*, and that of an owner whose leftover it is."""
    ours = {"label": [OWNER, *labels]}
    for container in read(list[Container], api.containers(all=True, filters=ours)):
        if is_leftover(container.labels.get(OWNER, "")):
            remove_container(api, container.id)
    for volume in read(Volumes, api.volumes(filters=ours)).volumes:
        if is_leftover(volume.labels.get(OWNER, "")):
            remove_volume(api, volume.name)
