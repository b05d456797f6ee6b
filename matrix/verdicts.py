"""What the host concludes for an artifact on a consumer, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from matrix.config import Tolerances
from matrix.records import Agreement, JobRecord

Word = Literal["match", "drift", "error", "unsupported", "not-run"]

#: Endings that say nothing about the artifact.
NOT_THE_CELLS_FAULT = frozenset({"engine-lost", "no-device", "start-failed"})

#: From the best news to the worst: several rounds count as their worst.
ORDER: tuple[Word, ...] = ("match", "not-run", "unsupported", "drift", "error")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A word, the numbers behind it, and the reason in one line where it is not a match."""

    word: Word
    error: float | None = None
    tolerance: float | None = None
    producer_error: float | None = None
    reason: str = ""


def judge(records: Sequence[JobRecord], tolerances: Tolerances, missing: str) -> Verdict:
    """Judge one artifact on one consumer from all its rounds; the worst round counts.

    Args:
        records: its consume records, any number.
        tolerances: see the matrix file.
        missing: why there is no record, for when there is none.
    """
    if not records:
        return Verdict(word="not-run", reason=missing)
    verdicts = [_judge_round(record, tolerances) for record in records]
    return max(verdicts, key=lambda one: (ORDER.index(one.word), one.error or 0.0))


def tolerance(agreement: Agreement, tolerances: Tolerances) -> float:
    """Return the largest error that still counts as a match: scales with the producer's own."""
    return max(tolerances.floor, tolerances.factor * (agreement.producer_error or 0.0))


def _judge_round(record: JobRecord, tolerances: Tolerances) -> Verdict:
    if record.status == "unsupported":
        return Verdict(word="unsupported", reason=record.cause)
    if record.status in NOT_THE_CELLS_FAULT:
        return Verdict(word="not-run", reason=record.cause or record.status)
    agreement = record.agreement
    if record.status != "ok" or agreement is None:
        return Verdict(word="error", reason=record.cause or record.status)
    allowed = tolerance(agreement, tolerances)
    word, reason = _compare(agreement, allowed, tolerances)
    return Verdict(
        word=word,
        error=agreement.error,
        tolerance=allowed,
        producer_error=agreement.producer_error,
        reason=reason,
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
