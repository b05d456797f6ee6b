"""Inputs of an ONNX model: what it declares, the user's own checked, or sample inputs."""

import difflib
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple, Union

import numpy

from harness.adapters import Arrays
from harness.graphs import BadModel, sample_inputs, values
from harness.graphs.operators import NotEvaluated

#: Sizes of free sides in the order in which they are tried: of the first side of an input, as a
#: rule the batch, and of its other sides.
SIDE_SIZES = (
    (2, 64),
    (1, 32),
    (1, 48),
    (1, 96),
    (1, 128),
    (1, 224),
    (1, 320),
    (2, 16),
    (2, 8),
    (1, 1),
)

Side = Union[int, str]  # a size, or the name of a free side
Entry = Dict[str, Any]  # ``name``, ``dtype`` and ``shape``, a list of `Side`


def declared_inputs(model: Any, onnx: Any) -> List[Entry]:
    """Return the name, dtype and shape of every input; a free side has a name, not a size.

    Raises BadModel where an input is no tensor, or an input or an output has elements of a type
    that is not served.
    """
    for value in model.graph.output:
        if value.type.HasField("tensor_type"):
            _dtype("output", value, onnx)
    initialised = {tensor.name for tensor in model.graph.initializer}
    return [
        {"name": value.name, "dtype": _dtype("input", value, onnx), "shape": _sides(value)}
        for value in model.graph.input
        if value.name not in initialised
    ]


def _dtype(role: str, value: Any, onnx: Any) -> str:
    """Return the dtype of a tensor by name; *role* is "input" or "output"."""
    if not value.type.HasField("tensor_type"):
        kind = (value.type.WhichOneof("value") or "none").replace("_type", "")
        raise BadModel(
            f"its {role} {value.name} is of the kind {kind}: only tensors are served there"
        )
    kind = value.type.tensor_type.elem_type
    if kind == onnx.TensorProto.STRING:
        return values.TEXT
    try:
        dtype = str(onnx.helper.tensor_dtype_to_np_dtype(kind))
    except (KeyError, TypeError):
        raise BadModel(
            f"its {role} {value.name} has elements of the type {kind}: there is none"
        ) from None
    sample_inputs.check_kind(role, value.name, dtype)
    return dtype


def _sides(value: Any) -> List[Side]:
    """Return the sides of a tensor; a free side without a name gets one of its own."""
    return [
        side.dim_value
        if side.HasField("dim_value") and side.dim_value >= 0
        else side.dim_param or f"{value.name}.{axis}"
        for axis, side in enumerate(value.type.tensor_type.shape.dim)
    ]


def check_inputs(user_inputs: Arrays, entries: List[Entry]) -> Arrays:
    """Return the user's inputs by the model's names and in its order.

    Raises BadModel where the number, a name, a dtype or a shape does not match.
    """
    names = [entry["name"] for entry in entries]
    if len(user_inputs) != len(names):
        raise BadModel(
            f"{len(user_inputs)} inputs are given, it has {len(names)}: {', '.join(names)}"
        )
    if set(user_inputs) != set(names) and len(names) > 1:
        unknown = sorted(set(user_inputs) - set(names))[0]
        matches = difflib.get_close_matches(unknown, names, n=1)
        hint = f"; did you mean '{matches[0]}'?" if matches else f"; it has {', '.join(names)}"
        raise BadModel(f"it has no input '{unknown}'{hint}")
    same_names = set(user_inputs) == set(names)
    named = user_inputs if same_names else dict(zip(names, user_inputs.values()))
    for entry in entries:
        _check_array(named[entry["name"]], entry)
    return {name: named[name] for name in names}


def _check_array(array: "numpy.ndarray", entry: Entry) -> None:
    dtype = values.dtype_name(array)
    if dtype != entry["dtype"]:
        raise BadModel(f"the input {entry['name']} is {dtype}, it wants {entry['dtype']}")
    sides = entry["shape"]
    fits = len(sides) == array.ndim and all(
        isinstance(side, str) or side == size for side, size in zip(sides, array.shape)
    )
    if not fits:
        wanted = ", ".join(map(str, sides))
        raise BadModel(f"the input {entry['name']} has the shape {array.shape}, not ({wanted})")


class Sampled(NamedTuple):
    """Sample inputs, and what a model gave for them.

    *result* is None where nothing could evaluate it; *failure* then says why. *remark* says what
    sizes it does not take although it declares them.
    """

    inputs: Arrays
    result: Any
    failure: str = ""
    remark: str = ""


def evaluate_checked(
    user_inputs: Arrays, entries: List[Entry], evaluate: Callable[[Arrays], Any]
) -> Sampled:
    """Return the user's inputs, checked as `check_inputs` does, with what *evaluate* returns."""
    inputs = check_inputs(user_inputs, entries)
    try:
        return Sampled(inputs, evaluate(inputs))
    except NotEvaluated as error:
        return Sampled(inputs, None, failure=str(error))


def answered(
    user_inputs: Optional[Arrays],
    entries: List[Entry],
    seed: int,
    answer: Callable[[Arrays], Arrays],
) -> Tuple[Arrays, Arrays]:
    """Return inputs, the user's or samples, and what a runtime answers to them.

    Raises BadModel where it answers to no sample inputs, and its own error to the user's.
    """

    def evaluate(inputs: Arrays) -> Arrays:
        try:
            return answer(inputs)
        except Exception as error:  # a runtime may raise anything
            lines = str(error).strip().splitlines() or [repr(error)]
            raise NotEvaluated(lines[-1][:300]) from error

    if user_inputs is not None:
        inputs = check_inputs(user_inputs, entries)
        return inputs, answer(inputs)
    sampled = sample_and_evaluate(entries, seed, evaluate)
    if sampled.result is None:
        raise BadModel(f"it answers to no sample inputs: give --inputs ({sampled.failure})")
    return sampled.inputs, sampled.result


def sample_and_evaluate(
    entries: List[Entry], seed: int, evaluate: Callable[[Arrays], Any]
) -> Sampled:
    """Return sample inputs with what *evaluate* returns for them; it raises NotEvaluated.

    The free sides get the first of `SIDE_SIZES` with which the model can be evaluated, or the very
    first where there is none. Raises BadModel as `sample_inputs.sized` does.
    """
    free = any(isinstance(side, str) for entry in entries for side in entry["shape"])
    failures: List[str] = []
    for first_side, other_sides in SIDE_SIZES if free else SIDE_SIZES[:1]:
        inputs = _sample(entries, seed, first_side, other_sides)
        try:
            result = evaluate(inputs)
        except NotEvaluated as error:
            failures.append(str(error))
            continue
        remark = ""
        if failures and first_side == 1:
            remark = _refused_batch(entries, seed, other_sides, evaluate)
        return Sampled(inputs, result, remark=remark)
    return Sampled(_sample(entries, seed, *SIDE_SIZES[0]), None, failure=failures[0])


def _sample(entries: List[Entry], seed: int, first_side: int, other_sides: int) -> Arrays:
    sizes = _sizes(entries, first_side, other_sides)
    sized = [dict(entry, shape=[sizes[side] for side in entry["shape"]]) for entry in entries]
    return sample_inputs.sized(sized, seed)


def _refused_batch(
    entries: List[Entry], seed: int, other_sides: int, evaluate: Callable[[Arrays], Any]
) -> str:
    """Return why a model that declares a free batch does not take a batch of 2, or nothing."""
    try:
        evaluate(_sample(entries, seed, 2, other_sides))
    except NotEvaluated as error:
        return f"its first side is free, but it takes 1 only: with 2, {error}"
    return ""


def _sizes(entries: List[Entry], first_side: int, other_sides: int) -> Dict[Side, int]:
    """Return the size of every side, a number or a name: a name has one size wherever it is.

    A name that begins a shape is the batch, unless an earlier input has it at another place.
    """
    sizes: Dict[Side, int] = {}
    for entry in entries:
        for axis, side in enumerate(entry["shape"]):
            free = first_side if axis == 0 else other_sides
            sizes.setdefault(side, free if isinstance(side, str) else side)
    return sizes


def as_float64(inputs: Arrays) -> Arrays:
    """Return the inputs with every float array as float64."""
    return {
        name: numpy.asarray(x, "float64") if x.dtype.kind == "f" else x
        for name, x in inputs.items()
    }
