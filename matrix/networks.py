"""The neutral descriptions of the networks: the one source for every framework and for gold.

A network is a row of named layers, as JSON. Its output is logits (N, classes); its loss is the
mean softmax cross entropy. Images are (N, C, H, W), sequences (N, T, D).

=========  ==========================================  ==========================================
kind       settings                                    parameters
=========  ==========================================  ==========================================
conv2d     filters, kernel [kh, kw], stride,           kernel (O, I, kh, kw), bias (O)
           padding "same" (stride 1 only) or "valid"
relu
maxpool2d  size [h, w]; also its stride, no padding
flatten    from C, H, W order
dense      units                                       kernel (out, in), bias (out)
lstm       units, return_sequences; zero initial       kernel (4H, D), recurrent (4H, H),
           state                                       bias (4H); gates i, f, g, o
=========  ==========================================  ==========================================

In "same" padding the odd row goes to the end: (k - 1) // 2 before, the rest after.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

Layer = dict[str, Any]
Shape = tuple[int, ...]
Weights = Mapping[str, NDArray[np.floating]]


class Network(TypedDict):
    """A neutral description: ``input`` is the shape of one example."""

    name: str
    input: list[int]
    classes: int
    layers: list[Layer]


def _convolution(name: str, filters: int) -> Layer:
    return {
        "name": name,
        "kind": "conv2d",
        "filters": filters,
        "kernel": [3, 3],
        "padding": "same",
        "stride": 1,
    }


def _networks(*networks: Network) -> dict[str, Network]:
    return {network["name"]: network for network in networks}


NETWORKS = _networks(
    {
        "name": "digits-conv",
        "input": [1, 8, 8],
        "classes": 10,
        "layers": [
            _convolution("conv1", 16),
            {"name": "relu1", "kind": "relu"},
            {"name": "pool1", "kind": "maxpool2d", "size": [2, 2]},
            _convolution("conv2", 32),
            {"name": "relu2", "kind": "relu"},
            {"name": "pool2", "kind": "maxpool2d", "size": [2, 2]},
            {"name": "flatten", "kind": "flatten"},
            {"name": "output", "kind": "dense", "units": 10},
        ],
    },
    {
        "name": "digits-lstm",  # reads the image row by row: 8 steps of 8 pixels
        "input": [8, 8],
        "classes": 10,
        "layers": [
            {"name": "lstm", "kind": "lstm", "units": 48, "return_sequences": False},
            {"name": "output", "kind": "dense", "units": 10},
        ],
    },
)


def same_padding(kernel: int) -> tuple[int, int]:
    """Return how many zeros "same" puts before and after a side of a kernel's size."""
    return (kernel - 1) // 2, kernel // 2


def shapes(network: Network) -> Iterator[tuple[Layer, Shape, Shape]]:
    """Yield every layer with the shapes of one example before and after it.

    Raises:
        ValueError: a layer does not fit its input, or the output is not (classes,).
    """
    shape: Shape = tuple(network["input"])
    for layer in network["layers"]:
        after = _output_shape(layer, shape)
        yield layer, shape, after
        shape = after
    if shape != (network["classes"],):
        raise ValueError(f"{network['name']} ends in {shape}, not ({network['classes']},)")


def _output_shape(layer: Layer, shape: Shape) -> Shape:
    match layer["kind"], shape:
        case "relu", _:
            return shape
        case "flatten", _:
            return (math.prod(shape),)
        case "dense", (_,):
            return (layer["units"],)
        case "lstm", (steps, _):
            return (steps, layer["units"]) if layer["return_sequences"] else (layer["units"],)
        case "maxpool2d", (channels, height, width):
            rows, columns = layer["size"]
            return (channels, height // rows, width // columns)
        case "conv2d", (_, height, width):
            return (layer["filters"], *_convolved(layer, height, width))
    raise ValueError(f"layer {layer['name']} ({layer['kind']}) cannot follow the shape {shape}")


def _convolved(layer: Layer, height: int, width: int) -> Shape:
    stride, kernel = layer["stride"], layer["kernel"]
    if layer["padding"] == "valid":
        return ((height - kernel[0]) // stride + 1, (width - kernel[1]) // stride + 1)
    if layer["padding"] == "same" and stride == 1:
        return (height, width)
    raise ValueError(
        f"layer {layer['name']}: padding {layer['padding']} with stride {stride}; "
        "frameworks agree on 'valid', and on 'same' with stride 1"
    )


def parameters(network: Network) -> dict[str, Shape]:
    """Return the shape of every parameter by neutral name, ``<layer>.<parameter>``."""
    found: dict[str, Shape] = {}
    for layer, shape, _ in shapes(network):
        for name, parameter in _parameters(layer, shape).items():
            found[f"{layer['name']}.{name}"] = parameter
    return found


def _parameters(layer: Layer, shape: Shape) -> dict[str, Shape]:
    match layer["kind"]:
        case "conv2d":
            filters = layer["filters"]
            return {"kernel": (filters, shape[0], *layer["kernel"]), "bias": (filters,)}
        case "dense":
            return {"kernel": (layer["units"], shape[0]), "bias": (layer["units"],)}
        case "lstm":
            units = layer["units"]
            gates = 4 * units
            return {"kernel": (gates, shape[1]), "recurrent": (gates, units), "bias": (gates,)}
    return {}


def parameter_count(network: Network) -> int:
    """Return how many numbers training can change."""
    return sum(math.prod(shape) for shape in parameters(network).values())


def initial_weights(network: Network, seed: int) -> dict[str, NDArray[np.float32]]:
    """Return initial weights by neutral name, the same bytes for a seed on every machine.

    Kernels are uniform within +-sqrt(6 / fan in), biases zero but for an LSTM's forget gate,
    where they are one. Nothing here goes through LAPACK, whose answers differ by machine.
    """
    weights = {}
    for index, (name, shape) in enumerate(parameters(network).items()):
        if name.endswith(".bias"):
            values = np.zeros(shape)
            if name.removesuffix(".bias") + ".recurrent" in weights:
                units = shape[0] // 4
                values[units : 2 * units] = 1
        else:
            values = np.random.default_rng([seed, index]).random(shape) * 2 - 1
            values *= math.sqrt(6 / math.prod(shape[1:]))
        weights[name] = values.astype(np.float32)
    return weights
