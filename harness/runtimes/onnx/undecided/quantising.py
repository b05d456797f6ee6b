"""Where rounding decides which step a quantiser takes: for what selects or counts behind it.

An output of quantised values is compared by steps itself, see `quantised`.
"""

import numpy

from harness.graphs.values import epsilon
from harness.runtimes.onnx import gold, quantised

#: Operators of which the quotient by a scale is known, which is rounded half to even.
DIVIDING = ("QuantizeLinear", "DynamicQuantizeLinear")


def quantises(node):
    """Return whether a node answers quantised integers, the first of its outputs."""
    return node.op_type in quantised.ROUNDING or node.op_type.startswith("QLinear")


def near_steps(node, values, precise):
    """Return where a quantiser is as near to another step as rounding is.

    Args:
        node: the node.
        values: by name, in the model's own precision.
        precise: by name, in float64.

    Returns:
        a mask of its first output's shape: where the quotient is near a half, or both differ.
    """
    own, gold_value = (numpy.asarray(of[node.output[0]]) for of in (values, precise))
    if own.shape != gold_value.shape:
        return numpy.zeros(own.shape, bool)
    quotients = [_quotient(node, of) for of in (values, precise)]
    if any(quotient is None for quotient in quotients) or own.dtype.kind not in "iu":
        return own != gold_value
    rounded, exact = (quotient.astype("float64") for quotient in quotients)
    moved = numpy.abs(exact - rounded)
    once = epsilon(quotients[0].dtype) * numpy.abs(exact)
    from_half = numpy.abs(numpy.abs(exact - numpy.floor(exact)) - 0.5)
    is_near = (moved > 0) & (from_half <= gold.OWN_ERRORS * moved + once)
    return is_near | (own != gold_value)


def _quotient(node, values):
    """Return what a node reads over its scale, in its own precision; None where it is not known."""
    from harness.graphs.operators.quantization import along

    settings = {item.name: item.i for item in node.attribute}
    if node.op_type not in DIVIDING or settings.get("block_size"):
        return None
    x = numpy.asarray(values[node.input[0]])
    scale = values[node.input[1] if len(node.input) > 1 else node.output[1]]
    if numpy.shape(x) != numpy.shape(values[node.output[0]]) or not x.size:
        return None
    return x / along(scale, x, settings.get("axis", 1))


def other_steps(value):
    """Return quantised values a step lower and a step higher, within the range of their type."""
    limits = quantised.limits_of(value.dtype)
    if limits is None:
        return value, value
    whole = value.astype("int64")
    return tuple(numpy.clip(whole + way, int(limits.min), int(limits.max)) for way in (-1, 1))
