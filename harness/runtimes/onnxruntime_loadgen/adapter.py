"""ONNX Runtime under MLPerf's LoadGen: the same answers, and LoadGen's scenarios."""

import numpy

from harness.runtimes.onnxruntime import adapter as runtime
from harness.runtimes.onnxruntime.adapter import answer, configure, load, multiply
from harness.runtimes.onnxruntime_loadgen import loadgen

__all__ = ["answer", "configure", "describe", "load", "multiply", "scenarios", "start"]


def start():
    """Import onnxruntime and LoadGen."""
    runtime.start()
    loadgen.start()


def describe():
    """Describe what onnxruntime really uses."""
    return runtime.describe()


def scenarios(model, inputs, in_rows):
    """Run the scenarios on the rows of the inputs, or on all of them as one sample."""

    def batch(indices):
        chosen = {name: numpy.ascontiguousarray(x[indices]) for name, x in inputs.items()}
        answer(model, chosen)

    def one_by_one(indices):
        for _ in indices:
            answer(model, inputs)

    if in_rows:
        return loadgen.scenarios(batch, min(len(x) for x in inputs.values()))
    return loadgen.scenarios(one_by_one, 1)
