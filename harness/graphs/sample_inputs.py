"""Sample inputs for a model, from the names, dtypes and shapes that it declares."""

import functools
import operator
from typing import Any, Dict, Iterable, List

import numpy

from harness.adapters import Arrays
from harness.graphs import BadModel, values

#: The size of a free side.
FREE = 2

#: Sample integers are below this: valid indices into most tables.
MOST = 10

#: A larger sample input is refused.
LARGEST_BYTES = 2**30

#: Kinds of dtypes, as numpy names them, that are served: numbers, truth values, and text.
SERVED = "fiubU"

#: Sample texts are drawn from these.
WORDS = (
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "the lazy dog",
    "\u00c5ngstr\u00f6m",
    "42",
    "",
)


def check_kind(role: str, name: str, dtype: Any) -> None:
    """Raise BadModel unless the dtype of a tensor is served; *role* is "input" or "output"."""
    try:
        kind = numpy.dtype(dtype).kind
    except TypeError:  # a dtype that numpy itself does not have
        kind = None
    if kind not in SERVED:
        raise BadModel(
            f"its {role} {name} is {dtype}: served are text, integers, truth values and floats of "
            "16 to 64 bits"
        )


def arrays(declared: Iterable[Dict[str, Any]], seed: int) -> Arrays:
    """Return an array by name for each declared ``name``, ``dtype`` and ``shape``.

    A side of 0 or less is free and gets the size `FREE`. Raises as `sized` does.
    """
    shapes = [[side if side > 0 else FREE for side in entry["shape"]] for entry in declared]
    return sized([dict(entry, shape=shape) for entry, shape in zip(declared, shapes)], seed)


def sized(declared: Iterable[Dict[str, Any]], seed: int) -> Arrays:
    """Return arrays as `arrays` does, for shapes without a free side.

    Floats are drawn from the standard normal distribution, integers from 0 to `MOST` - 1, texts
    from `WORDS`. Raises BadModel for a dtype that is not served and for an array of more than
    `LARGEST_BYTES`.
    """
    random = numpy.random.RandomState(seed)
    return {entry["name"]: _array(entry, random) for entry in declared}


def _array(entry: Dict[str, Any], random: "numpy.random.RandomState") -> "numpy.ndarray":
    check_kind("input", entry["name"], entry["dtype"])
    is_text = entry["dtype"] == values.TEXT
    dtype = numpy.array(WORDS).dtype if is_text else numpy.dtype(entry["dtype"])
    shape: List[int] = entry["shape"]
    size = functools.reduce(operator.mul, shape, dtype.itemsize)
    if size > LARGEST_BYTES:
        raise BadModel(
            f"its input {entry['name']} would have {size / 2**30:.1f} GiB: sample inputs have "
            f"at most {LARGEST_BYTES // 2**30}"
        )
    if dtype.kind == "f":
        return random.standard_normal(shape).astype(dtype)
    if dtype.kind in "iu":
        return random.randint(0, MOST, shape).astype(dtype)
    if is_text:
        return numpy.array(WORDS)[random.randint(0, len(WORDS), shape)]
    return random.randint(0, 2, shape).astype(dtype)
