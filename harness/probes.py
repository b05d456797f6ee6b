"""Probes: what a framework can express, as small programs in each framework's own way.

``harness/frameworks/<framework>/probes.py`` has a function for each probe. It takes its inputs as
numpy arrays by name and returns its answers as numpy arrays by name. Only the host knows the
expected answers. A probe that a framework cannot express is written as a user would try it, so that
the framework's own error is recorded. Beside its arrays a probe may return two short texts:
``ran``, which of the framework's functions it called for its convolution, and ``outside``, what of
the probe Python does because the framework's graph or net does not.
"""

import time
from types import ModuleType
from typing import Any, Dict, Tuple

import numpy

from harness import failures, record
from harness.adapters import Arrays


def try_all(module: ModuleType, inputs: Arrays) -> Tuple[Arrays, Dict[str, Dict[str, Any]]]:
    """Try all probes.

    Args:
        module: the framework's functions.
        inputs: ``<probe>/<name>`` -> array.

    Returns:
        (the answers, ``<probe>/<name>`` -> float32 array; the outcome of each probe by its name:
        ``status``, ``error``, ``seconds``, ``ran`` and ``outside``; these two may be empty).
    """
    inputs_by_probe: Dict[str, Arrays] = {}
    for name, value in inputs.items():
        probe, part = name.split("/")
        inputs_by_probe.setdefault(probe, {})[part] = value
    answers: Arrays = {}
    outcomes = {}
    for probe, arrays in inputs_by_probe.items():
        parts, outcomes[probe] = _try(module, probe, arrays)
        for part, value in parts.items():
            answers[probe + "/" + part] = numpy.asarray(value, "float32")
    return answers, outcomes


def _try(module: ModuleType, probe: str, arrays: Arrays) -> Tuple[Dict[str, Any], Dict[str, Any]]:
    start = time.perf_counter()
    answers: Dict[str, Any] = {}
    status, error = record.OK, None
    try:
        if not hasattr(module, probe):
            raise NotImplementedError("no program for " + probe)  # not the framework's own error
        answers = dict(getattr(module, probe)(**arrays))
    except failures.CAUGHT as exception:
        status, error = failures.status_of(exception), failures.as_error(exception)
    seconds = time.perf_counter() - start
    texts = {name: answers.pop(name, "") for name in ("ran", "outside")}
    return answers, dict(texts, status=status, error=error, seconds=seconds)


def called(function: str, kernel: Any) -> str:
    """Return which convolution was called, and the number of dimensions of its *kernel*."""
    dims = kernel.ndim - 2
    return "%s of %s" % (function, "1 dimension" if dims == 1 else "%d dimensions" % dims)
