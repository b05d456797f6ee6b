"""Values that the model's own precision decides: it overflows, or rounding makes other integers.

Gold is a float64 evaluation, which neither overflows where float16 does nor rounds as it does. No
runtime is wrong that computes as the model says, and none that computes in more than that.
"""

from typing import Dict

import numpy

from harness import record
from harness.graphs import inner
from harness.graphs.operators import NotEvaluated
from harness.graphs.values import is_float

#: Finite values that differ by more than this part of gold's largest value are not the same but
#: for rounding, in float16 neither: something before them overflowed.
UNLIKE = 0.05

#: How little is compared, by the codes of `harness.record`: integers that rounding decides may be
#: so far apart; what overflows is compared where it is finite; what is undefined is not.
_OPENNESS = (0, 3, 1, 2)  # nothing, UNDEFINED_VALUE, ROUNDING, OVERFLOW


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


def join(*groups):
    """Return the masks of all groups by output; of a value that code counts which compares less."""
    joined: Dict[str, numpy.ndarray] = {}
    for group in groups:
        for name, mask in group.items():
            before = joined.get(name, numpy.zeros_like(mask))
            is_wider = numpy.take(_OPENNESS, mask) > numpy.take(_OPENNESS, before)
            joined[name] = numpy.where(is_wider, mask, before)
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
