"""Outputs in an order that is no runtime's fault: what a TopK that need not sort selects.

Other orders are tried on the whole model. An output that has the same values along an axis then,
but in another order, is compared as a set there; other values that depend on the order are
undefined.
"""

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
        (by output, the axis along which it is a set; by output, a mask of its shape,
        `harness.record.UNDEFINED_VALUE` where it depends on the order otherwise; a remark for each
        node). Empty where the evaluator gives no inner values.
    """
    model = inlined(model)
    nodes = {number: node for number, node in enumerate(model.graph.node) if _is_unsorted(node)}
    if not nodes:
        return {}, {}, []
    try:
        values = evaluate(model, inputs, intermediate=True)
    except NotEvaluated:
        return {}, {}, []
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
        masks,
        [text.format(node.name or node.output[0]) for node in nodes.values() if is_told],
    )


def _is_unsorted(node):
    """Return whether the order in which a TopK returns what it selects is undefined."""
    return node.op_type == "TopK" and any(
        attribute.name == "sorted" and attribute.i == 0 for attribute in node.attribute
    )


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
