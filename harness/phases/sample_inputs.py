"""Inputs for a model, from what it declares."""

import functools
import operator

import numpy

from harness.graphs import BadModel

#: What stands for a side that is free.
FREE = 2

#: Integers that are made: indices into most tables.
MOST = 10

#: No input that is made is larger.
LARGEST_BYTES = 2**30

#: Kinds of dtypes, as numpy names them, that are served.
SERVED = "fiub"


def check_kind(what, name, dtype):
    """Raise BadModel unless an input or output (*what*) is of a type that is served."""
    try:
        kind = numpy.dtype(dtype).kind
    except TypeError:  # of no dtype that numpy itself has
        kind = None
    if kind not in SERVED:
        called = "text" if kind in ("O", "U", "S") else str(dtype)
        raise BadModel(
            f"its {what} {name} is {called}: served are integers, truth values and floats of 16 "
            "to 64 bits"
        )


def arrays(declared, seed):
    """Return arrays by name for inputs of some ``name``, ``dtype`` and ``shape``.

    A side of 0 or less is free. Raises as `sized` does.
    """
    shapes = [[side if side > 0 else FREE for side in entry["shape"]] for entry in declared]
    return sized([dict(entry, shape=shape) for entry, shape in zip(declared, shapes)], seed)


def sized(declared, seed):
    """Return arrays as `arrays` does, of shapes in which no side is free.

    Floats are of the standard normal distribution, integers small and not negative. Raises
    BadModel for what is not served, or larger than what is made.
    """
    random = numpy.random.RandomState(seed)
    return {entry["name"]: _array(entry, random) for entry in declared}


def _array(entry, random):
    check_kind("input", entry["name"], entry["dtype"])
    dtype, shape = numpy.dtype(entry["dtype"]), entry["shape"]
    size = functools.reduce(operator.mul, shape, dtype.itemsize)
    if size > LARGEST_BYTES:
        raise BadModel(
            f"its input {entry['name']} would have {size / 2**30:.1f} GiB, made are up to "
            f"{LARGEST_BYTES // 2**30}"
        )
    if dtype.kind == "f":
        return random.standard_normal(shape).astype(dtype)
    if dtype.kind in "iu":
        return random.randint(0, MOST, shape).astype(dtype)
    return random.randint(0, 2, shape).astype(dtype)
