"""The gold standard: networks evaluated and trained in float64, with numpy and nothing else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from matrix.networks import Layer, Network, Weights, same_padding

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
Parameters = dict[str, Array]


@dataclass(frozen=True, kw_only=True)
class Training:
    """What a run of SGD gave: a loss a step, of the batch before its update, and the weights."""

    losses: Array
    weights: Parameters


def forward(network: Network, weights: Weights, x: NDArray[np.floating]) -> Array:
    """Return the logits, (N, classes) float64, of inputs (N, ...)."""
    return _forward(_operations(network, weights), x)


def activations(network: Network, weights: Weights, x: NDArray[np.floating]) -> dict[str, Array]:
    """Return every layer's output, float64, by the layer's name, in the network's order."""
    found, y = {}, x.astype(np.float64)
    for operation in _operations(network, weights):
        y = operation.forward(y)
        found[operation.layer["name"]] = y
    return found


def loss_and_gradients(
    network: Network, weights: Weights, x: NDArray[np.floating], labels: Labels
) -> tuple[float, Parameters]:
    """Return the mean cross entropy of a batch and its gradients by neutral name."""
    operations = _operations(network, weights)
    loss, gradient = cross_entropy(_forward(operations, x), labels)
    for operation in reversed(operations):
        gradient = operation.backward(gradient)
    return loss, {
        f"{operation.layer['name']}.{name}": value
        for operation in operations
        for name, value in operation.gradients.items()
    }


def train(
    network: Network,
    weights: Weights,
    batches: Iterable[tuple[NDArray[np.floating], Labels]],
    *,
    rate: float,
) -> Training:
    """Train with plain SGD on batches (x (N, ...), labels (N,)), in order."""
    trained = {name: value.astype(np.float64) for name, value in weights.items()}
    losses = []
    for x, labels in batches:
        loss, gradients = loss_and_gradients(network, trained, x, labels)
        losses.append(loss)
        for name, gradient in gradients.items():
            trained[name] -= rate * gradient
    return Training(losses=np.asarray(losses), weights=trained)


def accuracy(logits: NDArray[np.floating], labels: Labels) -> float:
    """Return the share of rows whose largest logit is the label's."""
    return float((logits.argmax(axis=1) == labels).mean())


def cross_entropy(logits: Array, labels: Labels) -> tuple[float, Array]:
    """Return the mean softmax cross entropy and its gradient by logit."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    odds = np.exp(shifted)
    total = odds.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    loss = float((np.log(total[:, 0]) - shifted[rows, labels]).mean())
    gradient = odds / total
    gradient[rows, labels] -= 1
    return loss, gradient / len(labels)


class _Operation(ABC):
    """A layer at work: `forward` keeps what `backward` needs, for one batch."""

    def __init__(self, layer: Layer, own: Parameters) -> None:
        self.layer = layer
        self.own = own  # parameters by their short names
        self.gradients: Parameters = {}

    @abstractmethod
    def forward(self, x: Array) -> Array:
        """Return the output of a batch."""

    @abstractmethod
    def backward(self, dy: Array) -> Array:
        """Take the output's gradient; set `gradients` and return the input's."""


def _operations(network: Network, weights: Weights) -> list[_Operation]:
    return [_KINDS[layer["kind"]](layer, _own(layer, weights)) for layer in network["layers"]]


def _own(layer: Layer, weights: Weights) -> Parameters:
    prefix = f"{layer['name']}."
    return {
        name.removeprefix(prefix): value.astype(np.float64, copy=False)
        for name, value in weights.items()
        if name.startswith(prefix)
    }


def _forward(operations: Iterable[_Operation], x: NDArray[np.floating]) -> Array:
    y = x.astype(np.float64)
    for operation in operations:
        y = operation.forward(y)
    return y


class _Relu(_Operation):
    """max(x, 0)."""

    def forward(self, x: Array) -> Array:
        self.positive = x > 0
        return np.maximum(x, 0)

    def backward(self, dy: Array) -> Array:
        return dy * self.positive


class _Flatten(_Operation):
    """(N, ...) -> (N, features), in row order."""

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, dy: Array) -> Array:
        return dy.reshape(self.shape)


class _Dense(_Operation):
    """(N, in) -> (N, out)."""

    def forward(self, x: Array) -> Array:
        self.x = x
        return x @ self.own["kernel"].T + self.own["bias"]

    def backward(self, dy: Array) -> Array:
        self.gradients = {"kernel": dy.T @ self.x, "bias": dy.sum(axis=0)}
        return dy @ self.own["kernel"]


class _Conv2d(_Operation):
    """(N, C, H, W) -> (N, O, H', W'); a correlation, as all frameworks compute it."""

    def forward(self, x: Array) -> Array:
        padded = np.pad(x, ((0, 0), (0, 0), *self._padding()))
        self.padded_shape = padded.shape
        step = self.layer["stride"]
        windows = sliding_window_view(padded, self.layer["kernel"], axis=(2, 3))
        self.windows = windows[:, :, ::step, ::step]  # N, C, H', W', kh, kw
        y = np.tensordot(self.windows, self.own["kernel"], axes=((1, 4, 5), (1, 2, 3)))
        return y.transpose(0, 3, 1, 2) + self.own["bias"][:, None, None]

    def backward(self, dy: Array) -> Array:
        kernel = np.tensordot(dy, self.windows, axes=((0, 2, 3), (0, 2, 3)))
        self.gradients = {"kernel": kernel, "bias": dy.sum(axis=(0, 2, 3))}
        dx: Array = np.zeros(self.padded_shape)
        step, (height, width) = self.layer["stride"], dy.shape[2:]
        for row, column in np.ndindex(*self.layer["kernel"]):
            part = np.tensordot(self.own["kernel"][:, :, row, column], dy, axes=((0,), (1,)))
            rows = slice(row, row + step * height, step)
            columns = slice(column, column + step * width, step)
            dx[:, :, rows, columns] += part.swapaxes(0, 1)
        (top, bottom), (left, right) = self._padding()
        return dx[:, :, top : dx.shape[2] - bottom, left : dx.shape[3] - right]

    def _padding(self) -> list[tuple[int, int]]:
        same = self.layer["padding"] == "same"
        return [same_padding(size) if same else (0, 0) for size in self.layer["kernel"]]


class _MaxPool2d(_Operation):
    """The largest of each window; of equal ones the first in row order, as frameworks do."""

    def forward(self, x: Array) -> Array:
        (rows, columns), (count, channels, height, width) = self.layer["size"], x.shape
        high, wide = height // rows, width // columns
        self.shape = x.shape
        cut = x[:, :, : high * rows, : wide * columns]
        windows = cut.reshape(count, channels, high, rows, wide, columns).swapaxes(3, 4)
        windows = windows.reshape(count, channels, high, wide, rows * columns)
        self.chosen = windows.argmax(axis=-1)[..., None]
        return np.take_along_axis(windows, self.chosen, axis=-1)[..., 0]

    def backward(self, dy: Array) -> Array:
        rows, columns = self.layer["size"]
        count, channels, high, wide = dy.shape
        windows = np.zeros((*dy.shape, rows * columns))
        np.put_along_axis(windows, self.chosen, dy[..., None], axis=-1)
        windows = windows.reshape(*dy.shape, rows, columns).swapaxes(3, 4)
        dx = np.zeros(self.shape)
        dx[:, :, : high * rows, : wide * columns] = windows.reshape(
            count, channels, high * rows, wide * columns
        )
        return dx


@dataclass(frozen=True)
class _Step:
    """What one step of an LSTM leaves for `backward`: x (N, D), all else (N, H)."""

    x: Array
    hidden: Array
    memory: Array
    i: Array
    f: Array
    g: Array
    o: Array
    squashed: Array


class _Lstm(_Operation):
    """(N, T, D) -> (N, T, H) or, of the last step only, (N, H)."""

    def forward(self, x: Array) -> Array:
        kernel, recurrent, bias = (self.own[name] for name in ("kernel", "recurrent", "bias"))
        hidden = memory = np.zeros((len(x), self.layer["units"]))
        self.steps: list[_Step] = []
        outputs = []
        for now in x.swapaxes(0, 1):
            i, f, g, o = np.split(now @ kernel.T + hidden @ recurrent.T + bias, 4, axis=1)
            i, f, g, o = _sigmoid(i), _sigmoid(f), np.tanh(g), _sigmoid(o)
            after = f * memory + i * g
            squashed = np.tanh(after)
            self.steps.append(_Step(now, hidden, memory, i, f, g, o, squashed))
            memory, hidden = after, o * squashed
            outputs.append(hidden)
        return np.stack(outputs, axis=1) if self.layer["return_sequences"] else hidden

    def backward(self, dy: Array) -> Array:
        self.gradients = {name: np.zeros_like(value) for name, value in self.own.items()}
        if not self.layer["return_sequences"]:
            last = dy
            dy = np.zeros((len(last), len(self.steps), last.shape[1]))
            dy[:, -1] = last
        dhidden = dmemory = np.zeros((len(dy), self.layer["units"]))
        inputs = []
        for index, step in reversed(list(enumerate(self.steps))):
            dhidden = dhidden + dy[:, index]
            dmemory = dmemory + dhidden * step.o * (1 - step.squashed**2)
            sums = self._through_gates(step, dhidden, dmemory)
            self.gradients["kernel"] += sums.T @ step.x
            self.gradients["recurrent"] += sums.T @ step.hidden
            self.gradients["bias"] += sums.sum(axis=0)
            inputs.append(sums @ self.own["kernel"])
            dhidden, dmemory = sums @ self.own["recurrent"], dmemory * step.f
        return np.stack(inputs[::-1], axis=1)

    @staticmethod
    def _through_gates(step: _Step, dhidden: Array, dmemory: Array) -> Array:
        """Return the gradient of the gates' sums, (N, 4H)."""
        gates = (
            dmemory * step.g * step.i * (1 - step.i),
            dmemory * step.memory * step.f * (1 - step.f),
            dmemory * step.i * (1 - step.g**2),
            dhidden * step.squashed * step.o * (1 - step.o),
        )
        return np.concatenate(gates, axis=1)


def _sigmoid(x: Array) -> Array:
    return (1 + np.tanh(x / 2)) / 2


_KINDS: Mapping[str, type[_Operation]] = {
    "relu": _Relu,
    "flatten": _Flatten,
    "dense": _Dense,
    "conv2d": _Conv2d,
    "maxpool2d": _MaxPool2d,
    "lstm": _Lstm,
}
