"""Clocks: raw samples around whole, synchronised steps."""

import gc
import time
from contextlib import contextmanager


@contextmanager
def quiet():
    """Keep the garbage collector out of the samples taken inside."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def timed(function, *arguments):
    """Return (what *function* returned, the seconds it took)."""
    start = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - start


def sample(function, argument, least, least_s, most_s=float("inf"), fewest=1):
    """Call *function* until there are *least* samples and *least_s* seconds have passed.

    After *most_s* seconds *fewest* samples are enough.

    Returns:
        The seconds of every call, in order, warm-up included, and of all of it: what is more than
        their sum was lost between them.
    """
    clock = time.perf_counter
    samples = []
    keep = samples.append
    began = stop = clock()
    while len(samples) < (least if stop - began < most_s else fewest) or stop - began < least_s:
        start = clock()
        function(argument)
        stop = clock()
        keep(stop - start)
    return samples, stop - began


def sampled(function, argument, asked):
    """Sample as a job's ``infer`` asks; return what the record keeps of it."""
    with quiet():
        samples, wall_s = sample(
            function,
            argument,
            asked["warmup"] + asked["samples"],
            asked.get("min_s", 0.0),
            asked.get("max_s") or float("inf"),
            asked["warmup"] + 3,
        )
    return {"latency_s": samples, "warmup": asked["warmup"], "wall_s": wall_s}
