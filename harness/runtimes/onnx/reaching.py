"""What some values of a graph reach: the model is evaluated with others in their place."""

from typing import Dict, Tuple

import numpy

from harness.graphs.operators import NotEvaluated, evaluate
from harness.graphs.values import as_array

#: The opset from which Where exists, which puts other values into a graph.
WHERE_OPSET = 9


def reach(graph, inputs, values, own_masks, alternatives):
    """Return where the outputs depend on some values, and what the model answers to others.

    A value that is discarded later, as by a Where, is not reached.

    Args:
        graph: the model, `unrolled`.
        inputs: arrays by name.
        values: all values of the graph by name, in the model's own precision.
        own_masks: where a value of a node is concerned, by its name.
        alternatives: returns, for a node, the name of an output of it, and *values*, two arrays or
            numbers of the output's dtype, to be tried in the place of what is masked.

    Returns:
        (a mask by output, the outputs for each alternative: none where it cannot be evaluated, and
        the masks are then of all that depends on the values).
    """
    model = graph.model
    names = [x.name for x in model.graph.output if hasattr(values.get(x.name), "dtype")]
    deciding = sorted({name for decisions in graph.decisions.values() for name in decisions})
    reached = {name: numpy.zeros(numpy.shape(values[name]), bool) for name in names}
    answers = []
    try:
        if opset(model) < WHERE_OPSET:
            raise NotEvaluated("the opset has no Where")
        for number in (0, 1):
            others = _substituted(model, values, own_masks, alternatives, number)
            answers.append(_answer(others, inputs, values, deciding))
            for name in names:
                reached[name] |= _unlike(answers[-1][name], values[name])
    except (NotEvaluated, ValueError):  # another value may be no index, or change a shape, a branch
        return _throughout(graph, values, own_masks), []
    return reached, answers


def _answer(model, inputs, values, deciding):
    """Return the outputs by name. Raises ValueError where what decides on branches is another."""
    import onnx

    own = {value.name for value in model.graph.output}
    for name in deciding:
        if name not in own:
            model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    answers = evaluate(model, inputs)
    if any(_unlike(answers[name], values[name]).any() for name in deciding):
        raise ValueError("another branch would run")
    return answers


def opset(model):
    """Return the opset of a model, of the standard's own domain."""
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    return opsets.get("", 1)


def _unlike(answer, value):
    answer, value = as_array(answer), as_array(value)
    if answer.shape != value.shape:
        raise ValueError("the shape depends on another value")
    unlike = answer != value
    if value.dtype.kind == "f":
        unlike &= ~(numpy.isnan(answer) & numpy.isnan(value))
    return unlike


def _substituted(model, values, own_masks, alternatives, number):
    """Return the model with the alternatives of this *number* in the place of what is masked."""
    import onnx

    copy = type(model)()
    copy.CopyFrom(model)
    nodes = []
    for node in copy.graph.node:
        nodes.append(node)
        for at, name in enumerate(node.output):
            if name not in own_masks:
                continue
            value = numpy.asarray(values[name])
            other = numpy.asarray(alternatives(node, name, values)[number], value.dtype)
            parts = [name + "." + part for part in ("masked", "other", "raw")]
            for part, array in zip(parts, (own_masks[name], other)):
                copy.graph.initializer.append(onnx.numpy_helper.from_array(array, part))
            node.output[at] = parts[2]
            nodes.append(onnx.helper.make_node("Where", parts, [name]))
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    return copy


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


def _throughout(graph, values, own_masks):
    """Return the outputs that depend on a masked value, as masked throughout."""
    masked: Dict[str, numpy.ndarray] = dict(own_masks)
    for node in graph.model.graph.node:
        outputs = [
            name
            for name in node.output
            if name not in own_masks and hasattr(values.get(name), "shape")
        ]
        read = [*node.input, *(x for name in outputs for x in graph.decisions.get(name, ()))]
        if any(name in masked and masked[name].any() for name in read):
            masked.update((name, numpy.ones(numpy.shape(values[name]), bool)) for name in outputs)
    return {x.name: masked[x.name] for x in graph.model.graph.output if x.name in masked}
