"""Orders that are no runtime's fault: of an unsorted TopK, and of values that rounding ties.

Other orders are tried on the whole model. What is not sorted may have the same values along an
axis then, but in another order: such an output is compared as a set there. Other values that depend
on an order are undefined.
"""

from typing import Any, Dict, List, NamedTuple

import numpy

from harness import record
from harness.graphs.canonical import nodes_before
from harness.graphs.checks import nodes_within
from harness.graphs.operators import NotEvaluated, evaluate
from harness.graphs.values import as_array, is_float, scale_of
from harness.runtimes.onnx import gold
from harness.runtimes.onnx.undecided import reaching

#: A sum in another order may differ by so many roundings.
ROUNDINGS = 16

#: Operators that answer places in the order of what they select.
SELECTIONS = ("TopK", "ArgMax", "ArgMin")


class Orders(NamedTuple):
    """What has an order that the standard leaves open, by output.

    Attributes:
        axes: the axis along which it is a set.
        in_order_of: the output of integers whose order it shares.
        masks: of its shape, `harness.record.UNDEFINED_VALUE` where it depends on the order
            otherwise.
        reshaped: the outputs of which the shape may be another.
        remarks: one for each node.
    """

    axes: Dict[str, int]
    in_order_of: Dict[str, str]
    masks: Dict[str, Any]
    reshaped: List[str]
    remarks: List[str]


def without_order(graph, inputs):
    """Return the `Orders` of a model, empty where the evaluator gives no inner values.

    Args:
        graph: the model, `unrolled`.
        inputs: arrays by name.
    """
    model, nothing = graph.model, Orders({}, {}, {}, [], [])
    nodes = {number: node for number, node in enumerate(model.graph.node) if _unsorted(node)}
    if not nodes:
        return nothing
    try:
        values = evaluate(model, inputs, intermediate=True)
    except NotEvaluated:
        return nothing
    everywhere = {number: numpy.ones((), bool) for number in nodes}
    masked = reaching.masks_of_outputs(model, values, everywhere)
    reach = reaching.reach(graph, inputs, values, masked, _other_orders)
    axes, masks = {}, {}
    for name, mask in reach.masks().items():
        value, others = as_array(values[name]), [as_array(answer[name]) for answer in reach.answers]
        if not mask.any() or (others and all(_are_same(value, other) for other in others)):
            continue
        axis = None if name in reach.reshaped else _axis(value, others)
        if axis is None:
            masks[name] = mask.astype("uint8") * numpy.uint8(record.UNDEFINED_VALUE)
        else:
            axes[name] = axis
    unsorted = [inner for node in nodes.values() for inner in _unsorted(node)]
    text = "TopK '{}' need not sort (sorted=0): what it selects is compared without its order"
    is_told = axes or masks
    return Orders(
        axes,
        _in_order_of(model, nodes, axes, [values, *reach.answers]),
        masks,
        reach.reshaped,
        [text.format(inner.name or inner.output[0]) for inner in unsorted if is_told],
    )


def selects(node):
    """Return whether a node answers places, in an order that the standard defines."""
    return node.op_type in SELECTIONS and bool(node.output[-1]) and not _is_unsorted(node)


def near_ties(node, values, precise):
    """Return where rounding decides which places a node of `SELECTIONS` answers.

    Args:
        node: the node.
        values: by name, in the model's own precision.
        precise: by name, in float64.

    Returns:
        (a mask of its places' shape; the places in another order, in which each of those that are
        near to one another has that of the next, and the last that of the first; how far apart
        such places are at most).
    """
    settings = {attribute.name: attribute.i for attribute in node.attribute}
    axis = settings.get("axis", -1 if node.op_type == "TopK" else 0)
    places = numpy.asarray(values[node.output[-1]])
    own, gold_value = (numpy.asarray(of[node.input[0]]) for of in (values, precise))
    if not is_float(own.dtype) or own.shape != gold_value.shape:
        return numpy.zeros(places.shape, bool), places, 0
    least_gap = gold.ROUNDING * scale_of(gold_value[numpy.isfinite(gold_value)])
    own, gold_value = (numpy.moveaxis(x, axis, -1).astype("float64") for x in (own, gold_value))
    is_largest = node.op_type != "ArgMin" and settings.get("largest", 1)
    order = numpy.argsort(-own if is_largest else own, axis=-1, kind="stable")
    ranked, moved = (
        numpy.take_along_axis(x, order, -1) for x in (gold_value, numpy.abs(gold_value - own))
    )
    moved = numpy.maximum(moved[..., :-1], moved[..., 1:])
    allowed = numpy.maximum(gold.OWN_ERRORS * moved, least_gap)
    is_near = (moved > 0) & (numpy.abs(numpy.diff(ranked, axis=-1)) <= allowed)
    none = numpy.zeros(is_near.shape[:-1] + (1,), bool)
    follows, precedes = (numpy.concatenate(x, axis=-1) for x in ((none, is_near), (is_near, none)))
    ranks = numpy.arange(order.shape[-1])
    firsts = numpy.maximum.accumulate(numpy.where(follows, 0, ranks), axis=-1)
    other = numpy.take_along_axis(order, numpy.where(precedes, ranks + 1, firsts), -1)
    count = places.shape[axis] if node.op_type == "TopK" else 1
    mask, other = (
        numpy.moveaxis(x[..., :count], -1, axis).reshape(places.shape)
        for x in (follows | precedes, other)
    )
    return mask, other, _span(order, follows, count)


def _span(order, follows, count):
    """Return how far apart places are at most that are near ties of one of the first *count*.

    *follows*: where a place is a near tie of the one before it in the *order*.
    """
    starts = numpy.flatnonzero(~follows)
    if not starts.size:
        return 0
    most, least = (x.reduceat(order.ravel(), starts) for x in (numpy.maximum, numpy.minimum))
    return int((most - least)[starts % order.shape[-1] < count].max(initial=0))


def spread(reached, shape):
    """Mask all that stands at a place where anything depends on which place it is.

    What is selected has parts: two classes may be the same by chance where their boxes are not.

    Args:
        reached: by output, a mask, which is changed.
        shape: of the places that a node selects: the first dimensions of what stands there.
    """
    rank = len(shape)
    parts = {name: x for name, x in reached.items() if x.any() and x.shape[:rank] == shape}
    whole = numpy.zeros(shape, bool)
    for mask in parts.values():
        whole |= mask.any(axis=tuple(range(rank, mask.ndim)))
    for name, mask in parts.items():
        reached[name] = mask | whole.reshape(shape + (1,) * (mask.ndim - rank))


def _unsorted(node):
    """Return the nodes that need not sort: a node itself, or those of its inner graphs."""
    return [inner for inner in [node, *nodes_within(node)] if _is_unsorted(inner)]


def _is_unsorted(node):
    """Return whether the order in which a TopK returns what it selects is undefined."""
    return node.op_type == "TopK" and any(
        attribute.name == "sorted" and attribute.i == 0 for attribute in node.attribute
    )


def _in_order_of(model, nodes, axes, answers):
    """Return by output of *axes* an output of integers, its keys, which is in the same order.

    Both depend on the same of the *nodes*, and all *answers* have them in the same order. The keys
    differ from one another, and no rounding takes them out of their order.
    """
    selected_by = {name: _nodes_before(model, name, nodes) for name in axes}
    in_order_of: Dict[str, str] = {}
    for keys, axis in axes.items():
        integers = as_array(answers[0][keys])
        is_key = integers.dtype.kind in "iu" and _differ(integers, axis)
        if not is_key or len(selected_by[keys]) != 1:
            continue
        for name in axes:
            if name in {keys, *in_order_of, *in_order_of.values()}:
                continue
            ordered = [_as_sorted(answer, name, keys, axis) for answer in answers]
            is_same_order = selected_by[name] == selected_by[keys] and axes[name] == axis
            if is_same_order and all(x is not None and _are_same(ordered[0], x) for x in ordered):
                in_order_of[name] = keys
    return in_order_of


def _as_sorted(values, name, keys_name, axis):
    """Return an output in the order that sorts its keys, None where their shapes differ."""
    value, keys = as_array(values[name]), as_array(values[keys_name])
    if value.shape != keys.shape:
        return None
    return numpy.take_along_axis(value, numpy.argsort(keys, axis, kind="stable"), axis)


def _nodes_before(model, output, nodes):
    """Return the numbers of those *nodes* that an output depends on."""
    read = {name for name, _ in nodes_before(model, output)}
    return {number for number, node in nodes.items() if not read.isdisjoint(node.output)}


def _differ(keys, axis):
    """Return whether the integers along an axis all differ from one another."""
    return bool((numpy.diff(numpy.sort(keys, axis), axis=axis) != 0).all())


def _other_orders(node, name, values):
    axis = next((entry.i for entry in _unsorted(node)[0].attribute if entry.name == "axis"), -1)
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
