"""Provenance: everything that makes a job's record, each part as a digest with a name.

Two records of a job with the same provenance differ only by what a repetition differs by. The parts
are, in this order: the image, the harness, this program, the engine, its machine, the limits and
the environment of the process; then each entry of its ``input.json``, and each folder of its
control directory.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from deepmatrix.engines import Prepared, archives
from deepmatrix.engines.hardware import CERTIFICATES, EMULATOR, FLEET, WORKER
from deepmatrix.execution.tasks import process_environment
from deepmatrix.machine import binfmt
from deepmatrix.paths import HARNESS, PACKAGE
from deepmatrix.planning.cells import Capabilities, Cell
from deepmatrix.planning.plan import Job
from deepmatrix.store import artifacts
from deepmatrix.store.records import JobRecord
from deepmatrix.store.runs import Run
from harness import record

Parts = dict[str, str]
"""By name of a part, what it hashes to."""

#: Facts of an engine that say which machine it runs on.
MACHINE: Final = ("machine", "processor", "features", "cpu_count", "memory_bytes", "kernel")

#: How an engine was found: it is the same one, however that was.
WAY: Final = ("found", FLEET, CERTIFICATES, WORKER)

#: Engines whose cells may change without a change of their reference.
CHANGEABLE: Final = frozenset({"here"})

#: The rooms of this program that make a record, and what it holds.
ROOMS: Final = (
    "boundary",
    "data",
    "engines",
    "execution",
    "judging",
    "machine",
    "models",
    "store",
    "workloads",
)

#: Digits of a part's digest: two of a record's parts are never mixed up, and all fit on a line.
DIGITS: Final = 16


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Says what makes the records of a run, on an engine with these *facts*.

    *prepared*: what cells run from there; what the run says, if left out.
    """

    run: Run
    capabilities: Capabilities
    facts: Mapping[str, str]
    prepared: Mapping[str, Prepared] | None = None
    _images: dict[str, str] = field(default_factory=dict)

    def surroundings(self, job: Job, cell: Cell) -> Parts:
        """Return the parts around a job's process; none where one of them is not known here."""
        image, emulator = self._image(cell), self._emulator(cell)
        is_known = bool(image and self.facts.get("machine")) and emulator is not None
        if not is_known or self.capabilities.engine in CHANGEABLE:
            return {}
        matrix, plan = self.run.manifest.matrix, self.run.manifest.plan
        engine = {
            name: text
            for name, text in self.facts.items()
            if name not in (*MACHINE, *WAY) and not name.startswith(EMULATOR)
        }
        return {
            "image": digest(image),
            "harness": digest(_harness_digest(bool(cell.command))),
            "program": digest(program_digest()),
            "engine": digest([self.capabilities.engine, engine]),
            "machine": digest([self.facts.get(name) for name in MACHINE]),
            "emulator": digest(emulator),
            "limits": digest(matrix.limits.model_dump(mode="json")),
            "environment": digest(process_environment(self.run, self.capabilities, cell)),
            "command": digest(cell.command),
            "process": digest(plan.is_isolated(job)),
        }

    def parts(self, job: Job, cell: Cell, document: Mapping[str, Any], folder: Path) -> Parts:
        """Return all parts of a job, from its ``input.json`` and the other files in *folder*.

        Empty where something is not known here. Raises RecordError for a damaged artifact.
        """
        around = self.surroundings(job, cell)
        if not around:
            return {}
        entries = {name: digest(value) for name, value in document.items() if name != "run"}
        return {**around, **entries, **_digest_folders(folder), **self._gold(job)}

    def _image(self, cell: Cell) -> str:
        """Return what names the content of a cell's image or environment, or nothing."""
        if cell.id not in self._images:
            prepared = self.run.prepared() if self.prepared is None else self.prepared
            self._images.update((name, image.content) for name, image in prepared.items())
        return self._images.get(cell.id, "")

    def _emulator(self, cell: Cell) -> str | None:
        """Return the digest of what emulates a cell, "" if nothing does, None if it is unknown."""
        if not self.capabilities.emulates(cell):
            return ""
        known = self.facts.get(EMULATOR + cell.architecture)
        if known is None and cell.architecture in self.capabilities.native:
            return binfmt.program_digest(Path(self.capabilities.emulator)) or None
        return known or None

    def _gold(self, job: Job) -> Parts:
        """Return the part that judges answers to an artifact; a user's own is judged anew."""
        if job.artifact is None or job.artifact.imported:
            return {}
        described = artifacts.read_description(self.run.artifact_path(job.artifact))
        files = {file.path: file.sha256 for file in described.files}
        return {"gold": digest({name: files.get(name) for name in artifacts.HOST_FILES})}


def first_change(earlier: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Return the name of the first part that differs, or nothing."""
    return next((name for name in {**now, **earlier} if earlier.get(name) != now.get(name)), "")


def is_of_this_program(job_record: JobRecord) -> bool:
    """Return whether a record is by this program and harness: by another, it is not reused."""
    harnesses = {digest(_harness_digest(has_command)) for has_command in (False, True)}
    made_by = job_record.provenance
    return (
        made_by.get("program") == digest(program_digest()) and made_by.get("harness") in harnesses
    )


@cache
def program_digest(package: Path = PACKAGE) -> str:
    """Return the digest of the rooms of this program that make a record, and of NumPy's version."""
    files = (path for room in ROOMS for path in (package / room).rglob("*"))
    sources = (path for path in files if path.is_file() and path.suffix != ".pyc")
    return digest([np.__version__, *digest_files(package, sorted(sources))])


@cache
def _harness_digest(has_command: bool) -> str:
    """Return the digest of the harness: of Python's, or of all of it for a cell with a command."""
    if not has_command:
        return record.fingerprint()
    return digest(list(digest_files(HARNESS, archives.list_files(HARNESS).values())))


def _digest_folders(control: Path) -> Parts:
    """Return the digest of each folder in a control directory."""
    folders = sorted(path for path in control.iterdir() if path.is_dir())
    return {
        f"files of {folder.name}": digest(
            list(digest_files(folder, sorted(artifacts.plain_files(folder))))
        )
        for folder in folders
    }


def digest_files(root: Path, paths: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """Yield the name below *root* and the SHA-256 of each file."""
    for path in paths:
        yield path.relative_to(root).as_posix(), artifacts.sha256(path)


def digest(value: Any) -> str:
    """Return the digest of a value that JSON holds, whatever the order of its keys: 16 digits."""
    text = json.dumps(value, sort_keys=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
