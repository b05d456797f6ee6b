"""The error of every node along the graph, for each consumer, whether it is wrong or not.

Inner tensors become outputs of copies of the model, some at a time: what a runtime fuses across
them is computed apart then.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from deepmatrix.diagnosis.case import Case
from deepmatrix.diagnosis.faults import Fault, find_answers
from deepmatrix.diagnosis.runtime_cause import RuntimeSearch
from deepmatrix.diagnosis.search.tracing import TRACEABLE, Tracer, Untraceable
from deepmatrix.store.arrays import Values
from deepmatrix.store.causes import NodeError, NodeErrors

#: Tensors that one run of a consumer returns beside the outputs.
TENSORS_PER_RUN = 64


def find_unmeasured(tracer: Tracer) -> Iterator[Fault]:
    """Yield the answers of consumers whose nodes can be measured and were not all yet."""
    stored = [measured for _, measured in tracer.run.node_errors() if not measured.note]
    whole = {(measured.artifact, measured.consumer) for measured in stored}
    for answer in find_answers(tracer.run):
        is_whole = (answer.artifact.id, answer.consumer.id) in whole
        if answer.artifact.read_as in TRACEABLE and not is_whole:
            yield answer


def measure_nodes(
    tracer: Tracer, answer: Fault, budget_s: float, longer: str = "--explain-for"
) -> NodeErrors:
    """Return the errors of all nodes, as far as *budget_s* seconds reach.

    The first tensors are measured in any case, unless there is no time at all. *longer*: the
    option that gives more time. Raises Cancelled where the user interrupts it.
    """
    if budget_s <= 0:
        note = f"not measured: those of other wrong answers took the time; measure it with {longer}"
        return _measured(answer, [], note)
    with tempfile.TemporaryDirectory() as folder:
        deadline = tracer.clock() + budget_s
        case = Case(tracer, answer, Path(folder), deadline)
        try:
            search = RuntimeSearch(case, tracer.trace(answer.artifact, case.rows))
        except Untraceable as error:
            return _measured(answer, [], f"it could not be traced: {error}")
        tensors = search.trace.graph.ordered(
            search.trace.graph.observable & search.trace.graph.makers.keys()
        )
        values: dict[str, Values] = {}
        note = ""
        for start in range(0, len(tensors), TENSORS_PER_RUN):
            if case.is_out_of_time:
                note = f"{len(values)} of {len(tensors)} tensors: measure the others with {longer}"
                break
            try:
                values |= search.run_consumer(tensors[start : start + TENSORS_PER_RUN])
            except Untraceable as error:
                note = f"{len(values)} of {len(tensors)} tensors: {error}"
                break
        return _measured(answer, list(_node_errors(search, tensors, values)), note)


def _measured(answer: Fault, nodes: list[NodeError], note: str) -> NodeErrors:
    return NodeErrors(
        artifact=answer.artifact.id, consumer=answer.consumer.id, nodes=tuple(nodes), note=note
    )


def _node_errors(
    search: RuntimeSearch, tensors: list[str], values: Mapping[str, Values]
) -> Iterator[NodeError]:
    """Yield the error of each tensor, and what its node adds to those of its inputs."""
    graph, errors = search.trace.graph, dict[str, float | None]()
    for tensor in tensors:
        if tensor not in values:
            continue
        deviation, tolerance = search.compare(tensor, values[tensor])
        node = graph.nodes[graph.makers[tensor]]
        before = [errors.get(name) or 0.0 for name in node.inputs]
        errors[tensor] = deviation.error
        yield NodeError(
            node=node.name,
            kind=node.kind,
            tensor=tensor,
            error=deviation.error,
            added=None if deviation.error is None else deviation.error - max(before, default=0.0),
            tolerance=tolerance,
            note=deviation.note,
        )
