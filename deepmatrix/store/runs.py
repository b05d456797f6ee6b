"""A run: one directory under ``runs/`` with the plan, records and artifacts of one command.

Files are written under a temporary name and renamed, so that every file is whole. A killed run
can be resumed: a job is done when its record exists.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from deepmatrix.config.matrix import Matrix
from deepmatrix.engines import Prepared
from deepmatrix.errors import RecordError
from deepmatrix.invocation import command_line
from deepmatrix.machine import locks
from deepmatrix.planning.plan import Artifact, Job, Plan
from deepmatrix.store.causes import CAUSE_FILE, Cause
from deepmatrix.store.node_errors import NodeErrors
from deepmatrix.store.records import UNDONE, JobRecord

#: 1: first version. 2: cells hold their ``system``; ``known`` is ``expected_failures``, ``stated``
#: ``overrides``, ``patience`` ``deadline_factor``.
RUN_SCHEMA: Final = 2

Read = TypeVar("Read")

_ROUND = re.compile(r"r(\d+)\.json")


class Manifest(BaseModel):
    """The plan of a run and the matrix file's content: enough to finish it without that file."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[2] = RUN_SCHEMA
    id: str
    created: str
    version: str
    plan: Plan
    matrix: Matrix


class _Written(BaseModel):
    """What every version of a manifest says of itself."""

    schema_version: int
    version: str


_WRITTEN = TypeAdapter(_Written)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run directory. See the module's docstring."""

    path: Path

    @staticmethod
    def create(parent: Path, plan: Plan, matrix: Matrix, *, version: str, name: str = "") -> Run:
        """Make a new run directory with its plan.

        Raises:
            RecordError: a run of this name exists.
        """
        now = datetime.datetime.now(datetime.UTC)
        name = name or f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        run = Run(path=parent / name)
        manifest = Manifest(
            id=name, created=now.isoformat(), version=version, plan=plan, matrix=matrix
        )
        parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=parent))
        try:
            part.chmod(0o755)
            write_text(part / "plan.json", manifest.model_dump_json(indent=1) + "\n")
            part.rename(run.path)
        except OSError as error:
            shutil.rmtree(part)
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
            raise RecordError(
                f"{run.path} exists already", hint=f"finish it with --resume {name}"
            ) from None
        return run

    @staticmethod
    def open(path: Path) -> Run:
        """Open an existing run directory.

        Raises:
            RecordError: it is not a run.
        """
        if not (path / "plan.json").is_file():
            raise RecordError(
                f"{path} is not a run: it has no plan.json", hint=_known_runs(path.parent)
            )
        return Run(path=path)

    @cached_property
    def manifest(self) -> Manifest:
        """The plan as written. Raises RecordError when it cannot be read."""
        path = self.path / "plan.json"
        hint = "use the version that wrote it, or start a new run"
        try:
            content = path.read_bytes()
            written = _WRITTEN.validate_json(content)
            if written.schema_version != RUN_SCHEMA:
                raise RecordError(
                    f"{path}: a run of schema {written.schema_version}, written by deepmatrix "
                    f"{written.version}; this version reads schema {RUN_SCHEMA}",
                    hint=hint,
                )
            return Manifest.model_validate_json(content)
        except (OSError, ValidationError) as error:
            raise RecordError(
                f"{path}: not a plan of this version: {_first(error)}", hint=hint
            ) from None

    @property
    def id(self) -> str:
        """The run's name, whatever its directory is called today."""
        return self.manifest.id

    @property
    def inputs(self) -> Path:
        """Where the host puts data, initial weights, batch orders and gold losses."""
        return self.path / "inputs"

    def artifact_path(self, artifact: Artifact) -> Path:
        """Return the directory of an exported model."""
        return self.path / "artifacts" / artifact.id

    def model_path(self, name: str) -> Path:
        """Return the directory of a user's own model."""
        return self.path / "models" / name

    def user_arrays_path(self, option: str) -> Path:
        """Return where a user's arrays of the option ``inputs`` or ``reference`` are stored."""
        return self.path / "given" / f"{option}.npz"

    def log_path(self, job: Job) -> Path:
        """Return the path of a job's log: its stdout and stderr."""
        return self.path / "logs" / f"{job.id}.log"

    def record_path(self, job: Job) -> Path:
        """Return the path of a job's record; paths sort by cell, subject and round."""
        return self.path / "records" / job.cell / job.subject / f"r{job.round}.json"

    def is_done(self, job: Job) -> bool:
        """Return whether a job has a final record."""
        return self.record_path(job).is_file() and self.record(job).status not in UNDONE

    def record(self, job: Job) -> JobRecord:
        """Return a job's record. Raises RecordError when it cannot be read."""
        path = self.record_path(job)
        record = read_record(path)
        _check_place(record, path)
        return record

    def save(self, job: Job, record: JobRecord) -> None:
        """Write a job's record."""
        write_text(self.record_path(job), record.model_dump_json(by_alias=True))

    def keep_for_retry(self, job: Job) -> None:
        """Rename a job's record, so that the job can be retried and the record stays readable."""
        path = self.record_path(job)
        path.replace(path.with_name(f"r{job.round}.retried{self.retry_count(job) + 1}.json"))

    def retry_count(self, job: Job) -> int:
        """Return how many times a job was retried."""
        return sum(1 for _ in self.record_path(job).parent.glob(f"r{job.round}.retried*.json"))

    def records(self) -> Iterator[JobRecord]:
        """Yield all records, those of one cell and subject together, one in memory at a time."""
        for path in record_files(self.path):
            record = read_record(path)
            _check_place(record, path)
            yield record

    def save_prepared(self, prepared: dict[str, Prepared]) -> None:
        """Write, in a file for each cell, its image or environment and the cost of building it."""
        for cell_id, image in prepared.items():
            old = self.prepared().get(cell_id)
            if old and _prefers_old(old, image):
                continue
            write_text(self.path / "builds" / f"{cell_id}.json", json.dumps(vars(image)) + "\n")

    def prepared(self) -> dict[str, Prepared]:
        """Return the cells' images or environments, by cell id."""
        files = sorted((self.path / "builds").glob("*.json"))
        return {path.stem: read(path, _PREPARED) for path in files}

    def engines(self) -> dict[str, dict[str, str]]:
        """Return the engines that ran cells: their facts, by a name of their own."""
        files = sorted((self.path / "engines").glob("*.json"))
        return {path.stem: read(path, _FACTS) for path in files}

    def gold_losses(self, workload: str) -> list[float] | None:
        """Return the float64 losses of a workload, one a step, or None without any."""
        path = self.inputs / f"{workload}.gold.json"
        return read(path, _GOLD).losses if path.is_file() else None

    def cause_path(self, artifact: str, consumer: str) -> Path:
        """Return the folder of the cause of an artifact's wrong outputs on a consumer."""
        return self.path / "causes" / f"{self._title(artifact)}--on--{consumer}"

    def causes(self) -> dict[tuple[str, str], Cause]:
        """Return the causes of wrong outputs, by artifact and consumer."""
        files = sorted((self.path / "causes").glob(f"*/{CAUSE_FILE}"))
        causes = [read(path, _CAUSE) for path in files if not path.parent.name.endswith(".part")]
        return {(cause.artifact, cause.consumer): cause for cause in causes}

    def node_errors_path(self, artifact: str, consumer: str) -> Path:
        """Return the file with the error of every node of an artifact on a consumer."""
        return self.path / "nodes" / f"{self._title(artifact)}--on--{consumer}.json"

    def _title(self, artifact: str) -> str:
        """Return what people call an artifact, given by its id: a user's own by its name."""
        names = {model.artifact.id: model.name for model in self.manifest.plan.imports}
        return names.get(artifact, artifact)

    def node_errors(self) -> Iterator[NodeErrors]:
        """Yield the errors of all nodes, a consumer at a time."""
        for path in sorted((self.path / "nodes").glob("*.json")):
            yield read(path, _NODE_ERRORS)

    def save_engine(self, facts: dict[str, str]) -> None:
        """Write the facts of the engine that runs the cells."""
        text = json.dumps(facts, indent=1, sort_keys=True) + "\n"
        name = f"{facts['engine']}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        write_text(self.path / "engines" / f"{name}.json", text)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from running this run. Raises RecordError when one does."""
        with locks.try_lock(self.path / "lock") as mine:
            if not mine:
                raise RecordError(
                    f"{self.path} is being run by another process", hint="wait until it has ended"
                )
            yield

    @contextlib.contextmanager
    def scratch(self, job: Job) -> Iterator[Path]:
        """Give a job an empty control directory, removed in the end."""
        path = self.path / "scratch" / job.id
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
            with contextlib.suppress(OSError):
                path.parent.rmdir()

    def sweep(self) -> None:
        """Remove the unfinished files of a killed process of this run."""
        shutil.rmtree(self.path / "scratch", ignore_errors=True)
        for path in self.path.rglob("*.part"):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()


def record_files(path: Path) -> Iterator[str]:
    """Yield the record files of a run directory in order, without holding all names.

    Names, not paths: making 100,000 `Path` takes as long as reading the files.
    """
    root = path / "records"
    if not root.is_dir():
        return
    for cell in _folders(root):
        for subject in _folders(cell):
            rounds = filter(None, map(_ROUND.fullmatch, os.listdir(subject.path)))
            for match in sorted(rounds, key=lambda match: int(match[1])):
                yield f"{subject.path}/{match[0]}"


def _folders(path: Path | os.DirEntry[str]) -> list[os.DirEntry[str]]:
    entries = [entry for entry in os.scandir(path) if entry.is_dir()]
    return sorted(entries, key=lambda entry: entry.name)


def _check_place(record: JobRecord, path: str | Path) -> None:
    """Raise RecordError where a record lies at another job's path: it would count as that job."""
    *_, cell, subject, name = str(path).replace(os.sep, "/").split("/")
    if (record.cell, record.subject, f"r{record.round}.json") != (cell, subject, name):
        raise RecordError(
            f"{path}: it is the record of {record.job}",
            hint="a record was moved or copied; remove it, and run again with --resume",
        )


def _prefers_old(old: Prepared, new: Prepared) -> bool:
    """Return whether the old entry says more: the image was built then, or is now missing."""
    if old.error:
        return False
    return bool(new.error) or (old.built and not new.built and old.reference == new.reference)


def read_record(path: str | Path) -> JobRecord:
    """Read one record. Raises RecordError when it is torn or of another version."""
    return read(path, _RECORD)


def read(path: str | Path, kind: TypeAdapter[Read]) -> Read:
    """Read a JSON file of a run. Raises RecordError when it is torn or of another version."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123  # a Path costs half of reading it
            return kind.validate_json(file.read())
    except (OSError, ValidationError) as error:
        raise RecordError(
            f"{path}: torn, or not of this version: {_first(error)}",
            hint="remove the file and run again with --resume, or use the version that wrote it",
        ) from None


class _Gold(BaseModel):
    losses: list[float]
    accuracy: float


_RECORD = TypeAdapter(JobRecord)
_CAUSE = TypeAdapter(Cause)
_NODE_ERRORS = TypeAdapter(NodeErrors)
_PREPARED = TypeAdapter(Prepared)
_FACTS = TypeAdapter(dict[str, str])
_GOLD = TypeAdapter(_Gold)


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is whole or not there."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that it is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_bytes(content)
    part.replace(path)


def latest(parent: Path, command: str = "") -> Run:
    """Return the newest run, of all or of one command. Raises RecordError when there is none."""
    runs = sorted(
        parent.glob("[!.]*/plan.json"), key=lambda path: path.stat().st_mtime, reverse=True
    )
    for path in runs:
        run = Run(path=path.parent)
        if not command or _is_made_by(run, command):
            return run
    of_command = f" of {command}" if command else ""
    raise RecordError(
        f"no run{of_command} under {parent}",
        hint=f"make one with `{command_line(command or 'matrix')}`",
    )


def _is_made_by(run: Run, command: str) -> bool:
    """Return whether a command made a run; one that this version cannot read was made by none."""
    with contextlib.suppress(RecordError):
        return run.manifest.plan.command == command
    return False


def _known_runs(parent: Path) -> str:
    names = sorted(path.parent.name for path in parent.glob("[!.]*/plan.json"))
    return (
        f"runs there: {', '.join(names[-5:])}"
        if names
        else f"make one with `{command_line('matrix')}`"
    )


def _first(error: Exception) -> Any:
    if isinstance(error, ValidationError):
        detail = error.errors()[0]
        return f"{'.'.join(map(str, detail['loc'])) or 'document'}: {detail['msg']}"
    return error
