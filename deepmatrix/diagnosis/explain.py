"""Finding the causes of a run's faults, each in the model's file or in the runtime.

Where the float64 evaluation of the file equals gold, the file is right and the runtime is wrong.
Then the consumer runs on copies of the model that also output inner tensors, until the first wrong
node is known.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from deepmatrix.diagnosis.case import Case, cause_of
from deepmatrix.diagnosis.evaluator_cause import find_evaluator_cause
from deepmatrix.diagnosis.faults import Fault, find_faults
from deepmatrix.diagnosis.file_cause import find_file_cause
from deepmatrix.diagnosis.runtime_cause import RuntimeSearch
from deepmatrix.diagnosis.tracing import TRACEABLE, Tracer, Untraceable
from deepmatrix.execution.attempts import Cancelled
from deepmatrix.execution.runner import OpenRun
from deepmatrix.judging.verdicts import producer_fault
from deepmatrix.store.causes import Cause
from deepmatrix.store.runs import write_text

#: How long the search for the first wrong node of one fault may take, in seconds.
BUDGET_S = 120.0

#: A consumer that is emulated gets this part of it.
EMULATED_PART = 0.5


def explain_all(
    opened: OpenRun, report: Callable[[Cause], None], budget_s: float = BUDGET_S
) -> None:
    """Find and store the cause of every fault of a run; *report* is called with each.

    The search for a node may take *budget_s* seconds for each fault; with 0 nothing is searched.

    Raises:
        Cancelled: the user interrupted it; the causes found so far are stored.
    """
    tracer = Tracer(opened=opened)
    emulated = opened.run.manifest.plan.emulated
    for fault in find_faults(opened.run) if budget_s else []:
        part = EMULATED_PART if fault.consumer.id in emulated else 1.0
        report(explain(tracer, fault, budget_s * part))


def explain(tracer: Tracer, fault: Fault, budget_s: float = BUDGET_S) -> Cause:
    """Find the cause of a fault and store it. Raises Cancelled where the user interrupts it."""
    final = tracer.run.cause_path(fault.artifact.id, fault.consumer.id)
    part = final.with_name(f"{final.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        cause = _find_cause(tracer, fault, part, time.monotonic() + budget_s)
    except Cancelled:
        shutil.rmtree(part)
        raise
    write_text(part / "cause.json", cause.model_dump_json(indent=1) + "\n")
    shutil.rmtree(final, ignore_errors=True)
    part.replace(final)
    return cause


def _find_cause(tracer: Tracer, fault: Fault, folder: Path, deadline: float) -> Cause:
    try:
        case = Case(tracer, fault, folder, deadline)
        cause = _obvious_cause(case)
        if cause is None:
            trace = tracer.trace(fault.artifact, case.rows)
            cause = (
                find_evaluator_cause(case, trace)
                or find_file_cause(case, trace)
                or RuntimeSearch(case, trace).find_cause()
            )
    except Untraceable as error:
        cause = cause_of(fault, "opaque", f"it could not be traced: {error}")
    return cause


def _obvious_cause(case: Case) -> Cause | None:
    """Return the cause where it needs no trace, or where the format has none."""
    agreement, model_format = case.agreement, case.artifact.format
    if not agreement.outputs or any(
        output.note and output.row is None for output in agreement.outputs
    ):
        return case.cause("answers", agreement.note)
    # Without an error of the producer its own outputs are not finite: that has a first node.
    if agreement.producer_error is not None and (reason := producer_fault(agreement, case.terms)):
        return case.cause("file", f"no output can be judged: {reason}")
    if model_format not in TRACEABLE:
        text = f"models of the format {model_format} cannot be traced: no node can be named"
        return case.cause("opaque", text)
    return None
