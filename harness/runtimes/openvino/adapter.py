"""OpenVINO on the CPU: reads ``onnx`` and its own ``openvino-ir``, and answers.

By default it computes in bfloat16 or float16 where the processor can. Here it is forced to
float32, unless the cell's option *precision* is ``default``.
"""

import functools
from typing import Any, Dict, Optional

import numpy

import harness.adapters as protocol
from harness.graphs import onnx_inputs

#: OpenVINO's names of the precisions.
PRECISIONS = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}

#: A node of ONNX that a partial conversion leaves as it is.
UNCONVERTED = "ONNXFrameworkNode"

openvino: Any = None  # the runtime, once `start` has imported it
core: Any = None
properties: Any = None


def start() -> None:
    """Import openvino."""
    global openvino
    import openvino as module

    openvino = module


def configure(device: str, count: int, precision: str = "float32") -> None:
    """Choose threads and precision, one of ``float32`` and ``default``."""
    global core, properties
    if device != "cpu":
        raise protocol.WrongDevice("this adapter is for the CPU only")
    core = openvino.Core()
    properties = {"INFERENCE_NUM_THREADS": count, "NUM_STREAMS": 1}
    if precision == "float32":
        properties["INFERENCE_PRECISION_HINT"] = "f32"


def describe() -> Dict[str, Any]:
    """Describe what is used, read from a compiled model."""
    model = _product(numpy.dtype("float32"))
    hint = model.get_property("INFERENCE_PRECISION_HINT").to_string()
    return {
        "versions": {"openvino": openvino.__version__.split("-")[0]},
        "threads": model.get_property("INFERENCE_NUM_THREADS"),
        "device": "cpu",
        "device_name": core.get_property("CPU", "FULL_DEVICE_NAME"),
        "blas": "openvino",
        "precision": PRECISIONS.get(hint, hint),
    }


def multiply(a: protocol.Array, b: protocol.Array) -> protocol.Array:
    """Matrix product as a model of one node. It computes no product in float64."""
    if a.dtype != "float32":
        raise protocol.Unsupported("openvino computes in float32 at most")
    (product,) = _product(a.dtype)([a, b]).values()
    return product


def load(form: str, path: str) -> Any:
    """Read and compile a model."""
    if form not in ("onnx", "openvino-ir"):
        raise protocol.Unsupported("openvino does not read " + form)
    try:
        return core.compile_model(path, "CPU", properties)
    except RuntimeError as error:
        unknown = _unconverted(path) if form == "onnx" else []
        if unknown:
            names = ", ".join(unknown)
            raise protocol.Unsupported(f"openvino does not know the operators {names}") from error
        # Its message begins with places in its own source.
        lines = [line for line in str(error).splitlines() if not line.startswith("Exception from")]
        raise RuntimeError(" ".join(filter(None, lines)) or str(error)) from error


def _unconverted(path):
    """Return the operators of an ONNX model that OpenVINO does not convert, in order."""
    from openvino.frontend import FrontEndManager

    frontend = FrontEndManager().load_by_framework("onnx")
    try:
        source = frontend.load(path)
        model = frontend.convert_partially(source)
    except RuntimeError:
        return []
    names = set()
    for node in model.get_ordered_ops():
        if node.get_type_name() == UNCONVERTED:
            entry = node.get_attributes()  # its texts belong to the node
            names.add((str(entry["ONNX_META_domain"]), str(entry["ONNX_META_type"])))
    return [f"{domain}.{name}" if domain else name for domain, name in sorted(names)]


def inspect(
    form: str, path: str, user_inputs: Optional[protocol.Arrays], seed: int
) -> Dict[str, Any]:
    """Inspect a model: its inputs and its outputs; OpenVINO has no float64."""
    model = load(form, path)
    entries = [
        {
            "name": value.get_any_name(),
            "dtype": str(numpy.dtype(value.get_element_type().to_dtype())),
            "shape": [
                f"{value.get_any_name()}.{axis}" if side.is_dynamic else side.get_length()
                for axis, side in enumerate(value.get_partial_shape())
            ],
        }
        for value in model.inputs
    ]
    evaluate = functools.partial(answer, model)
    if user_inputs is None:
        inputs, outputs = onnx_inputs.sample_and_evaluate(entries, seed, evaluate)
    else:
        inputs = onnx_inputs.check_inputs(user_inputs, entries)
        outputs = evaluate(inputs)
    described = [dict(entry, shape=[str(side) for side in entry["shape"]]) for entry in entries]
    return {"described": {"inputs": described}, "inputs": inputs, "outputs": outputs}


def answer(model: Any, inputs: protocol.Arrays) -> protocol.Arrays:
    """Run the compiled model, arrays in and out."""
    feed = protocol.match_names(inputs, [entry.get_any_name() for entry in model.inputs])
    outputs = model(feed, share_inputs=True)
    return {entry.get_any_name(): numpy.array(outputs[entry]) for entry in model.outputs}


def _product(dtype):
    from openvino import opset8

    sides = [opset8.parameter([-1, -1], dtype, name) for name in ("a", "b")]
    model = openvino.Model([opset8.matmul(*sides, False, False)], sides, "product")
    return core.compile_model(model, "CPU", properties)
