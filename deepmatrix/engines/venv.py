"""Cells in virtual environments of this machine: for machines without a container engine.

uv installs the same pins as in the images; the environments are cached by a hash of their content.
Cells with the same pins, such as variants, share one.
Only cells of this machine's architecture, its Pythons and the CPU run.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, TypeAdapter
from uv import find_uv_bin

from deepmatrix.boundary.bounds import Count, Seconds
from deepmatrix.boundary.files import Damaged, read_json
from deepmatrix.boundary.writing import replace_folder, write_text
from deepmatrix.engines import Ended, Prepared, Progress, Task, hardware, local, sandbox
from deepmatrix.engines.local import LocalProcesses
from deepmatrix.errors import EngineError
from deepmatrix.images import pins
from deepmatrix.invocation import command_line
from deepmatrix.machine import binfmt, folders, owner, processes
from deepmatrix.machine.packages import indexes
from deepmatrix.paths import HARNESS
from deepmatrix.planning.cells import Capabilities, Cell

#: Raise it when environments are made in another way: cached ones are then not used.
RECIPE = 2

#: Written last into an environment: its size and how long it took.
COMPLETE = "deepmatrix.json"


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """A Python of this machine; ``version`` in full, ``3.11.7``."""

    version: str
    path: Path

    @property
    def short(self) -> str:
        """Major and minor version."""
        return ".".join(self.version.split(".")[:2])


def _library_path() -> dict[str, str]:
    """Return where processes look for shared objects first, if anywhere: it decides what runs."""
    path = os.environ.get("LD_LIBRARY_PATH")
    return {"library_path": path} if path else {}


class VenvEngine:
    """An engine that makes virtual environments. See `deepmatrix.engines.Engine`."""

    name = "venv"
    isolates = False
    is_here = True

    def __init__(
        self,
        *,
        harness: Path = HARNESS,
        extra: Mapping[str, Path] | None = None,
        root: Path | None = None,
    ) -> None:
        self._root = root or folders.cache() / "venvs"
        self._pythons: dict[str, Path] = {}
        self._processes = LocalProcesses(
            clean=True, harness=harness, extra=extra, sandbox=sandbox.find()
        )

    def capabilities(self) -> Capabilities:
        """Return this machine's architecture, Pythons, CPUs and memory."""
        return Capabilities(
            engine=self.name,
            native=frozenset({binfmt.docker_name(platform.machine().lower())}),
            pythons=frozenset(self._interpreters),
            cpus=len(local.usable_cpus()),
            memory_bytes=local.memory_bytes(),
            emulator=binfmt.emulator(binfmt.docker_name(platform.machine().lower())),
        )

    def describe(self) -> dict[str, str]:
        """Facts about this machine that belong in the run's records."""
        versions = sorted(interpreter.version for interpreter in self._interpreters.values())
        return {
            "product": "uv",
            "system": platform.platform(),
            "pythons": ", ".join(versions),
            **_library_path(),
            **local.limits_held(sandbox.find()),
            **hardware.machine_facts(),
        }

    def prepare(self, cells: Sequence[Cell], progress: Progress) -> dict[str, Prepared]:
        """Make the environments that are missing. A cell that cannot have one has ``error``."""
        self._sweep()
        return {cell.id: self._prepare(cell, progress) for cell in cells}

    def adopt(self, cell: Cell, earlier: Prepared) -> Prepared:
        """Take the environment of an earlier run. See `deepmatrix.engines.Engine`."""
        self._sweep()
        cached = {folder.name: folder for folder in self._root.iterdir()}
        folder = cached.get(earlier.reference)
        if folder is None or not _is_complete(folder):
            error = f"the environment {earlier.reference} is not here any more"
            return earlier.adopted(cell.id, error)
        self._pythons[cell.plain.id] = _python(folder)
        return earlier.adopted(cell.id, "")

    def open(self, run_id: str) -> None:
        """Remove the leftovers of dead runs, copy the harness."""
        del run_id
        self._processes.open()

    def run(self, task: Task, cancel: threading.Event) -> Ended:
        """Run one process in the cell's environment. See `deepmatrix.engines.Engine`."""
        python = self._pythons.get(task.cell.plain.id)
        if task.cell.device != "cpu":
            return Ended(ending="no-device", cause="virtual environments are for the CPU only")
        if python is None:
            return Ended(ending="start-failed", cause=f"{task.cell.id} has no environment")
        return self._processes.run(task, python, cancel)

    def close(self) -> None:
        """Remove the copy of the harness; the environments stay."""
        self._processes.close()

    @cached_property
    def _interpreters(self) -> dict[str, Interpreter]:
        """The newest Python of this machine of each minor version, by minor version."""
        newest: dict[str, Interpreter] = {}
        for interpreter in interpreters():
            known = newest.get(interpreter.short)
            if known is None or _number(interpreter.version) > _number(known.version):
                newest[interpreter.short] = interpreter
        return newest

    def _prepare(self, cell: Cell, progress: Progress) -> Prepared:
        error = self.capabilities().refusal(cell)
        if error is None and not pins.path(cell.pinned).exists():
            error = f"it has no pins: run `{command_line('pins')}`"
        if error:
            return Prepared(cell_id=cell.id, reference="", error=error)
        interpreter = self._interpreters[cell.python]
        folder = self._folder(cell, interpreter)
        try:
            built = self._build(cell, interpreter, folder, progress)
            facts = read_json(folder / COMPLETE, _FACTS, hint=f"remove {folder}")
        except (EngineError, Damaged) as failure:
            return Prepared(cell_id=cell.id, reference=str(folder), error=failure.message)
        except OSError as failure:
            error = f"cannot make {folder}: {failure.strerror}"
            return Prepared(cell_id=cell.id, reference=str(folder), error=error)
        self._pythons[cell.id] = _python(folder)
        return Prepared(
            cell_id=cell.id,
            reference=folder.name,
            size_bytes=facts.bytes,
            build_s=facts.seconds if built else None,
            built=built,
        )

    def _folder(self, cell: Cell, interpreter: Interpreter) -> Path:
        content = hashlib.sha256(pins.path(cell.pinned).read_bytes())
        content.update(f"{interpreter} {platform.machine()} {RECIPE}".encode())
        return self._root / f"{cell.pinned}-{content.hexdigest()[:12]}"

    def _build(
        self, cell: Cell, interpreter: Interpreter, folder: Path, progress: Progress
    ) -> bool:
        """Make an environment unless it is cached; say whether it was made.

        Raises:
            EngineError: uv could not.
            OSError: this machine cannot write it.
        """
        if _is_complete(folder):
            return False
        waiting = "waiting: another process makes this environment"
        with _locked(folder, lambda: progress(cell.id, waiting)):
            if _is_complete(folder):
                return False  # another process made it meanwhile
            self._make(cell, interpreter, folder, progress)
        return True

    def _make(self, cell: Cell, interpreter: Interpreter, folder: Path, progress: Progress) -> None:
        """Make an environment in a temporary folder and rename it, so that it is whole."""
        began = time.monotonic()
        temporary = Path(tempfile.mkdtemp(prefix=".part-", dir=self._root))
        try:
            (temporary / "owner").write_text(str(owner.this_process()), encoding="utf-8")
            part = temporary / "venv"
            self._uv(
                cell,
                progress,
                "venv",
                "--relocatable",
                "--python",
                str(interpreter.path),
                str(part),
            )
            self._uv(
                cell,
                progress,
                "pip",
                "install",
                "--python",
                str(_python(part)),
                "--only-binary=:all:",
                "--no-deps",
                "--require-hashes",
                "--compile-bytecode",  # as in an image; else every process would compile anew
                "--requirements",
                str(pins.path(cell.pinned)),
            )
            facts = {"bytes": _bytes(part), "seconds": time.monotonic() - began}
            write_text(part / COMPLETE, json.dumps(facts))
            replace_folder(folder, part)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _uv(self, cell: Cell, progress: Progress, *arguments: str) -> None:
        processes.stream(
            [find_uv_bin(), *arguments, "--no-python-downloads", "--no-progress"],
            log=self._root / "build.log",
            environment=indexes.configured_sources().environment(),
            on_line=lambda line: progress(cell.id, line),
        )

    def _sweep(self) -> None:
        """Remove the incomplete environments of killed processes."""
        try:
            self._root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise folders.not_writable(self._root, error) from None
        for folder in owner.left_behind(self._root.glob(".part-*/owner")):
            shutil.rmtree(folder, ignore_errors=True)


class _Facts(BaseModel):
    """What an environment says of itself once it is whole."""

    bytes: Count
    seconds: Seconds


_FACTS = TypeAdapter(_Facts)


def _is_complete(folder: Path) -> bool:
    """Return whether an environment is whole; one whose own file is damaged is made anew."""
    try:
        read_json(folder / COMPLETE, _FACTS)
    except Damaged:
        return False
    return True


def interpreters() -> list[Interpreter]:
    """Return the Pythons that uv finds on this machine, of its own architecture."""
    listing = [find_uv_bin(), "python", "list", "--only-installed", "--output-format", "json"]
    text = processes.run([*listing, "--no-python-downloads"])
    machine = binfmt.docker_name(platform.machine().lower())
    return [
        Interpreter(version=entry["version"], path=Path(entry["path"]))
        for entry in json.loads(text)
        if entry.get("implementation") == "cpython"
        and entry.get("variant", "default") == "default"
        and binfmt.docker_name(entry.get("arch", "")) == machine
    ]


@contextlib.contextmanager
def _locked(folder: Path, when_waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of an environment. On Windows there is none: the last one made stays.

    The lock's file beside the folder is never removed: another process may hold it.
    """
    with folder.with_name(f".{folder.name}.lock").open("a") as lock:
        if sys.platform != "win32":
            import fcntl  # noqa: PLC0415 - not on Windows

            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                when_waiting()
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _python(environment: Path) -> Path:
    windows = os.name == "nt"
    return environment / ("Scripts/python.exe" if windows else "bin/python")


def _bytes(folder: Path) -> int:
    """Return the bytes of all files below *folder*."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def _number(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdigit()]
