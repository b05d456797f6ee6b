"""What the host concludes for an artifact on a consumer, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from matrix.config import Matrix, Precision, Tolerances
from matrix.plan import Cell
from matrix.records import Agreement, Deviation, JobRecord

Word = Literal["match", "drift", "error", "unsupported", "not-run"]

#: Endings that say nothing about the artifact.
NOT_THE_CELLS_FAULT = frozenset({"engine-lost", "no-device", "start-failed"})

#: From the best news to the worst: several rounds count as their worst.
ORDER: tuple[Word, ...] = ("match", "not-run", "unsupported", "drift", "error")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A word, the numbers behind it, and the reason in one line where it is not a match.

    *basis* says where the tolerance comes from; *repeatable* whether a second answer was the same.
    """

    word: Word
    error: float | None = None
    tolerance: float | None = None
    basis: str = ""
    producer_error: float | None = None
    reason: str = ""
    deviations: tuple[Deviation, ...] = ()
    repeatable: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Terms:
    """By what an artifact is judged on a consumer: see `matrix.config`.

    *stated* is the workload's own tolerance; *precision* the lowest that the consumer computes in.
    """

    tolerances: Tolerances
    precision: Precision = "float32"
    stated: float | None = None

    def allowed(self, producer_error: float | None) -> tuple[float, str]:
        """Return the largest error that still counts as a match, and where it comes from."""
        own = self.tolerances.factor * (producer_error or 0.0)
        terms = [
            (self.tolerances.floor, "the floor"),
            (own, f"{self.tolerances.factor:g} times the producer's own"),
            (self.tolerances.reduced.get(self.precision, 0.0), f"stated for {self.precision}"),
            (self.stated or 0.0, "stated for the workload"),
        ]
        return max(terms, key=lambda term: term[0])


def terms_of(matrix: Matrix, consumer: Cell, workload: str) -> Terms:
    """Return by what an artifact of a workload is judged on a consumer."""
    found = matrix.workloads.get(workload)
    return Terms(
        tolerances=matrix.tolerances,
        precision=consumer.precision,
        stated=found.tolerance if found else None,
    )


def judge(records: Sequence[JobRecord], terms: Terms, missing: str) -> Verdict:
    """Judge one artifact on one consumer from all its rounds; the worst round counts.

    Args:
        records: its consume records, any number.
        terms: see the class.
        missing: why there is no record, for when there is none.
    """
    if not records:
        return Verdict(word="not-run", reason=missing)
    verdicts = [_judge_round(record, terms) for record in records]
    return max(verdicts, key=lambda one: (ORDER.index(one.word), one.error or 0.0))


def _judge_round(record: JobRecord, terms: Terms) -> Verdict:
    if record.status == "unsupported":
        return Verdict(word="unsupported", reason=record.cause)
    if record.status in NOT_THE_CELLS_FAULT:
        return Verdict(word="not-run", reason=record.cause or record.status)
    agreement = record.agreement
    if record.status != "ok" or agreement is None:
        return Verdict(word="error", reason=record.cause or record.status)
    allowed, basis = terms.allowed(agreement.producer_error)
    word, reason = _compare(agreement, allowed, terms.tolerances)
    answered = record.output.infer() if record.output else None
    return Verdict(
        word=word,
        error=agreement.error,
        tolerance=allowed,
        basis=basis,
        producer_error=agreement.producer_error,
        reason=reason,
        deviations=agreement.outputs,
        repeatable=answered.repeatable if answered else None,
    )


def _compare(agreement: Agreement, allowed: float, tolerances: Tolerances) -> tuple[Word, str]:
    """Compare by what has to hold, so that a NaN never passes."""
    own = agreement.producer_error
    if own is None:
        return "drift", agreement.note or "the producer's own outputs cannot be compared with gold"
    if not own <= tolerances.producer:
        return "drift", f"the producer's own error is {own:.1e}, above {tolerances.producer:.0e}"
    if agreement.error is None:
        return "error", agreement.note
    if not agreement.error <= allowed:
        return "drift", f"error {agreement.error:.1e} is above {allowed:.1e}"
    return "match", ""
