"""Clocks: raw samples around whole, synchronised steps."""

import gc
import time
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, Tuple


@contextmanager
def quiet() -> Iterator[None]:
    """Switch the garbage collector off, so that it does not run inside a sample."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def timed(function: Callable[..., Any], *arguments: Any) -> Tuple[Any, float]:
    """Return (what *function* returned, the seconds it took)."""
    start = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - start


def sample(
    function: Callable[[Any], Any],
    argument: Any,
    least: int,
    least_s: float,
    most_s: float = float("inf"),
    fewest: int = 1,
) -> Tuple[List[float], float]:
    """Call *function* until there are *least* samples and *least_s* seconds have passed.

    After *most_s* seconds *fewest* samples are enough.

    Returns:
        (the seconds of every call in order, warm-up included; the seconds of the whole). What the
        whole is longer than the sum of the calls was lost between them.
    """
    clock = time.perf_counter
    samples: List[float] = []
    keep = samples.append
    began = stop = clock()
    while len(samples) < (least if stop - began < most_s else fewest) or stop - began < least_s:
        start = clock()
        function(argument)
        stop = clock()
        keep(stop - start)
    return samples, stop - began


def sampled(
    function: Callable[[Any], Any], argument: Any, settings: Dict[str, Any]
) -> Dict[str, Any]:
    """Sample with the *settings* of a job's ``infer``; return the entry for the record."""
    with quiet():
        samples, wall_s = sample(
            function,
            argument,
            settings["warmup"] + settings["samples"],
            settings.get("min_s", 0.0),
            settings.get("max_s") or float("inf"),
            settings["warmup"] + 3,
        )
    return {"latency_s": samples, "warmup": settings["warmup"], "wall_s": wall_s}
