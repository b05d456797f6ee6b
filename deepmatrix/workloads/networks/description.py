"""The neutral description of a network: named layers, each a kind with settings and inputs.

A layer reads the layers named in ``inputs``; without any, the layer before it, and the first layer
the network's ``input``. The last layer gives the logits, (N, classes) or, for sequences,
(N, T, classes); the loss is the mean softmax cross entropy over all of them. Images are
(N, C, H, W), video (N, C, D, H, W), signals (N, C, L), sequences (N, T, D).

====================  ==========================================  ==============================
kind                  settings                                    parameters
====================  ==========================================  ==============================
conv                  filters, kernel, stride (one a dimension),  kernel (O, I, *kernel), bias (O)
                      padding ([before, after] for each; zeros)
max_pool              size, stride, padding, which never wins
global_average_pool   (N, C, ...) -> (N, C)
lrn                   size, alpha, beta, k: over channels
relu, tanh
flatten               from C, H, W order
dense                 units; on the last axis                     kernel (out, in), bias (out)
rnn                   units, return_sequences, bidirectional      kernel (H, D), recurrent (H, H),
                                                                  bias (H)
lstm                  the same; gates i, f, g, o                  the same with 4H rows
gru                   the same; gates r, z, n; reset after the    the same with 3H rows, and
                      product: n = tanh(Wx + b + r (Uh + c));     recurrent_bias (3H), c
                      a second input (N, S, H) gives, in its
                      last step, the initial state
concat                axis (the batch is 0)
add
attention             inputs query, memory: softmax(q m' / sqrt(D)) m
multihead_attention   heads; of a sequence with itself; causal:   query_kernel, key_kernel,
                      a step sees only itself and those before    value_kernel, output_kernel
                                                                  (out, in); query_bias, ...
layer_norm            epsilon; on the last axis, biased variance  scale (D), offset (D)
position              adds its table                              table (T, D)
slice                 axis, start, stop
mean                  (N, T, D) -> (N, D)
====================  ==========================================  ==============================

A bidirectional layer has every parameter a second time with the prefix ``backward_``; its outputs
are joined on the last axis, forward first. Initial states are zero where no second input gives
them: a GRU's whole state is its output, an LSTM's is not. ``initial: zero`` lets a
layer's kernel start at zero, ``initial: one_hot`` within +-1, for an input of which one number is
one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NotRequired, TypedDict

Layer = dict[str, Any]
Shape = tuple[int, ...]

#: Rows of a recurrent layer's matrices, in units.
GATES = {"rnn": 1, "lstm": 4, "gru": 3}
ATTENTION_PARTS = ("query", "key", "value", "output")


class Network(TypedDict):
    """A neutral description: ``input`` is the shape of one example."""

    name: str
    input: list[int]
    classes: int
    layers: list[Layer]
    task: NotRequired[str]


def inputs_of(network: Network) -> Iterator[tuple[Layer, tuple[str, ...]]]:
    """Yield every layer with the names of the layers it reads.

    Raises:
        ValueError: a layer reads one that is not before it, or two layers have one name.
    """
    known = {"input"}
    before = "input"
    for layer in network["layers"]:
        names = tuple(layer.get("inputs", (before,)))
        for name in names:
            if name not in known:
                raise ValueError(f"layer {layer['name']} reads '{name}', which is not before it")
        if layer["name"] in known:
            raise ValueError(f"two layers are named '{layer['name']}'")
        known.add(layer["name"])
        before = layer["name"]
        yield layer, names


def shapes(network: Network) -> Iterator[tuple[Layer, tuple[Shape, ...], Shape]]:
    """Yield every layer with the shapes of its inputs and its output, for one example.

    Raises:
        ValueError: a layer does not fit its inputs, or the last one does not give classes.
    """
    shapes_by_name: dict[str, Shape] = {"input": tuple(network["input"])}
    output_shape = shapes_by_name["input"]
    for layer, names in inputs_of(network):
        input_shapes = tuple(shapes_by_name[name] for name in names)
        output_shape = _output_shape(layer, input_shapes)
        shapes_by_name[layer["name"]] = output_shape
        yield layer, input_shapes, output_shape
    if output_shape[-1:] != (network["classes"],) or len(output_shape) > 2:
        raise ValueError(
            f"{network['name']} ends in {output_shape}, not in {network['classes']} classes"
        )


def _output_shape(layer: Layer, before: tuple[Shape, ...]) -> Shape:  # noqa: PLR0912
    match layer["kind"], before:
        case "relu" | "tanh" | "lrn" | "layer_norm" | "position", (shape,):
            return shape
        case "flatten", (shape,):
            return (math.prod(shape),)
        case "dense", ((*outer, _),):
            return (*outer, layer["units"])
        case "rnn" | "lstm" | "gru", ((steps, _),):
            units = layer["units"] * (2 if layer.get("bidirectional") else 1)
            return (steps, units) if layer["return_sequences"] else (units,)
        case "gru", ((steps, _), (_, units)) if _continues(layer, units):
            return (steps, units)
        case "conv", ((_, *dims),) if len(dims) == len(layer["kernel"]):
            return (layer["filters"], *_dims(layer, layer["kernel"], dims))
        case "max_pool", ((channels, *dims),) if len(dims) == len(layer["size"]):
            return (channels, *_dims(layer, layer["size"], dims))
        case "global_average_pool", ((channels, *dims),) if dims:
            return (channels,)
        case "concat", shapes if _joinable(shapes, layer["axis"] - 1):
            axis = layer["axis"] - 1
            first = shapes[0]
            joined = sum(shape[axis] for shape in shapes)
            return (*first[:axis], joined, *first[axis + 1 :])
        case "add", (one, other) if one == other:
            return one
        case "attention", ((steps, width), (_, other)) if width == other:
            return (steps, width)
        case "multihead_attention", ((steps, width),) if width % layer["heads"] == 0:
            return (steps, width)
        case "mean", ((_, width),):
            return (width,)
        case "slice", (shape,) if 0 <= layer["start"] < layer["stop"] <= shape[layer["axis"] - 1]:
            axis = layer["axis"] - 1
            return (*shape[:axis], layer["stop"] - layer["start"], *shape[axis + 1 :])
    raise ValueError(f"layer {layer['name']} ({layer['kind']}) cannot follow {before}")


def _continues(layer: Layer, width: int) -> bool:
    """Return whether a recurrent layer can start from the outputs of one of this width."""
    both_ways = layer.get("bidirectional", False)
    return width == layer["units"] and layer["return_sequences"] and not both_ways


def _joinable(shapes: Sequence[Shape], axis: int) -> bool:
    other_axes = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    return len(shapes) > 1 and len(other_axes) == 1 and all(axis < len(shape) for shape in shapes)


def _dims(layer: Layer, window: Sequence[int], dims: Sequence[int]) -> Shape:
    output_dims = tuple(
        (dim + sum(padding) - size) // stride + 1
        for dim, size, stride, padding in zip(
            dims, window, layer["stride"], layer["padding"], strict=True
        )
    )
    if min(output_dims) < 1:
        raise ValueError(f"layer {layer['name']} ({layer['kind']}) is larger than its input")
    return output_dims


def parameters(network: Network) -> dict[str, Shape]:
    """Return the shape of every parameter by neutral name, ``<layer>.<parameter>``."""
    return {
        f"{layer['name']}.{name}": shape
        for layer, before, _ in shapes(network)
        for name, shape in _parameters(layer, before[0]).items()
    }


def _parameters(layer: Layer, before: Shape) -> dict[str, Shape]:
    kind, width = layer["kind"], before[-1]
    if kind == "conv":
        filters = layer["filters"]
        return {"kernel": (filters, before[0], *layer["kernel"]), "bias": (filters,)}
    if kind == "dense":
        return {"kernel": (layer["units"], width), "bias": (layer["units"],)}
    if kind in GATES:
        return _recurrent(layer, width)
    if kind == "multihead_attention":
        kernels = {f"{part}_kernel": (width, width) for part in ATTENTION_PARTS}
        return {**kernels, **{f"{part}_bias": (width,) for part in ATTENTION_PARTS}}
    if kind == "layer_norm":
        return {"scale": (width,), "offset": (width,)}
    return {"table": before} if kind == "position" else {}


def _recurrent(layer: Layer, width: int) -> dict[str, Shape]:
    units, rows = layer["units"], GATES[layer["kind"]] * layer["units"]
    own = {"kernel": (rows, width), "recurrent": (rows, units), "bias": (rows,)}
    if layer["kind"] == "gru":
        own["recurrent_bias"] = (rows,)
    if not layer.get("bidirectional"):
        return own
    return {**own, **{f"backward_{name}": shape for name, shape in own.items()}}


def cache_shapes(network: Network, rows: int, steps: int) -> list[Shape]:
    """Return the shapes of the keys and of the values of every attention, over some steps."""
    attentions = [
        (layer["heads"], before[0][-1] // layer["heads"])
        for layer, before, _ in shapes(network)
        if layer["kind"] == "multihead_attention"
    ]
    return [(rows, heads, steps, width) for heads, width in attentions for _ in ("key", "value")]


def parameter_count(network: Network) -> int:
    """Return how many numbers training can change."""
    return sum(math.prod(shape) for shape in parameters(network).values())


def flops(network: Network) -> int:
    """Return the floating-point operations of one example's forward pass.

    A multiplication and an addition count as two. Only products with a kernel, and those of
    attention, are counted: everything else is less than 1 % of these networks.
    """
    return sum(_flops(layer, before, after) for layer, before, after in shapes(network))


def training_flops(network: Network) -> int:
    """Return the floating-point operations of one example forward and backward.

    Each product of the forward pass needs two in the backward pass, for the gradients of its
    kernel and of its input; the latter is not needed where no trained layer lies before it.
    """
    trained: set[str] = set()
    spared = 0
    for (layer, before, after), (_, names) in zip(shapes(network), inputs_of(network), strict=True):
        own = _parameters(layer, before[0])
        if trained.isdisjoint(names) and layer["kind"] in {"conv", "dense"}:
            spared += _flops(layer, before, after)
        elif trained.isdisjoint(names) and layer["kind"] in GATES:
            read = sum(math.prod(shape) for name, shape in own.items() if name.endswith("kernel"))
            spared += 2 * read * before[0][0]
        if own or not trained.isdisjoint(names):
            trained.add(layer["name"])
    return 3 * flops(network) - spared


def _flops(layer: Layer, before: tuple[Shape, ...], after: Shape) -> int:
    kind = layer["kind"]
    if kind == "attention":
        return 4 * math.prod(after) * before[1][0]
    own = _parameters(layer, before[0])
    products = sum(math.prod(shape) for name, shape in own.items() if len(shape) > 1)
    if kind == "conv":
        return 2 * products * math.prod(after[1:])
    if kind in GATES or kind == "multihead_attention":
        steps, width = before[0]
        scores = 4 * steps * steps * width if kind == "multihead_attention" else 0
        return 2 * products * steps + scores
    return 2 * products * math.prod(after[:-1]) if kind == "dense" else 0
