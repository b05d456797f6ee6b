"""Layers that slide a window over any number of dimensions: convolution, pooling; and LRN."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from deepmatrix.workloads.gold.operation import Array, Unary


class _Windowed(Unary):
    """A layer that reads windows of a padded input, (N, C, dims...)."""

    def _padded(self, x: Array, fill: float) -> Array:
        around = [(0, 0), (0, 0), *self.layer["padding"]]
        return np.pad(x, around, constant_values=fill)

    def _windows(self, padded: Array, size: list[int]) -> Array:
        """Return (N, C, outputs..., window...), a view."""
        dims = tuple(range(2, padded.ndim))
        windows = sliding_window_view(padded, size, axis=dims)
        steps = tuple(slice(None, None, stride) for stride in self.layer["stride"])
        strided: Array = windows[(slice(None), slice(None), *steps)]
        return strided

    def _places(
        self, size: list[int], outputs: tuple[int, ...]
    ) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
        """Yield every place in a window with the part of the padded input that it reads."""
        for place in np.ndindex(*size):
            reads = tuple(
                slice(start, start + stride * count, stride)
                for start, stride, count in zip(place, self.layer["stride"], outputs, strict=True)
            )
            yield place, (slice(None), slice(None), *reads)

    def _unpadded(self, padded: Array) -> Array:
        dims = tuple(
            slice(before, length - after)
            for (before, after), length in zip(self.layer["padding"], padded.shape[2:], strict=True)
        )
        inner: Array = padded[(slice(None), slice(None), *dims)]
        return inner


class Conv(_Windowed):
    """(N, C, dims...) -> (N, O, outputs...); a correlation, as all frameworks compute it."""

    def apply(self, x: Array) -> Array:
        """Return the output of a batch."""
        size = self.layer["kernel"]
        padded = self._padded(x, 0.0)
        self.padded_shape = padded.shape
        self.windows = self._windows(padded, size)
        inside = tuple(range(2 + len(size), 2 + 2 * len(size)))
        kernel_axes = tuple(range(1, 2 + len(size)))
        y = np.tensordot(self.windows, self.weights["kernel"], axes=((1, *inside), kernel_axes))
        bias = self.weights["bias"].reshape(-1, *(1,) * len(size))
        return np.moveaxis(y, -1, 1) + bias

    def derive(self, upstream: Array) -> Array:
        """Return the input's gradient."""
        size = self.layer["kernel"]
        outer = (0, *range(2, upstream.ndim))
        kernel = np.tensordot(upstream, self.windows, axes=(outer, outer))
        self.gradients = {"kernel": kernel, "bias": upstream.sum(axis=outer)}
        dx: Array = np.zeros(self.padded_shape, upstream.dtype)
        for place, reads in self._places(size, upstream.shape[2:]):
            weights = np.moveaxis(self.weights["kernel"], (0, 1), (-2, -1))[place]  # O, C
            dx[reads] += np.tensordot(weights, upstream, axes=((0,), (1,))).swapaxes(0, 1)
        return self._unpadded(dx)


class MaxPool(_Windowed):
    """The largest of each window; of equal ones the first in row order, as frameworks do."""

    def apply(self, x: Array) -> Array:
        """Return the output of a batch."""
        size = self.layer["size"]
        padded = self._padded(x, -np.inf)
        self.padded_shape = padded.shape
        windows = self._windows(padded, size)
        flat = windows.reshape(*windows.shape[: 2 + len(size)], -1)
        self.chosen = flat.argmax(axis=-1)
        largest: Array = np.take_along_axis(flat, self.chosen[..., None], axis=-1)[..., 0]
        return largest

    def derive(self, upstream: Array) -> Array:
        """Return the input's gradient."""
        dx = np.zeros(self.padded_shape, upstream.dtype)
        for index, (_, reads) in enumerate(self._places(self.layer["size"], upstream.shape[2:])):
            dx[reads] += np.where(self.chosen == index, upstream, 0.0)
        return self._unpadded(dx)


class Lrn(Unary):
    """Local response normalization across channels: Krizhevsky and others, 2012, section 3.3.

    y = x s^-beta with s = k + alpha / size * (the sum of x squared over a window of channels).
    """

    def apply(self, x: Array) -> Array:
        """Return the output of a batch."""
        layer = self.layer
        self.x = x
        self.scale: Array = layer["k"] + layer["alpha"] / layer["size"] * self._summed(x**2)
        y: Array = x * self.scale ** -float(layer["beta"])
        self.y = y
        return y

    def derive(self, upstream: Array) -> Array:
        """Return the input's gradient."""
        layer = self.layer
        direct: Array = upstream * self.scale ** -layer["beta"]
        through = self._summed(upstream * self.y / self.scale)
        factor = float(2 * layer["alpha"] * layer["beta"] / layer["size"])
        dx: Array = direct - factor * self.x * through
        return dx

    def _summed(self, values: Array) -> Array:
        """Sum over a centred window of channels."""
        half = self.layer["size"] // 2
        around = ((0, 0), (half, half), *((0, 0),) * (values.ndim - 2))
        windows = sliding_window_view(np.pad(values, around), self.layer["size"], axis=1)
        summed: Array = windows.sum(axis=-1)
        return summed
