"""Steps that rounding may take otherwise, and what follows from them.

A runtime is right that rounds otherwise than the evaluation: at a near tie it takes another step,
selects another place, or gives an output another shape.
"""

from typing import Any, Dict, List, NamedTuple

import numpy

from harness import record
from harness.graphs import checks, operators, shapes
from harness.graphs.canonical import nodes_before
from harness.graphs.inputs import onnx_inputs
from harness.graphs.operators import NotEvaluated
from harness.graphs.precise import widen
from harness.graphs.values import as_array, epsilon, is_float
from harness.runtimes.onnx import gold
from harness.runtimes.onnx.undecided import nearby, ordering, quantising, reaching

#: If more of an output moves than this part, but by no more than so much of its scale, its
#: tolerance grows: else nothing of it would be compared.
MOST, LITTLE = 0.5, 1e-3

#: Operators that answer as many values as they select among floats.
SHAPING = ("NonMaxSuppression", "NonZero", "Range", "Unique")

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


class Steps(NamedTuple):
    """What follows from steps that rounding may take otherwise, by output.

    Attributes:
        masks: of its shape, `harness.record.ROUNDING` where a step decides.
        moved: what else it is where rounding takes the other steps, if that is compared.
        jumps: of integers, by how much a step changes them at most.
        reshaped: the outputs of which the shape may be another.
        remarks: one for each node that steps.
    """

    masks: Dict[str, Any]
    moved: Dict[str, Any]
    jumps: Dict[str, int]
    reshaped: List[str]
    remarks: List[str]

    def farthest(self, outputs, truth, undefined, names):
        """Return outputs, of those *names* which one of all right answers is farthest from gold.

        *truth*: gold by name. *undefined*: by name, a mask of the values that do not count.
        """
        farthest = dict(outputs)
        for name in self.moved.keys() & set(names):
            mask = undefined.get(name)
            right = gold.defined(truth[name], mask)
            farthest[name] = max(
                [outputs[name], *self.moved[name]],
                key=lambda x: gold.error_of(gold.defined(x, mask), right),
            )
        return farthest


NOTHING = Steps({}, {}, {}, [], [])


class NearSteps(NamedTuple):
    """Where rounding decides the values of nodes.

    Attributes:
        masks: by the node's number.
        alternatives: two other answers, by the names of some.
        spans: how far apart the places of near ties are at most, by their name.
    """

    masks: Dict[int, Any]
    alternatives: Dict[str, Any]
    spans: Dict[str, int]


def steps(graph, inputs, in_steps):
    """Return the `Steps` of a model, empty where the evaluator gives no inner values.

    How far rounding takes a value is the difference between the model's own precision and float64:
    what is exact in both, such as an input itself, takes the step that the standard says.

    Args:
        graph: the model, `unrolled`.
        inputs: arrays by name.
        in_steps: what of the outputs is quantised, from `quantised.outputs_in_steps`.
    """
    model = graph.model
    nodes = _stepping(model, in_steps)
    if not nodes:
        return NOTHING
    try:
        values = operators.evaluate(model, inputs, intermediate=True)
        precise = operators.evaluate(
            widen(model), onnx_inputs.as_float64(inputs), intermediate=True
        )
    except NotEvaluated:
        return NOTHING
    near = _near_steps(model, inputs, nodes, values, precise)
    wide = _reached(graph, inputs, values, near, in_steps)
    counted = {n: x for n, x in near.masks.items() if not quantising.quantises(nodes[n])}
    if len(counted) == len(near.masks):
        return wide
    narrow = near._replace(masks=counted)
    return _by_output(wide, _reached(graph, inputs, values, narrow, in_steps), in_steps)


def _by_output(wide, counted, in_steps):
    """Return what follows from all steps, but for outputs *in_steps* from those that are *counted*.

    Those of quantisers take such an output no farther than its own steps allow.
    """

    def chosen(every, narrow):
        kept = {name: x for name, x in every.items() if name not in in_steps}
        return {**kept, **{name: x for name, x in narrow.items() if name in in_steps}}

    every, narrow = (dict.fromkeys(steps.reshaped) for steps in (wide, counted))
    masks, moved = chosen(wide.masks, counted.masks), chosen(wide.moved, counted.moved)
    reshaped = list(chosen(every, narrow))
    remarks = wide.remarks if masks or moved or reshaped else []
    return Steps(masks, moved, chosen(wide.jumps, counted.jumps), reshaped, remarks)


def _reached(graph, inputs, values, near, in_steps):
    """Return the `Steps` that follow from `NearSteps`."""
    model = graph.model
    own_masks = {number: mask for number, mask in near.masks.items() if mask.any()}
    if not own_masks:
        return NOTHING
    masked = reaching.masks_of_outputs(model, values, own_masks)
    for node in (model.graph.node[number] for number in own_masks):
        if ordering.selects(node) and len(node.output) > 1:
            masked.pop(node.output[0], None)  # the values of near ties are near
        if quantising.quantises(node):
            for name in node.output[1:]:
                masked.pop(name, None)
    tried = near.alternatives
    reach = reaching.reach(
        graph, inputs, values, masked, lambda *of: tried.get(of[1]) or _other_steps(*of)
    )
    masks, moved = _split(reach, values, in_steps)
    for name in near.spans:
        ordering.spread(masks, numpy.shape(values[name]))
    return Steps(
        {name: mask.astype("uint8") * numpy.uint8(record.ROUNDING) for name, mask in masks.items()},
        moved,
        _jumps(model, reach, values, masked, near.spans),
        reach.reshaped,
        _remarks(model, near.masks, bool(masks)) if masks or moved or reach.reshaped else [],
    )


def _remarks(model, masks, is_masked):
    shaping = [n for n, mask in masks.items() if model.graph.node[n].op_type in SHAPING]
    counts = reaching.counts(model, {n: x for n, x in masks.items() if n not in shaping})
    text = "{} '{}': rounding decides {} of {} values"
    text += ", which are not compared" if is_masked else ""
    remarks = [text.format(*key, *numbers) for key, numbers in counts.items()]
    nodes = [model.graph.node[number] for number in shaping if masks[number].any()]
    text = "{} '{}': rounding decides what it answers"
    return remarks + [text.format(node.op_type, node.name or node.output[0]) for node in nodes]


def _split(reach, values, in_steps):
    """Return (masks of what is not compared, other right answers of what is).

    What moves by more than its tolerance is not compared. But where most of an output moves, and
    only a little, its tolerance grows instead.
    """
    masks, moved = {}, {}
    for name, exact in reach.changes.items():
        value, grid = as_array(values[name]), in_steps.get(name)
        answers = [as_array(answer[name]) for answer in reach.answers]
        is_answered = bool(answers) and name not in reach.reshaped
        change = _change_in_steps(answers, value) if grid and is_answered else exact
        mask = change > max(reaching.SMALLEST_CHANGE, gold.share_of_steps(grid, value, value.dtype))
        is_float_moved = value.dtype.kind == "f" and grid is None and is_answered and change.any()
        if is_float_moved and mask.mean() > MOST and change.max() <= LITTLE:
            mask = numpy.zeros(mask.shape, bool)
        if mask.any():
            masks[name] = mask
        if is_float_moved and not mask.all():
            moved[name] = answers
    return masks, moved


def _change_in_steps(answers, value):
    """Return how far each value changes at most, of integers also, over the output's scale."""
    wide = (answer.astype("float64") for answer in answers)
    return numpy.maximum(*(reaching.change(x, value.astype("float64")) for x in wide))


def _jumps(model, reach, values, masked, spans):
    """Return by how much a step changes an output of integers at most, where that is known.

    A place is one of those of near ties; nothing is known of what depends on it.
    """
    jumps = {}
    for name, change in reach.changes.items():
        value = as_array(values[name])
        if value.dtype.kind not in "iu" or not change.any() or name in reach.reshaped:
            continue
        if name in spans:
            jumps[name] = spans[name]
        elif reach.answers and not _depends_on_places(model, name):
            wide = [as_array(x[name]).astype("float64") for x in (values, *reach.answers)]
            apart = max(float(numpy.abs(x - wide[0]).max()) for x in wide)
            jumps[name] = int(apart if name in masked else gold.OWN_ERRORS * apart)
    return jumps


def integers_apart(model, outputs, truth, rounding, undefined):
    """Return how far from gold integers may be where rounding decides them, by output.

    Nothing is known of places that no near tie explains, nor of what depends on places.

    Args:
        model: the model, `unrolled`.
        outputs: by name, in the model's own precision.
        truth: gold by name.
        rounding: its `Steps`.
        undefined: by output, masks; what the standard leaves undefined says nothing.
    """
    apart = {}
    for name, value in outputs.items():
        right = numpy.asarray(truth[name])
        is_number = value.dtype.kind in "iu" and right.dtype.kind in "iu" and value.size
        if not is_number or value.shape != right.shape or name in rounding.reshaped:
            continue
        is_place = _depends_on_places(model, name)
        if name not in rounding.jumps and (name in rounding.masks or is_place):
            continue
        distances = numpy.abs(value.astype("float64") - right.astype("float64"))
        defined = undefined.get(name, numpy.zeros(value.shape)) != record.UNDEFINED_VALUE
        rounded = distances.max(initial=0.0, where=defined)
        own = 0 if is_place else int(gold.OWN_ERRORS * rounded)
        apart[name] = rounding.jumps.get(name, 0) + own
    return {name: min(count, 2**53) for name, count in apart.items() if count}


def _depends_on_places(model, name):
    """Return whether an output depends on which values a node selects."""
    return any(
        node.op_type in ordering.SELECTIONS + SHAPING
        for _, maker in nodes_before(model, name)
        for node in [maker, *checks.nodes_within(maker)]
    )


def _near_steps(model, inputs, nodes, values, precise):
    near = NearSteps({}, {}, {})
    with numpy.errstate(all="ignore"):  # an infinity takes no other step
        for number, node in nodes.items():
            if node.op_type in SHAPING:
                answers = nearby.answers_nearby(model, inputs, number, values, precise)
                near.alternatives.update(answers)
                mask = numpy.full((), bool(answers))
            elif ordering.selects(node):
                name = node.output[-1]
                mask, order, span = ordering.near_ties(node, values, precise)
                if mask.any():  # one after another, or two orders could undo each other
                    orders = (order, values[name])
                    near.alternatives[name] = orders[:: -1 if len(near.spans) % 2 else 1]
                    near.spans[name] = span
            elif quantising.quantises(node):
                mask = quantising.near_steps(node, values, precise)
            else:
                mask = _is_near_step(node, values, precise)
            near.masks[number] = mask
    return near


def _stepping(model, in_steps):
    """Return the nodes that may step, by number: of integers none does, nor does a cast to floats.

    Where no type is inferred, it is found once there are values. Quantisers count where an output
    is not *in_steps*.
    """
    types, is_selected = {}, any(value.name not in in_steps for value in model.graph.output)
    nodes = {
        number: node
        for number, node in enumerate(model.graph.node)
        if node.op_type in STEPS
        or node.op_type in SHAPING
        or ordering.selects(node)
        or (is_selected and quantising.quantises(node))
    }
    if nodes:
        types = shapes.element_types(model)
    return {number: node for number, node in nodes.items() if may_step(node, types)}


def may_step(node, types):
    """Return whether an operator that steps, or selects, may do so for its *types* by name."""
    if quantising.quantises(node):
        return True
    return types.get(node.input[0], FLOATS[0]) in FLOATS and not (
        node.op_type in CASTS and types.get(node.output[0]) in FLOATS
    )


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
    read = [numpy.asarray(values[name]).astype("float64") for name in node.input[:2]]
    if node.op_type in COMPARISONS:
        return numpy.subtract(*operators.aligned_operands(node, read))
    return numpy.divide(*read) if node.op_type == "Mod" else read[0]


def _other_steps(node, name, values):
    value = numpy.asarray(values[name])
    if quantising.quantises(node):
        return quantising.other_steps(value)
    if value.dtype.kind == "b":
        return False, True  # two that change places would leave their number as it is
    size = numpy.asarray(values[node.input[1]]) if node.op_type == "Mod" else 1
    return value - size, value + size
