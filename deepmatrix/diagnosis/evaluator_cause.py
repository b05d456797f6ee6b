"""Causes in the judge: its evaluation differs from the consumers that judge a model instead."""

from __future__ import annotations

from dataclasses import replace

from deepmatrix.diagnosis.case import Case
from deepmatrix.diagnosis.faults import Fault, consumer_record
from deepmatrix.diagnosis.runtime_cause import RuntimeSearch
from deepmatrix.diagnosis.search.tracing import Trace
from deepmatrix.judging import deviations
from deepmatrix.judging.terms import terms_of
from deepmatrix.judging.verdicts import judge
from deepmatrix.store import answers, truths
from deepmatrix.store.causes import Cause
from deepmatrix.store.truths import Truth


def find_evaluator_cause(case: Case, trace: Trace) -> Cause | None:
    """Return the first node that the evaluator gets wrong, None where it is as right as gold.

    It is searched as a runtime's is, with the roles exchanged: a consumer that answers as gold does
    runs on copies of the model, and the evaluator's values are what differs.
    """
    truth = truths.read(case.run.artifact_path(case.artifact))
    wrong = [name for name in trace.outputs if _differs(case, truth, trace, name)]
    if not wrong:
        return None
    text = f"the evaluator differs from gold at output {wrong[0]} ({truth.sources[wrong[0]]})"
    if not case.fault.consumer.inspects(case.artifact.format):
        return case.cause("opaque", f"no node can be named: {text}")
    fault = _exchanged_fault(case, truth, trace, wrong)
    if fault is None:
        return case.cause("evaluator", text)
    search = RuntimeSearch(Case(case.tracer, fault, case.folder, case.deadline), trace)
    first = search.find_cause()
    if first.node:
        text += f": the first node that it computes otherwise than {fault.consumer.id} is "
        text += f"{first.node}"
    return case.cause(
        "evaluator", text, node=first.node, tensor=first.tensor, error=first.error, runs=first.runs
    )


def _differs(case: Case, truth: Truth, trace: Trace, name: str) -> bool:
    """Return whether the evaluator differs at an output that something else judges."""
    if name not in truth.rounded or name not in truth.gold or name not in truth.sources:
        return False
    gold = truth.gold[name]
    error = deviations.distance(trace.precise[name], gold, deviations.output_scale(gold))
    computed_in = truth.computed_in.get(name, "")
    limit, _ = case.terms.allowed(0.0, name, str(gold.dtype), rounded=True, computed_in=computed_in)
    return error is None or error > limit


def _exchanged_fault(case: Case, truth: Truth, trace: Trace, wrong: list[str]) -> Fault | None:
    """Return a fault of a consumer that is right, as if the evaluator were; None without any."""
    evaluated = {name: trace.precise[name] for name in wrong}
    exchanged = replace(truth, gold={**truth.gold, **evaluated}, rounded=frozenset(), sources={})
    for consumer in case.run.manifest.plan.consumers_of(case.artifact):
        record = consumer_record(case.run, case.artifact, consumer)
        answered = answers.read(case.run, case.artifact, consumer.id)
        if record is None or not answered or record.agreement is None:
            continue
        terms = terms_of(case.run.manifest, consumer, case.artifact.id)
        if consumer.precision == "float32" and judge([record], terms, "").name == "match":
            agreement = deviations.compare(answered, exchanged)
            return Fault(
                artifact=case.artifact, consumer=consumer, record=record, agreement=agreement
            )
    return None
