"""Probes: what a framework can express, as small programs in each framework's own way.

A module a framework, ``<framework>_probes``, with a function a probe: it takes its inputs as numpy
arrays by name and returns its answers as numpy arrays by name. What they must be is known to the
host alone. A probe that cannot be expressed is written as a person would try it, so that the
framework's own error is the answer. Beside its arrays a probe may say in ``ran``, a short text,
which of the framework's operations it came to.
"""

import time

import numpy

from harness import failures, record


def ask(module, given):
    """Try all probes.

    Args:
        module: the framework's functions.
        given: inputs, ``<probe>/<name>`` -> array.

    Returns:
        The answers, ``<probe>/<name>`` -> float32 array, and how each probe ended: by its name
        ``status``, ``error``, ``seconds`` and ``ran``, which is empty where it does not say.
    """
    inputs = {}
    for name, value in given.items():
        probe, part = name.split("/")
        inputs.setdefault(probe, {})[part] = value
    found, outcomes = {}, {}
    for probe, own in inputs.items():
        answers, outcomes[probe] = _try(module, probe, own)
        for part, value in answers.items():
            found[probe + "/" + part] = numpy.asarray(value, "float32")
    return found, outcomes


def _try(module, probe, own):
    start = time.perf_counter()
    answers, status, error = {}, record.OK, None
    try:
        if not hasattr(module, probe):
            raise NotImplementedError("no program for " + probe)  # which is not the framework's
        answers = dict(getattr(module, probe)(**own))
    except failures.CAUGHT as exception:
        status, error = failures.status_of(exception), failures.as_error(exception)
    seconds = time.perf_counter() - start
    ran = answers.pop("ran", "")
    return answers, {"status": status, "error": error, "seconds": seconds, "ran": ran}


def sides(count):
    """Return over how many sides an operation goes, in words."""
    return "1 side" if count == 1 else "%d sides" % count
