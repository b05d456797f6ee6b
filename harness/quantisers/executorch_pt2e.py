"""torchao's quantisation of an exported program (PT2E), for ExecuTorch's XNNPACK.

Right answers are those of the quantised program in torch, where each quantised value is computed in
float32 and rounded to its step.
"""

import functools
from types import ModuleType
from typing import Any, Dict

from harness.adapters import Array
from harness.graphs.quantisation import allowed_steps
from harness.quantisers import Exported

#: What judges a model.
REFERENCE = "baseline: the quantised program in torch, in float32"

#: The one output's name.
OUTPUT = "y"


def export(
    adapter: ModuleType, model: Any, path: str, example: Array, calibration: Array
) -> Exported:
    """Write the quantised model. The adapter is torch's."""
    from importlib import metadata  # novm: its wheels are for newer Pythons only

    import torch
    from executorch.backends.xnnpack.quantizer import xnnpack_quantizer
    from torchao.quantization.pt2e import quantize_pt2e

    from harness.frameworks.torch import exports

    quantizer = xnnpack_quantizer.XNNPACKQuantizer().set_global(
        xnnpack_quantizer.get_symmetric_quantization_config(is_per_channel=True)
    )
    rows = torch.from_numpy(calibration)
    program = exports.few_rows(model.to("cpu").eval(), torch.from_numpy(example))
    prepared = quantize_pt2e.prepare_pt2e(program.module(), quantizer)
    for start in range(0, len(rows), exports.FEW_ROWS):
        prepared(rows[start : start + exports.FEW_ROWS])
    quantised = quantize_pt2e.convert_pt2e(prepared)
    exports.lower(exports.few_rows(quantised, torch.from_numpy(example)), path)
    model.to(adapter.device).train()
    tools = " ".join(f"{name} {metadata.version(name)}," for name in ("torchao", "executorch"))
    exporter = f"PT2E of {tools} torch {torch.__version__}"
    return {"opset": None, "exporter": exporter}, functools.partial(_inspect, quantised)


def _inspect(quantised: Any, x: Array, threads: int) -> Dict[str, Any]:
    """Answer by torch."""
    import torch

    torch.set_num_threads(threads)
    with torch.no_grad():
        outputs = {OUTPUT: quantised(torch.from_numpy(x)).numpy()}
    return {
        "described": {
            "quantised": _in_steps(quantised.graph),
            "judged_by": {OUTPUT: REFERENCE},
            "rounded": [OUTPUT],
        },
        "inputs": {"x": x},
        "outputs": outputs,
        "gold": outputs,
    }


def _in_steps(graph: Any) -> Dict[str, Dict[str, Any]]:
    """Return the output's step, and how many right answers may be apart, where it is quantised.

    That is as many as `allowed_steps` of the roundings that follow one another before it.
    """
    depths: Dict[Any, int] = {}
    for node in graph.nodes:
        before = max([depths[source] for source in node.all_input_nodes], default=0)
        depths[node] = before + str(node.target).startswith("quantized_decomposed.quantize_per")
    (output,) = graph.output_node().all_input_nodes
    if not str(output.target).startswith("quantized_decomposed.dequantize_per_tensor"):
        return {}
    return {OUTPUT: {"step": float(output.args[1]), "steps": allowed_steps(depths[output])}}
