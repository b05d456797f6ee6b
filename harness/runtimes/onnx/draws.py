"""Outputs that are random by design: which they are, and whether their shape is random, too."""

from typing import Set

import numpy

from harness.graphs import checks, operators, shapes
from harness.graphs.canonical import inlined, names_read

#: So many draws show whether a shape is random, unless that is rare.
DRAWS = 16

#: Operators whose answers are random by design.
RANDOM = frozenset(
    ["Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform"]
    + ["RandomUniformLike"]
)

#: Operators that pass on what says whether a Dropout trains.
PASSING = ("Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze")

#: The opset from which Dropout infers where nothing says that it trains.
DROPOUT_INFERS = 7


def _is_random(node, constants, opset):
    """Return whether a node is random by design; Dropout is while it trains."""
    if node.op_type != "Dropout":
        return node.op_type in RANDOM
    if opset < DROPOUT_INFERS:
        return not any(item.name == "is_test" and item.i for item in node.attribute)
    return bool(numpy.any(constants.get(node.input[2], False))) if len(node.input) > 2 else False


def random_outputs(model, inputs):
    """Return the names of the outputs that depend on an operator that is random by design.

    *inputs*: arrays by name; one may say that a Dropout trains.
    """
    model = inlined(model)
    constants = {**checks.constants(model), **inputs}
    for node in checks.all_nodes(model.graph):
        if node.op_type in PASSING and node.input[0] in constants:
            constants[node.output[0]] = constants[node.input[0]]
    opset = checks.opsets(model).get("", 1)
    moving: Set[str] = set()
    for node in model.graph.node:
        is_random = any(_is_random(x, constants, opset) for x in [node, *checks.nodes_within(node)])
        if is_random or not moving.isdisjoint(names_read(node)):
            moving.update(name for name in node.output if name)
    return [value.name for value in model.graph.output if value.name in moving]


def with_other_shapes(model, inputs, outputs, gold, random):
    """Return outputs by name, of those whose shape is random a draw of another shape than gold.

    Args:
        model: the model.
        inputs: arrays by name.
        outputs: a draw, by name.
        gold: another one.
        random: the names of the outputs that are random by design.
    """
    fixed = shapes.infer_whole(model, inputs)
    unseeded, outputs = _unseeded(model), dict(outputs)
    for _ in range(DRAWS):
        alike = [
            name
            for name in random
            if name in outputs and name not in fixed and outputs[name].shape == gold[name].shape
        ]
        if not alike:
            break
        try:
            drawn = operators.evaluate(unseeded, inputs)
        except operators.NotEvaluated:
            break
        outputs.update((name, drawn[name]) for name in alike if name in drawn)
    return outputs


def _unseeded(model):
    """Return the model without the seeds that make all draws the same."""
    copy = type(model)()
    copy.CopyFrom(model)
    for node in checks.all_nodes(copy.graph):
        kept = [item for item in node.attribute if item.name != "seed"]
        if node.op_type in RANDOM and len(kept) < len(node.attribute):
            del node.attribute[:]
            node.attribute.extend(kept)
    return copy
