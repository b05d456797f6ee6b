"""NNCF's quantisation, OpenVINO's, of an exported ONNX model.

Right answers are those of the standard's evaluator, in float64, on the quantised graph.
"""

import functools
import os
import tempfile
from types import ModuleType
from typing import Any, Dict

from harness.adapters import Array
from harness.quantisers import Exported, onnx_static


def export(
    adapter: ModuleType, model: Any, path: str, example: Array, calibration: Array
) -> Exported:
    """Write the quantised model, which the standard's evaluator inspects."""
    import nncf
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        plain = os.path.join(folder, "plain.onnx")
        described: Dict[str, Any] = adapter.export(model, "onnx", plain, example)
        name = onnx_static.input_name(plain)
        rows = [{name: calibration[at : at + 1]} for at in range(len(calibration))]
        quantised = nncf.quantize(onnx.load(plain), nncf.Dataset(rows), subset_size=len(rows))
    onnx.save(quantised, path)
    described = dict(described, exporter=f"nncf {nncf.__version__}, {described['exporter']}")
    return described, functools.partial(onnx_static.inspect, path)
