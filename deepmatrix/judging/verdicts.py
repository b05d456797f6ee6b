"""What the host concludes for an artifact on a consumer, and why."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from deepmatrix.config.sections import PRECISIONS, Override, Precision, Tolerances
from deepmatrix.planning.cells import Cell
from deepmatrix.store.records import Agreement, Deviation, JobRecord
from deepmatrix.store.runs import Manifest

Word = Literal["match", "drift", "error", "unsupported", "not-run"]

#: Endings that say nothing about the artifact.
NOT_THE_CELLS_FAULT = frozenset({"engine-lost", "no-device", "start-failed"})

#: From the best news to the worst: several rounds count as their worst.
ORDER: tuple[Word, ...] = ("match", "not-run", "unsupported", "drift", "error")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A word, the numbers behind it, and the reason in one line where it is not a match.

    *basis* says where the tolerance comes from, *precision* what was computed in; *repeatable*
    whether a second answer was the same.
    """

    word: Word
    error: float | None = None
    tolerance: float | None = None
    basis: str = ""
    precision: Precision = "float32"
    producer_error: float | None = None
    reason: str = ""
    deviations: tuple[Deviation, ...] = ()
    repeatable: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Terms:
    """By what an artifact is judged on a consumer: see `deepmatrix.config.matrix_file`.

    *precision* is the lowest that the consumer computes in; *stated* are the tolerances that are
    set for this artifact on it. *imported*: it is a person's own, which nobody here produced.
    """

    tolerances: Tolerances
    precision: Precision = "float32"
    stated: tuple[Override, ...] = ()
    imported: bool = False

    def of(self, record: JobRecord) -> Terms:
        """Return these terms in the precision that a process said, where it may choose its own.

        What has to keep to float32 is judged by it, whatever it says.
        """
        said = record.output.environment.precision if record.output else None
        if self.precision == "float32" or said not in PRECISIONS:
            return self
        return replace(self, precision=said)

    def allowed(
        self, producer_error: float | None, output: str = "", dtype: str = ""
    ) -> tuple[float, str]:
        """Return the largest error of an output that still matches, and where it comes from.

        What is written in a reduced precision, as *dtype* says, can be right to that only.
        """
        for one in self.stated:
            if fnmatch.fnmatchcase(output, one.outputs):
                return one.error, f"set: {one.reason}"
        own = self.tolerances.factor * (producer_error or 0.0)
        terms = [
            (self.tolerances.floor, "the floor"),
            (own, f"{self.tolerances.factor:g} times the producer's own"),
            (self._reduced(self.precision), f"stated for {self.precision}"),
            (self._reduced(dtype), f"stated for {dtype}"),
        ]
        return max(terms, key=lambda term: term[0])

    def allowed_of(self, output: Deviation, agreement: Agreement) -> tuple[float, str]:
        """Return the same for an output of an agreement; older records lack its own numbers."""
        own = output.producer_error
        own = agreement.producer_error if own is None else own
        return self.allowed(own, output.name, output.dtype)

    def _reduced(self, precision: str) -> float:
        named = (error for name, error in self.tolerances.reduced.items() if name == precision)
        return next(named, 0.0)

    def bearable(self) -> float:
        """Return the error up to which a producer's own outputs are what it should give.

        A person's own model may be written in float16: it is taken as it is.
        """
        return max(self.tolerances.producer, self._reduced("float16") if self.imported else 0.0)


def terms_of(manifest: Manifest, consumer: Cell, artifact: str) -> Terms:
    """Return by what an artifact, named by its id, is judged on a consumer."""
    tolerances = manifest.matrix.tolerances
    return Terms(
        tolerances=tolerances,
        precision=consumer.precision,
        stated=tuple(
            one
            for one in tolerances.overrides
            if fnmatch.fnmatchcase(artifact, one.subjects)
            and fnmatch.fnmatchcase(consumer.id, one.cells)
        ),
        imported=any(one.artifact.id == artifact for one in manifest.plan.imports),
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
    terms = terms.of(record)
    answered = record.output.infer() if record.output else None
    return replace(
        _compare(agreement, terms),
        error=agreement.error,
        precision=terms.precision,
        producer_error=agreement.producer_error,
        deviations=agreement.outputs,
        repeatable=answered.repeatable if answered else None,
    )


def _compare(agreement: Agreement, terms: Terms) -> Verdict:
    """Compare by what has to hold, so that a NaN never passes; the worst output counts."""
    outputs = agreement.outputs or (Deviation(name="", error=agreement.error),)
    limits = [(one, *terms.allowed_of(one, agreement)) for one in outputs]
    worst, allowed, basis = max(limits, key=lambda limit: _share(limit[0].error, limit[1]))
    word, reason = _word(agreement, terms)
    if word == "match" and not _share(worst.error, allowed) <= 1:
        named = f"output {worst.name}: " if len(limits) > 1 else ""
        word, reason = "drift", f"{named}error {worst.error:.1e} is above {allowed:.1e}"
    return Verdict(word=word, tolerance=allowed, basis=basis, reason=reason)


def _share(error: float | None, allowed: float) -> float:
    """Return how much of what is allowed an error takes; all there is where it is no number."""
    return math.inf if error is None or math.isnan(error) else error / allowed


def _word(agreement: Agreement, terms: Terms) -> tuple[Word, str]:
    """Say what is wrong apart from an output's error."""
    if agreement.error is None and not agreement.outputs:
        return "error", agreement.note  # of another number of outputs, or unreadable
    if reason := lost(agreement, terms):
        return "drift", reason
    if agreement.error is None:
        return "error", agreement.note
    return "match", ""


def lost(agreement: Agreement, terms: Terms) -> str:
    """Say why the producer's own outputs are nothing to be judged by, where they are not."""
    own, bearable = agreement.producer_error, terms.bearable()
    if own is None:
        return agreement.note or "the producer's own outputs cannot be compared with gold"
    if not own <= bearable:
        return f"the producer's own error is {own:.1e}, above {bearable:.0e}"
    return ""
