"""The host: what a worker does on its machine, with an engine of its own."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Final

from deepmatrix.boundary import removing
from deepmatrix.boundary.writing import write_text
from deepmatrix.config.matrix import Matrix
from deepmatrix.engines import Ended, Engine, Prepared, Task, archives
from deepmatrix.engines.choose import choose
from deepmatrix.engines.hardware import EMULATOR
from deepmatrix.errors import EngineError, system_error
from deepmatrix.fleet import parcels
from deepmatrix.fleet.blobs import Blobs
from deepmatrix.fleet.offers import Offer, code_digest
from deepmatrix.fleet.parcels import (
    CHUNK,
    RESULTS,
    Answer,
    JobEnd,
    Order,
    digest_of,
    is_valid_path,
)
from deepmatrix.machine import binfmt, folders, locks, owner
from deepmatrix.planning.cells import Capabilities, Cell

#: A controller from which nothing was heard for so long is gone: more than any process takes.
SILENT_S: Final = 24 * 3600.0


@dataclass(kw_only=True)
class _Visit:
    """A controller with its run, when it was last *heard*: its engine, its files, its results.

    *begun*: the attempts that have had their turn. *preparing* is held while cells are made ready
    and the run *run_id* starts: a controller asks again where the answer was lost.
    """

    engine: Engine
    folder: Path
    heard: float
    results: dict[str, IO[bytes]] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    run_id: str = ""
    preparing: threading.Lock = field(default_factory=threading.Lock)

    @property
    def blobs(self) -> Blobs:
        return Blobs(self.folder / "blobs")


class Host:
    """Serves the controllers of a fleet on this machine. Its methods may be called at once.

    *engine*: which one, as for `deepmatrix.engines.choose`. *matrix*: what to look for bases with
    until a run brings its own. *architectures*: those that it offers; none: all that it can run.
    """

    def __init__(
        self,
        *,
        name: str,
        engine: str,
        matrix: Matrix,
        architectures: Collection[str] = (),
        root: Path | None = None,
    ) -> None:
        self.name = name
        self._engine = engine
        self._matrix = matrix
        self._architectures = architectures
        self._incarnation = secrets.token_hex(8)
        self._visits: dict[str, _Visit] = {}
        self._lock = threading.Lock()
        self._root = root or folders.cache() / "fleet"
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            for folder in owner.left_behind(self._root.glob("*/owner")):
                removing.remove(folder)
            self.folder = Path(tempfile.mkdtemp(dir=self._root))
            write_text(self.folder / "owner", str(owner.this_process()))
        except OSError as error:
            raise folders.not_writable(self._root, error) from None

    def close(self) -> None:
        """Remove everything that controllers left here."""
        for visit in list(self._visits):
            self.end_visit(visit)
        removing.remove(self.folder)

    def sweep(self) -> None:
        """End and remove what killed workers and runs left with the engine. Raises EngineError."""
        engine = self._choose(self._matrix)
        try:
            engine.open("")  # of no run: an engine sweeps as it opens one, and not otherwise
        finally:
            engine.close()

    def offer(self, matrix: Matrix | None = None) -> Offer:
        """Return what this machine offers to run of a matrix. Raises EngineError."""
        matrix = matrix or self._matrix
        engine = self._choose(matrix)
        try:
            capabilities = self._offered(_whole(engine.capabilities(), matrix))
            return Offer(
                name=self.name,
                incarnation=self._incarnation,
                code=code_digest(),
                engine=engine.name,
                isolates=engine.isolates,
                capabilities=capabilities,
                facts={**engine.describe(), **_emulator_facts(capabilities)},
            )
        finally:
            engine.close()

    def begin_visit(self, visit: str, matrix: Matrix, engine_name: str) -> None:
        """Let a controller in, for one run of a matrix, once.

        Raises EngineError where there is no engine, or another one than it was offered.
        """
        with self._lock:
            if visit in self._visits:
                return
            silent = time.monotonic() - SILENT_S
            gone = [name for name, each in self._visits.items() if each.heard < silent]
        for name in gone:
            self.end_visit(name)
        engine = self._choose(matrix)
        if engine.name != engine_name:
            engine.close()
            raise EngineError(
                f"{self.name} has the engine {engine.name} now, not {engine_name}",
                hint=f"start its worker again, with --engine {engine_name}",
            )
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        begun = _Visit(engine=engine, folder=folder, heard=time.monotonic())
        with self._lock:
            is_first = self._visits.setdefault(visit, begun) is begun
        if not is_first:  # it was asked again while an engine was chosen
            engine.close()
            removing.remove(folder)

    def open_run(self, visit: str, run_id: str) -> None:
        """Start a run, once. See `deepmatrix.engines.Engine`. Raises EngineError."""
        opened = self._visit(visit)
        with opened.preparing:
            if opened.run_id != run_id:
                opened.engine.open(run_id)
                opened.run_id = run_id

    def end_visit(self, visit: str) -> None:
        """Remove what a controller left here, if it is let in."""
        with self._lock:
            opened = self._visits.pop(visit, None)
        if opened:
            for archive in opened.results.values():
                archive.close()
            opened.engine.close()
            removing.remove(opened.folder)

    def prepare(self, visit: str, cells: Sequence[Cell]) -> dict[str, Prepared]:
        """Make cells of a run ready. See `deepmatrix.engines.Engine`."""
        opened = self._visit(visit)
        with opened.preparing:
            return opened.engine.prepare(cells, lambda *_: None)

    def adopt(self, visit: str, cell: Cell, earlier: Prepared) -> Prepared:
        """Make a cell ready from what it ran from before. See `deepmatrix.engines.Engine`."""
        return self._visit(visit).engine.adopt(cell, earlier)

    def put_files(self, visit: str, contents: dict[str, bytes]) -> None:
        """Take small files by their digests. Raises EngineError where one arrived damaged."""
        blobs = self._visit(visit).blobs
        for digest, content in contents.items():
            blobs.put(digest, content)

    def begin_file(self, visit: str) -> str:
        """Begin with a large file; return a name for it."""
        return self._visit(visit).blobs.begin()

    def add_bytes(self, visit: str, part: str, chunk: bytes) -> None:
        """Take the next bytes of a file. Raises EngineError."""
        self._visit(visit).blobs.add(part, chunk)

    def finish_file(self, visit: str, part: str, digest: str) -> None:
        """Take a file for whole. Raises EngineError where it arrived damaged."""
        self._visit(visit).blobs.finish(part, digest)

    def serve(
        self, order: Order, cancel: threading.Event, waiting: Callable[[], None] = lambda: None
    ) -> tuple[Answer, bytes]:
        """Run a process to its end; return its results, nothing where they are to be fetched.

        *waiting* is called once if it has to wait for its turn. Raises EngineError.
        """
        opened = self._visit(order.visit)
        folder = Path(tempfile.mkdtemp(dir=opened.folder))
        try:
            queue = _Shipped(order, folder)
            queue.unpack(opened.blobs)
            task = queue.task()
            with locks.exclusive_cpus(task.limits.cpus, cancel, waiting):
                opened.begun.add(order.attempt)
                ended = _run(opened.engine, task, cancel)
            queue.collect(ended)
            answer, archive = queue.answer()
        except OSError as error:
            raise system_error(error, error.filename or folder) from None
        finally:
            removing.remove(folder)
            if order.visit not in self._visits:  # it ended meanwhile, while this used all it had
                opened.engine.close()
                removing.remove(opened.folder)
        if answer.size <= parcels.SMALL_PARCEL:
            with archive:
                archive.seek(0)
                return answer, archive.read()
        opened.results[order.attempt] = archive
        return answer, b""

    def has_begun(self, visit: str, attempt: str) -> bool:
        """Return whether a process has had its turn: until then others measure on its CPUs."""
        return attempt in self._visit(visit).begun

    def read_results(self, visit: str, attempt: str, place: int, size: int) -> bytes:
        """Return some bytes of the results of a process; remove them with the last ones."""
        results = self._visit(visit).results
        archive = results[attempt]
        end = archive.seek(0, os.SEEK_END)
        archive.seek(place)
        chunk = archive.read(size)
        if place + len(chunk) >= end:
            results.pop(attempt).close()
        return chunk

    def _visit(self, visit: str) -> _Visit:
        with self._lock:
            if visit not in self._visits:
                raise EngineError(f"{self.name} was started anew, and has lost the run")
            self._visits[visit].heard = time.monotonic()
            return self._visits[visit]

    def _offered(self, able: Capabilities) -> Capabilities:
        """Leave out the architectures that are not to be offered. Raises EngineError for none."""
        wanted = frozenset(self._architectures)
        if lacking := wanted - able.native - able.emulated:
            raise EngineError(
                f"{self.name} cannot run {', '.join(sorted(lacking))}",
                hint="install qemu-user-static here, or leave out --architecture",
            )
        if not wanted:
            return able
        return replace(able, native=able.native & wanted, emulated=able.emulated & wanted)

    def _choose(self, matrix: Matrix) -> Engine:
        return choose(self._engine, matrix, say=lambda _: None)


class _Shipped:
    """The queue of a process whose jobs have all arrived. See `deepmatrix.engines.Queue`.

    The files of later jobs wait outside its control directory, where those of earlier ones go.
    """

    def __init__(self, order: Order, folder: Path) -> None:
        self.nonce = order.nonce
        self.ended: list[Ended] = []
        self._order = order
        self._control, self._waiting, self._done = (
            folder / name for name in ("control", "waiting", "done")
        )

    @property
    def folder(self) -> str:
        """Where the job that the process is on has its files, relative to the task's."""
        return self._order.folders[len(self.ended)]

    @property
    def has_next(self) -> bool:
        """Whether a job follows in this process."""
        return len(self.ended) + 1 < len(self._order.folders)

    def write_ahead(self) -> list[str]:
        """Return the folders of the jobs: all have arrived."""
        return list(self._order.folders)

    def advance(self, ended: Ended) -> None:
        """Take the files of the job that is done; put those of the next into its own folder."""
        self.collect(ended)
        self._move(self._waiting, self._control, self.folder)

    def collect(self, ended: Ended) -> None:
        """Take the files of the job that the process is on."""
        self._move(self._control, self._done, self.folder)
        self.ended.append(ended)

    def unpack(self, blobs: Blobs) -> None:
        """Copy all files to where they begin. Raises EngineError."""
        later = self._order.folders[1:]
        self._control.mkdir()
        for name, sent in self._order.files.items():
            waits = any(name.startswith(f"{folder}/") for folder in later)
            blobs.copy(sent, (self._waiting if waits else self._control) / name)

    def task(self) -> Task:
        """Return the task of the process on this machine."""
        order = self._order
        return Task(
            id=order.job,
            run_id=order.run_id,
            cell=order.cell,
            control=self._control,
            deadline_s=order.deadline_s,
            limits=order.limits,
            environment=order.environment,
            emulator=order.emulator,
            keeps_compiled=order.keeps_compiled,
            queue=self if len(order.folders) > 1 else None,
            attempt=order.attempt,
            timed=order.timed,
        )

    def answer(self) -> tuple[Answer, IO[bytes]]:
        """Return the answer, and the archive of the files that are not as they were sent.

        Files whose paths `RelativePath` forbids are left out, for no record refers to them. So what
        the controller refuses in it no job has written; its disk may still not take a file.
        """
        sent = self._order.files
        there = archives.list_files(self._done, links=False, job_folders=self._order.folders)
        files = {name: path for name, path in there.items() if is_valid_path(name)}
        unchanged = {
            name
            for name, path in files.items()
            if name in sent and digest_of(path) == sent[name].sha256
        }
        changed = {f"{RESULTS}/{name}": files[name] for name in sorted(files.keys() - unchanged)}
        archive = archives.pack(changed, user=0, with_folders=False)
        digest = hashlib.sha256()
        for chunk in iter(lambda: archive.read(CHUNK), b""):
            digest.update(chunk)
        answer = Answer(
            attempt=self._order.attempt,
            ended=tuple(JobEnd(**vars(ended)) for ended in self.ended),
            unchanged=tuple(sorted(unchanged)),
            sha256=digest.hexdigest(),
            size=archive.seek(0, 2),
        )
        return answer, archive

    def _move(self, source: Path, target: Path, name: str) -> None:
        """Move the folder of a job, which may be all of *source*."""
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(target / name, ignore_errors=True)
        (source / name).rename(target / name)


def _run(engine: Engine, task: Task, cancel: threading.Event) -> Ended:
    """Run a process, unless it was cancelled while it waited for its turn."""
    if cancel.is_set():
        return Ended(ending="cancelled", cause="interrupted")
    return engine.run(task, cancel)


def _whole(capabilities: Capabilities, matrix: Matrix) -> Capabilities:
    """Return capabilities as plain data: what is looked at when it is asked for is asked now."""
    lacking = {base: reason for base in matrix.bases if (reason := capabilities.lacking.get(base))}
    return replace(capabilities, lacking=lacking)


def _emulator_facts(capabilities: Capabilities) -> dict[str, str]:
    """Return what the program hashes to that emulates other processors of this architecture."""
    if not capabilities.emulator:
        return {}
    digest = binfmt.program_digest(Path(capabilities.emulator))
    return {f"{EMULATOR}{native}": digest for native in capabilities.native}
