"""ONNX Runtime: reads ``onnx`` and its own ``ort``, and answers."""

import functools
import os
import shutil
import struct
import tempfile
from typing import Any, Dict, Optional

import harness.adapters as protocol
from harness.graphs import BadModel, onnx_refusals, ort_session, values
from harness.graphs.inputs import onnx_inputs
from harness.graphs.inputs.sample_inputs import Sampling
from harness.measuring import timing
from harness.runtimes.onnxruntime import operator_times

ort: Any = None  # the runtime, once `start` has imported it
providers: Any = None
threads: Any = None

_PROVIDERS = {
    "cpu": ["CPUExecutionProvider"],
    "cuda": [("CUDAExecutionProvider", {"use_tf32": "0"}), "CPUExecutionProvider"],
}
_DEVICES = {"CPUExecutionProvider": "cpu", "CUDAExecutionProvider": "cuda"}
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(bool)": "bool",
    "tensor(string)": values.TEXT,
    ort_session.BFLOAT16: values.BFLOAT16,
    **{
        f"tensor({name})": name
        for name in ("float16", "int8", "int16", "int32", "int64")
        + ("uint8", "uint16", "uint32", "uint64")
    },
}
_ELEMENT_TYPES = {"float32": 1, "float64": 11}  # onnx.TensorProto.DataType


def start() -> None:
    """Import onnxruntime."""
    global ort
    import onnxruntime as module

    ort = module


def configure(device: str, count: int) -> None:
    """Choose device and threads. Raises WrongDevice where a session is not on the device."""
    global providers, threads
    providers, threads = _PROVIDERS[device], count
    if device == "cuda":
        ort.preload_dlls()  # the CUDA libraries come as wheels, not from the system
    actual = _device(_session(_product_model("float32")))
    if actual != device:
        raise protocol.WrongDevice(f"asked for {device}, the session is on {actual}")


def describe() -> Dict[str, Any]:
    """Describe what onnxruntime really uses, read from a session."""
    session = _session(_product_model("float32"))
    return {
        "versions": {"onnxruntime": ort.__version__},
        "threads": session.get_session_options().intra_op_num_threads,
        "device": _device(session),
        "device_name": None,
        "blas": "onnxruntime: MLAS",
    }


def multiply(a: protocol.Array, b: protocol.Array) -> protocol.Array:
    """Matrix product as a model of one node."""
    session = _session(_product_model(str(a.dtype)))
    return session.run(None, {"a": a, "b": b})[0]


def load(format_name: str, path: str) -> Any:
    """Read a model; return its session and the names of its outputs.

    Raises Unsupported where the model is too new, or has operators that are not known or have no
    kernel.
    """
    if format_name not in ("onnx", "ort"):
        raise protocol.Unsupported(f"onnxruntime does not read {format_name}")
    try:
        session = _session(path)
    except Exception as error:  # its errors share no class
        if isinstance(error, _no_kernel()):
            raise protocol.Unsupported(str(error).splitlines()[0]) from error
        reason = onnx_refusals.explain(path, _refusal) if format_name == "onnx" else ""
        if reason:
            raise protocol.Unsupported(f"onnxruntime {ort.__version__}: {reason}") from error
        raise
    if ort_session.without_array(session):
        raise protocol.Unsupported(ort_session.without_array(session))
    return _named(session)


def _no_kernel():
    """Return ONNX Runtime's class of errors for an operator without an implementation."""
    from onnxruntime.capi import onnxruntime_pybind11_state

    return onnxruntime_pybind11_state.NotImplemented


def _refusal(model):
    """Return what ONNX Runtime says of a model that it does not load, or nothing."""
    ort.set_default_logger_severity(4)
    try:
        _session(model)
    except Exception as error:  # its errors share no class
        return str(error)
    finally:
        ort.set_default_logger_severity(2)
    return ""


def inspect(
    format_name: str, path: str, user_inputs: Optional[protocol.Arrays], sampling: Sampling
) -> Dict[str, Any]:
    """Inspect a model: what ONNX Runtime answers without optimisations is the baseline."""
    if format_name not in ("onnx", "ort"):
        raise protocol.Unsupported(f"onnxruntime does not read {format_name}")
    model = _named(_session(path, optimise=False))
    entries = [_entry(value) for value in model[0].get_inputs()]
    evaluate = functools.partial(answer, model)
    inputs, outputs = onnx_inputs.infer(user_inputs, entries, sampling, evaluate)
    source = "baseline: ONNX Runtime without further optimisations"
    described = {
        "inputs": [dict(entry, shape=[str(dim) for dim in entry["shape"]]) for entry in entries],
        "judged_by": dict.fromkeys(outputs, source),
    }
    return {"described": described, "inputs": inputs, "outputs": outputs}


def _entry(value):
    """Return name, dtype and shape of an input as `onnx_inputs` has them."""
    if value.type not in _DTYPES:
        raise BadModel(f"its input {value.name} is a {value.type}; supported types: numbers")
    dims = [
        dim if isinstance(dim, int) and dim >= 0 else str(dim or f"{value.name}.{axis}")
        for axis, dim in enumerate(value.shape)
    ]
    return {"name": value.name, "dtype": _DTYPES[value.type], "shape": dims}


def _named(session):
    return session, [entry.name for entry in session.get_outputs()]


def answer(model: Any, inputs: protocol.Arrays) -> protocol.Arrays:
    """Run the session, arrays in and out."""
    session, outputs = model
    answers = ort_session.run(ort, session, outputs, inputs)
    return values.flatten(zip(outputs, answers))


def time_operators(path: str, inputs: protocol.Arrays) -> Dict[str, float]:
    """Answer for a second at most, in a session of its own that writes a profile, and read it."""
    folder = tempfile.mkdtemp()
    try:
        session = _session(path, profile=os.path.join(folder, "profile"))
        call = functools.partial(answer, _named(session))
        fewest = operator_times.WARMUP + 3
        timing.sample(call, inputs, operator_times.WARMUP + 50, 0.2, 1.0, fewest)
        return operator_times.read(session.end_profiling())
    finally:
        shutil.rmtree(folder)


def _session(model, optimise=True, profile=""):
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if profile:
        options.enable_profiling = True
        options.profile_file_prefix = profile
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model, options, providers=providers)


def _device(session):
    return _DEVICES.get(session.get_providers()[0], session.get_providers()[0])


def _product_model(dtype):
    """Return the bytes of an ONNX model ``product = MatMul(a, b)``.

    Written by hand as protocol buffers, so that the image needs no ``onnx`` package. The numbers
    are the fields of ``onnx.proto``.
    """
    element = _ELEMENT_TYPES[dtype]
    node = _text(1, "a") + _text(1, "b") + _text(2, "product") + _text(4, "MatMul")
    graph = _field(1, node) + _text(2, "product")
    for number, name in ((11, "a"), (11, "b"), (12, "product")):
        shape = _field(2, _field(1, _text(2, name + "0")) + _field(1, _text(2, name + "1")))
        tensor = _field(1, _number(1, element) + shape)
        graph += _field(number, _text(1, name) + _field(2, tensor))
    return _number(1, 8) + _field(7, graph) + _field(8, _number(2, 13))  # IR 8, opset 13


def _number(field, value):
    return struct.pack("BB", field << 3, value)


def _field(field, content):
    size = len(content)
    length = [size] if size < 128 else [size & 127 | 128, size >> 7]
    return bytes([field << 3 | 2] + length) + content


def _text(field, text):
    return _field(field, text.encode())
