"""Values that the ONNX standard leaves undefined: no runtime is wrong that differs there.

Casts of NaN, of infinities and of what is out of range to an integer; the place of the largest or
smallest value among NaN. They are looked for on the inputs at hand, in the model's own precision.
"""

import numpy

from harness import record
from harness.graphs.operators import NotEvaluated, evaluate

CASTS = ("Cast", "CastLike")
PLACES = ("ArgMax", "ArgMin", "TopK")


def masks(model, inputs):
    """Return where outputs are undefined.

    Args:
        model: the model.
        inputs: arrays by name.

    Returns:
        (by output, a mask of its shape, `harness.record.UNDEFINED_VALUE` where it is undefined; a
        remark for each node). What
        depends on an undefined value counts as undefined throughout. Empty where the evaluator
        gives no inner values.
    """
    if not any(node.op_type in CASTS + PLACES for node in model.graph.node):
        return {}, []
    try:
        values = evaluate(model, inputs, intermediate=True)
    except NotEvaluated:
        return {}, []
    masked, remarks = {}, []
    for node in model.graph.node:
        outputs = [name for name in node.output if hasattr(values.get(name), "shape")]
        own = _own_mask(node, values)
        if own is not None and own.any():
            remarks.append(
                "{} '{}' of NaN or of what is out of range is undefined by the standard: {} of {} "
                "values are not compared".format(node.op_type, node.name, int(own.sum()), own.size)
            )
            masked.update((name, own) for name in outputs)
        elif any(name in masked and masked[name].any() for name in node.input):
            masked.update((name, numpy.ones(numpy.shape(values[name]), bool)) for name in outputs)
    outputs = [value.name for value in model.graph.output if value.name in masked]
    codes = {name: masked[name].astype("uint8") * record.UNDEFINED_VALUE for name in outputs}
    return codes, remarks if codes else []


def _own_mask(node, values):
    """Return where a node's own output is undefined, or None where it cannot be."""
    if node.op_type not in CASTS + PLACES or not hasattr(values.get(node.input[0]), "dtype"):
        return None
    x, y = numpy.asarray(values[node.input[0]]), numpy.asarray(values[node.output[0]])
    if x.dtype.kind != "f":
        return None
    if node.op_type in CASTS:
        if y.dtype.kind not in "iu":
            return None
        limits = numpy.iinfo(y.dtype)
        whole = numpy.trunc(x.astype("float64"))
        inside = numpy.isfinite(whole) & (whole >= limits.min) & (whole <= limits.max)
        return ~inside
    attributes = {attribute.name: attribute.i for attribute in node.attribute}
    axis = attributes.get("axis", -1 if node.op_type == "TopK" else 0)
    among = numpy.isnan(x).any(axis=axis, keepdims=True)
    if node.op_type == "TopK":
        return numpy.broadcast_to(among, y.shape).copy()
    return among if attributes.get("keepdims", 1) else numpy.squeeze(among, axis)
