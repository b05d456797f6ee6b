"""What some values of a graph reach: the model is evaluated with others in their place."""

from typing import Any, Dict, List, NamedTuple, Tuple

import numpy

from harness.graphs import shapes
from harness.graphs.canonical import names_read
from harness.graphs.operators import NotEvaluated, evaluate
from harness.graphs.values import as_array, scale_of

#: An output is reached where it changes by more than this part of its scale: below, it is compared
#: with no less of a tolerance.
SMALLEST_CHANGE = 1e-6

#: The domain of the node that puts other values into a graph: any opset of the standard's has it.
DOMAIN = "harness"


class Reach(NamedTuple):
    """What other values reach.

    Attributes:
        changes: by output, how far each value changes at most, over the output's scale: infinitely
            where it is another integer, text, NaN or infinity.
        answers: the outputs for each alternative: none where it cannot be evaluated, and all that
            depends on the values counts as changed then.
        reshaped: the outputs of which another shape may follow; all of their values are changed.
    """

    changes: Dict[str, Any]
    answers: List[Dict[str, Any]]
    reshaped: List[str]

    def masks(self):
        """Return where outputs are reached, by name, each a mask of its shape."""
        return {name: change > SMALLEST_CHANGE for name, change in self.changes.items()}


def reach(graph, inputs, values, own_masks, alternatives):
    """Return the `Reach` of some values: what of the outputs depends on them.

    A value that is discarded later, as by a Where, is not reached.

    Args:
        graph: the model, `unrolled`.
        inputs: arrays by name.
        values: all values of the graph by name, in the model's own precision.
        own_masks: where a value of a node is concerned, by its name.
        alternatives: returns, for a node, the name of an output of it, and *values*, two arrays or
            numbers of the output's dtype, to be tried in the place of what is masked. An array of
            another shape takes the place of the whole output.
    """
    deciding = sorted({name for decisions in graph.decisions.values() for name in decisions})
    answers = []
    try:
        for number in (0, 1):
            others = _substituted(graph.model, values, own_masks, alternatives, number)
            answers.append(_answer(others, inputs, values, deciding))
    except (NotEvaluated, ValueError):  # another value may be no index, or take another branch
        return _throughout(graph, inputs, values, own_masks)
    changes, reshaped = {}, []
    for name in [x.name for x in graph.model.graph.output if hasattr(values.get(x.name), "dtype")]:
        value = as_array(values[name])
        others = [as_array(answer[name]) for answer in answers]
        if any(other.shape != value.shape for other in others):
            reshaped.append(name)
            changes[name] = numpy.full(value.shape, numpy.inf)
        else:
            changes[name] = numpy.maximum(*(change(other, value) for other in others))
    return Reach(changes, answers, reshaped)


def _answer(model, inputs, values, deciding):
    """Return the outputs by name. Raises ValueError where what decides on branches is another."""
    import onnx

    own = {value.name for value in model.graph.output}
    for name in deciding:
        if name not in own:
            model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    answers = evaluate(model, inputs, also=[_substitute()])
    for answer, value in ((as_array(answers[name]), as_array(values[name])) for name in deciding):
        if answer.shape != value.shape or change(answer, value).any():
            raise ValueError("another branch would run")
    return answers


def change(answer, value):
    """Return how far an answer is from a value of its shape, over the value's scale.

    It is infinite where only one is a number, and where integers or texts differ.
    """
    if value.dtype.kind != "f":
        return numpy.where(answer != value, numpy.inf, 0.0)
    same = (answer == value) | (numpy.isnan(answer) & numpy.isnan(value))
    with numpy.errstate(all="ignore"):  # between infinities there is no distance
        apart = numpy.abs(answer.astype("float64") - value.astype("float64")) / scale_of(value)
    return numpy.where(same, 0.0, numpy.where(numpy.isnan(apart), numpy.inf, apart))


def _substituted(model, values, own_masks, alternatives, number):
    """Return the model with the alternatives of this *number* in the place of what is masked."""
    import onnx

    copy = type(model)()
    copy.CopyFrom(model)
    copy.opset_import.add(domain=DOMAIN, version=1)
    nodes = []
    for node in copy.graph.node:
        nodes.append(node)
        for at, name in enumerate(node.output):
            if name not in own_masks:
                continue
            value = numpy.asarray(values[name])
            other = numpy.asarray(alternatives(node, name, values)[number]).astype(value.dtype)
            parts = [name + "." + part for part in ("masked", "other", "raw")]
            for part, array in zip(parts, (own_masks[name], other)):
                copy.graph.initializer.append(onnx.numpy_helper.from_array(array, part))
            node.output[at] = parts[2]
            nodes.append(onnx.helper.make_node("Substitute", parts, [name], domain=DOMAIN))
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    return copy


def _substitute():
    """Return the operator that puts other values in the place of what is masked."""
    from onnx.reference.op_run import OpRun

    class Substitute(OpRun):
        """Others where a mask is true; all of them where they have a shape of their own."""

        op_domain = DOMAIN

        def _run(self, mask, other, raw):
            if other.ndim and other.shape != mask.shape:
                return (other,)
            if raw.shape != mask.shape:  # what is before it has another shape already
                return (raw,)
            return (numpy.where(mask, other, raw),)

    return Substitute


def counts(model, masks):
    """Return how many values are masked, and of how many, by operator and name of the nodes.

    *masks* are by the node's number, or None. The rounds of a loop have nodes of the same name.
    """
    totals: Dict[Tuple[str, str], Tuple[int, int]] = {}
    for number, mask in masks.items():
        node = model.graph.node[number]
        key = (node.op_type, node.name or next(filter(None, node.output)))
        count, size = totals.get(key, (0, 0))
        if mask is not None:
            totals[key] = (count + int(mask.sum()), size + mask.size)
    return {key: numbers for key, numbers in totals.items() if numbers[0]}


def masks_of_outputs(model, values, own_masks):
    """Return masks by name, of all outputs of nodes that are arrays.

    Those in *own_masks*, by the node's number, are of the first output's shape, or a single value.
    """
    return {
        name: _spread(mask, values[name])
        for number, mask in own_masks.items()
        for name in model.graph.node[number].output
        if hasattr(values.get(name), "dtype")
    }


def _spread(own_mask, value):
    shape = numpy.shape(value)
    return own_mask if own_mask.shape == shape else numpy.full(shape, own_mask.any())


def _throughout(graph, inputs, values, own_masks):
    """Return as changed throughout what depends on a masked value, by outputs.

    Where it depends on them and on more than the inputs' shapes, its shape may be another.
    """
    masked: Dict[str, numpy.ndarray] = dict(own_masks)
    for node in graph.model.graph.node:
        outputs = [
            name
            for name in node.output
            if name not in own_masks and hasattr(values.get(name), "shape")
        ]
        read = [*names_read(node), *(x for name in outputs for x in graph.decisions.get(name, ()))]
        if any(name in masked and masked[name].any() for name in read):
            masked.update((name, numpy.ones(numpy.shape(values[name]), bool)) for name in outputs)
    fixed = shapes.infer_whole(graph.model, inputs)
    names = [x.name for x in graph.model.graph.output if x.name in masked]
    changes = {name: numpy.where(masked[name], numpy.inf, 0.0) for name in names}
    reshaped = [name for name in names if name not in own_masks and name not in fixed]
    return Reach(changes, [], reshaped)
