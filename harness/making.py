"""Inputs for a model, from what it declares."""

import numpy

#: What stands for a side that is free.
FREE = 2

#: Integers that are made: indices into most tables.
MOST = 10


def arrays(declared, seed):
    """Return arrays by name for inputs of some ``name``, ``dtype`` and ``shape``.

    A side of 0 or less is free. Floats are of the standard normal distribution, integers small
    and not negative. Raises ValueError for what is neither a number nor a truth value.
    """
    random = numpy.random.RandomState(seed)
    return {entry["name"]: _array(entry, random) for entry in declared}


def _array(entry, random):
    shape = [side if side > 0 else FREE for side in entry["shape"]]
    try:
        dtype = numpy.dtype(entry["dtype"])
    except TypeError:
        dtype = numpy.dtype("O")
    if dtype.kind == "f":
        return random.standard_normal(shape).astype(dtype)
    if dtype.kind in "iu":
        return random.randint(0, MOST, shape).astype(dtype)
    if dtype.kind == "b":
        return random.randint(0, 2, shape).astype(dtype)
    raise ValueError(f"no inputs can be made of the type {entry['dtype']}: give --inputs")
