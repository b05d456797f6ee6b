"""Initial weights of networks. Apart from their descriptions, which need no numpy."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from deepmatrix.workloads.networks.description import Layer, Network, Shape, parameters

Weights = Mapping[str, NDArray[np.floating]]


def initial_weights(network: Network, seed: int) -> dict[str, NDArray[np.float32]]:
    """Return initial weights by neutral name, the same bytes for a seed on every machine.

    Kernels are uniform within +-sqrt(6 / fan in), embeddings within +-1, biases zero but for an
    LSTM's forget gate, where they are one; scales are one. Nothing here goes through LAPACK, whose
    answers differ by machine.
    """
    layers = {layer["name"]: layer for layer in network["layers"]}
    return {
        name: _initial(layers[name.split(".")[0]], name, shape, [seed, index]).astype(np.float32)
        for index, (name, shape) in enumerate(parameters(network).items())
    }


def _initial(layer: Layer, name: str, shape: Shape, seed: list[int]) -> NDArray[np.float64]:
    kind = layer["kind"]
    if name.endswith((".scale", "bias", ".offset")):
        values = np.full(shape, 1.0 if name.endswith(".scale") else 0.0)
        if kind == "lstm" and name.endswith("bias"):
            values[layer["units"] : 2 * layer["units"]] = 1
        return values
    if layer.get("initial") == "zero":
        return np.zeros(shape)
    fan_in = math.prod(shape[1:]) if kind != "position" else 600  # small beside the inputs
    if layer.get("initial") == "one_hot":
        fan_in = 6  # within +-1: smaller steps of a network are normalized with more rounding
    return (np.random.default_rng(seed).random(shape) * 2 - 1) * math.sqrt(6 / fan_in)
