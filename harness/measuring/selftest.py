"""The self-test: a matrix product in each dtype, compared with the exact answer.

Emulators have returned wrong vectorised products without any error. So no result counts before
numpy and the framework have both passed.
"""

import sys
from typing import Any, Callable, Dict, Iterable, List, Tuple

import numpy

from harness.adapters import Unsupported

# Odd sizes, larger than a kernel's block, so that the main loops and their remainders run.
ROWS, INNER, COLUMNS = 131, 197, 67


def factors() -> "Tuple[numpy.ndarray, numpy.ndarray]":
    """Return two integer matrices, (ROWS, INNER) and (INNER, COLUMNS), with entries in -8..8.

    Every partial sum of their product is an integer below 2**24: exact in float32 in any order.
    """
    a = numpy.arange(ROWS * INNER).reshape(ROWS, INNER) * 7 % 17 - 8
    b = numpy.arange(INNER * COLUMNS).reshape(INNER, COLUMNS) * 5 % 13 - 6
    return a, b


def run(dtypes: Iterable[str], multiply: Callable[..., Any]) -> List[Dict[str, Any]]:
    """Test numpy and the framework in each dtype.

    Args:
        dtypes: names such as ``float32``.
        multiply: the adapter's product of two arrays, arrays in and out.

    Returns:
        For each dtype, and numpy and the framework where they have a product in it: ``dtype``,
        ``by``, ``passed``, ``error`` (largest absolute difference; the largest float where that is
        not finite).
    """
    a, b = factors()
    exact = numpy.dot(a, b)  # integers never go through BLAS
    results = []
    for dtype in dtypes:
        for name, product in (("numpy", numpy.dot), ("framework", multiply)):
            try:
                answer = numpy.asarray(product(a.astype(dtype), b.astype(dtype)))
            except Unsupported:
                continue
            results.append(_compare(dtype, name, answer, exact))
    if not any(entry["by"] == "framework" for entry in results):
        raise Unsupported(
            "self-test: multiply() works in no dtype, so nothing proves the arithmetic; "
            "a runtime that computes only models multiplies with a model of one node"
        )
    return results


def _compare(
    dtype: str, name: str, answer: "numpy.ndarray", exact: "numpy.ndarray"
) -> Dict[str, Any]:
    error = sys.float_info.max
    if answer.shape == exact.shape and str(answer.dtype) == dtype:
        difference = float(numpy.abs(answer - exact).max())
        error = difference if numpy.isfinite(difference) else error
    return {"dtype": dtype, "by": name, "passed": error == 0, "error": error}
