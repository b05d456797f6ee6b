"""Following a container: start it, read its log, wait for its end or end it, say how it ended."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

from docker import APIClient
from docker.errors import APIError

from deepmatrix.engines import Limits, endings, watch
from deepmatrix.engines.docker import containers
from deepmatrix.engines.docker.answers import Details, read
from deepmatrix.engines.docker.connection import FAILURES, Connection
from deepmatrix.engines.docker.leftovers import KILL_S
from deepmatrix.engines.timeline import Timeline
from deepmatrix.engines.watch import Stop, Tail


def follow(
    connection: Connection,
    container: str,
    timeline: Timeline,
    cancel: threading.Event,
    volume_bytes: Callable[[], int],
) -> tuple[Stop, int | None]:
    """Start a container, wait for its end or end it; return how it ended and its exit code.

    *volume_bytes* returns the size of its volume. There is no exit code where the container
    had to be killed.
    """
    if cancel.is_set():  # while it was made: to start it takes longer than to remove it
        return watch.CANCELLED, None
    api, task, tail = connection.api, timeline.task, timeline.tail
    follower = _Follower(api, container, tail)
    try:
        api.start(container)
    except BaseException:
        follower.close()
        raise
    follower.start()
    stop = watch.wait_for_end(
        follower.wake,
        cancel=cancel,
        deadline_s=task.deadline_s,
        check=lambda: (
            endings.out_of_disk(task.limits) if volume_bytes() > task.limits.disk_bytes else None
        ),
        serve=lambda: timeline.serve(
            lambda stop: containers.fetch_files(api, container, task, stop),
            lambda: containers.hand_in(api, container, task),
        ),
    )
    if stop is None and tail.is_over:
        stop = tail.stop()
    if stop:
        if stop.ending == "timeout":
            count = containers.count_processes(api, container)
            if count >= task.limits.processes:
                stop = endings.out_of_processes(task.limits)
        with contextlib.suppress(APIError):  # it may have ended just now
            api.kill(container, "SIGKILL")
    code = follower.result()
    if stop:
        return stop, None
    if tail.is_over:
        return tail.stop(), code
    return _ended_by_itself(connection, container, code, task.limits), code


def _ended_by_itself(connection: Connection, container: str, code: int, limits: Limits) -> Stop:
    details = read(Details, connection.api.inspect_container(container))
    number = endings.signal_of(code)
    oom = details.state.out_of_memory
    if number in (9, 15) and not oom:
        connection.check_stays()
        # On cgroup v2 the engine may not have heard of the memory limit's kill.
        if number == 9 and not _was_killed_by_hand(connection.api, container):
            oom = True
    return endings.ended_by_itself(code, oom=oom, limits=limits)


def _was_killed_by_hand(api: APIClient, container: str) -> bool:
    events = api.events(
        since=0,
        until=int(time.time()) + 1,
        filters={"container": container, "event": ["kill", "stop"]},
        decode=True,
    )
    return bool(list(events))  # read to its end, for the SDK leaves it open else


class _Follower(threading.Thread):
    """Reads a container's output as it is written, then waits for its end.

    ``wake`` tells when it ended, was lost, served a job, or has written more than it may.
    """

    def __init__(self, api: APIClient, container: str, tail: Tail) -> None:
        super().__init__(daemon=True, name=f"follow {container}")
        self.wake = watch.Wake()
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
            self._code = containers.wait(self._api, self._container)
        except FAILURES as error:
            self._error = error
        finally:
            self.wake.end()

    def _read(self) -> None:
        try:
            for chunk in self._stream:
                if self._tail.add(chunk):
                    self.wake.look()
                if self._tail.is_over:
                    self.wake.end()
                    return
        finally:
            self.close()

    def close(self) -> None:
        """Close the container's output."""
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
