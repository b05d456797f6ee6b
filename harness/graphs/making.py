"""Inputs for a graph: given ones that fit, or made ones that it can be evaluated on."""

import difflib

import numpy

from harness.graphs import BadModel
from harness.phases import sample_inputs

#: Sizes of free sides that are tried: of the first one, as a rule the batch, and of the others.
TRIED = ((2, 64), (1, 32), (1, 48), (1, 96), (1, 128), (1, 224), (1, 320), (2, 16), (2, 8), (1, 1))


def declared(model, onnx):
    """Return name, dtype and sides, numbers or names, of every input.

    Raises BadModel where an input or an output is nothing that is served.
    """
    for value in model.graph.output:
        _dtype("output", value, onnx)
    held = {tensor.name for tensor in model.graph.initializer}
    return [
        {"name": value.name, "dtype": _dtype("input", value, onnx), "shape": _sides(value)}
        for value in model.graph.input
        if value.name not in held
    ]


def _dtype(what, value, onnx):
    """Return the name of the type of a tensor's elements; *what* it is, an input or an output."""
    if not value.type.HasField("tensor_type"):
        kind = (value.type.WhichOneof("value") or "none").replace("_type", "")
        raise BadModel(f"its {what} {value.name} is of the kind {kind}: only tensors are served")
    kind = value.type.tensor_type.elem_type
    try:
        dtype = str(onnx.helper.tensor_dtype_to_np_dtype(kind))
    except (KeyError, TypeError):
        raise BadModel(
            f"its {what} {value.name} has elements of the type {kind}: there is none"
        ) from None
    sample_inputs.check_kind(what, value.name, dtype)
    return dtype


def _sides(value):
    """Return the sides of a tensor; one that is free has a name, its own where it has none."""
    return [
        side.dim_value
        if side.HasField("dim_value") and side.dim_value >= 0
        else side.dim_param or f"{value.name}.{at}"
        for at, side in enumerate(value.type.tensor_type.shape.dim)
    ]


def check(given, entries):
    """Return given inputs by the model's names and in its order. Raises BadModel."""
    names = [entry["name"] for entry in entries]
    if len(given) != len(names):
        raise BadModel(f"{len(given)} inputs are given, it has {len(names)}: {', '.join(names)}")
    if set(given) != set(names) and len(names) > 1:
        odd = sorted(set(given) - set(names))[0]
        near = difflib.get_close_matches(odd, names, n=1)
        meant = f"; did you mean '{near[0]}'?" if near else f"; it has {', '.join(names)}"
        raise BadModel(f"it has no input '{odd}'{meant}")
    values = given if set(given) == set(names) else dict(zip(names, given.values()))
    for entry in entries:
        _check_one(values[entry["name"]], entry)
    return {name: values[name] for name in names}


def _check_one(value, entry):
    if str(value.dtype) != entry["dtype"]:
        raise BadModel(f"the input {entry['name']} is {value.dtype}, it wants {entry['dtype']}")
    sides = entry["shape"]
    fits = len(sides) == value.ndim and all(
        isinstance(side, str) or side == size for side, size in zip(sides, value.shape)
    )
    if not fits:
        wanted = ", ".join(map(str, sides))
        raise BadModel(f"the input {entry['name']} has the shape {value.shape}, not ({wanted})")


def made(entries, seed, evaluate):
    """Return (inputs, what they are answered with) for the first free sides that it can be.

    Raises BadModel where there are none, with the evaluator's last word.
    """
    free = any(isinstance(side, str) for entry in entries for side in entry["shape"])
    for first, others in TRIED if free else TRIED[:1]:
        sizes = _sizes(entries, first, others)
        sized = [dict(one, shape=[sizes[side] for side in one["shape"]]) for one in entries]
        try:
            inputs = sample_inputs.sized(sized, seed)
            return inputs, evaluate(inputs)
        except Exception as error:  # the evaluator raises what it likes
            last = str(error).strip().splitlines()[-1] if str(error).strip() else repr(error)
    raise BadModel(f"it cannot be evaluated on inputs that were made: give --inputs ({last[:200]})")


def _sizes(entries, first, others):
    """Return the size of every side, a number or a name: a name has one size wherever it is.

    One that begins a shape is the batch, unless another input has it elsewhere before.
    """
    sizes = {}
    for entry in entries:
        for at, side in enumerate(entry["shape"]):
            free = first if at == 0 else others
            sizes.setdefault(side, free if isinstance(side, str) else side)
    return sizes


def as_float64(inputs):
    """Return inputs whose floats have 64 bits."""
    return {
        name: numpy.asarray(x, "float64") if x.dtype.kind == "f" else x
        for name, x in inputs.items()
    }
