"""Quantised tensors: integers that stand for (integer - zero point) x scale."""

import math
from typing import Any, Dict, Iterable

import numpy

from harness.adapters import Array, Arrays
from harness.graphs import values
from harness.record import LARGEST_STEP, LEAST_STEP

#: "scale" and "zero_point" by name of an input or output.
Grids = Dict[str, Dict[str, Any]]


def allowed_steps(roundings: int) -> int:
    """Return how many steps apart right answers may be after a number of roundings.

    One step is for a tie in the last rounding. What earlier ones add grows like the square root of
    their number, as independent errors do.
    """
    return 1 + int(math.sqrt(roundings - 1))


def is_step(size: float) -> bool:
    """Return whether a number can be what one step stands for: zero and NaN cannot."""
    return LEAST_STEP <= size <= LARGEST_STEP


def quantise(inputs: Arrays, declared: Iterable[Dict[str, Any]], grids: Grids) -> Arrays:
    """Return the inputs with floats quantised where a model declares quantised integers.

    Args:
        inputs: arrays by name; a single one may have any name.
        declared: ``name`` and ``dtype`` of each input, in the model's order.
        grids: of the model's quantised inputs; other inputs stay as they are.
    """
    dtypes = {entry["name"]: values.carrier(entry["dtype"]) for entry in declared}
    if len(dtypes) == len(inputs) == 1:
        inputs = dict(zip(dtypes, inputs.values()))
    return {
        name: quantised(x, dtypes[name], **grids[name])
        if name in grids and x.dtype.kind == "f" and dtypes[name].kind in "iu"
        else x
        for name, x in inputs.items()
    }


def quantised(x: Array, dtype: Any, scale: float, zero_point: int) -> Array:
    """Return floats as integers of a type: x over scale, half to even, from the zero point."""
    limits = numpy.iinfo(dtype)
    steps = numpy.rint(x.astype("float64") / scale) + zero_point
    codes: Array = numpy.clip(steps, limits.min, limits.max).astype(dtype)
    return codes
