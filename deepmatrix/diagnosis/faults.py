"""Faults of a run: which artifacts a consumer answers wrongly, without a known cause yet."""

from __future__ import annotations

from dataclasses import dataclass

from deepmatrix.judging.terms import terms_of
from deepmatrix.judging.verdicts import judge
from deepmatrix.planning.cells import Cell
from deepmatrix.planning.plan import first_consumption
from deepmatrix.planning.subjects import Artifact
from deepmatrix.store.records import Agreement, JobRecord
from deepmatrix.store.runs import Run

#: Verdicts that have a cause to find.
WRONG = ("drift", "error")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """An artifact with wrong outputs on a consumer, and the record that shows it."""

    artifact: Artifact
    consumer: Cell
    record: JobRecord
    agreement: Agreement


def find_faults(run: Run) -> list[Fault]:
    """Return the artifacts that drift, or give non-finite outputs, and have no cause yet.

    The native consumers come first.
    """
    return [answer for answer in find_answers(run) if _is_unexplained(run, answer)]


def find_answers(run: Run) -> list[Fault]:
    """Return all artifacts that consumers answered, right or wrong, the native ones first."""
    plan = run.manifest.plan
    answers = (
        _find_answer(run, artifact, consumer)
        for artifact in plan.artifacts()
        for consumer in plan.consumers_of(artifact)
    )
    return sorted(filter(None, answers), key=lambda answer: answer.consumer.id in plan.emulated)


def consumer_record(run: Run, artifact: Artifact, consumer: Cell) -> JobRecord | None:
    """Return the record of a consumer's first round with an artifact, if there is one."""
    job = first_consumption(consumer.id, artifact)
    return run.record(job) if run.record_path(job).is_file() else None


def _find_answer(run: Run, artifact: Artifact, consumer: Cell) -> Fault | None:
    record = consumer_record(run, artifact, consumer)
    if record is None or record.agreement is None:
        return None
    return Fault(artifact=artifact, consumer=consumer, record=record, agreement=record.agreement)


def _is_unexplained(run: Run, answer: Fault) -> bool:
    terms = terms_of(run.manifest, answer.consumer, answer.artifact.id)
    # That later tokens are wrong, where all outputs of a call are right, has no node to find.
    record = answer.record.model_copy(update={"generated": None})
    is_wrong = judge([record], terms, "").name in WRONG
    return is_wrong and not _has_cause(run, answer.artifact, answer.consumer)


def _has_cause(run: Run, artifact: Artifact, consumer: Cell) -> bool:
    """Return whether a cause is stored; one whose search ran out of time is searched again."""
    cause = run.cause(artifact.id, consumer.id)
    return cause is not None and cause.kind != "unfinished"
