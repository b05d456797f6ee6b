"""Finding the causes of a run's faults, each in the model's file or in the runtime.

Where the float64 evaluation of the file equals gold, the file is right and the runtime is wrong.
Then the consumer runs on copies of the model that also output inner tensors, until the first wrong
node is known.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from deepmatrix.boundary.writing import replace_folder, write_text
from deepmatrix.diagnosis.case import Case, cause_of
from deepmatrix.diagnosis.evaluator_cause import find_evaluator_cause
from deepmatrix.diagnosis.faults import Fault, find_faults
from deepmatrix.diagnosis.file_cause import find_file_cause
from deepmatrix.diagnosis.grouping import group_alike
from deepmatrix.diagnosis.node_profile import find_unmeasured, measure_nodes
from deepmatrix.diagnosis.runtime_cause import RuntimeSearch
from deepmatrix.diagnosis.scope import BUDGET_S, NODES_S, Scope
from deepmatrix.diagnosis.search.tracing import TRACEABLE, Tracer, Untraceable
from deepmatrix.execution.runner import OpenRun
from deepmatrix.judging.verdicts import judged_outputs, producer_fault
from deepmatrix.store.artifacts import reproduction
from deepmatrix.store.causes import CAUSE_FILE, Cause, CauseKind, NodeErrors
from deepmatrix.store.runs import Run

#: A consumer that is emulated gets this part of it.
EMULATED_PART = 0.5

#: Causes of what has no graph, or no answer: there is no error of a node to measure.
WITHOUT_NODES: frozenset[CauseKind] = frozenset({"opaque", "answers"})


def explain_all(
    opened: OpenRun,
    report: Callable[[Cause], None],
    scope: Scope = "drift",
    budget_s: float = BUDGET_S,
) -> None:
    """Find and store the cause of every fault of a run; *report* is called with each.

    Faults that are alike are searched once. The search for a node may take *budget_s* seconds;
    with 0 nothing is searched. The errors of all nodes are stored too: of faults, one for all that
    are alike, as far as `NODES_S` seconds reach; with the scope ``all`` of every answer.

    Raises:
        Cancelled: the user interrupted it; the causes found so far are stored.
    """
    if scope == "none" or not budget_s:
        return
    tracer = Tracer(opened=opened)
    emulated = opened.run.manifest.plan.emulated

    def budget(fault: Fault) -> float:
        return budget_s * (EMULATED_PART if fault.consumer.id in emulated else 1.0)

    left_s = NODES_S
    for first, *alike in group_alike(find_faults(opened.run)):
        cause = explain(tracer, first, budget(first))
        report(cause)
        for fault in alike:
            report(_explain_as(opened.run, fault, cause))
        if scope == "drift" and cause.kind not in WITHOUT_NODES:
            start = tracer.clock()
            _store_nodes(opened.run, measure_nodes(tracer, first, left_s, "--explain all"))
            left_s -= tracer.clock() - start
    if scope == "all":
        for answer in list(find_unmeasured(tracer)):
            _store_nodes(opened.run, measure_nodes(tracer, answer, budget(answer)))


def _store_nodes(run: Run, measured: NodeErrors) -> None:
    path = run.node_errors_path(measured.artifact, measured.consumer)
    write_text(path, measured.model_dump_json(indent=1) + "\n")


def explain(tracer: Tracer, fault: Fault, budget_s: float = BUDGET_S) -> Cause:
    """Find the cause of a fault and store it. Raises Cancelled where the user interrupts it."""
    final = tracer.run.cause_path(fault.artifact.id, fault.consumer.id)
    with _replacing(final) as part:
        cause = _find_cause(tracer, fault, part, tracer.clock() + budget_s)
        command = reproduction(tracer.run, cause, fault.artifact, fault.consumer)
        cause = cause.changed(reproduce=command)
        write_text(part / CAUSE_FILE, cause.model_dump_json(indent=1) + "\n")
    return cause


def _explain_as(run: Run, fault: Fault, searched: Cause) -> Cause:
    """Store for a fault the cause of another one that is alike."""
    command = reproduction(run, searched, fault.artifact, fault.consumer)
    cause = searched.changed(
        consumer=fault.consumer.id,
        as_on=searched.consumer,
        text=f"as on {searched.consumer}: {searched.text}",
        runs=0,
        reproduce=command,
    )
    with _replacing(run.cause_path(fault.artifact.id, fault.consumer.id)) as part:
        write_text(part / CAUSE_FILE, cause.model_dump_json(indent=1) + "\n")
    return cause


@contextlib.contextmanager
def _replacing(final: Path) -> Iterator[Path]:
    """Give an empty folder that replaces *final* where the block succeeds."""
    part = final.with_name(f"{final.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
    except BaseException:
        shutil.rmtree(part)
        raise
    replace_folder(final, part)


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
    agreement, model_format = case.agreement, case.artifact.read_as
    if not agreement.outputs or any(
        output.note and output.row is None and not output.unjudged for output in agreement.outputs
    ):
        return case.cause("answers", agreement.note)
    # Without an error of the producer its own outputs are not finite: that has a first node.
    for output in judged_outputs(agreement, case.terms):
        reason = producer_fault(output, agreement, case.terms)
        if reason and agreement.producer_error is not None:
            return case.cause("file", f"no output can be judged: {reason}")
    if model_format not in TRACEABLE:
        text = f"models of the format {model_format} cannot be traced: no node can be named"
        return case.cause("opaque", text)
    return None
