"""Layers without state: elementwise, concatenation, slicing, averages; and the dense layer."""

from __future__ import annotations

import math

import numpy as np

from deepmatrix.workloads.gold.operation import Array, Operation, Unary


class Relu(Unary):
    """max(x, 0)."""

    def apply(self, x: Array) -> Array:
        """Return the output of a batch."""
        self.positive = x > 0
        return np.maximum(x, 0)

    def derive(self, upstream: Array) -> Array:
        """Return the input's gradient."""
        return upstream * self.positive


class Tanh(Unary):
    """tanh(x)."""

    def apply(self, x: Array) -> Array:
        """Return the output of a batch."""
        self.y: Array = np.tanh(x)
        return self.y

    def derive(self, upstream: Array) -> Array:
        """Return the input's gradient."""
        return upstream * (1 - self.y**2)


class Flatten(Unary):
    """(N, ...) -> (N, features), in row order."""

    def apply(self, x: Array) -> Array:
        """Return the output of a batch."""
        self.shape = x.shape
        return x.reshape(len(x), -1)

    def derive(self, upstream: Array) -> Array:
        """Return the input's gradient."""
        return upstream.reshape(self.shape)


class Dense(Unary):
    """(N, ..., in) -> (N, ..., out)."""

    def apply(self, x: Array) -> Array:
        """Return the output of a batch."""
        self.x = x
        return x @ self.weights["kernel"].T + self.weights["bias"]

    def derive(self, upstream: Array) -> Array:
        """Return the input's gradient."""
        self.gradients, dx = dense_gradients(
            self.x, upstream, self.weights["kernel"], "kernel", "bias"
        )
        return dx


def dense_gradients(
    x: Array, upstream: Array, kernel: Array, kernel_name: str, bias_name: str
) -> tuple[dict[str, Array], Array]:
    """Return the gradients by parameter of ``x @ kernel.T + bias``, and the input's."""
    flat_x, flat_upstream = x.reshape(-1, x.shape[-1]), upstream.reshape(-1, upstream.shape[-1])
    return {
        kernel_name: flat_upstream.T @ flat_x,
        bias_name: flat_upstream.sum(axis=0),
    }, upstream @ kernel


class Concat(Operation):
    """Concatenates its inputs along an axis."""

    def forward(self, *inputs: Array) -> Array:
        """Return the output of a batch."""
        axis = self.layer["axis"]
        self.ends = np.cumsum([x.shape[axis] for x in inputs])[:-1]
        return np.concatenate(inputs, axis=axis)

    def backward(self, upstream: Array) -> tuple[Array, ...]:
        """Return the gradient of each input."""
        return tuple(np.split(upstream, self.ends, axis=self.layer["axis"]))


class Add(Operation):
    """Adds its two inputs."""

    def forward(self, *inputs: Array) -> Array:
        """Return the output of a batch."""
        first, second = inputs
        return first + second

    def backward(self, upstream: Array) -> tuple[Array, ...]:
        """Return the gradient of each input."""
        return upstream, upstream


class Slice(Unary):
    """A part along an axis."""

    def apply(self, x: Array) -> Array:
        """Return the output of a batch."""
        self.shape = x.shape
        return x[self._part()]

    def derive(self, upstream: Array) -> Array:
        """Return the input's gradient."""
        dx = np.zeros(self.shape, upstream.dtype)
        dx[self._part()] = upstream
        return dx

    def _part(self) -> tuple[slice, ...]:
        leading = (slice(None),) * self.layer["axis"]
        return (*leading, slice(self.layer["start"], self.layer["stop"]))


class Mean(Unary):
    """(N, T, D) -> (N, D): the mean over time."""

    def apply(self, x: Array) -> Array:
        """Return the output of a batch."""
        self.shape = x.shape
        averaged: Array = x.mean(axis=1)
        return averaged

    def derive(self, upstream: Array) -> Array:
        """Return the input's gradient."""
        return np.broadcast_to(upstream[:, None] / self.shape[1], self.shape)


class GlobalAveragePool(Unary):
    """(N, C, ...) -> (N, C)."""

    def apply(self, x: Array) -> Array:
        """Return the output of a batch."""
        self.shape = x.shape
        averaged: Array = x.reshape(*x.shape[:2], -1).mean(axis=2)
        return averaged

    def derive(self, upstream: Array) -> Array:
        """Return the input's gradient."""
        dims = (1,) * (len(self.shape) - 2)
        share = upstream / math.prod(self.shape[2:])
        return np.broadcast_to(share.reshape(*upstream.shape, *dims), self.shape)


class Position(Unary):
    """Adds a learned table to every example."""

    def apply(self, x: Array) -> Array:
        """Return the output of a batch."""
        return x + self.weights["table"]

    def derive(self, upstream: Array) -> Array:
        """Return the input's gradient."""
        self.gradients = {"table": upstream.sum(axis=0)}
        return upstream


class LayerNorm(Unary):
    """Ba, Kiros and Hinton, "Layer normalization", 2016: over the last axis."""

    def apply(self, x: Array) -> Array:
        """Return the output of a batch."""
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = (centred**2).mean(axis=-1, keepdims=True)
        self.deviation: Array = np.sqrt(variance + self.layer["epsilon"])
        self.normal: Array = centred / self.deviation
        y: Array = self.normal * self.weights["scale"] + self.weights["offset"]
        return y

    def derive(self, upstream: Array) -> Array:
        """Return the input's gradient."""
        batch_axes = tuple(range(upstream.ndim - 1))
        self.gradients = {
            "scale": (upstream * self.normal).sum(axis=batch_axes),
            "offset": upstream.sum(axis=batch_axes),
        }
        dnormal = upstream * self.weights["scale"]
        projection: Array = self.normal * (dnormal * self.normal).mean(axis=-1, keepdims=True)
        dnormal_mean: Array = dnormal.mean(axis=-1, keepdims=True)
        dx: Array = (dnormal - dnormal_mean - projection) / self.deviation
        return dx
