"""The gold standard: networks evaluated and trained in float64, with numpy and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from deepmatrix.workloads.gold import attention, elementary, recurrent, windows
from deepmatrix.workloads.gold.operation import Array, Operation, Parameters
from deepmatrix.workloads.networks import Layer, Network, inputs_of
from deepmatrix.workloads.networks.weights import Weights
from harness import record

__all__ = [
    "Array",
    "Parameters",
    "Training",
    "accuracy",
    "activations",
    "cross_entropy",
    "forward",
    "loss_and_gradients",
    "step_with_past",
    "train",
]

Labels = NDArray[np.int64]

KINDS: Mapping[str, type[Operation]] = {
    "relu": elementary.Relu,
    "tanh": elementary.Tanh,
    "flatten": elementary.Flatten,
    "dense": elementary.Dense,
    "concat": elementary.Concat,
    "add": elementary.Add,
    "slice": elementary.Slice,
    "mean": elementary.Mean,
    "global_average_pool": elementary.GlobalAveragePool,
    "position": elementary.Position,
    "layer_norm": elementary.LayerNorm,
    "conv": windows.Conv,
    "max_pool": windows.MaxPool,
    "lrn": windows.Lrn,
    "rnn": recurrent.Recurrent,
    "lstm": recurrent.Recurrent,
    "gru": recurrent.Recurrent,
    "attention": attention.Attention,
    "multihead_attention": attention.MultiheadAttention,
}


@dataclass(frozen=True, kw_only=True)
class Training:
    """The result of SGD: the loss of each step's batch before the update, and the weights."""

    losses: Array
    weights: Parameters


def forward(network: Network, weights: Weights, x: NDArray[np.floating]) -> Array:
    """Return the logits, (N, ..., classes) float64, of inputs (N, ...)."""
    return _Graph(network, weights).forward(x)


def activations(
    network: Network, weights: Weights, x: NDArray[np.floating], dtype: DTypeLike = np.float64
) -> dict[str, Array]:
    """Return every layer's output by the layer's name, in the network's order.

    All is computed in *dtype*: float32 shows what rounding alone does to a network.
    """
    graph = _Graph(network, weights, dtype)
    graph.forward(x)
    return {name: output for name, output in graph.outputs.items() if name != "input"}


def step_with_past(
    network: Network, weights: Weights, inputs: Mapping[str, NDArray[Any]]
) -> Parameters:
    """Return what a language model answers to some tokens after others, by name, float64.

    Args:
        network: a causal network.
        weights: by neutral name.
        inputs: tokens (N, L) int64, and of every attention the keys and values of the P steps
            before, (N, heads, P, width of a head); see `harness.record.cache_names`.

    Returns:
        The logits (N, L, classes), and the keys and values of all P + L steps.
    """
    graph = _Graph(network, weights)
    attentions = [op for op, _ in graph.operations if isinstance(op, attention.MultiheadAttention)]
    cache = record.cache_names(len(attentions))
    past = [inputs[name].astype(np.float64) for name in cache]
    for number, operation in enumerate(attentions):
        operation.past = (past[2 * number], past[2 * number + 1])
    tokens, start = inputs[record.TOKENS], past[0].shape[2]
    here = slice(start, start + tokens.shape[1])
    # What is fed in the steps before and after does not matter: their keys and values are given,
    # or not seen.
    x = np.zeros((len(tokens), *network["input"]))
    np.put_along_axis(x[:, here], tokens[..., None], 1, axis=-1)
    logits = graph.forward(x)[:, here]
    presents = [part[:, :, : here.stop] for op in attentions for part in op.present]
    return {record.LOGITS: logits, **dict(zip(cache.values(), presents, strict=True))}


def loss_and_gradients(
    network: Network,
    weights: Weights,
    x: NDArray[np.floating],
    labels: Labels,
    dtype: DTypeLike = np.float64,
) -> tuple[float, Parameters]:
    """Return the mean cross entropy of a batch and its gradients by neutral name, in *dtype*."""
    graph = _Graph(network, weights, dtype)
    loss, gradient = cross_entropy(graph.forward(x), labels)
    return loss, graph.backward(gradient)


def train(
    network: Network,
    weights: Weights,
    batches: Iterable[tuple[NDArray[np.floating], Labels]],
    *,
    rates: Iterable[float],
    dtype: DTypeLike = np.float64,
) -> Training:
    """Train with plain SGD on batches (x (N, ...), labels (N, ...)), in order; a rate a step."""
    trained = {name: array.astype(dtype) for name, array in weights.items()}
    losses = []
    for (x, labels), rate in zip(batches, rates, strict=False):  # rates may be endless
        loss, gradients = loss_and_gradients(network, trained, x, labels, dtype)
        losses.append(loss)
        for name, gradient in gradients.items():
            trained[name] -= rate * gradient
    return Training(losses=np.asarray(losses), weights=trained)


def accuracy(logits: NDArray[np.floating], labels: Labels) -> float:
    """Return the share of labels that have the largest logit."""
    return float((logits.argmax(axis=-1) == labels).mean())


def cross_entropy(logits: Array, labels: Labels) -> tuple[float, Array]:
    """Return the mean softmax cross entropy over all labels, and its gradient by logit."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    sums = exponentials.sum(axis=-1, keepdims=True)
    label_logits = np.take_along_axis(shifted, labels[..., None], axis=-1)
    loss = float((np.log(sums) - label_logits).mean())
    probabilities = exponentials / sums
    label_probabilities = np.take_along_axis(probabilities, labels[..., None], axis=-1)
    # The gradient by logit is the softmax minus one-hot labels.
    np.put_along_axis(probabilities, labels[..., None], label_probabilities - 1, axis=-1)
    return loss, probabilities / labels.size


class _Graph:
    """A network on one batch; ``outputs`` are the layers' outputs by name, and the ``input``."""

    def __init__(self, network: Network, weights: Weights, dtype: DTypeLike = np.float64) -> None:
        self.dtype = dtype
        self.operations = [
            (KINDS[layer["kind"]](layer, _layer_weights(layer, weights, dtype)), names)
            for layer, names in inputs_of(network)
        ]
        self.outputs: dict[str, Array] = {}

    def forward(self, x: NDArray[np.floating]) -> Array:
        y: Array = x.astype(self.dtype)
        self.outputs = {"input": y}
        for operation, names in self.operations:
            y = operation.forward(*(self.outputs[name] for name in names))
            self.outputs[operation.layer["name"]] = y
        return y

    def backward(self, output_gradient: Array) -> Parameters:
        """Return the gradients by neutral name; those of an output that is read twice add up."""
        last = self.operations[-1][0].layer["name"]
        gradients: dict[str, Array] = {last: output_gradient}
        for operation, names in reversed(self.operations):
            upstream = gradients.pop(operation.layer["name"], None)
            if upstream is None:
                raise ValueError(f"nothing reads layer {operation.layer['name']}")
            for name, gradient in zip(names, operation.backward(upstream), strict=True):
                gradients[name] = gradients[name] + gradient if name in gradients else gradient
        return {
            f"{operation.layer['name']}.{name}": value
            for operation, _ in self.operations
            for name, value in operation.gradients.items()
        }


def _layer_weights(layer: Layer, weights: Weights, dtype: DTypeLike) -> Parameters:
    prefix = f"{layer['name']}."
    return {
        name.removeprefix(prefix): array.astype(dtype, copy=False)
        for name, array in weights.items()
        if name.startswith(prefix)
    }
