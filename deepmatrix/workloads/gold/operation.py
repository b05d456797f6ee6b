"""What every layer at work has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from deepmatrix.workloads.networks import Layer

Array = NDArray[np.float64]
Parameters = dict[str, Array]


class Operation(ABC):
    """A layer at work: `forward` keeps what `backward` needs, for one batch."""

    def __init__(self, layer: Layer, own: Parameters) -> None:
        self.layer = layer
        self.own = own  # parameters by their short names
        self.gradients: Parameters = {}

    @abstractmethod
    def forward(self, *inputs: Array) -> Array:
        """Return the output of a batch."""

    @abstractmethod
    def backward(self, dy: Array) -> tuple[Array, ...]:
        """Take the output's gradient; set `gradients` and return that of each input."""


class Unary(Operation):
    """A layer with one input."""

    def forward(self, *inputs: Array) -> Array:
        """Return the output of a batch."""
        (x,) = inputs
        return self.apply(x)

    def backward(self, dy: Array) -> tuple[Array, ...]:
        """Return the input's gradient."""
        return (self.derive(dy),)

    @abstractmethod
    def apply(self, x: Array) -> Array:
        """Return the output of a batch."""

    @abstractmethod
    def derive(self, dy: Array) -> Array:
        """Take the output's gradient; set `gradients` and return the input's."""
