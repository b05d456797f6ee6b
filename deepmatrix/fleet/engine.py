"""The engine of a worker, as the controller has it."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from distributed import Future
from pydantic import ValidationError

from deepmatrix.boundary import removing
from deepmatrix.boundary.files import describe
from deepmatrix.boundary.writing import replace_folder
from deepmatrix.config.matrix import Matrix
from deepmatrix.engines import Ended, Prepared, Progress, Task, archives
from deepmatrix.engines.hardware import CERTIFICATES, FLEET, WORKER
from deepmatrix.engines.watch import TICK_S
from deepmatrix.errors import DeepmatrixError, EngineError
from deepmatrix.fleet.cluster import Cluster, Lost, WorkerFailed
from deepmatrix.fleet.offers import Offer, code_digest, resources, wanted
from deepmatrix.fleet.parcels import CHUNK, Answer, Order, is_below, order_for
from deepmatrix.planning.cells import Capabilities, Cell

#: Bytes of a file that goes together with others.
SMALL = 1 << 20

#: Bytes of an archive around each file, and of its end.
HEADER_BYTES = 2048
END_BYTES = 1 << 16

#: For how long a worker may be silent after the deadlines of all jobs of a process that has begun,
#: in seconds.
PATIENCE_S = 120.0

#: For how long an answer that is ready may take to arrive, in seconds.
ARRIVAL_S = 120.0


class Rubbish(WorkerFailed):
    """A worker answered what no worker of this version answers."""


class WorkerEngine:
    """The engine of one worker. See `deepmatrix.engines.Engine`."""

    is_here = False

    def __init__(self, cluster: Cluster, name: str, matrix: Matrix) -> None:
        self.worker = name
        self._cluster = cluster
        self._matrix = matrix
        self._visit = secrets.token_hex(8)
        self._has_begun = False
        self._run_id = ""
        self._there: set[str] = set()
        self._cells: dict[str, Cell] = {}
        self._contents: dict[str, str] = {}
        self._sending, self._asking = threading.Lock(), threading.Lock()
        self._offer = cluster.patiently(self._ask)
        self.name = self._offer.engine
        self.isolates = self._offer.isolates

    def capabilities(self) -> Capabilities:
        """Return what the worker's machine can run. A worker may be away for a while.

        One that was started anew meanwhile gets its cells again. Before the first cells are made
        ready there, what it said when it was connected counts: `prepare` tells whether it has gone.
        Raises EngineError if it does not answer, or cannot run what it could.
        """
        if not self._has_begun:
            return self._offer.capabilities
        with self._asking:
            return self._cluster.patiently(self._look_again)

    def _look_again(self) -> Capabilities:
        offer = self._ask()
        if offer.facts.get("machine") != self._offer.facts.get("machine"):
            raise WorkerFailed(f"{self.worker} was started anew on another machine")
        if self._has_begun and offer.incarnation != self._offer.incarnation:
            self._return()
        self._offer = offer
        return offer.capabilities

    def _return(self) -> None:
        """Let a worker that was started anew do what the one before did."""
        with self._sending:
            self._there = set()
        self._call("begin_visit", self._matrix, self.name)
        prepared = self._call("prepare", list(self._cells.values()))
        for image in prepared.values():
            if image.error:
                raise WorkerFailed(f"{image.cell_id} is not ready any more: {image.error}")
            if image.content != self._contents[image.cell_id]:
                raise WorkerFailed(f"{image.cell_id} would go on with another image")
        if self._run_id:
            self._call("open_run", self._run_id)

    def describe(self) -> dict[str, str]:
        """Facts about the worker's engine and machine."""
        cluster = self._cluster
        is_listed = cluster.label != cluster.address  # in a file, which has its own certificates
        certificates = {} if is_listed else {CERTIFICATES: str(cluster.folder)}
        return {**self._offer.facts, FLEET: cluster.label, **certificates, WORKER: self.worker}

    def prepare(self, cells: Sequence[Cell], progress: Progress) -> dict[str, Prepared]:
        """Make every cell ready on the worker's machine. See `deepmatrix.engines.Engine`."""
        if not cells:
            return {}
        self._begin()
        for cell in cells:
            progress(cell.id, f"on {self.worker}")
        prepared: dict[str, Prepared] = self._insist("prepare", list(cells))
        for cell in cells:
            if not prepared[cell.id].error:
                self._cells[cell.id] = cell
                self._contents[cell.id] = prepared[cell.id].content
        return prepared

    def adopt(self, cell: Cell, earlier: Prepared) -> Prepared:
        """Make a cell ready from what it ran from before. See `deepmatrix.engines.Engine`."""
        self._begin()
        adopted: Prepared = self._insist("adopt", cell, earlier)
        return adopted

    def open(self, run_id: str) -> None:
        """Start a run on the worker's machine."""
        self._begin()
        self._insist("open_run", run_id)
        self._run_id = run_id

    def close(self) -> None:
        """Have the worker remove everything that the run made there."""
        if self._has_begun:
            with contextlib.suppress(EngineError):
                self._call("end_visit")
            self._has_begun = False

    def run(self, task: Task, cancel: threading.Event) -> Ended:
        """Run one process on the worker's machine. See `deepmatrix.engines.Engine`."""
        began = time.monotonic()
        try:
            order = order_for(task, self._visit)
            self._send(order, task)
            with self._cluster.hearing(order.attempt, task.waiting):
                reply = self._reply(task, order, cancel)
            if reply is None:
                return Ended(ending="cancelled", cause="interrupted")
            return self._take(task, order, *reply)
        except archives.Refused as error:
            return Ended(ending="crashed", cause=error.message, wall_s=time.monotonic() - began)
        except WorkerFailed as error:
            cause = f"on {self.worker}: {error.message}"
            return Ended(ending="engine-lost", cause=cause, wall_s=time.monotonic() - began)

    def _ask(self) -> Offer:
        offer: Offer = self._cluster.call(self.worker, "offer", self._matrix)
        if offer.code != code_digest():
            raise EngineError(
                f"{self.worker} has another version of deepmatrix",
                hint="install the controller's there, and start its worker again",
            )
        known = self._cluster.resources_of(self.worker)
        if unknown := sorted(resources(offer.capabilities).keys() - known):
            raise EngineError(
                f"{self.worker} has {', '.join(unknown)} only since it was started",
                hint="start its worker again",
            )
        return offer

    def _begin(self) -> None:
        if not self._has_begun:
            self._has_begun, self._there = True, set()
            self._insist("begin_visit", self._matrix, self.name)

    def _insist(self, method: str, *arguments: Any) -> Any:
        """Call what may be called twice, again where its answer was lost. Raises WorkerFailed."""

        def call_again() -> Any:
            self._look_again()
            return self._call(method, *arguments)

        try:
            return self._call(method, *arguments)
        except Lost:
            with self._asking:
                return self._cluster.patiently(call_again)

    def _call(self, method: str, *arguments: Any) -> Any:
        return self._cluster.call(self.worker, method, self._visit, *arguments)

    def _send(self, order: Order, task: Task) -> None:
        """Send the files that are not there yet: each once, whichever process is the first."""
        missing = {
            sent.sha256: task.control / name
            for name, sent in order.files.items()
            if sent.content is None and sent.sha256 not in self._there
        }
        if not missing:
            return
        with self._sending:
            small: dict[str, bytes] = {}
            for digest in sorted(missing.keys() - self._there):
                path = missing[digest]
                if path.stat().st_size > SMALL:
                    self._send_large(path, digest)
                    continue
                small[digest] = path.read_bytes()
                if sum(map(len, small.values())) > CHUNK:
                    self._call("put_files", small)
                    small = {}
            if small:
                self._call("put_files", small)
            self._there |= missing.keys()

    def _send_large(self, path: Path, digest: str) -> None:
        part = self._call("begin_file")
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                self._call("add_bytes", part, chunk)
        self._call("finish_file", part, digest)

    def _reply(
        self, task: Task, order: Order, cancel: threading.Event
    ) -> tuple[Answer, bytes] | None:
        """Return the worker's answer, with results that are small; None where the user interrupted.

        Raises EngineError.
        """
        future = self._cluster.submit(self.worker, order, wanted(task, self._offer.capabilities))
        try:
            if not self._wait(future, order, cancel):
                return None
            return self._read(future, order)
        finally:
            with contextlib.suppress(Exception):  # the worker then ends the process
                future.cancel()

    def _wait(
        self, future: Future[tuple[str, bytes]], order: Order, cancel: threading.Event
    ) -> bool:
        """Wait until a process is over; return False where the user interrupted.

        Raises EngineError.
        """
        over, has_begun = threading.Event(), False
        future.add_done_callback(lambda _: over.set())
        patience_s = order.deadline_s * len(order.folders) + PATIENCE_S
        silent_from = time.monotonic() + patience_s
        while not over.wait(TICK_S):
            if cancel.is_set():
                return False
            if self.worker not in self._cluster.workers():
                raise Lost("the worker went away")
            if time.monotonic() > silent_from:
                if has_begun:
                    raise Lost("the worker has not answered since its deadlines have passed")
                has_begun = self._call("has_begun", order.attempt)  # another run may have its turn
                silent_from = time.monotonic() + patience_s
        return True

    def _read(self, future: Future[tuple[str, bytes]], order: Order) -> tuple[Answer, bytes]:
        """Return the answer of a process that is over, and its results. Raises EngineError."""
        try:
            text, results = future.result(timeout=ARRIVAL_S)
        except DeepmatrixError as error:
            raise WorkerFailed(error.message) from None
        except Exception as error:  # Dask raises what the task did, and its own
            raise Lost(f"{type(error).__name__}: {error}") from None
        try:
            answer = Answer.model_validate_json(text)
        except ValidationError as error:
            raise Rubbish(f"it answered rubbish: {describe(error)}") from None
        if not isinstance(results, bytes):
            raise Rubbish("its results are no bytes")
        if answer.attempt != order.attempt or len(answer.ended) > len(order.folders):
            raise Rubbish(f"it answered for {answer.attempt}, not for {order.attempt}")
        return answer, results

    def _take(self, task: Task, order: Order, answer: Answer, content: bytes) -> Ended:
        """Take the results of a process over; return how its last job ended. Raises EngineError."""
        folders = order.folders[: len(answer.ended)]
        if any(job_end.ending == "cancelled" for job_end in answer.ended):
            raise Lost("the worker ended the process")
        results = Path(tempfile.mkdtemp(prefix=".results-", dir=task.control.parent))
        try:
            chunks = [content] if content else self._chunks(order, answer)
            with _storing(order, results):
                self._unpack(order, answer, chunks, results)
                self._keep(task, order, answer, results)
            for place, (folder, job_end) in enumerate(zip(folders, answer.ended, strict=True)):
                (results / folder).mkdir(parents=True, exist_ok=True)
                replace_folder(task.control / folder, results / folder)
                if place + 1 < len(folders):
                    assert task.queue is not None
                    task.queue.advance(job_end.ended())
        finally:
            removing.remove(results)
        return answer.ended[-1].ended()

    def _keep(self, task: Task, order: Order, answer: Answer, folder: Path) -> None:
        """Copy the files that are as they were sent to the results that arrived.

        Raises Rubbish where they contradict the order or the results, and what writing does.
        """
        folders = order.folders[: len(answer.ended)]
        are_files = {
            path.relative_to(folder).as_posix(): path.is_file() for path in folder.rglob("*")
        }
        for name in answer.unchanged:
            if name not in order.files or not is_below(name, folders) or name in are_files:
                raise Rubbish(f"it kept {name}, which it was not sent, or sent back")
            if any(are_files.get(parent.as_posix()) for parent in PurePosixPath(name).parents):
                raise Rubbish(f"it kept {name}, and wrote a file in the place of a folder")
            are_files[name] = True
            with (task.control / name).open("rb") as source:
                archives.write(folder / name, source)

    def _unpack(self, order: Order, answer: Answer, chunks: Iterable[bytes], folder: Path) -> None:
        """Check the archive of a process's results, and unpack it into *folder*.

        The worker's engine has refused what a job may not write, and the worker has left out what
        `RelativePath` forbids: all else that no archive may hold is the worker's fault. What only
        the disk of this machine refuses is not.

        Raises:
            Rubbish: the worker is to blame.
            NameRefused: this machine's file system does not take a name.
            EngineError: this machine cannot write it.
        """
        folders = order.folders[: len(answer.ended)]
        limit = order.size + order.limits.disk_bytes * len(folders)
        headers = archives.MAX_FILES * len(folders) * HEADER_BYTES
        if answer.size > limit + headers + END_BYTES:
            raise Rubbish("its results are larger than they may be")
        temporary = Path(tempfile.gettempdir())
        with archives.local_errors(temporary), tempfile.TemporaryFile() as archive:
            digest = hashlib.sha256()
            for chunk in chunks:
                digest.update(chunk)
                archive.write(chunk)
            if digest.hexdigest() != answer.sha256:
                raise Rubbish("its results arrived damaged")
            archive.seek(0)
            chunks = iter(lambda: archive.read(CHUNK), b"")
            try:
                archives.unpack(chunks, folder, limit_bytes=limit, job_folders=folders)
            except archives.NameRefused:
                raise
            except archives.Refused as error:
                raise Rubbish(error.message) from None
        for name in archives.list_files(folder, links=False, job_folders=folders):
            if not is_below(name, folders):
                raise Rubbish(f"it wrote {name[:100]!r}, outside the folders of its jobs")

    def _chunks(self, order: Order, answer: Answer) -> Iterator[bytes]:
        """Fetch the results of a process that did not come with its answer. Raises EngineError."""
        place = 0
        while place < answer.size:
            size = min(CHUNK, answer.size - place)
            chunk = self._call("read_results", order.attempt, place, size)
            if not isinstance(chunk, bytes) or not 0 < len(chunk) <= size:
                raise Rubbish("its results arrived in pieces of another size")
            place += len(chunk)
            yield chunk


@contextlib.contextmanager
def _storing(order: Order, folder: Path) -> Iterator[None]:
    """Raise what only this machine refuses of results, in *folder*, as its own EngineError."""
    try:
        with archives.local_errors(folder):
            yield
    except archives.NameRefused as error:
        raise EngineError(
            f"the results of {order.job} cannot be stored here: {error.message}",
            hint="copy the run to where its path is short, on a file system that tells 'A' from "
            "'a', and go on with --resume",
        ) from None
