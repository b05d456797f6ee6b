"""Quantisation after training: one module a tool.

Each has a function ``export(adapter, model, path, example, calibration)``. It has the framework's
adapter export a trained model, quantises it to int8, and writes it to *path*. *calibration*: rows
of the training data, (N, ...) float32, from which the ranges of activations come. It returns what
an adapter's ``export`` does, see `harness.adapters`, and a function ``inspect(x, threads)``.

That one returns what a runtime's ``inspect`` does, for the inputs *x*, (N, ...) float32: the
answers of the quantised graph, and its own right ones. A quantised model is not judged by the
float32 one.
"""

from typing import Any, Callable, Dict, Tuple

#: What ``export`` returns.
Exported = Tuple[Dict[str, Any], Callable[..., Dict[str, Any]]]

#: The module that writes a quantised format.
MODULES = {
    "onnx-int8": "harness.quantisers.onnx_static",
    "onnx-int8-nncf": "harness.quantisers.onnx_nncf",
    "tflite-int8": "harness.quantisers.tflite_integer",
    "executorch-int8": "harness.quantisers.executorch_pt2e",
}

#: So many rows of the training data are seen.
CALIBRATION_ROWS = 256
