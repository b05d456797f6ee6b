"""Draws of outputs that are random by design: whether their shape is random, too."""

from harness.graphs import checks, operators, shapes
from harness.runtimes.onnx.gold import RANDOM

#: So many draws show whether a shape is random, unless that is rare.
DRAWS = 16


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
