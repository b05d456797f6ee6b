"""Verdicts: what the host concludes for an artifact on a consumer, and why."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from deepmatrix.judging import generation
from deepmatrix.judging.steadiness import Limits, between_threads, within_threads
from deepmatrix.judging.terms import Terms, own_error
from deepmatrix.store.records import Agreement, Deviation, JobRecord
from deepmatrix.store.reported.phases import InferData

VerdictName = Literal["match", "drift", "error", "unsupported", "not-run"]

#: The engine's failures: they say nothing about the artifact.
ENGINE_FAILURES = frozenset({"engine-lost", "no-device", "start-failed"})

#: From best to worst: of several rounds the worst counts.
ORDER: tuple[VerdictName, ...] = ("match", "not-run", "unsupported", "drift", "error")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Its name, the numbers behind it, and the reason in one line where it is not a match.

    *error*, *tolerance*: of *worst_output*, which uses most of its tolerance. *basis*: where the
    tolerance comes from. *precision*: of the consumer's arithmetic.
    *failed_phase*, *error_type*: what an error comes from. *repeatable*: whether all inferences
    gave the same bits. *stateful*: they did not, and those after a fresh load gave them again.
    *unsteady*: how many differ, and how far, where neither holds. *repeats*: how many answers were
    compared, by the number of threads. *threads_apart*: how far those of different numbers of
    threads are apart.
    """

    name: VerdictName
    error: float | None = None
    tolerance: float | None = None
    basis: str = ""
    worst_output: str = ""
    precision: str = "float32"
    producer_error: float | None = None
    reason: str = ""
    failed_phase: str = ""
    error_type: str = ""
    message: str = ""
    deviations: tuple[Deviation, ...] = ()
    repeatable: bool | None = None
    stateful: bool = False
    unsteady: str = ""
    repeats: Mapping[str, int] = field(default_factory=dict)
    threads_apart: float = 0.0


def judge(records: Sequence[JobRecord], terms: Terms, missing: str) -> Verdict:
    """Judge one artifact on one consumer from all its rounds; the worst round counts.

    Args:
        records: its consume records, any number.
        terms: see the class.
        missing: the reason to give where there is no record.
    """
    if not records:
        return Verdict(name="not-run", reason=missing)
    verdicts = [_judge_round(record, terms) for record in _differing(records)]
    return max(verdicts, key=lambda verdict: (ORDER.index(verdict.name), verdict.error or 0.0))


def _differing(records: Sequence[JobRecord]) -> Iterator[JobRecord]:
    """Yield the rounds without those that answered as the one before: most do, and judge alike."""
    last = None
    for record in records:
        answer = _answer(record)
        if answer is None or answer != last:
            yield record
        last = answer


def _answer(record: JobRecord) -> tuple[object, ...] | None:
    """Return all that a verdict on a round that answered depends on; None: it did not."""
    if record.status != "ok" or record.output is None:
        return None
    answered = record.output.infer()
    repeated = (answered.repeatable, answered.stateful, answered.repeats) if answered else ()
    return (record.output.environment.precision, record.agreement, record.generated, *repeated)


def _judge_round(record: JobRecord, terms: Terms) -> Verdict:
    if record.status == "unsupported":
        return _failed("unsupported", record)
    if record.status in ENGINE_FAILURES:
        return Verdict(name="not-run", reason=record.cause or record.status)
    agreement = record.agreement
    if record.status == "ok" and agreement is None:
        return Verdict(name="not-run", reason="not judged yet; finish the run with --resume")
    if record.status != "ok" or agreement is None:
        return _failed("error", record)
    terms = terms.of(record)
    answered = record.output.infer() if record.output else None
    verdict = _repeated(_compare(agreement, terms), agreement, terms, answered)
    tokens = generation.fault(record.generated, agreement, terms) if record.generated else ""
    if tokens and verdict.name in ("match", "not-run"):
        verdict = replace(verdict, name="drift", reason=tokens)
    return replace(
        verdict,
        precision=_arithmetic(record, terms, agreement),
        producer_error=agreement.producer_error,
        deviations=tuple(_cautioned(output, agreement, terms) for output in agreement.outputs),
        repeatable=answered.repeatable if answered else None,
        repeats={threads: data.answers for threads, data in answered.repeats.items()}
        if answered
        else {},
    )


def _cautioned(output: Deviation, agreement: Agreement, terms: Terms) -> Deviation:
    """Return an output with how many of its slices are smaller than a tolerance that is wide.

    What float32 costs at most is not wide.
    """
    if output.slices is None:
        return output
    tolerance, _ = terms.allowed_of(output, agreement)
    if tolerance <= terms.tolerances.rounded:
        return output
    smaller = sum(size < tolerance for size in output.slices.small)
    if not smaller:
        return output
    caution = (
        f"{smaller} of {output.slices.count} slices along axis {output.slices.axis} are smaller "
        f"than the tolerance, {tolerance:.1e}: a match says nothing of them; set --max-error"
    )
    caution += ", or let the runtime compute in f32" * (terms.precision != "float32")
    return output.model_copy(
        update={"caution": "; ".join(text for text in (output.caution, caution) if text)}
    )


def _arithmetic(record: JobRecord, terms: Terms, agreement: Agreement) -> str:
    """Return the precision of a consumer: a model's own float64 where it reports none."""
    floats = {output.dtype for output in agreement.outputs if output.dtype.startswith("float")}
    reported = record.output.environment.precision if record.output else None
    is_double = floats == {"float64"} and terms.precision == "float32" and reported is None
    return "float64" if is_double else terms.precision


def _repeated(
    verdict: Verdict, agreement: Agreement, terms: Terms, answered: InferData | None
) -> Verdict:
    """Return a verdict with what repeated answers say: beyond an output's tolerance a drift.

    What is random by design differs each time and says nothing; its generator's seed is not state.
    Nor is a consumer accused of values that the standard leaves open, or that rounding decides.
    """
    random = {output.name for output in agreement.outputs if output.random}
    if answered is None or (answered.stateful and not random):
        return replace(verdict, stateful=bool(answered))
    limits = {
        output.name: math.inf if output.caution else terms.allowed_of(output, agreement)[0]
        for output in agreement.outputs
    }
    tolerances = Limits(limits, random, default=verdict.tolerance or math.inf)
    within, between = within_threads(answered, tolerances), between_threads(answered, tolerances)
    worst = max(within, between, key=lambda difference: difference.excess)
    if verdict.name == "match" and worst.excess > 1:
        verdict = replace(verdict, name="drift", reason=worst.text)
    unsteady = worst.text if worst.excess > 1 else within.text
    return replace(verdict, unsteady=unsteady, threads_apart=between.error)


def _failed(name: VerdictName, record: JobRecord) -> Verdict:
    return Verdict(
        name=name,
        reason=record.cause or record.status,
        failed_phase=record.failed_phase,
        error_type=record.error_type,
        message=record.error_message,
    )


def _describe_excess(error: float | None, tolerance: float) -> str:
    if error is None:
        return "its values cannot be compared with gold"
    return f"error {error:.1e} is above {tolerance:.1e}"


def _compare(agreement: Agreement, terms: Terms) -> Verdict:
    """Compare errors with tolerances so that a NaN never passes; the worst output counts.

    Nobody is accused of an output that nothing judges.
    """
    outputs = judged_outputs(agreement, terms)
    unjudged = "; ".join(_why_unjudged(agreement, terms))
    if unjudged and not outputs:
        return Verdict(name="not-run", reason=unjudged)
    limits = [limit for output in outputs for limit in limits_of(output, agreement, terms)]
    worst, tolerance, basis = max(limits, key=lambda limit: _excess(limit[0].error, limit[1]))
    name, fault = _name(agreement, outputs, terms)
    if name == "match" and not _excess(worst.error, tolerance) <= 1:
        output = f"output {worst.name}: " if len(limits) > 1 else ""
        name, fault = "drift", worst.note or f"{output}{_describe_excess(worst.error, tolerance)}"
    if name == "match" and unjudged:
        name, fault = "not-run", unjudged
    return Verdict(
        name=name,
        error=worst.error,
        tolerance=tolerance,
        basis=basis,
        worst_output=worst.name,
        reason=fault,
    )


def limits_of(
    output: Deviation, agreement: Agreement, terms: Terms
) -> Iterator[tuple[Deviation, float, str]]:
    """Yield an output with its tolerance; and its slices, if only they are outside a narrow one."""
    tolerance, basis = terms.allowed_of(output, agreement)
    yield output, tolerance, basis
    of, own = output.slices, own_error(output, agreement) or 0.0
    is_wide = tolerance >= terms.tolerances.rounded or output.steps or terms.override(output.name)
    is_within = _excess(output.error, tolerance) <= 1 and not is_wide
    if not is_within or of is None or of.error is None or of.producer_error is None:
        return
    sensitive = output.model_copy(update={"producer_error": max(own, of.producer_error)})
    allowed, basis = terms.allowed_of(sensitive, agreement)
    if of.error > allowed:
        note = f"{output.name}, slice of axis {of.axis}: {_describe_excess(of.error, allowed)}"
        yield output.model_copy(update={"error": of.error, "note": note}), allowed, basis


def judged_outputs(agreement: Agreement, terms: Terms) -> list[Deviation]:
    """Return the outputs that say something of the consumer.

    An agreement without outputs counts as one without a name.
    """
    return [output for output in _outputs(agreement) if not _why(output, agreement, terms)]


def _outputs(agreement: Agreement) -> Sequence[Deviation]:
    return agreement.outputs or [Deviation(name="", error=agreement.error)]


def _why_unjudged(agreement: Agreement, terms: Terms) -> list[str]:
    """Return why outputs have no gold, as which are named where there are several."""
    whys = [(output, _why(output, agreement, terms)) for output in _outputs(agreement)]
    named = len(whys) > 1
    return [
        f"{output.name}: {why}" if named and not output.unjudged else why
        for output, why in whys
        if why
    ]


def _why(output: Deviation, agreement: Agreement, terms: Terms) -> str:
    """Return why nothing judges an output of a consumer, or "".

    That a user's model is too sensitive to be judged is no consumer's fault.
    """
    if output.unjudged:
        return output.note
    fault = producer_fault(output, agreement, terms)
    is_sensitive = terms.imported and own_error(output, agreement) is not None
    return f"no gold: {fault}" if fault and is_sensitive else ""


def _excess(error: float | None, tolerance: float) -> float:
    """Return an error over its tolerance; infinity where there is no error, or a NaN."""
    return math.inf if error is None or math.isnan(error) else error / tolerance


def _name(
    agreement: Agreement, outputs: Sequence[Deviation], terms: Terms
) -> tuple[VerdictName, str]:
    """Return what is wrong apart from an output's error."""
    if agreement.error is None and not agreement.outputs:
        return "error", agreement.note  # the number of outputs differs, or they are unreadable
    for output in outputs:
        if reason := producer_fault(output, agreement, terms):
            return "drift", reason
    if agreement.error is None and any(output.error is None for output in outputs):
        return "error", agreement.note
    return "match", ""


def producer_fault(output: Deviation, agreement: Agreement, terms: Terms) -> str:
    """Return why the producer's own output is wrong, so that it judges nothing; or ""."""
    error, largest = own_error(output, agreement), terms.largest_producer_error()
    if output.steps:
        largest = max(largest, output.steps.error)
    if error is None:
        return agreement.note or f"the {terms.producer}'s own outputs cannot be compared with gold"
    if not error <= largest:
        return f"{terms.own_error} is {error:.1e}, above {largest:.0e}"
    return ""
