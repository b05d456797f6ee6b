"""Cells in plain processes of this machine, for the engines `venv` and `here`.

Fewer limits hold here than in a container. A process has its own session, CPUs, deadline, bounded
files and log, and a harness that it cannot change for later ones. On Linux its
memory and its number of processes are checked four times a second, and it is killed when it uses
too much. What it starts is found by its descent, its environment, and its control group where this
user may make one. RLIMIT_AS would not limit memory: frameworks reserve far more addresses than they
use.

Where there is no `sandbox` around it, it can read and write every file that the user can, and use
the network.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from deepmatrix.boundary import nofollow, removing
from deepmatrix.boundary.copying import copy_tree
from deepmatrix.engines import Ended, Task, archives, endings, watch
from deepmatrix.engines.limits import LimitCheck
from deepmatrix.engines.sandbox import Folders, Sandbox
from deepmatrix.engines.timeline import Timeline, ready_last
from deepmatrix.engines.watch import Stop, Tail
from deepmatrix.errors import system_error
from deepmatrix.machine import cgroups, folders, owner, processes, proctree
from deepmatrix.paths import HARNESS

#: The variables of this process's environment that a process with a clean one gets.
INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "SYSTEMROOT", "WINDIR", "LD_LIBRARY_PATH")

#: The variables of every process, which a cell cannot set.
OURS = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", proctree.MARK)

#: The copy of the harness for all processes in a sandbox.
SHARED = "code"

#: How long to wait for the end of the log of a process that was killed, in seconds.
LOG_END_S = 2.0


class LocalProcesses:
    """Runs the harness in processes, each from its own copy of the control directory.

    In a sandbox all read one copy of the harness, which none can write; else each has its own.

    *clean*: start from an almost empty environment, not from this process's. *extra* are more
    files to put beside the harness, by path. *sandbox*: what to put around each process whose
    interpreter works in it.
    """

    def __init__(
        self,
        *,
        clean: bool,
        harness: Path = HARNESS,
        extra: Mapping[str, Path] | None = None,
        root: Path | None = None,
        sandbox: Sandbox | None = None,
    ) -> None:
        self._clean = clean
        self._sandbox = sandbox
        self._sandboxes: dict[Path, Sandbox | None] = {}
        self._lock = threading.Lock()
        self._files = {
            **{f"harness/{name}": path for name, path in archives.list_files(harness).items()},
            **(extra or {}),
        }
        self._root = root or folders.cache() / "work"
        self._folder: Path | None = None
        self._code: dict[str, bytes] = {}

    def open(self) -> None:
        """Remove the leftovers of dead runs, their processes too; read the harness."""
        cgroups.sweep()
        proctree.kill_marked(owner.is_gone)
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            for folder in owner.left_behind(self._root.glob("*/owner")):
                with contextlib.suppress(FileNotFoundError):  # another run has just closed
                    removing.remove(folder)
            self._folder = Path(tempfile.mkdtemp(dir=self._root))
            (self._folder / "owner").write_text(str(owner.this_process()), encoding="utf-8")
            self._code = {name: source.read_bytes() for name, source in self._files.items()}
            if self._sandbox:
                self._write_code(self._folder / SHARED)
        except OSError as error:
            raise folders.not_writable(self._root, error) from None

    def close(self) -> None:
        """Remove the folder of the processes."""
        if self._folder:
            removing.remove(self._folder)
            self._folder = None

    def run(self, task: Task, python: Path, cancel: threading.Event) -> Ended:
        """Run one process of *python* to its end. See `deepmatrix.engines.Engine`."""
        sandbox = self._sandbox_of(python)
        timeline = Timeline(task, "bubblewrap" if sandbox else "none")
        check: LimitCheck | None = None
        code: int | None = None
        try:
            with self._copies(task.control, sandbox) as copies, cgroups.new_group() as group:
                timeline.mark_start()
                process = self._start(task, python, copies, sandbox, group)
                check = LimitCheck(process.pid, task.limits, copies.control.parent, group)
                stop, code = self._attempt(timeline, process, copies.control, group, cancel, check)
                if stop.ending not in endings.WITHOUT_FILES:
                    stop = _adopt(copies.control, task, stop)
        except processes.CommandFailed as error:
            stop = Stop(ending="start-failed", cause=error.message)
        return timeline.ended(
            stop, code, tree_bytes=check.peak.memory_bytes or None if check else None
        )

    def _sandbox_of(self, python: Path) -> Sandbox | None:
        """Return the sandbox, where an interpreter works in it: that is tried once."""
        with self._lock:
            if python not in self._sandboxes:
                works = self._sandbox is not None and self._sandbox.works(python)
                self._sandboxes[python] = self._sandbox if works else None
            return self._sandboxes[python]

    def _attempt(
        self,
        timeline: Timeline,
        process: subprocess.Popen[bytes],
        control: Path,
        group: cgroups.Group | None,
        cancel: threading.Event,
        check: LimitCheck,
    ) -> tuple[Stop, int | None]:
        task, tail, wake = timeline.task, timeline.tail, watch.Wake()
        reader = threading.Thread(target=_read, args=(process, tail, wake), daemon=True)
        waiter = threading.Thread(target=_wait, args=(process, wake), daemon=True)
        reader.start()
        waiter.start()
        try:
            stop = watch.wait_for_end(
                wake,
                cancel=cancel,
                deadline_s=task.deadline_s,
                check=check,
                serve=lambda: timeline.serve(
                    lambda stop: _adopt(control, task, stop), lambda: _hand_in(control, task)
                ),
            )
        except archives.Refused as error:
            stop = Stop(ending="crashed", cause=error.message)
        finally:
            self._kill(process, control, group)
            waiter.join()
            reader.join(LOG_END_S)
        if tail.is_over and (stop is None or stop.ending != "cancelled"):
            stop = tail.stop()
        if stop:
            return stop, None
        code = process.returncode
        return endings.ended_by_itself(code, oom=False, limits=task.limits), code

    def _kill(
        self, process: subprocess.Popen[bytes], control: Path, group: cgroups.Group | None
    ) -> None:
        """Kill a process and all that it started, wherever that can be found."""
        processes.kill_group(process)
        marker = self._mark(control)
        proctree.kill_marked(lambda mark: mark == marker)
        if group:
            group.kill()

    def _start(
        self,
        task: Task,
        python: Path,
        copies: Folders,
        sandbox: Sandbox | None,
        group: cgroups.Group | None,
    ) -> subprocess.Popen[bytes]:
        program = ["harness.emulated", str(task.emulator)] if task.emulator else ["harness"]
        command = [str(python), "-m", *program, str(copies.control)]
        environment = self._environment(copies)
        of_cell = {key: text for key, text in task.environment.items() if key not in OURS}
        if sandbox:
            readable = [task.emulator] if task.emulator else []
            command = sandbox.wrap(command, python, copies, readable=readable, environment=of_cell)
        else:
            environment |= of_cell
        if sys.platform != "win32":
            command = processes.limited(
                command,
                file_bytes=task.limits.file_bytes,
                entrance=group.entrance if group else None,
            )
        with _pinned_to(task.limits.cpus):
            return processes.start(
                command,
                environment=environment,
                inherit=not self._clean,
                cwd=copies.code,
                new_session=True,
            )

    def _environment(self, copies: Folders) -> dict[str, str]:
        """Return the variables of every process, without those of its cell."""
        inherited = {key: os.environ[key] for key in INHERITED if key in os.environ}
        path = [str(copies.code)]
        if not self._clean and os.environ.get("PYTHONPATH"):
            path.append(os.environ["PYTHONPATH"])
        return {
            **(inherited if self._clean else {}),
            "PYTHONPATH": os.pathsep.join(path),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            proctree.MARK: self._mark(copies.control),
        }

    def _mark(self, control: Path) -> str:
        """Return the mark of a task's processes: their owner and the task."""
        return f"{owner.this_process()}/{control.parent.name}"

    def _write_code(self, folder: Path) -> None:
        for name, content in self._code.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)

    @contextlib.contextmanager
    def _copies(self, control: Path, sandbox: Sandbox | None) -> Iterator[Folders]:
        """Yield copies of the harness and of a control directory; remove what is its own after."""
        assert self._folder is not None, "open() comes first"
        temporary = Path(tempfile.mkdtemp(dir=self._folder))
        try:
            copies = Folders.create(temporary, self._folder / SHARED if sandbox else None)
            if not sandbox:
                self._write_code(copies.code)
            copy_tree(control, copies.control)
            yield copies
        finally:
            removing.remove(temporary)


def usable_cpus() -> list[int]:
    """Return the CPUs that this process may use, by number."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def memory_bytes() -> int:
    """Return the memory of this machine, or 0 where it is unknown."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


def limits_held(sandbox: Sandbox | None = None) -> dict[str, str]:
    """Return which limits hold on this system, in a *sandbox* where there is one."""
    checked = "killed when seen to use more" if proctree.is_known() else "not limited here"
    return {
        "memory": checked,
        "processes": checked,
        "cpus": "pinned" if hasattr(os, "sched_setaffinity") else "not pinned here",
        "daemons": "found by control group" if cgroups.are_possible() else "found by descent",
        "isolation": "bubblewrap: no network, none of your files, nothing written outside"
        if sandbox
        else "none: it can read and write what you can, and reach the network",
    }


@contextlib.contextmanager
def _pinned_to(numbers: tuple[int, ...]) -> Iterator[None]:
    """Pin this thread, and so the processes it starts, to some of its CPUs.

    *numbers* count from 0 over the CPUs that this process may use.
    """
    if not numbers or not hasattr(os, "sched_setaffinity"):
        yield
        return
    mine = usable_cpus()
    os.sched_setaffinity(0, {mine[number % len(mine)] for number in numbers})
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)


def _adopt(control: Path, task: Task, stop: Stop) -> Stop:
    """Copy the files of a job back; refused files are its failure, if it had no other."""
    inner = task.folder.relative_to(task.control)
    # Holes take no room until they are copied: what counts on the disk has another sum.
    limit_bytes = archives.size_below(task.folder) + task.limits.disk_bytes
    try:
        archives.copy_plain_files(control, task.folder, inner, limit_bytes=limit_bytes)
    except archives.Refused as error:
        return Stop(ending="crashed", cause=error.message) if stop.ending == "exited" else stop
    return stop


def _hand_in(control: Path, task: Task) -> None:
    """Copy the files of the next job to where its process waits for them, through no link.

    Raises Refused where the process put something in their way.
    """
    folder = task.folder.relative_to(task.control)
    for name, path in ready_last(archives.list_files(task.folder)).items():
        try:
            target = nofollow.open_to_write(control, folder / name)
        except OSError as error:
            if error.errno in nofollow.IN_THE_WAY:
                raise archives.Refused(
                    f"its process cannot get it, for what lies at {folder}: {error.strerror}"
                ) from None
            raise system_error(error, control) from None
        with target, path.open("rb") as source:
            shutil.copyfileobj(source, target)


def _read(process: subprocess.Popen[bytes], tail: Tail, wake: watch.Wake) -> None:
    assert process.stdout is not None
    with process.stdout as pipe:
        while data := os.read(pipe.fileno(), 1 << 16):
            if tail.add(data):
                wake.look()
            if tail.is_over:
                wake.end()
                return


def _wait(process: subprocess.Popen[bytes], wake: watch.Wake) -> None:
    process.wait()
    wake.end()
