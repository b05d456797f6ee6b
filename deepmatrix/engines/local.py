"""Cells in plain processes of this machine, for the engines `venv` and `here`.

Fewer limits hold here than in a container. A process has its own session, CPUs, deadline, bounded
files and log. On Linux its memory and its number of processes are checked four times a second, and
it is killed when it uses too much. It can read every file that the user can, and the network.
RLIMIT_AS would not limit memory: frameworks reserve far more addresses than they use.
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

from deepmatrix.engines import Ended, Limits, Task, archives, endings, watch
from deepmatrix.engines.course import Course, ready_last
from deepmatrix.engines.watch import Stop, Tail
from deepmatrix.errors import EngineError
from deepmatrix.machine import folders, owner, processes, proctree
from deepmatrix.paths import HARNESS

#: The variables of this process's environment that a process with a clean one gets.
INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "SYSTEMROOT", "WINDIR", "LD_LIBRARY_PATH")

#: How long to wait for the end of the log of a process that was killed, in seconds.
LOG_END_S = 2.0


class LocalProcesses:
    """Runs the harness in processes, from a copy of it and of the control directory.

    *clean*: start from an almost empty environment, not from this process's. *extra* are more
    files to put beside the harness, by path.
    """

    def __init__(
        self,
        *,
        clean: bool,
        harness: Path = HARNESS,
        extra: Mapping[str, Path] | None = None,
        root: Path | None = None,
    ) -> None:
        self._clean = clean
        self._files = {
            **{f"harness/{name}": path for name, path in archives.list_files(harness).items()},
            **(extra or {}),
        }
        self._root = root or folders.cache() / "work"
        self._folder: Path | None = None

    def open(self) -> None:
        """Remove the leftovers of dead runs, their processes too; copy the harness."""
        proctree.kill_marked(owner.is_gone)
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            for mark in self._root.glob("*/owner"):
                with contextlib.suppress(FileNotFoundError):  # another run has just closed
                    if owner.is_gone(mark.read_text(encoding="utf-8")):
                        archives.remove(mark.parent)
            self._folder = Path(tempfile.mkdtemp(dir=self._root))
            (self._folder / "owner").write_text(str(owner.this_process()), encoding="utf-8")
            for name, source in self._files.items():
                target = self._folder / "code" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
        except OSError as error:
            raise EngineError(
                f"cannot write below {self._root}: {error.strerror}",
                hint="set XDG_CACHE_HOME to a folder that can be written",
            ) from None

    def close(self) -> None:
        """Remove the copy of the harness."""
        if self._folder:
            archives.remove(self._folder)
            self._folder = None

    def run(self, task: Task, python: Path, cancel: threading.Event) -> Ended:
        """Run one process of *python* to its end. See `deepmatrix.engines.Engine`."""
        course, peak = Course(task), proctree.MemoryPeak()
        code: int | None = None
        try:
            with self._copy(task.control) as control:
                course.mark_start()
                stop, code = self._attempt(course, python, control, cancel, peak)
                if stop.ending != "cancelled":
                    stop = _adopt(control, task, stop)
        except processes.CommandFailed as error:
            stop = Stop(ending="start-failed", cause=error.message)
        return course.ended(stop, code, tree_bytes=peak.memory_bytes or None)

    def _attempt(
        self,
        course: Course,
        python: Path,
        control: Path,
        cancel: threading.Event,
        peak: proctree.MemoryPeak,
    ) -> tuple[Stop, int | None]:
        task, tail, wake = course.task, course.tail, watch.Wake()
        process = self._start(task, python, control)
        reader = threading.Thread(target=_read, args=(process, tail, wake), daemon=True)
        waiter = threading.Thread(target=_wait, args=(process, wake), daemon=True)
        reader.start()
        waiter.start()
        try:
            stop = watch.wait_for_end(
                wake,
                cancel=cancel,
                deadline_s=task.deadline_s,
                check=lambda: _limit_exceeded(peak.measure(process.pid), task.limits),
                serve=lambda: course.serve(
                    lambda stop: _adopt(control, task, stop), lambda: _hand_in(control, task)
                ),
            )
        finally:
            processes.kill_group(process)
            marker = self._mark(control)
            proctree.kill_marked(lambda mark: mark == marker)
            waiter.join()
            reader.join(LOG_END_S)
        if tail.is_over and (stop is None or stop.ending != "cancelled"):
            stop = tail.stop()
        if stop:
            return stop, None
        code = process.returncode
        return endings.ended_by_itself(code, oom=False, limits=task.limits), code

    def _start(self, task: Task, python: Path, control: Path) -> subprocess.Popen[bytes]:
        assert self._folder is not None, "open() comes first"
        code = self._folder / "code"
        inherited = {key: os.environ[key] for key in INHERITED if key in os.environ}
        path = [str(code)]
        if not self._clean and os.environ.get("PYTHONPATH"):
            path.append(os.environ["PYTHONPATH"])
        program = ["harness.emulated", str(task.emulator)] if task.emulator else ["harness"]
        with _pinned_to(task.limits.cpus):
            process = processes.start(
                [str(python), "-m", *program, str(control)],
                environment={
                    **(inherited if self._clean else {}),
                    **task.environment,
                    "PYTHONPATH": os.pathsep.join(path),
                    "PYTHONDONTWRITEBYTECODE": "1",
                    "PYTHONUNBUFFERED": "1",
                    proctree.MARK: self._mark(control),
                },
                inherit=not self._clean,
                cwd=code,
                new_session=True,
            )
        _limit(process.pid, task.limits)
        return process

    def _mark(self, control: Path) -> str:
        """Return the mark of a task's processes: their owner and the task."""
        return f"{owner.this_process()}/{control.parent.name}"

    @contextlib.contextmanager
    def _copy(self, control: Path) -> Iterator[Path]:
        """Yield a copy of a control directory; remove it after."""
        temporary = Path(tempfile.mkdtemp(dir=self._folder))
        try:
            copy = temporary / "control"
            shutil.copytree(control, copy)
            yield copy
        finally:
            archives.remove(temporary)


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


def limits_held() -> dict[str, str]:
    """Return which limits hold on this system."""
    checked = "killed when seen to use more" if proctree.is_known() else "not limited here"
    return {
        "memory": checked,
        "processes": checked,
        "cpus": "pinned" if hasattr(os, "sched_setaffinity") else "not pinned here",
        "isolation": "none: it can read what you can, and reach the network",
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


def _limit(pid: int, limits: Limits) -> None:
    """Limit a process's files. It has hardly started: it has written none yet."""
    if sys.platform == "linux":
        import resource  # noqa: PLC0415 - not on every system

        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (limits.file_bytes, limits.file_bytes))


def _limit_exceeded(usage: proctree.Usage, limits: Limits) -> Stop | None:
    """Return why a process has to be stopped, or None while it keeps within its limits."""
    if usage.processes > limits.processes:
        return endings.out_of_processes(limits)
    if usage.memory_bytes > limits.memory_bytes:
        return endings.out_of_memory(limits)
    return None


def _adopt(control: Path, task: Task, stop: Stop) -> Stop:
    """Copy the files of a job back; refused files are its failure, if it had no other."""
    try:
        archives.copy_plain_files(control / task.folder.relative_to(task.control), task.folder)
    except archives.Refused as error:
        return Stop(ending="crashed", cause=error.message) if stop.ending == "exited" else stop
    return stop


def _hand_in(control: Path, task: Task) -> None:
    """Copy the files of the next job to where its process waits for them."""
    files = archives.list_files(task.folder)
    for name, path in ready_last(files).items():
        target = control / task.folder.relative_to(task.control) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


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
