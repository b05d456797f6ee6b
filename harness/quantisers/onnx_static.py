"""ONNX Runtime's static quantisation of an exported ONNX model: QDQ, weights by channel.

Activations and weights are int8, the tool's default. Right answers are those of the standard's
evaluator, in float64, on the quantised graph.
"""

import functools
import os
import tempfile
from types import ModuleType
from typing import Any, Dict

from harness.adapters import Array
from harness.graphs.inputs.sample_inputs import Sampling
from harness.quantisers import Exported
from harness.runtimes.onnx import adapter as evaluator


def export(
    adapter: ModuleType, model: Any, path: str, example: Array, calibration: Array
) -> Exported:
    """Write the quantised model, which the standard's evaluator inspects."""
    import onnxruntime
    from onnxruntime.quantization import QuantFormat, quant_pre_process, quantize_static

    with tempfile.TemporaryDirectory() as folder:
        plain, prepared = (os.path.join(folder, name) for name in ("plain.onnx", "prepared.onnx"))
        described: Dict[str, Any] = adapter.export(model, "onnx", plain, example)
        _drop_zero_biases(plain)
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        reader = _Rows(input_name(plain), calibration)
        quantize_static(prepared, path, reader, quant_format=QuantFormat.QDQ, per_channel=True)
    tool = f"quantize_static of onnxruntime {onnxruntime.__version__}"
    described = dict(described, exporter=f"{tool}, {described['exporter']}")
    return described, functools.partial(inspect, path)


def _drop_zero_biases(path: str) -> None:
    """Drop the biases that are the number 0, as jax2onnx writes: the tool takes one by channel."""
    import onnx

    model = onnx.load(path)
    tensors = {
        tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer
    }
    for node in model.graph.node:
        bias = tensors.get(node.input[2]) if len(node.input) > 2 else None
        if node.op_type == "Gemm" and bias is not None and bias.ndim == 0 and bias == 0:
            del node.input[2]
    onnx.save(model, path)


class _Rows:
    """Calibration data, as ONNX Runtime asks for it: a batch by input name, None at its end."""

    def __init__(self, name: str, rows: Array, batch: int = 32) -> None:
        starts = range(0, len(rows), batch)
        self._batches = iter([{name: rows[start : start + batch]} for start in starts])

    def get_next(self) -> Any:
        """Return the next batch, or None."""
        return next(self._batches, None)


def input_name(path: str) -> str:
    """Return the name of a model's input."""
    import onnx

    name: str = onnx.load(path).graph.input[0].name
    return name


def inspect(path: str, x: Array, threads: int) -> Dict[str, Any]:
    """Inspect the quantised model with the standard's evaluator."""
    evaluator.start()
    evaluator.configure("cpu", threads)
    inspected: Dict[str, Any] = evaluator.inspect("onnx", path, {"x": x}, Sampling(seed=0))
    inspected.pop("answers", None)  # nobody serves them
    return inspected
