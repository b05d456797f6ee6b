"""A run: one directory under ``runs/`` with the plan, records and artifacts of one command.

Files are written under a temporary name and renamed, so that every file is whole. A killed run
can be resumed: a job is done when its record exists.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, TypeAdapter

from deepmatrix.boundary import removing
from deepmatrix.boundary.bounds import Facts, Items, Number, Share, path_text
from deepmatrix.boundary.files import Damaged, Read, read_json
from deepmatrix.boundary.writing import write_text
from deepmatrix.config.matrix import Matrix
from deepmatrix.engines import Prepared
from deepmatrix.errors import RecordError
from deepmatrix.invocation import command_line
from deepmatrix.machine import locks
from deepmatrix.planning.plan import Job, Plan, Wave
from deepmatrix.planning.subjects import Artifact
from deepmatrix.store import leftovers, listing, manifests
from deepmatrix.store.causes import Cause, NodeErrors
from deepmatrix.store.manifests import Manifest
from deepmatrix.store.records import (
    ROUND,
    JobRecord,
    cells_with_records,
    image_path,
    place_of,
    record_files,
)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run directory. See the module's docstring."""

    path: Path
    #: The files that were left out of what was read, each once, with the reason.
    damage: dict[str, None] = field(default_factory=dict, compare=False, repr=False)

    @staticmethod
    def create(
        parent: Path,
        plan: Plan,
        matrix: Matrix,
        *,
        version: str,
        name: str = "",
        reuse: str = "",
        fill: Callable[[Run], None] = lambda _: None,
    ) -> Run:
        """Make a new run directory with its plan; *reuse* names the run that it takes over from.

        *fill* puts in what the run cannot go on without: it is there with all of that, or not.

        Raises:
            RecordError: a run of this name exists.
        """
        manifest = manifests.new_manifest(plan, matrix, version=version, name=name, reuse=reuse)
        run = Run(path=parent / manifest.id)
        with leftovers.filling(run.path) as part:
            write_text(part / "plan.json", manifest.model_dump_json(indent=1) + "\n")
            fill(Run(path=part))
        return run

    @staticmethod
    def open(path: Path) -> Run:
        """Open an existing run directory.

        Raises:
            RecordError: it is not a run, or has a link or a deep nest of folders in it.
        """
        if not (path / "plan.json").is_file():
            problem = "is not a run: it has no plan.json" if path.exists() else "is not there"
            raise RecordError(f"{path} {problem}", hint=listing.known_runs(path.parent))
        leftovers.check_tree(path)
        return Run(path=path)

    @cached_property
    def manifest(self) -> Manifest:
        """The plan as written. Raises Damaged when it cannot be read."""
        return manifests.read_manifest(self.path / "plan.json")

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
        """Return whether a job has a final record; a damaged one is none."""
        return self.record_path(job).is_file() and self.record(job).is_final

    def record(self, job: Job) -> JobRecord:
        """Return a job's record; one with the status ``damaged`` where it cannot be used."""
        return self.record_at(self.record_path(job))

    def record_at(self, path: str | Path) -> JobRecord:
        """Return the record in a file of this run, like `record`."""
        try:
            record = read_json(path, _RECORD)
            self._check_place(record, path)
        except Damaged as error:
            return self._damaged_record(error)
        return record

    def _check_place(self, record: JobRecord, path: str | Path) -> None:
        """Raise Damaged where a record is another job's or run's: it would count as this one's."""
        cell, subject, name = place_of(path)
        job = f"{cell}--{subject}--{name.removesuffix('.json')}"
        place = (record.cell, record.subject, f"r{record.round}.json", record.job)
        if place != (cell, subject, name, job):
            raise Damaged(path, f"it is the record of {record.job}")
        if record.run != self.id:
            raise Damaged(path, f"it is of the run {record.run}")
        planned = self._subjects.get(record.subject)
        if planned and planned != (record.wave, record.workload):
            raise Damaged(path, f"it is of the wave {record.wave} and workload {record.workload}")

    def _damaged_record(self, error: Damaged) -> JobRecord:
        """Return what stands for a record that cannot be used. Raises Damaged if none was planned.

        The rest of the run is read on: this one job then says why it has no result.
        """
        cell, subject, name = place_of(error.path)
        planned = self._subjects.get(subject)
        number = ROUND.fullmatch(name)
        if planned is None or number is None or cell not in self._cells:
            raise error
        wave, workload = planned
        relative = error.path.relative_to(self.path).as_posix()
        return JobRecord(
            run=self.id,
            job=f"{cell}--{subject}--{name.removesuffix('.json')}",
            wave=wave,
            cell=cell,
            subject=subject,
            workload=workload,
            round=int(number[1]),
            engine="",
            emulated=cell in self.manifest.plan.emulated,
            status="damaged",
            cause=f"{relative}: {error.problem}; run again with --resume",
            wall_s=0.0,
        )

    @cached_property
    def _cells(self) -> frozenset[str]:
        return frozenset(cell.id for cell in self.manifest.plan.cells)

    @cached_property
    def _subjects(self) -> dict[str, tuple[Wave, str]]:
        """The wave and the workload of every subject that is planned."""
        plan = self.manifest.plan
        return {
            **{name: ("produce", name) for name in plan.workloads},
            **{model.name: ("produce", model.name) for model in plan.imports},
            **{artifact.id: ("consume", artifact.workload) for artifact in plan.artifacts()},
        }

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
        """Yield all records, those of one cell and subject together, one in memory at a time.

        A file that cannot be used, where no record was planned, is noted as damage.
        """
        for cell in cells_with_records(self.path):
            yield from self.records_of(cell)

    def records_of(self, cell: str, subject: str = "") -> Iterator[JobRecord]:
        """Yield the records of one cell, or of one subject there, as `records` does."""
        for path in record_files(self.path, cell, subject):
            try:
                record = self.record_at(path)
            except Damaged as error:
                self.note_damage(error)
            else:
                yield record

    def save_prepared(self, prepared: dict[str, Prepared], machine: str = "") -> None:
        """Write what each cell runs from, and what it cost; *machine*: of a fleet, which has it."""
        for cell_id, image in prepared.items():
            old = self.prepared().get(cell_id)
            references = dict(old.references) if old else {}
            if machine and not image.error:
                references[machine] = image.reference
            better = old if old and _prefers_old(old, image) else image
            text = json.dumps(vars(replace(better, references=references)))
            write_text(self.path / image_path(cell_id), text + "\n")

    def prepared(self) -> dict[str, Prepared]:
        """Return the cells' images or environments, by cell id."""
        return {path.stem: image for path, image in self._usable("builds/*.json", _PREPARED)}

    def engines(self) -> dict[str, dict[str, str]]:
        """Return the engines that ran cells: their facts, by a name of their own."""
        return {path.stem: facts for path, facts in self._usable("engines/*.json", _FACTS)}

    def gold_losses(self, workload: str) -> list[float] | None:
        """Return the float64 losses of a workload, one a step, or None without any."""
        usable = self._usable(f"inputs/{workload}.gold.json", _GOLD)
        return next((gold.losses for _, gold in usable), None)

    def cause_path(self, artifact: str, consumer: str) -> Path:
        """Return the folder of the cause of an artifact's wrong outputs on a consumer."""
        return self.path / "causes" / f"{self._title(artifact)}--on--{consumer}"

    def causes(self) -> dict[tuple[str, str], Cause]:
        """Return the causes of wrong outputs, by artifact and consumer."""
        return {
            (cause.artifact, cause.consumer): cause
            for _, cause in self._usable("causes/*/cause.json", _CAUSE)
        }

    def cause(self, artifact: str, consumer: str) -> Cause | None:
        """Return the cause of an artifact's wrong outputs on a consumer, if one is known."""
        path = self.cause_path(artifact, consumer) / "cause.json"
        usable = self._usable(path.relative_to(self.path).as_posix(), _CAUSE)
        return next((cause for _, cause in usable), None)

    def node_errors_path(self, artifact: str, consumer: str) -> Path:
        """Return the file with the error of every node of an artifact on a consumer."""
        return self.path / "nodes" / f"{self._title(artifact)}--on--{consumer}.json"

    def _title(self, artifact: str) -> str:
        """Return the name of an artifact on screens, by its id: a user's own model by its name."""
        names = {model.artifact.id: model.name for model in self.manifest.plan.imports}
        return names.get(artifact, artifact)

    def node_errors(self) -> Iterator[tuple[Path, NodeErrors]]:
        """Yield the errors of all nodes, a consumer at a time, and their file."""
        yield from self._usable("nodes/*.json", _NODE_ERRORS)

    def _usable(self, pattern: str, kind: TypeAdapter[Read]) -> Iterator[tuple[Path, Read]]:
        """Yield the files that match, each with its value; note those that cannot be used."""
        for path in sorted(self.path.glob(pattern)):
            if path.parent.name.endswith(".part"):
                continue
            try:
                value = read_json(_writable_name(path), kind)
            except Damaged as error:
                self.note_damage(error)
            else:
                yield path, value

    def note_damage(self, error: RecordError) -> None:
        """Remember a file that cannot be used: the report names it, and the rest is read on."""
        self.damage[f"{error.message}; {error.hint}"] = None

    def save_engine(self, facts: dict[str, str], **further: str) -> None:
        """Write the facts of an engine that runs cells; *further* ones are of this run alone."""
        whole = {**facts, **further}
        named, text = (json.dumps(each, indent=1, sort_keys=True) + "\n" for each in (facts, whole))
        name = f"{facts['engine']}-{hashlib.sha256(named.encode()).hexdigest()[:8]}"
        write_text(self.path / "engines" / f"{name}.json", text)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from running this run. Raises RecordError when one does."""
        with locks.try_lock(self.path / "lock") as mine:
            if not mine:
                raise RecordError(
                    f"{self.path} is being run by another process", hint="wait until it has ended"
                )
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    (self.path / leftovers.SCRATCH).rmdir()

    @contextlib.contextmanager
    def scratch(self, job: Job) -> Iterator[Path]:
        """Give a job an empty control directory, removed in the end."""
        path = self.path / leftovers.SCRATCH / job.id
        removing.remove(path)
        path.mkdir(parents=True)
        try:
            yield path
        finally:
            removing.remove(path)

    def sweep(self) -> None:
        """Remove the unfinished files of a killed process of this run. See `leftovers`."""
        leftovers.sweep(self.path)


def _writable_name(path: Path) -> Path:
    """Return a path. Raises Damaged where its name is not UTF-8, and stands for no cell."""
    if path_text(path.name) != path.name:
        raise Damaged(path, "its name is not UTF-8", hint="remove the file")
    return path


def _prefers_old(old: Prepared, new: Prepared) -> bool:
    """Return whether the old entry says more: the image was made then, or is now missing."""
    if old.error:
        return False
    return bool(new.error) or (old.is_new and not new.is_new and old.content == new.content)


class _Gold(BaseModel):
    losses: Items[Number]
    accuracy: Share


def _with_engine(facts: dict[str, str]) -> dict[str, str]:
    if not facts.get("engine"):
        raise ValueError("it does not name its engine")
    return facts


_RECORD = TypeAdapter(JobRecord)
_CAUSE = TypeAdapter(Cause)
_NODE_ERRORS = TypeAdapter(NodeErrors)
_PREPARED = TypeAdapter(Prepared)
_FACTS: TypeAdapter[dict[str, str]] = TypeAdapter(Annotated[Facts, AfterValidator(_with_engine)])
_GOLD = TypeAdapter(_Gold)


def latest(parent: Path, command: str = "") -> Run:
    """Return the newest run, of all or of one command. Raises RecordError when there is none.

    A run without cells has nothing that a command could finish, or use again: it is the last
    choice of a command.
    """
    empty: Run | None = None
    for run in newest(parent, command):
        if not command or run.manifest.plan.cells:
            return Run.open(run.path)
        empty = empty or run
    if empty:
        return Run.open(empty.path)
    of_command = f" of {command}" if command else ""
    raise RecordError(
        f"no run{of_command} under {parent}",
        hint=f"make one with `{command_line(command or 'matrix')}`",
    )


def newest(parent: Path, command: str = "") -> Iterator[Run]:
    """Yield the runs of a folder, of all or of one command, the newest first."""
    for path in sorted(listing.plans(parent), key=lambda path: path.stat().st_mtime, reverse=True):
        run = Run(path=path.parent)
        if not command or _is_made_by(run, command):
            yield run


def _is_made_by(run: Run, command: str) -> bool:
    """Return whether a command made a run; one that this version cannot read was made by none."""
    with contextlib.suppress(RecordError):
        return run.manifest.plan.command == command
    return False
