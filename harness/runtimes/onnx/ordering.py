"""Outputs in an order that is no runtime's fault: what a TopK that need not sort selects.

Other orders are tried on the whole model. An output that has the same values along an axis then,
but in another order, is compared as a set there; other values that depend on the order are
undefined.
"""

from typing import Dict, Set

import numpy

from harness import record
from harness.graphs.local_functions import inlined
from harness.graphs.operators import NotEvaluated, evaluate
from harness.graphs.values import as_array
from harness.runtimes.onnx import gold, reaching

#: A sum in another order may differ by so many roundings.
ROUNDINGS = 16


def without_order(model, inputs):
    """Return which outputs have an order that the standard leaves open.

    Args:
        model: the model.
        inputs: arrays by name.

    Returns:
        (by output, the axis along which it is a set; by output, the output of integers whose order
        it shares; by output, a mask of its shape, `harness.record.UNDEFINED_VALUE` where it depends
        on the order otherwise; a remark for each node). Empty where the evaluator gives no inner
        values.
    """
    model = inlined(model)
    nodes = {number: node for number, node in enumerate(model.graph.node) if _is_unsorted(node)}
    if not nodes:
        return {}, {}, {}, []
    try:
        values = evaluate(model, inputs, intermediate=True)
    except NotEvaluated:
        return {}, {}, {}, []
    shapes = {number: numpy.shape(values[node.output[0]]) for number, node in nodes.items()}
    everywhere = {number: numpy.ones(shape, bool) for number, shape in shapes.items()}
    concerned = reaching.masks_of_outputs(model, values, everywhere)
    reached, answers = reaching.reach(model, inputs, values, concerned, _other_orders)
    axes, masks = {}, {}
    for name, mask in reached.items():
        value, others = as_array(values[name]), [as_array(answer[name]) for answer in answers]
        if not mask.any() or (others and all(_are_same(value, other) for other in others)):
            continue
        axis = _axis(value, others)
        if axis is None:
            masks[name] = mask.astype("uint8") * numpy.uint8(record.UNDEFINED_VALUE)
        else:
            axes[name] = axis
    text = "TopK '{}' need not sort (sorted=0): what it selects is compared without its order"
    is_told = axes or masks
    return (
        axes,
        _leaders(model, nodes, axes, values, answers),
        masks,
        [text.format(node.name or node.output[0]) for node in nodes.values() if is_told],
    )


def _is_unsorted(node):
    """Return whether the order in which a TopK returns what it selects is undefined."""
    return node.op_type == "TopK" and any(
        attribute.name == "sorted" and attribute.i == 0 for attribute in node.attribute
    )


def _leaders(model, nodes, axes, values, answers):
    """Return by output of *axes* an output of integers, which is in the same order.

    Both depend on the same of the *nodes*, and all *answers* have them in the same order. The
    integers differ from one another, and no rounding takes them out of their order.
    """
    makers = {name: node for node in model.graph.node for name in node.output if name}
    origins = {name: _origins(name, makers, list(nodes.values())) for name in axes}
    leaders: Dict[str, str] = {}
    for leader, axis in axes.items():
        keys = as_array(values[leader])
        if keys.dtype.kind not in "iu" or len(origins[leader]) != 1 or not _differ(keys, axis):
            continue
        for name in axes:
            if name in {leader, *leaders, *leaders.values()}:
                continue
            together = [_as_sorted(answer, name, leader, axis) for answer in [values, *answers]]
            is_alike = origins[name] == origins[leader] and axes[name] == axis
            if is_alike and all(x is not None and _are_same(together[0], x) for x in together):
                leaders[name] = leader
    return leaders


def _as_sorted(values, name, leader, axis):
    """Return an output in the order that sorts its leader, None where their shapes differ."""
    value, keys = as_array(values[name]), as_array(values[leader])
    if value.shape != keys.shape:
        return None
    return numpy.take_along_axis(value, numpy.argsort(keys, axis, kind="stable"), axis)


def _origins(output, makers, nodes):
    """Return the numbers of the *nodes* that an output depends on."""
    found: Set[int] = set()
    seen: Set[str] = set()
    waiting = [output]
    while waiting:
        name = waiting.pop()
        node = makers.get(name)
        if node is None or name in seen:
            continue
        seen.add(name)
        found.update(number for number, other in enumerate(nodes) if other is node)
        waiting.extend(node.input)
    return found


def _differ(keys, axis):
    """Return whether the integers along an axis all differ from one another."""
    return bool((numpy.diff(numpy.sort(keys, axis), axis=axis) != 0).all())


def _other_orders(node, name, values):
    axis = next((entry.i for entry in node.attribute if entry.name == "axis"), -1)
    return numpy.flip(values[name], axis), numpy.roll(values[name], 1, axis)


def _axis(value, others):
    """Return the axis along which others hold the same set as a value, or None."""
    for axis in range(value.ndim) if others else ():
        wanted = numpy.sort(value, axis)
        if all(_are_same(wanted, numpy.sort(other, axis)) for other in others):
            return axis
    return None


def _are_same(value, other):
    """Return whether values are the same but for the rounding of sums in another order."""
    if value.dtype.kind != "f":
        return numpy.array_equal(value, other)
    if not numpy.array_equal(numpy.isfinite(value), numpy.isfinite(other)):
        return False
    return not gold.differs(value, other, ROUNDINGS * numpy.finfo(value.dtype).eps)
