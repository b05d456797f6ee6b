"""Values that the model's own precision decides: it overflows, or rounding takes another step.

Gold is a float64 evaluation, which neither overflows where float16 does nor rounds as it does. No
runtime is wrong that computes as the model says, and none that computes in more than that.
"""

from typing import Any, Dict

import numpy

from harness import record
from harness.graphs import inner, operators, shapes
from harness.graphs.inputs import onnx_inputs
from harness.graphs.operators import NotEvaluated
from harness.graphs.precise import widen
from harness.graphs.values import epsilon, is_float
from harness.runtimes.onnx import gold, ordering, reaching

#: Finite values that differ by more than this part of gold's largest value are not the same but
#: for rounding, in float16 neither: something before them overflowed.
UNLIKE = 0.05

#: Operators that compare, which step where their operands are equal.
COMPARISONS = ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")

CASTS = ("Cast", "CastLike")

#: Of onnx.TensorProto: FLOAT, FLOAT16, DOUBLE and BFLOAT16.
FLOATS = (1, 10, 11, 16)


def _from_half(x):
    return numpy.abs(numpy.abs(x - numpy.floor(x)) - 0.5)


def _from_whole(x):
    return numpy.abs(x - numpy.rint(x))


def _from_truncation(x):
    """Return how far floats are from an integer other than 0, at which truncation steps."""
    return numpy.where(numpy.abs(x) < 0.5, 1 - numpy.abs(x), _from_whole(x))


#: Operators that step, and how far from a step each float is: 0 where rounding decides. It is that
#: of the first operand, of the difference of what is compared, or of Mod's quotient.
STEPS: Dict[str, Any] = {
    "Round": _from_half,
    "Floor": _from_whole,
    "Ceil": _from_whole,
    "Sign": abs,
    "Mod": _from_truncation,
}
STEPS.update(dict.fromkeys(CASTS, _from_truncation))
STEPS.update(dict.fromkeys(COMPARISONS, abs))


def masks(graph, inputs, outputs, gold):
    """Return which values the model's own precision decides.

    Args:
        graph: the model, `unrolled`.
        inputs: arrays by name.
        outputs: by name, in the model's own precision.
        gold: by name, in float64.

    Returns:
        (by output, a mask of its shape with the codes of `harness.record`, only where any value is
        concerned; remarks, which name the first node that overflows).
    """
    rounded = {name: _rounding(value, gold[name]) for name, value in outputs.items()}
    overflowed = {name: _overflow(value, gold[name]) for name, value in outputs.items()}
    remarks = []
    if any(mask.any() for mask in overflowed.values()):
        node = _first_overflow(graph.model, inputs)
        if node is None:  # a wrong definition is not an overflow
            overflowed = {}
        else:
            remarks.append(
                "{} overflows at node '{}': what depends on it may be infinite or NaN, or finite "
                "in a runtime that computes in more".format(*node)
            )
    together = join(rounded, overflowed)
    return {name: mask for name, mask in together.items() if mask.any()}, remarks


def steps(graph, inputs):
    """Return which values follow from a step that rounding may take otherwise.

    How far rounding takes a value is the difference between the model's own precision and float64:
    what is exact in both, such as an input itself, takes the step that the standard says.

    Args:
        graph: the model, `unrolled`.
        inputs: arrays by name.

    Returns:
        (by output, a mask of its shape, `harness.record.ROUNDING` where a step decides; a remark
        for each node). Empty where the evaluator gives no inner values.
    """
    model = graph.model
    nodes = _stepping(model)
    if not nodes:
        return {}, []
    try:
        values = operators.evaluate(model, inputs, intermediate=True)
        precise = operators.evaluate(
            widen(model), onnx_inputs.as_float64(inputs), intermediate=True
        )
    except NotEvaluated:
        return {}, []
    tried, others = _near_steps(nodes, values, precise)
    own_masks = {number: mask for number, mask in tried.items() if mask.any()}
    if not own_masks:
        return {}, []
    concerned = reaching.masks_of_outputs(model, values, own_masks)
    for node in filter(ordering.selects, map(nodes.__getitem__, own_masks)):
        if len(node.output) > 1:
            concerned.pop(node.output[0], None)  # the values of near ties are near
    reached, _ = reaching.reach(
        graph, inputs, values, concerned, lambda *of: others.get(of[1]) or _other_steps(*of)
    )
    for _, other in others.values():
        ordering.spread(reached, numpy.shape(other))
    codes = {
        name: mask.astype("uint8") * numpy.uint8(record.ROUNDING)
        for name, mask in reached.items()
        if mask.any()
    }
    text = "{} '{}': rounding decides {} of {} values, which are not compared"
    remarks = [
        text.format(*key, *numbers) for key, numbers in reaching.counts(model, tried).items()
    ]
    return codes, remarks if codes else []


def _near_steps(nodes, values, precise):
    """Return (where rounding decides the values of nodes, what else some of these may answer).

    The masks are by number, the answers by name.
    """
    masks: Dict[int, Any] = {}
    others: Dict[str, Any] = {}
    with numpy.errstate(all="ignore"):  # an infinity takes no other step
        for number, node in nodes.items():
            if ordering.selects(node):
                mask, other = ordering.near_ties(node, values, precise)
                if mask.any():  # one after another, or two orders could undo each other
                    both = (other, values[node.output[-1]])
                    others[node.output[-1]] = both[:: -1 if len(others) % 2 else 1]
            else:
                mask = _is_near_step(node, values, precise)
            masks[number] = mask
    return masks, others


def _stepping(model):
    """Return the nodes that may step, by number: of integers none does, nor does a cast to floats.

    Where no type is inferred, it is found once there are values.
    """
    types = {}
    nodes = {
        number: node
        for number, node in enumerate(model.graph.node)
        if node.op_type in STEPS or ordering.selects(node)
    }
    if nodes:
        types = shapes.element_types(model)
    return {
        number: node
        for number, node in nodes.items()
        if types.get(node.input[0], FLOATS[0]) in FLOATS
        and not (node.op_type in CASTS and types.get(node.output[0]) in FLOATS)
    }


def _is_near_step(node, values, precise):
    """Return where an operator of `STEPS` is as near to a step as rounding is."""
    first, result = (numpy.asarray(values[name]) for name in (node.input[0], node.output[0]))
    is_step = is_float(first.dtype) and not (node.op_type in CASTS and is_float(result.dtype))
    own, gold_value = _stepped(node, values), _stepped(node, precise)
    if not is_step or own.shape != gold_value.shape or own.shape != result.shape:
        return numpy.zeros(result.shape, bool)
    is_truth = node.op_type in CASTS and result.dtype.kind == "b"
    distance = numpy.abs if is_truth else STEPS[node.op_type]
    moved = numpy.abs(gold_value - own)
    once = epsilon(first.dtype) * numpy.abs(gold_value)
    return (moved > 0) & (distance(gold_value) <= gold.OWN_ERRORS * moved + once)


def _stepped(node, values):
    """Return the float64 of which an operator of `STEPS` takes a step."""
    first = numpy.asarray(values[node.input[0]]).astype("float64")
    if node.op_type in COMPARISONS:
        return first - numpy.asarray(values[node.input[1]]).astype("float64")
    if node.op_type == "Mod":
        return first / numpy.asarray(values[node.input[1]]).astype("float64")
    return first


def _other_steps(node, name, values):
    value = numpy.asarray(values[name])
    if value.dtype.kind == "b":
        return ~value, ~value
    size = numpy.asarray(values[node.input[1]]) if node.op_type == "Mod" else 1
    return value - size, value + size


def join(*groups):
    """Return the masks of all groups by output; the largest code of a value counts."""
    joined: Dict[str, numpy.ndarray] = {}
    for group in groups:
        for name, mask in group.items():
            joined[name] = numpy.maximum(joined.get(name, 0), mask).astype("uint8")
    return joined


def _rounding(value, gold):
    """Return where an integer or a text differs between the model's precision and gold."""
    value, gold = numpy.asarray(value), numpy.asarray(gold)
    mask = numpy.zeros(value.shape, "uint8")
    if value.dtype.kind in "iubU" and value.shape == gold.shape:
        mask[value != gold] = record.ROUNDING
    return mask


def _overflow(value, gold):
    """Return where a float is finite in float64 only, or follows from one that is."""
    value, gold = numpy.asarray(value), numpy.asarray(gold)
    mask = numpy.zeros(value.shape, "uint8")
    if value.dtype.kind != "f" or value.shape != gold.shape:
        return mask
    mask[numpy.isfinite(gold) & ~numpy.isfinite(value)] = record.OVERFLOW
    finite = numpy.isfinite(gold) & numpy.isfinite(value)
    distance = numpy.zeros(value.shape, "float64")
    distance[finite] = numpy.abs(value[finite].astype("float64") - gold[finite])
    scale = float(numpy.abs(gold[numpy.isfinite(gold)]).max(initial=0.0))
    mask[distance > UNLIKE * scale] = record.UNDEFINED_VALUE
    return mask


def _first_overflow(model, inputs):
    """Return (dtype, name) of the first node whose value is finite in float64 only, or None."""
    try:
        precise, single = inner.evaluate(model, inputs)
    except NotEvaluated:
        return None
    for node in inner.nodes(model):
        for name in node["outputs"]:
            if name in single and name in precise and _is_cut_off(precise[name], single[name]):
                return str(single[name].dtype), node["name"]
    return None


def _is_cut_off(precise, single):
    """Return whether a value is finite in float64 only."""
    if not is_float(single.dtype) or single.shape != precise.shape:
        return False
    return bool((numpy.isfinite(precise) & ~numpy.isfinite(single)).any())
