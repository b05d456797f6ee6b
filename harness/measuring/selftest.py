"""Does this cell compute at all? A matrix product in each dtype against an exact answer.

Emulators have returned garbage from vectorised products without any error, so no result
counts before numpy and the framework have both proved their arithmetic.
"""

import sys

import numpy

from harness.adapters import Unsupported

# Odd sizes, larger than a kernel's block, so that the main loops and their remainders run.
ROWS, INNER, COLUMNS = 131, 197, 67


def factors():
    """Return two integer matrices, (ROWS, INNER) and (INNER, COLUMNS), with entries in -8..8.

    Every partial sum of their product is an integer below 2**24: exact in float32 in any order.
    """
    left = numpy.arange(ROWS * INNER).reshape(ROWS, INNER) * 7 % 17 - 8
    right = numpy.arange(INNER * COLUMNS).reshape(INNER, COLUMNS) * 5 % 13 - 6
    return left, right


def run(dtypes, multiply):
    """Test numpy and the framework in each dtype.

    Args:
        dtypes: names such as ``float32``.
        multiply: the adapter's product of two arrays, arrays in and out.

    Returns:
        One dict a dtype and party that has a product in it: ``dtype``, ``by``, ``passed``,
        ``error`` (largest absolute difference; the largest float where it is not finite).
    """
    left, right = factors()
    exact = numpy.dot(left, right)  # integers never go through BLAS
    results = []
    for dtype in dtypes:
        for name, product in (("numpy", numpy.dot), ("framework", multiply)):
            try:
                found = numpy.asarray(product(left.astype(dtype), right.astype(dtype)))
            except Unsupported:
                continue
            results.append(_judge(dtype, name, found, exact))
    if not any(entry["by"] == "framework" for entry in results):
        raise Unsupported("there is no dtype in which it multiplies matrices: nothing is proven")
    return results


def _judge(dtype, name, found, exact):
    error = sys.float_info.max
    if found.shape == exact.shape and str(found.dtype) == dtype:
        difference = float(numpy.abs(found - exact).max())
        error = difference if numpy.isfinite(difference) else error
    return {"dtype": dtype, "by": name, "passed": error == 0, "error": error}
