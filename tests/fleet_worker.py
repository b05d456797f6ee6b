"""A worker for the tests: real processes of this interpreter, with the adapter of the sessions.

    python -m tests.fleet_worker ADDRESS TLS NAME WORK [KEY=VALUE ...]

*native* and *emulated*: the architectures that it says to run. *offer*: the one that it offers.
*cpus*, *machine*, and *image*: what its cells run from. *parcel*: the bytes of results that come
with their answer. *start*: for how many seconds it tries to start. *taken*: for how many another
may have its name. *fault*: what it does wrong.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from deepmatrix.config import matrix_file
from deepmatrix.config.matrix import Matrix
from deepmatrix.engines import Ended, Prepared, Progress, Task
from deepmatrix.engines.local import LocalProcesses
from deepmatrix.errors import EngineError
from deepmatrix.fleet import parcels, serving
from deepmatrix.fleet.host import Host
from deepmatrix.fleet.offers import Offer
from deepmatrix.fleet.parcels import Answer, Order
from deepmatrix.machine import locks, owner
from deepmatrix.paths import ROOT
from deepmatrix.planning.cells import Capabilities, Cell

#: What an entry of a false archive can be.
KINDS = {"": tarfile.REGTYPE, "folder": tarfile.DIRTYPE, "link": tarfile.SYMTYPE}

ADAPTER = ROOT / "tests" / "inside" / "session_adapter.py"


class Processes:
    """An engine that runs the harness of this repository in processes of this interpreter."""

    name = "venv"
    isolates = False
    is_here = True

    def __init__(
        self,
        work: Path,
        *,
        native: str,
        emulated: frozenset[str],
        cpus: int,
        machine: str,
        image: str,
    ) -> None:
        self._processes = LocalProcesses(
            clean=True, extra={"session_adapter.py": ADAPTER}, root=work
        )
        self._native, self._emulated = native, emulated
        self._cpus, self._machine, self._image = cpus, machine, image

    def capabilities(self) -> Capabilities:
        return Capabilities(
            engine="venv",
            native=frozenset({self._native}),
            emulated=self._emulated,
            cpus=self._cpus,
            memory_bytes=1 << 40,
        )

    def describe(self) -> dict[str, str]:
        return {"machine": self._machine}

    def prepare(self, cells: Sequence[Cell], progress: Progress) -> dict[str, Prepared]:
        del progress
        return {cell.id: Prepared(cell_id=cell.id, reference=self._image) for cell in cells}

    def adopt(self, cell: Cell, earlier: Prepared) -> Prepared:
        return earlier.adopted(cell.id, "")

    def open(self, run_id: str) -> None:
        del run_id
        self._processes.open()

    def run(self, task: Task, cancel: threading.Event) -> Ended:
        own = {"limits": replace(task.limits, cpus=())}
        return self._processes.run(replace(task, **own), Path(sys.executable), cancel)

    def close(self) -> None:
        self._processes.close()


def _start_nothing(task: Task, cancel: threading.Event) -> Ended:
    """Be an engine whose own disk is full."""
    del task, cancel
    return Ended(ending="start-failed", cause="no room for a container")


def archive_of(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    """Return an archive with one entry, such as no honest worker sends."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname, entry.size = kind, link, 4 if kind == tarfile.REGTYPE else 0
        tar.addfile(entry, io.BytesIO(b"evil"))
    return archive.getvalue()


class HostOfTests(Host):
    """The host of a worker of the tests."""

    def __init__(self, name: str, work: Path, settings: dict[str, str]) -> None:
        self._work, self._settings = work, settings
        matrix = matrix_file.load(ROOT / "matrix.yaml")
        super().__init__(
            name=name,
            engine="venv",
            matrix=matrix,
            architectures=settings["offer"].split() if "offer" in settings else (),
            root=work / "fleet",
        )

    def _choose(self, matrix: Matrix) -> Processes:
        del matrix
        processes = Processes(
            self._work / "processes",
            native=self._settings.get("native", "amd64"),
            emulated=frozenset(self._settings.get("emulated", "").split()),
            cpus=int(self._settings.get("cpus", "1")),
            machine=self._settings.get("machine", owner.this_process().machine),
            image=self._settings.get("image", "here"),
        )
        if self._settings.get("fault") == "start":
            processes.run = _start_nothing  # type: ignore[method-assign]
        return processes

    def offer(self, matrix: Matrix | None = None) -> Offer:
        if matrix:  # a controller asks
            self._fail_at("offer")
        offer, fault = super().offer(matrix), self._settings.get("fault")
        if fault == "version":
            return replace(offer, code="of another version")
        if fault == "grown" and matrix:
            able = replace(offer.capabilities, emulated=frozenset({"riscv64"}))
            return replace(offer, capabilities=able)
        return offer

    def prepare(self, visit: str, cells: Sequence[Cell]) -> dict[str, Prepared]:
        self._fail_at("prepare")
        return super().prepare(visit, cells)

    def open_run(self, visit: str, run_id: str) -> None:
        self._fail_at("open")
        super().open_run(visit, run_id)

    def read_results(self, visit: str, attempt: str, place: int, size: int) -> bytes:
        if self._settings.get("fault") == "pieces":
            return b""
        return super().read_results(visit, attempt, place, size)

    def _fail_at(self, step: str) -> None:
        if self._settings.get("fault") == step:
            raise EngineError(f"it cannot {step}")

    def serve(
        self, order: Order, cancel: threading.Event, waiting: Callable[[], None] = lambda: None
    ) -> tuple[Answer, bytes]:
        fault = self._settings.get("fault", "")
        if fault == "dies":
            os._exit(9)
        if fault == "disk":
            raise OSError(28, "No space left on device", "/somewhere")
        if fault == "hangs":
            time.sleep(3600)
        answer, results = super().serve(order, cancel, waiting)
        if fault.startswith("archive "):
            _, name, kind, link = (*fault.split(" "), "", "")[:4]
            results = archive_of(name, KINDS[kind], link)
            digest = hashlib.sha256(results).hexdigest()
            answer = answer.model_copy(update={"sha256": digest, "size": len(results)})
        if fault == "damage":
            answer = answer.model_copy(update={"sha256": "0" * 64})
        if fault == "cancelled":
            first = answer.ended[0].model_copy(update={"ending": "cancelled"})
            answer = answer.model_copy(update={"ended": (first, *answer.ended[1:])})
        if fault == "huge":
            answer = answer.model_copy(update={"size": 1 << 50})
        if fault == "keep":
            answer = answer.model_copy(update={"unchanged": (*answer.unchanged, "evil")})
        if fault == "other":
            answer = answer.model_copy(update={"attempt": "another"})
        return answer, results


def main(address: str, tls: str, name: str, work: str, *settings: str) -> None:
    values = dict(setting.split("=", 1) for setting in settings)
    folder = Path(work) / name
    folder.mkdir(parents=True, exist_ok=True)
    locks.SAMPLING = folder / "sampling.lock"
    serving.START_S = float(values.get("start", serving.START_S))
    serving.TAKEN_S = float(values.get("taken", serving.TAKEN_S))
    if "parcel" in values:
        parcels.SMALL_PARCEL = int(values["parcel"])
    host = HostOfTests(name, folder, values)
    try:
        serving.work(address, Path(tls), host, lambda text: print(text, flush=True))
    finally:
        host.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
