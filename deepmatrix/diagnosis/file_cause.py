"""Causes in a model's file: its precise evaluation by the inspector differs from gold too."""

from __future__ import annotations

from deepmatrix.diagnosis.case import Case, name_node
from deepmatrix.diagnosis.faults import consumer_record
from deepmatrix.diagnosis.search import divergence
from deepmatrix.diagnosis.search.divergence import Divergence, ExpectedLayer, find_divergence
from deepmatrix.diagnosis.search.tracing import TRACEABLE, Trace
from deepmatrix.judging.consensus import describe_difference
from deepmatrix.judging.terms import terms_of
from deepmatrix.judging.verdicts import judge
from deepmatrix.store import arrays, artifacts, truths
from deepmatrix.store.arrays import Values
from deepmatrix.store.causes import Cause
from deepmatrix.workloads import gold, networks
from deepmatrix.workloads.networks import inputs_of


def find_file_cause(case: Case, trace: Trace) -> Cause | None:
    """Return the cause where the file itself is wrong, else None."""
    folder = case.run.artifact_path(case.artifact)
    judged = truths.read(folder)
    # Of a sequence or a map gold has several arrays, which no tensor of the graph is.
    in_order = len(judged.gold) == len(trace.graph.outputs)
    names = trace.graph.outputs if in_order else list(judged.gold)
    for name, (output, truth) in zip(names, judged.gold.items(), strict=True):
        if name not in trace.precise:
            continue
        wanted = truth[case.rows] if case.rows else truth
        own_error = case.agreement.producer_error
        measured, tolerance = case.compare(name, trace.precise[name], wanted, own_error)
        if measured.error is None or measured.error > tolerance:
            if judged.sources.get(output) == truths.REFERENCE:
                return _wrong_reference(case, trace, name, wanted, measured.error)
            return _wrong_file(case, trace, name, measured.error, tolerance)
    return None


def _wrong_reference(
    case: Case, trace: Trace, name: str, reference: Values, error: float | None
) -> Cause:
    """Return the cause where it is the user's reference that the evaluation differs from."""
    consumers = case.run.manifest.plan.consumers_of(case.artifact)
    records = [consumer_record(case.run, case.artifact, cell) for cell in consumers]
    answered = [
        judge([record], terms_of(case.run.manifest, cell, case.artifact.id), "").name
        for cell, record in zip(consumers, records, strict=True)
        if record is not None and record.agreement is not None
    ]
    apart = sum(name != "match" for name in answered)
    runtimes = "every runtime" if apart == len(answered) else f"{apart} of {len(answered)} runtimes"
    difference = describe_difference(reference, trace.precise[name])
    text = f"the reference differs from the evaluation and from {runtimes}: output {name}, "
    text += f"{difference}; check --reference and --inputs"
    return case.cause("reference", text, error=error)


def _wrong_file(
    case: Case, trace: Trace, tensor: str, error: float | None, tolerance: float
) -> Cause:
    distance = "cannot be compared with" if error is None else f"is {error:.1e} away from"
    text = f"the model file is wrong: its precise evaluation {distance} gold"
    expected = _expected_layers(case)
    if not expected:
        text += "; put the right model first and add `--same` to find the node"
        return case.cause("file", text, error=error, tolerance=tolerance)
    first = find_divergence(expected, trace.graph, trace.precise, tolerance)
    if first is None:
        return case.cause("file", text, error=error, tolerance=tolerance)
    return case.cause(
        "file",
        f"{text}, from {_place(trace, first)} on",
        node=trace.graph.nodes[first.node].name if first.node is not None else "",
        tensor=tensor,
        error=error,
        tolerance=tolerance,
    )


def _expected_layers(case: Case) -> list[ExpectedLayer]:
    """Return the right values inside: of the network's layers, or of another model's nodes."""
    plan = case.run.manifest.plan
    if not plan.imports:
        return _network_layers(case)
    right = plan.imports[0].artifact
    if not plan.same or right == case.artifact or right.format not in TRACEABLE:
        return []
    trace = case.tracer.trace(right, case.rows)
    return list(divergence.layers_of(trace.graph, trace.precise))


def _network_layers(case: Case) -> list[ExpectedLayer]:
    workload = case.run.manifest.matrix.workloads[case.artifact.workload]
    network = networks.NETWORKS[workload.network]
    path = case.run.artifact_path(case.artifact) / artifacts.WEIGHTS
    weights = arrays.read(path, networks.parameters(network))
    (x,) = case.tracer.inputs(case.artifact, case.rows).values()
    values = gold.activations(network, weights, x)
    return [
        ExpectedLayer(name=layer["name"], values=values[layer["name"]], inputs=names)
        for layer, names in inputs_of(network)
    ]


def _place(trace: Trace, first: Divergence) -> str:
    if first.node is None:
        return first.layer
    node = trace.graph.nodes[first.node]
    name = name_node(node.kind, node.name)
    return name if first.layer in node.outputs else f"{first.layer}, {name},"
