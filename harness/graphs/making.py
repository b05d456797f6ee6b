"""Inputs for a graph: given ones that fit, or made ones that it can be evaluated on."""

import difflib

import numpy

from harness import making
from harness.graphs import BadModel

#: Sizes of free sides that are tried: of the first one, as a rule the batch, and of the others.
TRIED = ((2, 64), (1, 32), (1, 48), (1, 96), (1, 128), (1, 224), (1, 320), (2, 16), (2, 8), (1, 1))


def declared(model, onnx):
    """Return name, dtype and sides, numbers or names, of every input. Raises BadModel."""
    held = {tensor.name for tensor in model.graph.initializer}
    found = []
    for value in model.graph.input:
        if value.name in held:
            continue
        if not value.type.HasField("tensor_type"):
            kind = value.type.WhichOneof("value") or "nothing"
            raise BadModel(
                f"its input {value.name} is a {kind.replace('_type', '')}: only tensors are served"
            )
        kind = value.type.tensor_type.elem_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
        shape = [
            side.dim_value if side.HasField("dim_value") else side.dim_param or f"{value.name}.{at}"
            for at, side in enumerate(value.type.tensor_type.shape.dim)
        ]
        found.append({"name": value.name, "dtype": str(dtype), "shape": shape})
    return found


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
    if entry["dtype"] != "object" and str(value.dtype) != entry["dtype"]:
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
        sized = [dict(entry, shape=_sizes(entry["shape"], first, others)) for entry in entries]
        try:
            inputs = making.arrays(sized, seed)
        except ValueError as error:
            raise BadModel(str(error)) from None
        try:
            return inputs, evaluate(inputs)
        except Exception as error:  # the evaluator raises what it likes
            last = str(error).strip().splitlines()[-1] if str(error).strip() else repr(error)
    raise BadModel(f"it cannot be evaluated on inputs that were made: give --inputs ({last[:200]})")


def _sizes(shape, first, others):
    """Return sides as numbers: a first one that is free is the batch."""
    return [
        side if not isinstance(side, str) else first if at == 0 else others
        for at, side in enumerate(shape)
    ]


def as_float64(inputs):
    """Return inputs whose floats have 64 bits."""
    return {
        name: numpy.asarray(x, "float64") if x.dtype.kind == "f" else x
        for name, x in inputs.items()
    }
