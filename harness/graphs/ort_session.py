"""ONNX Runtime's sessions in Python: numpy's arrays in and out, bfloat16 among them.

The package gives and takes no bfloat16 as an array: its ``OrtValue`` does, by its bits.
"""

import ctypes
from typing import Any, List

import numpy

from harness.adapters import Arrays, match_names
from harness.graphs import values

BFLOAT16 = "tensor(bfloat16)"

_NUMBER = 16  # of bfloat16, in onnx.TensorProto.DataType
_BYTES = 2


#: The types of tensors that the package gives as arrays.
ARRAYS = frozenset(
    f"tensor({name})"
    for name in ("float", "double", "bool", "string", "bfloat16", "float16", "int8", "int16")
    + ("int32", "int64", "uint8", "uint16", "uint32", "uint64")
)


def without_array(session: Any) -> str:
    """Return which input or output of a session is a tensor that is no array, or nothing."""
    narrow = [
        f"{role} {value.name} of the type {value.type}"
        for role, tensors in (("input", session.get_inputs()), ("output", session.get_outputs()))
        for value in tensors
        if value.type.startswith("tensor(") and value.type not in ARRAYS
    ]
    return f"no arrays are passed to ONNX Runtime in Python for its {narrow[0]}" if narrow else ""


def run(package: Any, session: Any, names: List[str], inputs: Arrays) -> List[Any]:
    """Return what a session answers for the outputs *names*, in their order.

    An input of bfloat16 is rounded from float32; an output of bfloat16 becomes float32.

    Args:
        package: the module ``onnxruntime``.
        session: its session.
        names: of the outputs.
        inputs: arrays by name, sequences and maps in parts. Raises ValueError for other names.
    """
    declared = session.get_inputs()
    names_in = [value.name for value in declared]
    inputs = match_names(values.assemble(inputs, names_in), names_in)
    narrow = {value.name for value in declared if value.type == BFLOAT16}
    is_narrow = narrow or any(value.type == BFLOAT16 for value in session.get_outputs())
    if not is_narrow:
        answers: List[Any] = session.run(names, inputs)
        return answers
    make, typed = (
        package.OrtValue.ortvalue_from_numpy,
        package.OrtValue.ortvalue_from_numpy_with_onnx_type,
    )
    feed = {
        name: typed(values.as_bfloat16(x), _NUMBER) if name in narrow else make(x)
        for name, x in inputs.items()
    }
    return [_array(value) for value in session.run_with_ort_values(names, feed)]


def _array(value: Any) -> Any:
    if value.data_type() != BFLOAT16:
        return value.numpy()
    shape = value.shape()
    content = ctypes.string_at(value.data_ptr(), _BYTES * int(numpy.prod(shape, dtype="int64")))
    return values.from_bfloat16(numpy.frombuffer(content, "uint16").reshape(shape))
