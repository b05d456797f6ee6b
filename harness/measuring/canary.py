"""The canary: how fast this machine is at this moment, apart from any framework.

A matrix product and a memory copy by numpy, the same in every cell. A job measures them before and
after its phases. Where they are slower than in other rounds, the machine was disturbed; the
fastest product is the machine's peak.
"""

import time
from typing import Callable, Dict, List

import numpy

SIDE = 256  # three matrices of 256 KiB: in the second-level cache of most machines
COPIED = 16 << 20  # bytes: beyond most caches
BUDGET_S = 0.04  # for the product, and again for the copy
LEAST = 3


def measure() -> Dict[str, float]:
    """Return median and best rates: FLOP/s of a float32 product, bytes/s read and written."""
    a = numpy.linspace(-1, 1, SIDE * SIDE, dtype="float32").reshape(SIDE, SIDE)
    b, product = a.T.copy(), numpy.empty_like(a)
    source = numpy.ones(COPIED, "uint8")  # zeros would all be one page of the system's
    target = numpy.ones_like(source)
    products = _samples(lambda: numpy.matmul(a, b, out=product))
    copies = _samples(lambda: numpy.copyto(target, source))
    return {
        "matmul_flops": 2 * SIDE**3 / float(numpy.median(products)),
        "matmul_flops_best": 2 * SIDE**3 / min(products),
        "copy_bytes_s": 2 * COPIED / float(numpy.median(copies)),
    }


def _samples(action: Callable[[], object]) -> List[float]:
    """Return the seconds of each action until the budget is used up, after one as warm-up."""
    action()
    samples: List[float] = []
    began = time.perf_counter()
    while len(samples) < LEAST or time.perf_counter() - began < BUDGET_S:
        start = time.perf_counter()
        action()
        samples.append(time.perf_counter() - start)
    return samples
