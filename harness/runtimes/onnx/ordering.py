"""Orders that are no runtime's fault: of an unsorted TopK, and of values that rounding ties.

Other orders are tried on the whole model. What is not sorted may have the same values along an
axis then, but in another order: such an output is compared as a set there. Other values that depend
on an order are undefined.
"""

from typing import Dict, Set

import numpy

from harness import record
from harness.graphs.checks import nodes_within
from harness.graphs.operators import NotEvaluated, evaluate
from harness.graphs.values import as_array, is_float, scale_of
from harness.runtimes.onnx import gold, reaching

#: A sum in another order may differ by so many roundings.
ROUNDINGS = 16

#: Operators that answer places in the order of what they select.
SELECTIONS = ("TopK", "ArgMax", "ArgMin")


def without_order(graph, inputs):
    """Return which outputs have an order that the standard leaves open.

    Args:
        graph: the model, `unrolled`.
        inputs: arrays by name.

    Returns:
        (by output, the axis along which it is a set; by output, the output of integers whose order
        it shares; by output, a mask of its shape, `harness.record.UNDEFINED_VALUE` where it depends
        on the order otherwise; a remark for each node). Empty where the evaluator gives no inner
        values.
    """
    model = graph.model
    nodes = {number: node for number, node in enumerate(model.graph.node) if _unsorted(node)}
    if not nodes:
        return {}, {}, {}, []
    try:
        values = evaluate(model, inputs, intermediate=True)
    except NotEvaluated:
        return {}, {}, {}, []
    everywhere = {number: numpy.ones((), bool) for number in nodes}
    concerned = reaching.masks_of_outputs(model, values, everywhere)
    reached, answers = reaching.reach(graph, inputs, values, concerned, _other_orders)
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
    unsorted = [inner for node in nodes.values() for inner in _unsorted(node)]
    text = "TopK '{}' need not sort (sorted=0): what it selects is compared without its order"
    is_told = axes or masks
    return (
        axes,
        _leaders(model, nodes, axes, values, answers),
        masks,
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
        near to one another has that of the next, and the last that of the first).
    """
    settings = {attribute.name: attribute.i for attribute in node.attribute}
    axis = settings.get("axis", -1 if node.op_type == "TopK" else 0)
    places = numpy.asarray(values[node.output[-1]])
    own, gold_value = (numpy.asarray(of[node.input[0]]) for of in (values, precise))
    if not is_float(own.dtype) or own.shape != gold_value.shape:
        return numpy.zeros(places.shape, bool), places
    alike = gold.ROUNDING * scale_of(gold_value[numpy.isfinite(gold_value)])
    own, gold_value = (numpy.moveaxis(x, axis, -1).astype("float64") for x in (own, gold_value))
    is_largest = node.op_type != "ArgMin" and settings.get("largest", 1)
    order = numpy.argsort(-own if is_largest else own, axis=-1, kind="stable")
    ranked, moved = (
        numpy.take_along_axis(x, order, -1) for x in (gold_value, numpy.abs(gold_value - own))
    )
    moved = numpy.maximum(moved[..., :-1], moved[..., 1:])
    allowed = numpy.maximum(gold.OWN_ERRORS * moved, alike)
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
    return mask, other


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
