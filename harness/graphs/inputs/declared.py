"""What an ONNX model declares of its inputs: the arrays that they are made of.

A tensor is an array of its own name. A sequence and a map are several, named as
`harness.graphs.values` names parts; an optional is what it holds.
"""

import itertools
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional

from harness.adapters import Arrays
from harness.graphs import BadModel, values
from harness.graphs.inputs import sample_inputs
from harness.graphs.shapes import Dim, Entry, dim_name

#: So many elements a sequence gets where no user's inputs say how many it has.
SAMPLE_ELEMENTS = 2


def declared_inputs(
    model: Any, onnx: Any, user_ranks: Optional[Mapping[str, int]] = None
) -> List[Entry]:
    """Return name, dtype and shape of every array of the inputs; a dynamic dimension has a name.

    A part of a sequence or a map says of which input it is ``part_of``; keys are ``distinct``. What
    an optional holds is ``optional``.

    Raises BadModel where an input or an output has elements of a type that is not served, and where
    two inputs have a part of the same name.

    Args:
        model: the model.
        onnx: the package.
        user_ranks: how many dimensions a user's arrays have, by name. The names say how many
            elements a sequence has; an input that declares no shape has the number of dimensions.
    """
    for value in model.graph.output:
        if value.type.HasField("tensor_type"):
            _dtype("output", value.name, value.type.tensor_type.elem_type, onnx)
    initialised = {tensor.name for tensor in model.graph.initializer}
    own = [value for value in model.graph.input if value.name not in initialised]
    known = user_ranks or {}
    if len(own) == len(known) == 1:  # an array of any name is the only input
        known = {own[0].name: next(iter(known.values())), **known}
    names = set(known) - {value.name for value in own}
    entries: List[Entry] = []
    owners: Dict[str, str] = {}
    for value in own:
        for array in _arrays(value.name, value.type, names, onnx):
            if array.name in owners:
                raise BadModel(
                    f"its inputs '{owners[array.name]}' and '{value.name}' both have a part called "
                    f"'{array.name}': rename one of them, and export it again"
                )
            owners[array.name] = value.name
            dtype = _dtype("input", value.name, array.tensor.elem_type, onnx)
            entries.append(_entry(value.name, array, dtype, known))
    return entries


def ranks(inputs: Arrays) -> Dict[str, int]:
    """Return how many dimensions arrays have, by name."""
    return {name: x.ndim for name, x in inputs.items()}


def described(entries: List[Entry]) -> List[Entry]:
    """Return what a report says of inputs: name, dtype, and shape in texts."""
    return [
        {
            "name": entry["name"],
            "dtype": entry["dtype"],
            "shape": [str(dim) for dim in entry["shape"]],
        }
        for entry in entries
    ]


def _entry(owner: str, array: "_Array", dtype: str, known: Mapping[str, int]) -> Entry:
    dims = _dims(array.name, array.tensor, known)
    entry: Entry = {"name": array.name, "dtype": dtype, "shape": dims}
    if array.name != owner:
        entry["part_of"] = owner
    if array.is_optional:
        entry["optional"] = True
    return dict(entry, distinct=True) if array.are_keys else entry


class _Array(NamedTuple):
    """An array that an input is made of: its name, its type, and whether it holds a map's keys.

    *is_optional*: it is what an optional holds.
    """

    name: str
    tensor: Any
    are_keys: bool = False
    is_optional: bool = False


def _arrays(name: str, kind: Any, user_names: "set[str]", onnx: Any) -> Iterator[_Array]:
    field = kind.WhichOneof("value")
    if field == "tensor_type":
        yield _Array(name, kind.tensor_type)
    elif field == "optional_type":
        for array in _arrays(name, kind.optional_type.elem_type, user_names, onnx):
            yield array._replace(is_optional=True)
    elif field == "sequence_type":
        for number in range(_count(name, user_names)):
            element = values.part(name, number)
            yield from _arrays(element, kind.sequence_type.elem_type, user_names, onnx)
    elif field == "map_type" and kind.map_type.value_type.HasField("tensor_type"):
        held = kind.map_type.value_type.tensor_type.elem_type
        for part, element in ((values.KEYS, kind.map_type.key_type), (values.VALUES, held)):
            tensor = onnx.TypeProto.Tensor(elem_type=element)
            tensor.shape.dim.add(dim_param=values.part(name, "size"))
            yield _Array(values.part(name, part), tensor, part == values.KEYS)
    else:
        kind_name = (field or "none").replace("_type", "")
        raise BadModel(
            f"its input {name} is of the kind {kind_name}: tensors, sequences, maps and optionals "
            "of them are served"
        )


def _count(name: str, user_names: "set[str]") -> int:
    """Return how many elements a sequence has among a user's arrays; without them, a few."""
    start = len(name) + 1
    labels = {other[start:].split(".")[0] for other in user_names if other.startswith(name + ".")}
    count = next(number for number in itertools.count() if str(number) not in labels)
    return count or SAMPLE_ELEMENTS


def _dtype(role: str, name: str, kind: int, onnx: Any) -> str:
    """Return the dtype of a tensor by name; *role* is "input" or "output"."""
    if kind == onnx.TensorProto.STRING:
        return values.TEXT
    try:
        dtype = str(onnx.helper.tensor_dtype_to_np_dtype(kind))
    except (KeyError, TypeError):
        raise BadModel(
            f"its {role} {name} has elements of the type {kind}: there is none"
        ) from None
    sample_inputs.check_kind(role, name, dtype)
    return dtype


def _dims(name: str, tensor: Any, known: Mapping[str, int]) -> List[Dim]:
    """Return the dimensions of a tensor; a dynamic dimension without a name gets one of its own.

    Raises BadModel where nobody says how many it has.
    """
    if not tensor.HasField("shape"):
        if name not in known:
            raise BadModel(
                f"its input {name} declares no shape, not even a number of dimensions: state one "
                f"with --shape {name}=1x3x224x224, or give --inputs"
            )
        return [f"{name}.{axis}" for axis in range(known[name])]
    return [
        dim.dim_value
        if dim.HasField("dim_value") and dim.dim_value >= 0
        else dim_name(dim.dim_param) or f"{name}.{axis}"
        for axis, dim in enumerate(tensor.shape.dim)
    ]
