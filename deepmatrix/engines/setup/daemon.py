"""A private Docker daemon with a socket, data, run files and process id of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deepmatrix.errors import EngineError
from deepmatrix.machine import processes
from deepmatrix.machine.proctree import PROC

#: How long a daemon may take to answer, and to end. Seconds.
START_S = 60.0
STOP_S = 30.0

#: The daemons that this process has started: it has to reap them after their end.
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True, kw_only=True)
class Daemon:
    """A daemon with its files in two folders: *run* is gone after a boot, *data* stays.

    *apart* gives it a network namespace of its own, without a network: two daemons in one
    namespace fight over docker0, and one that runs without a bridge deletes the other's.
    """

    run: Path = Path("/run/deepmatrix")
    data: Path = Path("/var/lib/deepmatrix")
    options: tuple[str, ...] = ()
    apart: bool = False

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"unix://{self.run / 'docker.sock'}"

    @property
    def log(self) -> Path:
        """Where it writes its log."""
        return self.data / "dockerd.log"

    def command(self) -> list[str]:
        """Return the command line that starts it."""
        return [
            *(["unshare", "--net"] if self.apart else []),
            "dockerd",
            *("--host", self.url),
            *("--data-root", str(self.data / "docker")),
            *("--exec-root", str(self.run / "exec")),
            *("--pidfile", str(self._pidfile)),
            *self.options,
        ]

    def start(self) -> None:
        """Start it in a session of its own and wait until it answers.

        Raises EngineError, quoting the end of its log, when it does not.
        """
        for folder in (self.run, self.data):
            folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            process = processes.start(self.command(), output=log, new_session=True)
        _children[process.pid] = process
        end = time.monotonic() + START_S
        while not self.answers():
            if process.poll() is not None or time.monotonic() > end:
                processes.end(process)
                raise EngineError(
                    f"dockerd did not start: {self._log_end()}", hint=f"see {self.log}"
                )
            time.sleep(0.25)

    def answers(self) -> bool:
        """Say whether it answers."""
        command = ["docker", "--host", self.url, "version", "--format", "{{.Server.Version}}"]
        try:
            processes.run(command, timeout_s=10)
        except EngineError:
            return False
        return True

    def pid(self) -> int | None:
        """Return its process id, or None when it does not run."""
        try:
            pid = int(self._pidfile.read_text(encoding="utf-8"))
            words = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        # The number may belong to another process by now.
        return pid if str(self._pidfile).encode() in words else None

    def stop(self) -> bool:
        """End it and its containers, unmount its folders; say whether it ran. Its data stays.

        Raises EngineError when it belongs to somebody else or does not end.
        """
        pid = self.pid()
        if pid is not None:
            self._end(pid, signal.SIGTERM)
        self._end_containers()
        self._unmount()
        shutil.rmtree(self.run / "exec", ignore_errors=True)
        return pid is not None

    def kill(self) -> None:
        """Kill it, as in a crash: its containers run on until it is started again."""
        pid = self.pid()
        if pid is not None:
            self._end(pid, signal.SIGKILL)

    def _end_containers(self) -> None:
        """Kill the containers of a daemon that was killed, and the shims that hold them."""
        shims = {
            path.parent.name
            for path in PROC.glob("[0-9]*/cmdline")
            if f"{self.run / 'exec'}/containerd/containerd.sock" in _text(path).split("\0")
        }
        parents = {path.parent.name: _parent(path) for path in PROC.glob("[0-9]*/stat")}
        children = [pid for pid, parent in parents.items() if parent in shims]
        for pid in (*children, *shims):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)

    def _end(self, pid: int, number: signal.Signals) -> None:
        try:
            os.kill(pid, number)
        except PermissionError:
            raise EngineError(
                f"process {pid} belongs to another user", hint="run the command as root, or by sudo"
            ) from None
        end = time.monotonic() + STOP_S
        while not _has_ended(pid):
            if time.monotonic() > end:
                raise EngineError(f"dockerd (process {pid}) does not end", hint=f"see {self.log}")
            time.sleep(0.1)

    def _unmount(self) -> None:
        """Unmount everything below the daemon's folders, innermost first."""
        for mount_point in sorted(self._mounts(), reverse=True):
            with contextlib.suppress(EngineError):
                processes.run(["umount", mount_point])

    def _mounts(self) -> Iterator[str]:
        ours = tuple(f"{folder}/" for folder in (self.run, self.data))
        for line in (PROC / "self/mounts").read_text(encoding="utf-8").splitlines():
            mount_point = line.split()[1]
            if mount_point.startswith(ours):
                yield mount_point

    @property
    def _pidfile(self) -> Path:
        return self.run / "docker.pid"

    def _log_end(self) -> str:
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return "it has no log"
        return "\n".join(text.strip().splitlines()[-5:])


def foreign_daemons(mine: Daemon) -> list[int]:
    """Return the process ids of Docker daemons on this machine that are not *mine*."""
    return [
        int(path.parent.name)
        for path in PROC.glob("[0-9]*/comm")
        if _text(path) == "dockerd" and int(path.parent.name) != mine.pid()
    ]


def _has_ended(pid: int) -> bool:
    if pid in _children and _children[pid].poll() is not None:
        del _children[pid]
    return not (PROC / str(pid)).exists()


def _parent(stat: Path) -> str:
    """Return the id of a process's parent, as text; empty when it has just ended."""
    fields = _text(stat).rpartition(")")[2].split()
    return fields[1] if len(fields) > 1 else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
