"""Reusing: the records of an earlier run become those of this one, where the same made them."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deepmatrix.boundary.files import Damaged
from deepmatrix.boundary.writing import write_text
from deepmatrix.errors import RecordError
from deepmatrix.execution.reuse.provenance import Parts, first_change
from deepmatrix.judging import deviations, generation
from deepmatrix.planning.cells import Cell
from deepmatrix.planning.plan import Job
from deepmatrix.store import answers, artifacts, truths
from deepmatrix.store.records import JobRecord
from deepmatrix.store.runs import Run
from harness.record import INSPECT

#: Why a job is done anew although the other run may have done it.
NO_RECORD: Final = "no record"
INSPECTED: Final = "models are always inspected"
UNKNOWN: Final = "what makes it is not known on this engine"
UNSAID: Final = "its record does not say what made it: an older version wrote it"
OTHER_ARTIFACTS: Final = "it has other artifacts"
NO_ANSWERS: Final = "its answers are missing"

Describe = Callable[[Job, Cell], Parts]
"""Returns what would make a job's record now."""


@dataclass(frozen=True, kw_only=True)
class Reuse:
    """What a run takes over from *earlier*: nothing where it names no run, or *problem* says why.

    *around* tells the parts around a job's process, *all_parts* all of them, which takes longer.
    *reasons* says by job id why it is done anew.
    """

    run: Run
    earlier: Run | None
    problem: str
    around: Describe
    all_parts: Describe
    reasons: dict[str, str] = field(default_factory=dict)

    def take(self, job: Job, cell: Cell) -> bool:
        """Take a job's record over, with its files; return whether that could be done.

        Raises:
            RecordError: the job's artifact is damaged in the run itself.
        """
        reason = self._take(job, cell)
        if reason:
            self.reasons[job.id] = reason
        return not reason

    def counted(self, jobs: Sequence[Job]) -> Counter[str]:
        """Return how many of some jobs are done anew, by the reason."""
        return Counter(self.reasons[job.id] for job in jobs if job.id in self.reasons)

    def _take(self, job: Job, cell: Cell) -> str:
        """Take a job over, or return why it is done anew."""
        if self.earlier is None:
            return self.problem
        if INSPECT in job.phases:
            return INSPECTED
        if not self.earlier.record_path(job).is_file():
            return NO_RECORD
        try:
            record = self.earlier.record(job)
        except RecordError as error:
            return error.message
        reason = self._refusal(record, job, cell)
        if reason:
            return reason
        try:
            return self._copy(self.earlier, record, job)
        except (Damaged, PermissionError) as error:
            return f"its files cannot be used: {error}"

    def _refusal(self, record: JobRecord, job: Job, cell: Cell) -> str:
        """Return why a record is not of what would be done now, or nothing."""
        if not record.is_repeatable:
            return f"it ended as {record.status}"
        now = self.around(job, cell)
        if not now:
            return UNKNOWN
        if not record.provenance:
            return UNSAID
        around = {name: record.provenance.get(name, "") for name in now}
        changed = first_change(around, now) or first_change(
            record.provenance, self.all_parts(job, cell)
        )
        return f"{changed} changed" if changed else ""

    def _copy(self, earlier: Run, record: JobRecord, job: Job) -> str:
        """Copy what belongs to a record, then the record; return why that cannot be done."""
        run = self.run
        exported = {artifact.id: artifact for artifact in run.manifest.plan.exports(job)}
        missing = exported.keys() - record.artifacts.keys()
        if record.artifacts.keys() - exported.keys() or (record.status == "ok" and missing):
            return OTHER_ARTIFACTS
        copy_artifacts(
            [
                (earlier.artifact_path(exported[name]), run.artifact_path(exported[name]), recorded)
                for name, recorded in record.artifacts.items()
            ]
        )
        changes = {"run": run.id, "reused": record.reused or earlier.id, "anew": ""}
        if job.artifact is not None and job.artifact.imported and record.status == "ok":
            outputs = answers.read(earlier, job.artifact, job.cell)
            if outputs is None:
                return NO_ANSWERS
            answers.store(run, job.artifact, job.cell, outputs)
            artifact = run.artifact_path(job.artifact)
            truth = truths.read(artifact)
            agreement = deviations.compare(outputs, truth) if truth.gold else None
            generated = generation.measure(artifact, record.output)
            record = record.changed(agreement=agreement, generated=generated)
        _copy_log(earlier.log_path(job), run.log_path(job))
        run.save(job, record.changed(**changes))
        return ""


def open_earlier(run: Run) -> tuple[Run | None, str]:
    """Return the run that another one reuses, or None and why it cannot be used, if it names one.

    It lies beside the other.
    """
    name = run.manifest.reuse
    if not name:
        return None, ""
    try:
        earlier = Run.open(run.path.parent / name)
        _ = earlier.manifest
    except RecordError as error:
        return None, f"{name} cannot be read: {error.message}"
    return earlier, ""


def copy_artifacts(copies: Iterable[tuple[Path, Path, str]]) -> None:
    """Copy artifacts, each from its source to its place, all or none. Raises Damaged.

    Each has the fingerprint that its producer's record says.
    """
    parts = [
        (_copy_listed(source, final.with_name(f"{final.name}.part"), recorded), final)
        for source, final, recorded in copies
    ]
    for part, final in parts:
        artifacts.finish(part, artifacts.read_description(part), final)


def _copy_listed(source: Path, part: Path, recorded: str) -> Path:
    """Copy the files that an artifact lists to a folder that is *part* of one; return that."""
    described = artifacts.verify(source, recorded)
    shutil.rmtree(part, ignore_errors=True)
    for file in described.files:
        copied = part / file.path
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / file.path, copied, follow_symlinks=False)
    write_text(part / artifacts.DESCRIPTION, described.model_dump_json(indent=1))
    artifacts.verify(part, recorded)  # the source may have changed meanwhile
    return part


def _copy_log(source: Path, log: Path) -> None:
    """Copy the log of a job, where there is one."""
    if source.is_file():
        log.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, log, follow_symlinks=False)
