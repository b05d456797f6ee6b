"""OpenVINO on the CPU: reads ``onnx`` and its own ``openvino-ir``, and answers.

By default it computes in bfloat16 or float16 where the processor can, quantises the activations of
products with int8 weights, and keeps attention's keys and values in uint8. Here it is forced to
float32, unless the cell's option *precision* is ``default``.
"""

import functools
import re
from typing import Any, Dict, Optional

import numpy

import harness.adapters as protocol
from harness.graphs import values
from harness.graphs.inputs import onnx_inputs
from harness.graphs.inputs.sample_inputs import Sampling

BYTE = 8  # bits

#: OpenVINO's names of the precisions.
PRECISIONS = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}

#: What keeps its arithmetic in float32; older versions lack some of these properties.
FLOAT32 = {
    "INFERENCE_PRECISION_HINT": "f32",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
    "KV_CACHE_PRECISION": "f32",
}

#: What its messages say of an output that is a map or a sequence, and what a user can do.
MAP = "Unsupported value_info type"
NO_MAPS = " is no tensor; export the model with tensors only (skl2onnx, onnxmltools: zipmap=False)"

#: A node of ONNX that a partial conversion leaves as it is.
UNCONVERTED = "ONNXFrameworkNode"

#: What its messages have besides what they say.
_PLACES = re.compile(
    r"(Exception from|Check '.*?' failed at) \S+:\d+:|FrontEnd API failed with \w+:|^-- ", re.M
)

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
        supported = core.get_property("CPU", "SUPPORTED_PROPERTIES")
        properties.update({name: FLOAT32[name] for name in FLOAT32 if name in supported})


def describe() -> Dict[str, Any]:
    """Describe what is used, read from a compiled model."""
    model = _product(numpy.dtype("float32"))
    effective = {name: _text(model, name) for name in FLOAT32 if name in _supported(model)}
    hint = effective["INFERENCE_PRECISION_HINT"]
    return {
        "versions": {"openvino": openvino.__version__.split("-")[0]},
        "threads": model.get_property("INFERENCE_NUM_THREADS"),
        "device": "cpu",
        "device_name": core.get_property("CPU", "FULL_DEVICE_NAME"),
        "blas": "openvino",
        "precision": PRECISIONS.get(hint, hint),
        "properties": effective,
    }


def _supported(model):
    return model.get_property("SUPPORTED_PROPERTIES")


def _text(model, name):
    """Return a property of a compiled model; a type of elements has a name of its own."""
    value = model.get_property(name)
    return value.to_string() if hasattr(value, "to_string") else str(value)


def multiply(a: protocol.Array, b: protocol.Array) -> protocol.Array:
    """Matrix product as a model of one node. It computes no product in float64."""
    if a.dtype != "float32":
        raise protocol.Unsupported("openvino computes in float32 at most")
    (product,) = _product(a.dtype)([a, b]).values()
    return product


def load(format_name: str, path: str) -> Any:
    """Read and compile a model.

    Raises Unsupported where OpenVINO refuses it: another runtime has read the file, or nobody would
    serve it, so it has what OpenVINO lacks.
    """
    if format_name not in ("onnx", "openvino-ir"):
        raise protocol.Unsupported("openvino does not read " + format_name)
    try:
        model = core.compile_model(path, "CPU", properties)
    except RuntimeError as error:
        if format_name == "onnx":
            _check_operators(path)
        reason = _reason(error)
        hint = NO_MAPS if MAP in reason else ""
        raise protocol.Unsupported("openvino refuses it: " + reason + hint) from error
    _check_types(model)
    return model


def _check_types(model):
    """Raise Unsupported where an input is text: the process would die after its answer.

    It does so as well for types of less than a byte: their arrays are packed, in another shape. Of
    floats of 8 bits it has no arrays that can be filled.
    """
    texts = [
        entry.get_any_name()
        for entry in model.inputs
        if entry.get_element_type().to_string() == "string"
    ]
    if texts:
        raise protocol.Unsupported("openvino takes no text: its input " + ", ".join(texts))
    for entry in (*model.inputs, *model.outputs):
        name, kind = entry.get_any_name(), entry.get_element_type().to_string()
        if entry.get_element_type().bitwidth < BYTE or kind.startswith("f8"):
            raise protocol.Unsupported(
                f"openvino gives and takes no arrays of {kind}, as {name} is"
            )


def _check_operators(path):
    """Raise Unsupported where OpenVINO's frontend does not know operators of an ONNX file."""
    from openvino.frontend import FrontEndManager

    frontend = FrontEndManager().load_by_framework("onnx")
    try:
        source = frontend.load(path)  # the nodes need it as long as they are looked at
        unknown = _unconverted(frontend.convert_partially(source))
    except RuntimeError:
        return  # the caller has the error of the compilation
    if unknown:
        raise protocol.Unsupported("openvino does not know the operators " + ", ".join(unknown))


def _reason(error):
    """Return what OpenVINO says in one line, without places in its source and its own headings."""
    log, _, summary = str(error).partition("Summary:")
    details = log.partition("Failed operations detailed log:")[2] or summary or log
    return " ".join(_PLACES.sub("", details).split())


def _unconverted(model):
    """Return the operators of an ONNX model that OpenVINO does not convert, in order."""
    names = set()
    for node in model.get_ordered_ops():
        if node.get_type_name() == UNCONVERTED:
            entry = node.get_attributes()  # its texts belong to the node
            names.add((str(entry["ONNX_META_domain"]), str(entry["ONNX_META_type"])))
    return [f"{domain}.{name}" if domain else name for domain, name in sorted(names)]


def inspect(
    format_name: str, path: str, user_inputs: Optional[protocol.Arrays], sampling: Sampling
) -> Dict[str, Any]:
    """Inspect a model: its inputs and its outputs; OpenVINO has no float64."""
    model = load(format_name, path)
    entries = [
        {
            "name": value.get_any_name(),
            "dtype": _dtype(value),
            "shape": [
                f"{value.get_any_name()}.{axis}" if dim.is_dynamic else dim.get_length()
                for axis, dim in enumerate(value.get_partial_shape())
            ],
        }
        for value in model.inputs
    ]
    evaluate = functools.partial(answer, model)
    inputs, outputs = onnx_inputs.infer(user_inputs, entries, sampling, evaluate)
    described = [dict(entry, shape=[str(dim) for dim in entry["shape"]]) for entry in entries]
    return {"described": {"inputs": described}, "inputs": inputs, "outputs": outputs}


def answer(model: Any, inputs: protocol.Arrays) -> protocol.Arrays:
    """Run the compiled model, arrays in and out.

    OpenVINO leaves out inputs that nothing depends on, as empty axes. It renames one that passes a
    node which does nothing, as a Dropout: those of unknown names are in the order of the model's.
    """
    names = [_name(entry, inputs) for entry in model.inputs]
    known = {name: inputs[name] for name in names if name in inputs}
    renamed = [name for name in names if name not in known]
    others = [x for name, x in inputs.items() if name not in known]
    if len(renamed) == len(others):
        known.update(zip(renamed, others))
    feed: Dict[str, Any] = dict(protocol.match_names(known or inputs, names))
    for name, entry in zip(names, model.inputs):
        if _is_bfloat16(entry):
            bits = values.as_bfloat16(feed[name])
            feed[name] = openvino.Tensor(bits, openvino.Shape(bits.shape), openvino.Type.bf16)
    outputs = model(feed, share_inputs=True)
    return {
        name: _array(entry, outputs[entry]) for name, entry in zip(_names(model), model.outputs)
    }


def _names(model):
    """Return the names of the outputs, in order, each another.

    Outputs that are the same constant have the same name; they get their number as well, so that
    none is lost, and the host goes by their order.
    """
    names = [entry.get_any_name() for entry in model.outputs]
    return [
        name if names.count(name) == 1 else f"{name}.{number}" for number, name in enumerate(names)
    ]


def _array(entry, x):
    """Return a copy of an output; OpenVINO gives the bits of bfloat16 as those of a float16."""
    return values.from_bfloat16(x.view("uint16")) if _is_bfloat16(entry) else numpy.array(x)


def _is_bfloat16(entry):
    return entry.get_element_type() == openvino.Type.bf16


def _dtype(entry):
    dtype = numpy.dtype(entry.get_element_type().to_dtype())
    return values.BFLOAT16 if _is_bfloat16(entry) else str(dtype)


def _name(entry, inputs):
    """Return the name of an input among those given: one that passes a node has that node's too."""
    return next((name for name in entry.get_names() if name in inputs), entry.get_any_name())


def _product(dtype):
    from openvino import opset8

    factors = [opset8.parameter([-1, -1], dtype, name) for name in ("a", "b")]
    model = openvino.Model([opset8.matmul(*factors, False, False)], factors, "product")
    return core.compile_model(model, "CPU", properties)
