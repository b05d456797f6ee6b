"""Other answers of a node of which rounding moves what it reads."""

import numpy

from harness.graphs import BadModel, inner, operators
from harness.graphs.inputs import onnx_inputs
from harness.graphs.operators import NotEvaluated
from harness.graphs.precise import widen
from harness.graphs.values import as_array, epsilon, is_float
from harness.runtimes.onnx import gold

#: So many ways in which values move as far as rounding takes them are tried.
PATTERNS = 4


def answers_nearby(model, inputs, number, values, precise):
    """Return two answers by name that a node gives where rounding moves what it reads.

    None where it gives its own always. Another shape comes first.
    """
    node = model.graph.node[number]
    moving = [
        name
        for name in dict.fromkeys(filter(None, node.input))
        if is_float(numpy.asarray(values[name]).dtype)
        and numpy.shape(precise[name]) == numpy.shape(values[name])
        and (numpy.asarray(precise[name]) != numpy.asarray(values[name])).any()
    ]
    if not moving:
        return {}
    own = {name: as_array(values[name]) for name in node.output if name}
    answers = [precise]
    try:
        single, fed = inner.cut(model, values, inputs, number)
        for pattern in range(PATTERNS):
            moved = {name: _moved(values[name], precise[name], pattern) for name in moving}
            feeds = {**onnx_inputs.as_float64(fed), **moved}
            answers.append(operators.evaluate(widen(single), feeds))
    except (BadModel, NotEvaluated):
        pass
    others = [x for x in answers if any(_is_otherwise(x[name], own[name]) for name in own)]
    others.sort(key=lambda answer: all(answer[x].shape == own[x].shape for x in own))
    return {name: (others[0][name], others[-1][name]) for name in own} if others else {}


def _is_otherwise(answer, own):
    if answer.shape != own.shape:
        return True
    return own.dtype.kind != "f" and bool((answer != own).any())


def _moved(value, precise, pattern):
    """Return float64 values as far from gold as rounding takes them, by one of `PATTERNS`.

    Every second value moves up, in their order, and the others down, so that neighbours swap; or
    each moves on as it does from float64 to the model's own precision. Then the other way round.
    """
    precise = numpy.asarray(precise, "float64")
    apart = numpy.asarray(value).astype("float64") - precise
    once = epsilon(numpy.asarray(value).dtype) * numpy.abs(precise)
    distance = numpy.where(apart != 0, gold.OWN_ERRORS * numpy.abs(apart) + once, 0.0)
    ranks = numpy.argsort(numpy.argsort(precise, axis=None)).reshape(precise.shape)
    ways = numpy.sign(apart) if pattern % 2 else ranks % 2 * 2 - 1
    return precise + (ways if pattern < PATTERNS // 2 else -ways) * distance
