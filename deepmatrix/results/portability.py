"""Rows of portability: the verdict of each artifact on each consumer, judged or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from deepmatrix.judging.verdicts import Verdict
from deepmatrix.planning.cells import Cell
from deepmatrix.planning.subjects import Artifact
from deepmatrix.results.rows import ModelRow, PortabilityRow, TrainingRow
from deepmatrix.store.causes import Cause
from deepmatrix.store.manifests import Manifest
from deepmatrix.store.records import JobRecord
from deepmatrix.store.reported.output import ModelInput
from harness.record import EVALUATIONS

#: Why it is not a problem where an evaluator does not answer a user's own model as gold does.
ABOUT_THE_JUDGE = "this is about the evaluator, not about the model: another source judged it"

#: (cell, workload) or (artifact, consumer), by their names.
Pair = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A verdict, and whether the consumer was emulated."""

    verdict: Verdict
    emulated: bool


@dataclass(frozen=True, kw_only=True)
class PortabilityRows:
    """Makes rows of portability from what was judged, and of what was produced.

    *training*: rows by cell and workload. *inspections*: records of users' own models by cell and
    name. *unready*: why a cell has no image, by cell. *models*: users' own, by artifact.
    *judged*: by artifact and consumer.
    """

    manifest: Manifest
    causes: Mapping[Pair, Cause]
    unready: Mapping[str, str]
    training: Mapping[Pair, TrainingRow]
    inspections: Mapping[Pair, JobRecord]
    models: Mapping[str, ModelRow]
    judged: Mapping[Pair, Judged]

    def rows(self) -> Iterator[PortabilityRow]:
        """Yield a row for each artifact on each consumer that the plan has."""
        plan = self.manifest.plan
        for artifact in plan.artifacts():
            for consumer in plan.consumers_of(artifact):
                yield self._row(artifact, consumer)

    def is_produced(self, artifact: Artifact) -> bool:
        """Return whether an artifact's producer succeeded, so that its consumers have jobs."""
        if self.manifest.plan.kept_as(artifact.id):
            return True
        pair = (artifact.producer, artifact.workload)
        source = self.inspections.get(pair) or self.training.get(pair)
        return source is not None and source.status == "ok"

    def why_missing(self, cell_id: str) -> str:
        """Return why a cell has no record of a job."""
        if error := self.unready.get(cell_id):
            return f"the image was not built: {error}"
        return "the job has not run"

    def _row(self, artifact: Artifact, consumer: Cell) -> PortabilityRow:
        pair = (artifact.id, consumer.id)
        judged = self.judged.get(pair)
        cause = self.causes.get(pair) if judged else None
        if judged is None:
            verdict = Verdict(name="not-run", reason=self._why_unjudged(artifact, consumer.id))
            judged = Judged(verdict=verdict, emulated=consumer.id in self.manifest.plan.emulated)
        model = self.models.get(artifact.id)
        verdict = blame_inputs(judged.verdict, model)
        return PortabilityRow(
            artifact=artifact.id,
            model=model.name if model else "",
            judges=_is_judge(model, consumer),
            consumer=consumer.id,
            isa=consumer.isa,
            emulated=judged.emulated,
            verdict=verdict.name,
            error=verdict.error,
            tolerance=verdict.tolerance,
            basis=verdict.basis,
            worst_output=verdict.worst_output,
            precision=verdict.precision,
            producer_error=verdict.producer_error,
            reason=verdict.reason,
            failed_phase=verdict.failed_phase,
            error_type=verdict.error_type,
            message=verdict.message,
            expected_failure=self._expected_failure(verdict, artifact, consumer),
            pending=pair not in self.judged and self._is_pending(artifact, consumer.id),
            cause=cause if verdict.name != "match" else None,
            outputs=verdict.deviations,
            repeatable=verdict.repeatable,
            stateful=verdict.stateful,
            unsteady=verdict.unsteady,
            repeats=dict(verdict.repeats),
            threads_apart=verdict.threads_apart,
        )

    def _expected_failure(self, verdict: Verdict, artifact: Artifact, consumer: Cell) -> str:
        """Return why the consumer, or else the producer, may fail at an artifact."""
        if verdict.name == "match":
            return ""
        if expected := self.manifest.matrix.expected_failure(consumer.id, artifact.id):
            return expected
        if _is_judge(self.models.get(artifact.id), consumer):
            return ABOUT_THE_JUDGE
        produced = self.training.get((artifact.producer, artifact.workload))
        return produced.expected_failure if produced and verdict.name == "not-run" else ""

    def _is_pending(self, artifact: Artifact, consumer: str) -> bool:
        """Return whether all that an artifact lacks on a consumer is that a job has not run yet."""
        if not self.manifest.plan.kept_as(artifact.id):
            pair = (artifact.producer, artifact.workload)
            source = self.inspections.get(pair) or self.training.get(pair)
            if source is None:
                return artifact.producer not in self.unready
            if source.status != "ok":
                return False
        return consumer not in self.unready

    def _why_unjudged(self, artifact: Artifact, consumer: str) -> str:
        pair = (artifact.producer, artifact.workload)
        if self.manifest.plan.kept_as(artifact.id):
            return self.why_missing(consumer)
        if inspected := self.inspections.get(pair):
            if inspected.status != "ok":
                return f"the model is not served: {inspected.model_problem}"
            return self.why_missing(consumer)
        produced = self.training.get(pair)
        if produced is None:
            return f"the producer did not run: {self.why_missing(artifact.producer)}"
        if produced.status != "ok":
            return f"the producer {produced.status}: {produced.reason}"
        return self.why_missing(consumer)


def blame_inputs(verdict: Verdict, model: ModelRow | None) -> Verdict:
    """Return a verdict that is not-run where our sample inputs were refused."""
    if verdict.name != "error" or model is None or not model.refusal:
        return verdict
    reason = f"no sample inputs fit it: {_needed(model.inputs)} ({verdict.reason})"
    return Verdict(name="not-run", precision=verdict.precision, reason=reason)


def _needed(inputs: Sequence[ModelInput]) -> str:
    """Return which options give the inputs of a model that takes no sample inputs.

    What steers the graph comes first, and a single whole number, which stands for something, such
    as a rate of samples, that no graph tells.
    """
    tried = ", ".join(f"{row.name} ({row.dtype} {list(row.shape)})" for row in inputs)
    sizes = "other sizes with --shape, or " if any(row.shape for row in inputs) else ""
    text = f"give {sizes}real ones with --inputs FILE.npz; tried were {tried}"
    numbers = [row for row in inputs if row.steers or (not row.shape and "int" in row.dtype)]
    if not numbers:
        return text
    names = ", ".join(f"{row.name} ({row.steers})" if row.steers else row.name for row in numbers)
    return f"say what {names} has to be: {' '.join(map(range_option, numbers))}; or {text}"


def range_option(row: ModelInput) -> str:
    """Return the option for an input's value, with that value where the graph tells one."""
    is_told = row.values and row.low is not None and row.low == row.high
    value = f"{row.low:.12g}" if is_told else "VALUE"
    return f"--range {row.name}={value}:{value}"


def _is_judge(model: ModelRow | None, consumer: Cell) -> bool:
    """Return whether a verdict says something of the evaluator, and nothing of a runtime.

    In another cell than the inspector's, the evaluator of a model that it can evaluate says that
    the platform computes alike.
    """
    if model is None or not consumer.is_evaluator:
        return False
    sources = set(model.judged_by.values())
    can_evaluate = bool(sources) and sources <= set(EVALUATIONS)
    return consumer.id == model.inspector or not can_evaluate
