"""The neutral layers as plain jax functions over a dict of parameters, and a network as a graph.

Import this module after jax only. All arrays have the neutral layout, which XLA supports directly.
"""

from typing import Any, Callable, Dict

import jax
import numpy
from jax import lax
from jax import numpy as jnp

from harness.adapters import layers_of, parameters_of

#: Where jax's default differs from the neutral description, and how it is adapted.
NOTES = {
    "conv": "XLA gets channels first; jax's own examples put them last",
    "max_pool": "a windowed reduction, padded with -inf, with batch and channels as one axis, so "
    "that ONNX Runtime reads the export of jax2onnx",
    "lrn": "a windowed sum of squares: jax has none",
    "rnn": "written as a scan: jax has no layers of its own",
    "lstm": "written as a scan: jax has no layers of its own",
    "gru": "written as a scan: jax has no layers of its own",
}


def values(network, weights, x):
    """Return every layer's output, and the input, by name."""
    outputs = {"input": x}
    for layer, inputs in layers_of(network, KINDS):
        outputs[layer["name"]] = KINDS[layer["kind"]](
            layer, parameters_of(layer, weights), *[outputs[source] for source in inputs]
        )
    return outputs


def check(network):
    """Raise Unsupported for a kind of layer that this module does not have."""
    for _ in layers_of(network, KINDS):
        pass


def _conv(layer, params, x):
    dims = len(layer["kernel"])
    letters = "DHW"[-dims:]
    y = lax.conv_general_dilated(
        x,
        params["kernel"],
        window_strides=layer["stride"],
        padding=[tuple(dim) for dim in layer["padding"]],
        dimension_numbers=("NC" + letters, "OI" + letters, "NC" + letters),
    )
    return y + params["bias"].reshape((-1,) + (1,) * dims)


def _max_pool(layer, params, x):
    """Pool with batch and channels as one axis: jax2onnx treats every axis as a dimension to pool.

    ONNX Runtime takes three dimensions, so of these networks only the one for video is beyond it.
    """
    pooled = lax.reduce_window(
        x.reshape(-1, *x.shape[2:]),
        -jnp.inf,
        lax.max,
        (1, *layer["size"]),
        (1, *layer["stride"]),
        [(0, 0)] + [tuple(dim) for dim in layer["padding"]],
    )
    return pooled.reshape(-1, x.shape[1], *pooled.shape[1:])


def _lrn(layer, params, x):
    half = layer["size"] // 2
    dims = x.ndim - 2
    summed = lax.reduce_window(
        x * x,
        0.0,
        lax.add,
        (1, layer["size"]) + (1,) * dims,
        (1,) * x.ndim,
        [(0, 0), (half, half)] + [(0, 0)] * dims,
    )
    return x / (layer["k"] + layer["alpha"] / layer["size"] * summed) ** layer["beta"]


def _dense(layer, params, x):
    return x @ params["kernel"].T + params["bias"]


def _rnn_step(params, carry, x):
    (hidden,) = carry
    return (jnp.tanh(x @ params["kernel"].T + hidden @ params["recurrent"].T + params["bias"]),)


def _lstm_step(params, carry, x):
    hidden, memory = carry
    sums = x @ params["kernel"].T + hidden @ params["recurrent"].T + params["bias"]
    i, f, g, o = jnp.split(sums, 4, axis=1)
    memory = jax.nn.sigmoid(f) * memory + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(memory), memory


def _gru_step(params, carry, x):
    (hidden,) = carry
    from_input = jnp.split(x @ params["kernel"].T + params["bias"], 3, axis=1)
    from_state = jnp.split(hidden @ params["recurrent"].T + params["recurrent_bias"], 3, axis=1)
    r, z = (
        jax.nn.sigmoid(from_input[0] + from_state[0]),
        jax.nn.sigmoid(from_input[1] + from_state[1]),
    )
    n = jnp.tanh(from_input[2] + r * from_state[2])
    return ((1 - z) * n + z * hidden,)


STEPS = {"rnn": (_rnn_step, 1), "lstm": (_lstm_step, 2), "gru": (_gru_step, 1)}


def _recurrent(layer, params, x, before=None):
    ways = [_one_way(layer, params, x, "", before)]
    if layer.get("bidirectional"):
        ways.append(_one_way(layer, params, x, "backward_"))
    return jnp.concatenate(ways, axis=-1)


def _one_way(layer, params, x, prefix, before=None):
    step, parts = STEPS[layer["kind"]]
    mine = {
        name[len(prefix) :]: value
        for name, value in params.items()
        if name.startswith("backward_") == bool(prefix)
    }

    def advance(carry, now):
        after = step(mine, carry, now)
        return after, after[0]

    def in_time(values):  # jax2onnx cannot export scan's own reverse
        return values[::-1] if prefix else values

    zero = jnp.zeros((x.shape[0], layer["units"]), x.dtype)
    start = (zero,) * parts if before is None else (before[:, -1],)
    last, outputs = lax.scan(advance, start, in_time(x.swapaxes(0, 1)))
    return in_time(outputs).swapaxes(0, 1) if layer["return_sequences"] else last[0]


def _attend(query, key, value, causal):
    scores = query @ key.swapaxes(-1, -2) / query.shape[-1] ** 0.5
    if causal:
        scores = jnp.where(numpy.tri(scores.shape[-1], dtype=bool), scores, -jnp.inf)
    return jax.nn.softmax(scores, axis=-1) @ value


def _multihead(layer, params, x):
    def dense(part, value):
        return value @ params[part + "_kernel"].T + params[part + "_bias"]

    def heads(value):
        apart = value.reshape(value.shape[0], value.shape[1], layer["heads"], -1)
        return apart.swapaxes(1, 2)

    query, key, value = (heads(dense(part, x)) for part in ("query", "key", "value"))
    attended = _attend(query, key, value, layer.get("causal", False))
    joined = attended.swapaxes(1, 2).reshape(x.shape)
    return dense("output", joined)


def _layer_norm(layer, params, x):
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred * centred).mean(axis=-1, keepdims=True)
    return centred / jnp.sqrt(variance + layer["epsilon"]) * params["scale"] + params["offset"]


KINDS: Dict[str, Callable[..., Any]] = {
    "conv": _conv,
    "max_pool": _max_pool,
    "global_average_pool": lambda layer, params, x: x.mean(axis=tuple(range(2, x.ndim))),
    "lrn": _lrn,
    "relu": lambda layer, params, x: jax.nn.relu(x),
    "tanh": lambda layer, params, x: jnp.tanh(x),
    "flatten": lambda layer, params, x: x.reshape(x.shape[0], -1),
    "dense": _dense,
    "rnn": _recurrent,
    "lstm": _recurrent,
    "gru": _recurrent,
    "concat": lambda layer, params, *inputs: jnp.concatenate(inputs, axis=layer["axis"]),
    "add": lambda layer, params, x, y: x + y,
    "attention": lambda layer, params, query, memory: _attend(query, memory, memory, False),
    "multihead_attention": _multihead,
    "layer_norm": _layer_norm,
    "position": lambda layer, params, x: x + params["table"],
    "slice": lambda layer, params, x: lax.slice_in_dim(
        x, layer["start"], layer["stop"], axis=layer["axis"]
    ),
    "mean": lambda layer, params, x: x.mean(axis=1),
}
