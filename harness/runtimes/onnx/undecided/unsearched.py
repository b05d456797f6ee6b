"""What stays unsearched: loops of too many rounds may hold what the standard leaves open."""

from typing import Dict

from harness.graphs import shapes
from harness.graphs.canonical import names_read
from harness.graphs.checks import nodes_within
from harness.runtimes.onnx.undecided import ordering
from harness.runtimes.onnx.undecided.steps import FLOATS, SHAPING, STEPS, may_step

#: Operators of whose values the standard leaves some undefined whatever these are, and divisions.
LOOSE = ("DynamicQuantizeLinear", "GridSample", "Resize", "Upsample")
DIVISIONS = ("Div", "Mod")


def unsearched(graph):
    """Return why outputs are not judged: what they depend on is too long to be looked through.

    Args:
        graph: the model, `unrolled`: its loops of too many rounds may hold what is undefined or
            what rounding decides.

    Returns:
        (the reasons by output; a remark for each loop).
    """
    types = shapes.element_types(graph.model) if graph.too_long else {}
    tainted: Dict[str, str] = {}
    remarks = []
    for node in graph.model.graph.node:
        reasons = [tainted[name] for name in names_read(node) if name in tainted]
        for name in filter(graph.too_long.__contains__, node.output):
            text = "{} '{}' runs {} rounds, too many to look for undefined and rounded values"
            reason = text.format(node.op_type, node.name or name, graph.too_long[name])
            remarks.append(reason)
            reasons += [reason] * any(_may_be_open(inner, types) for inner in nodes_within(node))
        tainted.update(dict.fromkeys(node.output, reasons[0]) if reasons else {})
    outputs = [value.name for value in graph.model.graph.output]
    return {name: "no gold: " + tainted[name] for name in outputs if name in tainted}, remarks


def _may_be_open(node, types):
    """Return whether a node may give a value that is undefined, or that rounding decides."""
    if node.op_type in DIVISIONS:
        return types.get(node.input[0]) not in FLOATS
    if node.op_type in LOOSE:
        return True
    steps = node.op_type in STEPS or node.op_type in SHAPING or ordering.selects(node)
    return steps and may_step(node, types)
