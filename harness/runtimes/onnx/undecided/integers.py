"""Arithmetic of integers as if they had no range: where it leaves that, nothing is defined.

NumPy's long double holds every integer of 64 bits on Linux, so what is near the end of the range
is decided exactly; where it is a float64 (Windows, macOS on ARM), within its rounding.
"""

import functools

import numpy


def _changed(name, read, settings):
    del settings
    return getattr(numpy, name)(read[0])


def _folded(name, read, settings):
    del settings
    return functools.reduce(getattr(numpy, name), read)


def _reduced(name, read, settings):
    axes, keeps = reduced_axes(read, settings)
    return read[0] if axes is None else getattr(numpy, name).reduce(read[0], axes, keepdims=keeps)


def _reduced_squares(name, read, settings):
    return _reduced(name, [read[0] * read[0], *read[1:]], settings)


def _reduced_sizes(name, read, settings):
    return _reduced(name, [numpy.abs(read[0]), *read[1:]], settings)


def _cumulated(name, read, settings):
    x, axis = read[0], int(numpy.ravel(read[1])[0])
    x = numpy.flip(x, axis) if settings.get("reverse") else x
    sums = getattr(numpy, name).accumulate(x, axis) - (x if settings.get("exclusive") else 0)
    return numpy.flip(sums, axis) if settings.get("reverse") else sums


#: Operators of which a result may be beyond the range of its integers: how it is computed, by which
#: function of NumPy.
ARITHMETIC = {
    "Abs": (_changed, "abs"),
    "Add": (_folded, "add"),
    "CumSum": (_cumulated, "add"),
    "Mul": (_folded, "multiply"),
    "Neg": (_changed, "negative"),
    "Pow": (_folded, "power"),
    "ReduceL1": (_reduced_sizes, "add"),
    "ReduceProd": (_reduced, "multiply"),
    "ReduceSum": (_reduced, "add"),
    "ReduceSumSquare": (_reduced_squares, "add"),
    "Sub": (_folded, "subtract"),
    "Sum": (_folded, "add"),
}


def beyond_range(kind, read, settings, dtype):
    """Return where the result of an operator of `ARITHMETIC` is beyond the range of *dtype*.

    Args:
        kind: the operator.
        read: arrays, None where an input is left out.
        settings: the attributes by name.
        dtype: of integers.
    """
    limits = numpy.iinfo(dtype)
    wide = [x if x is None else numpy.asarray(x, "longdouble") for x in read]
    with numpy.errstate(all="ignore"):
        compute, name = ARITHMETIC[kind]
        exact = compute(name, wide, settings)
    least, most = (numpy.longdouble(limit) for limit in (limits.min, limits.max))
    return (exact < least) | (exact >= most + 1)


def reduced_axes(read, settings):
    """Return (the axes that a reduction reduces, None if none; whether it keeps them)."""
    axes = read[1] if len(read) > 1 and read[1] is not None else settings.get("axes", ())
    axes = tuple(int(axis) for axis in numpy.ravel(axes))
    keeps = bool(settings.get("keepdims", 1))
    if not axes:
        axes = None if settings.get("noop_with_empty_axes") else tuple(range(numpy.ndim(read[0])))
    return axes, keeps
