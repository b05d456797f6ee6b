"""Collecting: turn the files of an attempt into its job's record and the artifacts it exported."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pydantic import ValidationError

from deepmatrix.boundary import removing
from deepmatrix.boundary.files import describe
from deepmatrix.execution import evaluations
from deepmatrix.execution.attempts import Attempt
from deepmatrix.execution.conclusions import status_of_phases
from deepmatrix.judging import deviations, generation, producers
from deepmatrix.judging.producers import Evidence
from deepmatrix.models import exports, imports
from deepmatrix.planning.cells import Cell
from deepmatrix.planning.plan import Job
from deepmatrix.store import answers, arrays, artifacts
from deepmatrix.store.records import Agreement, Generated, JobRecord, Status
from deepmatrix.store.reported.output import Output
from deepmatrix.store.runs import Run
from harness.record import DEPLOY, INSPECT


def collect(run: Run, engine: str, job: Job, cell: Cell, attempt: Attempt) -> JobRecord:
    """Store the artifacts of a planned job, judge its answers; return its record.

    Files that cannot be read are the job's own fault: its record says so as its cause. An
    evaluator that inspected a model has answered it too: that is saved as the record of the job
    in which it would serve the model.
    """
    for artifact in run.manifest.plan.exports(job):  # of an attempt that does not count
        removing.remove(run.artifact_path(artifact))
    collector = _Collector(run, job, cell, attempt)
    evidence_of_training = collector.training_evidence()
    if attempt.output and DEPLOY in job.phases:
        collector.store_exports(attempt.output)
    if attempt.output and collector.status == "ok" and INSPECT in job.phases:
        collector.store_import(attempt.output)
        serving = evaluations.serving_job(run.manifest.plan, job, cell)
        if serving and collector.status == "ok" and not _generates(run, serving):
            _collect_evaluation(run, engine, serving, cell, attempt)
    return collector.record(engine, evidence_of_training)


def _generates(run: Run, job: Job) -> bool:
    """Return whether an artifact generates: that takes more than the answers of an inspection."""
    assert job.artifact is not None
    return artifacts.read_generation(run.artifact_path(job.artifact)) is not None


def _collect_evaluation(run: Run, engine: str, job: Job, cell: Cell, inspected: Attempt) -> None:
    """Save the record of the job in which an evaluator serves a model, from its inspection."""
    output = evaluations.serving_output(job, inspected.output) if inspected.output else None
    if output is None:
        return
    status, cause = status_of_phases(output)
    attempt = replace(
        inspected, output=output, status=status, cause=cause, energy_j=None, provenance={}
    )
    collector = _Collector(run, job, cell, attempt)
    run.save(job, collector.record(engine, Evidence()))


#: What is raised where a cell's files, or what the host makes of them, are out of bounds.
UNUSABLE: Final = (arrays.Unreadable, ValidationError)


def _problem(error: Exception) -> str:
    return describe(error) if isinstance(error, ValidationError) else str(error)


class _Collector:
    """One attempt while it is collected; its status and cause may still change."""

    def __init__(self, run: Run, job: Job, cell: Cell, attempt: Attempt) -> None:
        self.run, self.job, self.cell, self.attempt = run, job, cell, attempt
        self.status: Status = attempt.status
        self.cause = attempt.cause
        self.stored: dict[str, str] = {}

    def training_evidence(self) -> Evidence:
        """Return what the files of a training prove."""
        if self.attempt.output is None:
            return Evidence()
        try:
            return producers.gather(self.run, self.job, self.attempt.output, self.attempt.control)
        except (arrays.Unreadable, *deviations.UNCOMPUTABLE) as error:
            self._blame("torn", f"its files cannot be used: {error}")
            return Evidence()

    def store_exports(self, output: Output) -> None:
        """Store the exported artifacts; every format that the cell exports must be among them.

        Where the phase failed there are none, and its error is the cause.
        """
        deployed = output.phase(DEPLOY)
        if deployed is None or deployed.status != "ok":
            return
        try:
            stored = exports.keep_exports(self.run, self.job, output, self.attempt.control)
            self.stored.update(stored)
        except UNUSABLE as error:
            self._blame_artifact(f"an exported artifact is incomplete: {_problem(error)}")
        exported = {artifact.format for artifact in output.artifacts}
        planned = self.run.manifest.plan.formats(self.cell, self.job.workload)
        if self.status == "ok" and exported != set(planned):
            names = ", ".join(sorted(exported)) or "nothing"
            self._blame_artifact(f"exported {names}, not {', '.join(sorted(planned))}")

    def store_import(self, output: Output) -> None:
        """Store a user's own model as an artifact, with the inputs and outputs that it has."""
        try:
            stored = imports.keep_import(self.run, self.job, output, self.attempt.control)
            self.stored.update(stored)
        except UNUSABLE as error:
            self._blame_artifact(_problem(error))

    def record(self, engine: str, evidence_of_training: Evidence) -> JobRecord:
        """Judge the answers, if there are any; return the job's record.

        Where it could not be read back, the record says so, and has nothing of the cell.
        """
        try:
            return self._record(engine, evidence_of_training, self.agreement())
        except ValidationError as error:
            self.status, self.cause = "torn", f"it cannot be recorded: {describe(error)}"
            self.attempt = replace(self.attempt, output=None, energy_j=None, provenance={})
            self.stored = {}
            return self._record(engine, Evidence(), None)

    def _record(
        self, engine: str, evidence_of_training: Evidence, agreement: Agreement | None
    ) -> JobRecord:
        job, attempt = self.job, self.attempt
        return JobRecord(
            run=self.run.id,
            job=job.id,
            wave=job.wave,
            cell=job.cell,
            subject=job.subject,
            workload=job.workload,
            round=job.round,
            engine=engine,
            emulated=attempt.emulated,
            status=self.status,
            cause=self.cause,
            wall_s=attempt.ended.wall_s,
            started_at=attempt.ended.started_at,
            tree_bytes=attempt.ended.tree_bytes,
            containment=attempt.ended.containment,
            energy_j=attempt.energy_j,
            output=attempt.output,
            agreement=agreement,
            generated=self.generated(),
            artifacts=self.stored,
            provenance=attempt.provenance,
            attempt=attempt.id,
            machine=attempt.machine,
            **vars(evidence_of_training),
        )

    def agreement(self) -> Agreement | None:
        """Return how far the answers to an artifact are from gold, None before that is settled."""
        if self.job.artifact is None or self.status != "ok":
            return None
        inference = self.attempt.output.infer() if self.attempt.output else None
        names = inference.outputs if inference else []
        folder, control = self.run.artifact_path(self.job.artifact), self.attempt.control
        return deviations.measure(folder, control, names, self._keep_answers)

    def generated(self) -> Generated | None:
        """Return how the tokens compare with the right ones, None where the model has none."""
        if self.job.artifact is None or self.status != "ok":
            return None
        return generation.measure(self.run.artifact_path(self.job.artifact), self.attempt.output)

    def _keep_answers(self, answered: deviations.Answers) -> None:
        """Store the answers to a user's own model, whose gold they may settle."""
        if self.run.manifest.plan.imports and self.job.artifact:
            answers.store(self.run, self.job.artifact, self.cell.id, answered)

    def _blame_artifact(self, cause: str) -> None:
        self._blame("bad-artifact", cause)

    def _blame(self, status: Status, cause: str) -> None:
        """Say what is wrong, unless the job failed before: the first cause made the others."""
        if self.status == "ok":
            self.status, self.cause = status, cause
