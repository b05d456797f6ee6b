"""Layers without memory: element by element, joined, cut, averaged; and the dense one."""

from __future__ import annotations

import numpy as np

from deepmatrix.workloads.gold.operation import Array, Operation, Unary


class Relu(Unary):
    """max(x, 0)."""

    def apply(self, x: Array) -> Array:
        """Return the output of a batch."""
        self.positive = x > 0
        return np.maximum(x, 0)

    def derive(self, dy: Array) -> Array:
        """Return the input's gradient."""
        return dy * self.positive


class Tanh(Unary):
    """tanh(x)."""

    def apply(self, x: Array) -> Array:
        """Return the output of a batch."""
        self.y: Array = np.tanh(x)
        return self.y

    def derive(self, dy: Array) -> Array:
        """Return the input's gradient."""
        return dy * (1 - self.y**2)


class Flatten(Unary):
    """(N, ...) -> (N, features), in row order."""

    def apply(self, x: Array) -> Array:
        """Return the output of a batch."""
        self.shape = x.shape
        return x.reshape(len(x), -1)

    def derive(self, dy: Array) -> Array:
        """Return the input's gradient."""
        return dy.reshape(self.shape)


class Dense(Unary):
    """(N, ..., in) -> (N, ..., out)."""

    def apply(self, x: Array) -> Array:
        """Return the output of a batch."""
        self.x = x
        return x @ self.own["kernel"].T + self.own["bias"]

    def derive(self, dy: Array) -> Array:
        """Return the input's gradient."""
        self.gradients, dx = dense_gradients(self.x, dy, self.own["kernel"], "kernel", "bias")
        return dx


def dense_gradients(
    x: Array, dy: Array, kernel: Array, kernel_name: str, bias_name: str
) -> tuple[dict[str, Array], Array]:
    """Return the gradients by parameter of ``x @ kernel.T + bias``, and the input's."""
    rows, sums = x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])
    return {kernel_name: sums.T @ rows, bias_name: sums.sum(axis=0)}, dy @ kernel


class Concat(Operation):
    """Joins along an axis."""

    def forward(self, *inputs: Array) -> Array:
        """Return the output of a batch."""
        axis = self.layer["axis"]
        self.ends = np.cumsum([x.shape[axis] for x in inputs])[:-1]
        return np.concatenate(inputs, axis=axis)

    def backward(self, dy: Array) -> tuple[Array, ...]:
        """Return the gradient of each input."""
        return tuple(np.split(dy, self.ends, axis=self.layer["axis"]))


class Add(Operation):
    """The sum of two."""

    def forward(self, *inputs: Array) -> Array:
        """Return the output of a batch."""
        one, other = inputs
        return one + other

    def backward(self, dy: Array) -> tuple[Array, ...]:
        """Return the gradient of each input."""
        return dy, dy


class Slice(Unary):
    """A part along an axis."""

    def apply(self, x: Array) -> Array:
        """Return the output of a batch."""
        self.shape = x.shape
        return x[self._part()]

    def derive(self, dy: Array) -> Array:
        """Return the input's gradient."""
        dx = np.zeros(self.shape)
        dx[self._part()] = dy
        return dx

    def _part(self) -> tuple[slice, ...]:
        before = (slice(None),) * self.layer["axis"]
        return (*before, slice(self.layer["start"], self.layer["stop"]))


class Mean(Unary):
    """(N, T, D) -> (N, D): over time."""

    def apply(self, x: Array) -> Array:
        """Return the output of a batch."""
        self.shape = x.shape
        averaged: Array = x.mean(axis=1)
        return averaged

    def derive(self, dy: Array) -> Array:
        """Return the input's gradient."""
        return np.broadcast_to(dy[:, None] / self.shape[1], self.shape)


class GlobalAveragePool(Unary):
    """(N, C, ...) -> (N, C)."""

    def apply(self, x: Array) -> Array:
        """Return the output of a batch."""
        self.shape = x.shape
        averaged: Array = x.reshape(*x.shape[:2], -1).mean(axis=2)
        return averaged

    def derive(self, dy: Array) -> Array:
        """Return the input's gradient."""
        sides = (1,) * (len(self.shape) - 2)
        share = dy / np.prod(self.shape[2:])
        return np.broadcast_to(share.reshape(*dy.shape, *sides), self.shape)


class Position(Unary):
    """Adds a learned table to every example."""

    def apply(self, x: Array) -> Array:
        """Return the output of a batch."""
        return x + self.own["table"]

    def derive(self, dy: Array) -> Array:
        """Return the input's gradient."""
        self.gradients = {"table": dy.sum(axis=0)}
        return dy


class LayerNorm(Unary):
    """Ba, Kiros and Hinton, "Layer normalization", 2016: of the last axis."""

    def apply(self, x: Array) -> Array:
        """Return the output of a batch."""
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = (centred**2).mean(axis=-1, keepdims=True)
        self.deviation: Array = np.sqrt(variance + self.layer["epsilon"])
        self.normal: Array = centred / self.deviation
        y: Array = self.normal * self.own["scale"] + self.own["offset"]
        return y

    def derive(self, dy: Array) -> Array:
        """Return the input's gradient."""
        outer = tuple(range(dy.ndim - 1))
        self.gradients = {
            "scale": (dy * self.normal).sum(axis=outer),
            "offset": dy.sum(axis=outer),
        }
        dnormal = dy * self.own["scale"]
        along: Array = self.normal * (dnormal * self.normal).mean(axis=-1, keepdims=True)
        mean: Array = dnormal.mean(axis=-1, keepdims=True)
        dx: Array = (dnormal - mean - along) / self.deviation
        return dx
