"""The canary: how fast this machine is at this moment, apart from any framework.

A matrix product and a memory copy by numpy, the same in every cell. A job takes them before and
after its phases: where they are slower than in other rounds, the machine was disturbed, and
the fastest product is what the machine can do.
"""

import time

import numpy

SIDE = 256  # three matrices of 256 KiB: in the second-level cache of most machines
COPIED = 16 << 20  # bytes: beyond most caches
BUDGET_S = 0.04  # for each of the two
LEAST = 3


def measure():
    """Return median and best rates: FLOP/s of a float32 product, bytes/s read and written."""
    left = numpy.linspace(-1, 1, SIDE * SIDE, dtype="float32").reshape(SIDE, SIDE)
    right, product = left.T.copy(), numpy.empty_like(left)
    source = numpy.ones(COPIED, "uint8")  # zeros would all be one page of the system's
    target = numpy.ones_like(source)
    products = _samples(lambda: numpy.matmul(left, right, out=product))
    copies = _samples(lambda: numpy.copyto(target, source))
    return {
        "matmul_flops": 2 * SIDE**3 / float(numpy.median(products)),
        "matmul_flops_best": 2 * SIDE**3 / min(products),
        "copy_bytes_s": 2 * COPIED / float(numpy.median(copies)),
    }


def _samples(action):
    """Return seconds, one an action, for as long as the budget lasts; the first is warm-up."""
    action()
    samples = []
    began = time.perf_counter()
    while len(samples) < LEAST or time.perf_counter() - began < BUDGET_S:
        start = time.perf_counter()
        action()
        samples.append(time.perf_counter() - start)
    return samples
