"""ONNX Runtime under MLPerf's LoadGen: the same answers, and LoadGen's scenarios."""

from typing import Any, Dict

import numpy

import harness.adapters as protocol
from harness.runtimes.onnxruntime import adapter as runtime
from harness.runtimes.onnxruntime.adapter import answer, configure, load, multiply
from harness.runtimes.onnxruntime_loadgen import loadgen

__all__ = ["answer", "configure", "describe", "load", "multiply", "scenarios", "start"]


def start() -> None:
    """Import onnxruntime and LoadGen."""
    runtime.start()
    loadgen.start()


def describe() -> Dict[str, Any]:
    """Describe what onnxruntime really uses."""
    return runtime.describe()


def scenarios(model: Any, inputs: protocol.Arrays, in_rows: bool) -> Dict[str, Any]:
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
