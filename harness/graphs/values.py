"""Values as named arrays: text, sequences and maps are stored, sent and compared as arrays.

What a model takes and answers need not be an array. Here it becomes arrays, so that nothing else is
stored, and becomes what the model takes again:

- text is an array of numpy's dtype ``U``;
- a sequence ``y`` is ``y.0``, ``y.1``, ...;
- a map ``y`` is ``y.keys``, sorted, and ``y.values``, in the order of the keys;
- a sequence of N maps with the same K keys, as ZipMap gives, is ``y.keys`` (K,) and ``y.values``
  (N, K);
- an optional without a value is not an array;
- a dtype that numpy lacks, as bfloat16, is a wider one: see `rounded`.

Runtimes in other languages do the same: see ``harness/PROTOCOL.md``.
"""

from typing import Any, Dict, Iterable, List, Mapping, Tuple

import numpy

from harness.graphs import BadModel
from harness.record import SMALLEST_SCALE

#: The dtype of text by name, as inputs are described.
TEXT = "str"

#: A dtype that inputs can have and numpy lacks: the upper half of a float32.
BFLOAT16 = "bfloat16"

KEYS, VALUES = "keys", "values"

#: How the names of dtypes begin that numpy lacks, and what holds all their values.
_WIDER = {
    "bfloat16": "float32",
    "float8": "float32",
    "float4": "float32",
    "int4": "int8",
    "int2": "int8",
    "uint4": "uint8",
    "uint2": "uint8",
}


def flatten(answers: Iterable[Tuple[str, Any]]) -> "Dict[str, numpy.ndarray]":
    """Return the arrays of a model's answers by name, in their order.

    Raises BadModel where two arrays have the same name.
    """
    arrays: Dict[str, numpy.ndarray] = {}
    outputs: Dict[str, str] = {}
    for answer_name, answer in answers:
        for name, array in _parts(answer_name, answer):
            if name in arrays and outputs[name] == answer_name:
                raise BadModel(
                    "it lists the output '{}' twice: list it once, and export it again".format(
                        answer_name
                    )
                )
            if name in arrays:
                raise BadModel(
                    "its outputs '{}' and '{}' both have a part called '{}': rename one of them, "
                    "and export it again".format(outputs[name], answer_name, name)
                )
            arrays[name], outputs[name] = array, answer_name
    return arrays


def _parts(name: str, value: Any) -> "List[Tuple[str, numpy.ndarray]]":
    if isinstance(value, numpy.ndarray):
        return [(name, as_array(value))]
    if value is None:
        return []
    if isinstance(value, Mapping):
        keys = sorted(value)
        return _keyed(name, keys, [value[key] for key in keys])
    if not isinstance(value, (list, tuple)):
        return [(name, as_array(value))]
    if value and all(isinstance(element, Mapping) for element in value):
        keys = sorted(value[0])
        if all(sorted(element) == keys for element in value):
            return _keyed(name, keys, [[element[key] for key in keys] for element in value])
    return [
        named
        for number, element in enumerate(value)
        for named in _parts(part(name, number), element)
    ]


def part(name: str, label: Any) -> str:
    """Return the name of a part of a value."""
    return "{}.{}".format(name, label)


def assemble(arrays: "Mapping[str, numpy.ndarray]", names: Iterable[str]) -> Dict[str, Any]:
    """Return inputs as a model takes them, from arrays as `flatten` names them.

    A sequence becomes a list, a map a dict of its keys. Arrays that are parts of none of *names*
    stay as they are.
    """
    rest: Dict[str, Any] = dict(arrays)
    for name in names:
        value = _take(name, rest)
        if value is not None:
            rest[name] = value
    return rest


def _take(name: str, rest: Dict[str, Any]) -> Any:
    """Take the parts of a value out of *rest* and return the value, or None where it has none."""
    if name in rest:
        return rest.pop(name)
    if part(name, KEYS) in rest and part(name, VALUES) in rest:
        keys, held = rest.pop(part(name, KEYS)), rest.pop(part(name, VALUES))
        return dict(zip(keys.tolist(), held.tolist()))
    elements: List[Any] = []
    while any(other.startswith(part(name, "")) for other in rest):
        element = _take(part(name, len(elements)), rest)
        if element is None:
            break
        elements.append(element)
    return elements or None


def _keyed(name: str, keys: List[Any], values: List[Any]) -> "List[Tuple[str, numpy.ndarray]]":
    return [
        (part(name, KEYS), _plain(keys)),
        (part(name, VALUES), _plain(values)),
    ]


def _plain(numbers: List[Any]) -> "numpy.ndarray":
    """Return an array of what a map holds.

    ONNX Runtime gives the float32 of a map as Python's floats; float64 comes as numpy's.
    """
    first: Any = numbers
    while isinstance(first, list) and first:
        first = first[0]
    is_plain = isinstance(first, float) and not isinstance(first, numpy.generic)
    return as_array(numpy.array(numbers, "float32" if is_plain else None))


def as_array(value: Any) -> "numpy.ndarray":
    """Return an array or a scalar as an array of what numpy itself has.

    Text becomes the dtype ``U``; floats of 16 bits and less that numpy lacks, such as bfloat16,
    become float32, integers of less than 8 bits int8 or uint8: no value changes.
    """
    array = numpy.asarray(value)
    wider = wider_dtype(array.dtype.name)
    if wider:
        return array.astype(wider)
    if array.dtype.kind not in "OS":
        return array
    texts = [x.decode("utf-8", "replace") if isinstance(x, bytes) else x for x in array.ravel()]
    if not all(isinstance(text, str) for text in texts):
        return array
    return numpy.array(texts, "U").reshape(array.shape)


def wider_dtype(name: str) -> str:
    """Return the dtype in which an array is stored whose own dtype numpy lacks, else nothing."""
    return next((wider for start, wider in _WIDER.items() if name.startswith(start)), "")


def is_float(dtype: "numpy.dtype[Any]") -> bool:
    """Return whether a dtype is of floats: numpy's own, or such as bfloat16, which numpy lacks."""
    return dtype.kind == "f" or wider_dtype(dtype.name).startswith("float")


def epsilon(dtype: "numpy.dtype[Any]") -> float:
    """Return how far the next float of a dtype is from 1."""
    if dtype.kind == "f":
        return float(numpy.finfo(dtype).eps)
    import ml_dtypes

    finfo: Any = ml_dtypes.finfo
    return float(finfo(dtype).eps)


def carrier(name: str) -> "numpy.dtype[Any]":
    """Return the dtype of the arrays that carry values of a dtype, which numpy may lack."""
    return numpy.dtype(wider_dtype(name) or name)


def rounded(array: "numpy.ndarray", name: str) -> "numpy.ndarray":
    """Return what an input of the dtype *name* makes of values in its `carrier`.

    They are rounded half to even as a cast does; integers of less than 8 bits wrap around.
    """
    if array.dtype != wider_dtype(name):
        return array
    if name == BFLOAT16:
        return from_bfloat16(as_bfloat16(array))
    return array.astype(narrow_dtype(name)).astype(array.dtype)


def narrow_dtype(name: str) -> "numpy.dtype[Any]":
    """Return a dtype that numpy itself lacks. It needs the package ml_dtypes, as onnx does."""
    import ml_dtypes

    dtype: numpy.dtype[Any] = numpy.dtype(getattr(ml_dtypes, name))
    return dtype


def as_bfloat16(array: "numpy.ndarray") -> "numpy.ndarray":
    """Return float32 as bfloat16, rounded half to even: its bits, as uint16."""
    bits = numpy.ascontiguousarray(array, "float32").view("uint32").reshape(array.shape)
    upper = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    return numpy.where(numpy.isnan(array), bits >> 16 | 0x40, upper).astype("uint16")


def from_bfloat16(bits: "numpy.ndarray") -> "numpy.ndarray":
    """Return the float32 of the bits of bfloat16, exactly."""
    return (bits.astype("uint32") << 16).view("float32")


def dtype_name(array: "numpy.ndarray") -> str:
    """Return the dtype of an array by name; text has one name, however long it is."""
    return TEXT if array.dtype.kind == "U" else str(array.dtype)


def scale_of(array: "numpy.ndarray") -> float:
    """Return the scale of errors: the largest absolute finite value, at least SMALLEST_SCALE."""
    # As float64: -128 has no opposite in int8.
    finite = numpy.abs(array[numpy.isfinite(array)].astype("float64"))
    return max(float(finite.max(initial=0.0)), SMALLEST_SCALE)
