"""Attention: of one sequence over another, and of a sequence with itself in several heads."""

from __future__ import annotations

import math

import numpy as np

from deepmatrix.workloads.gold.elementary import dense_gradients
from deepmatrix.workloads.gold.operation import Array, Operation, Unary
from deepmatrix.workloads.networks.description import ATTENTION_PARTS


class _ScaledDotProduct:
    """softmax(q k' / sqrt(D)) v over the last two axes: Vaswani and others, 2017, section 3.2.1."""

    def forward(self, query: Array, key: Array, value: Array, *, causal: bool = False) -> Array:
        self.query, self.key, self.value = query, key, value
        self.scale = 1 / math.sqrt(query.shape[-1])
        scores = query @ key.swapaxes(-1, -2) * self.scale
        if causal:  # a weight of exactly zero, which passes no gradient
            scores = np.where(np.tri(*scores.shape[-2:]) > 0, scores, -np.inf)
        exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
        self.weights: Array = exponentials / exponentials.sum(axis=-1, keepdims=True)
        attended: Array = self.weights @ value
        return attended

    def backward(self, upstream: Array) -> tuple[Array, Array, Array]:
        dweights = upstream @ self.value.swapaxes(-1, -2)
        inner = (dweights * self.weights).sum(axis=-1, keepdims=True)
        dscores = self.weights * (dweights - inner) * self.scale
        return (
            dscores @ self.key,
            dscores.swapaxes(-1, -2) @ self.query,
            self.weights.swapaxes(-1, -2) @ upstream,
        )


class Attention(Operation):
    """(N, Tq, D) over (N, Tk, D) -> (N, Tq, D), without parameters."""

    def forward(self, *inputs: Array) -> Array:
        """Return the output of a batch."""
        query, memory = inputs
        self.scaled = _ScaledDotProduct()
        return self.scaled.forward(query, memory, memory)

    def backward(self, upstream: Array) -> tuple[Array, ...]:
        """Return the gradient of each input."""
        query, key, value = self.scaled.backward(upstream)
        return query, key + value


class MultiheadAttention(Unary):
    """(N, T, D) with itself -> (N, T, D): Vaswani and others, 2017, section 3.2.2.

    ``past``, where it is set before, replaces the keys and the values of the first steps, in
    (N, heads, steps, D / heads). ``present`` has those of all steps after.
    """

    past: tuple[Array, Array] | None = None

    def apply(self, x: Array) -> Array:
        """Return the output of a batch."""
        self.x = x
        parts = [self._heads(self._dense(x, part)) for part in ATTENTION_PARTS[:3]]
        for part, past in zip(parts[1:], self.past or (), strict=False):
            part[:, :, : past.shape[2]] = past
        self.present = (parts[1], parts[2])
        self.scaled = _ScaledDotProduct()
        causal = self.layer.get("causal", False)
        self.joined = self._join(self.scaled.forward(*parts, causal=causal))
        return self._dense(self.joined, "output")

    def derive(self, upstream: Array) -> Array:
        """Return the input's gradient."""
        djoined = self._dense_backward(self.joined, upstream, "output")
        parts = self.scaled.backward(self._heads(djoined))
        return sum(
            (
                self._dense_backward(self.x, self._join(part), name)
                for name, part in zip(ATTENTION_PARTS[:3], parts, strict=True)
            ),
            start=np.zeros_like(self.x),
        )

    def _dense(self, x: Array, part: str) -> Array:
        return x @ self.weights[f"{part}_kernel"].T + self.weights[f"{part}_bias"]

    def _dense_backward(self, x: Array, upstream: Array, part: str) -> Array:
        names = (f"{part}_kernel", f"{part}_bias")
        gradients, dx = dense_gradients(x, upstream, self.weights[names[0]], *names)
        self.gradients.update(gradients)
        return dx

    def _heads(self, x: Array) -> Array:
        """(N, T, D) -> (N, heads, T, D / heads)."""
        return x.reshape(*x.shape[:2], self.layer["heads"], -1).swapaxes(1, 2)

    def _join(self, x: Array) -> Array:
        joined = x.swapaxes(1, 2)
        return joined.reshape(*joined.shape[:2], -1)
