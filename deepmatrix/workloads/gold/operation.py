"""The base classes of all layers: forward and backward on one batch."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from deepmatrix.workloads.networks import Layer

Array = NDArray[np.float64]
Parameters = dict[str, Array]


class Operation(ABC):
    """A layer for one batch: `forward` saves the arrays that `backward` needs."""

    def __init__(self, layer: Layer, weights: Parameters) -> None:
        self.layer = layer
        self.weights = weights  # parameters by their short names
        self.gradients: Parameters = {}

    @abstractmethod
    def forward(self, *inputs: Array) -> Array:
        """Return the output of a batch."""

    @abstractmethod
    def backward(self, upstream: Array) -> tuple[Array, ...]:
        """Take the output's gradient; set `gradients` and return the gradient of each input."""


class Unary(Operation):
    """A layer with one input."""

    def forward(self, *inputs: Array) -> Array:
        """Return the output of a batch."""
        (x,) = inputs
        return self.apply(x)

    def backward(self, upstream: Array) -> tuple[Array, ...]:
        """Return the input's gradient."""
        return (self.derive(upstream),)

    @abstractmethod
    def apply(self, x: Array) -> Array:
        """Return the output of a batch."""

    @abstractmethod
    def derive(self, upstream: Array) -> Array:
        """Take the output's gradient; set `gradients` and return the input's."""
