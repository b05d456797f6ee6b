"""The neutral layers in those of ``flax.nnx``, and a network as a module of them.

Import this module after Flax only. Flax convolves and pools with channels last. So a value knows
where its channels are, and is turned only where a layer needs another layout.
"""

import numpy
from flax import nnx
from jax import numpy as jnp

from harness.adapters import layers_of, parameters_of
from harness.frameworks.jax import layers as jax_layers

RANDOM = "nnx.RNN makes them with a random key, which jax2onnx cannot export"

#: Where Flax's default differs from the neutral description, and how it is adapted.
NOTES = {
    "conv": "channels last inside: nnx.Conv knows no other layout",
    "max_pool": "channels last inside: nnx.max_pool knows no other layout; -inf is padded before "
    "it, for jax2onnx leaves out its padding",
    "lrn": "Flax has none: plain jax, with channels first",
    "rnn": "zeros to start from are given: " + RANDOM,
    "lstm": "zeros to start from are given: " + RANDOM,
    "gru": "nnx.GRUCell has no bias for its state: its dense_h is replaced by one with a bias; "
    "zeros to start from are given: " + RANDOM,
    "attention": "nnx.dot_product_attention with a single head",
}

CELLS = {"rnn": nnx.SimpleCell, "lstm": nnx.OptimizedLSTMCell, "gru": nnx.GRUCell}

#: Where a recurrent layer's bias is; its kernels are in the same places in all cells.
BIASES = {"rnn": "dense_i", "lstm": "dense_h", "gru": "dense_i"}


class Value:
    """An array and whether its channels are last; the neutral layout has them first."""

    def __init__(self, array, last=False):
        self.array = array
        self.last = last

    def moved(self, last):
        """Return the array with its channels last, or first."""
        if self.last == last or self.array.ndim < 3:
            return self.array
        return jnp.moveaxis(self.array, *((1, -1) if last else (-1, 1)))


class Network(nnx.Module):
    """A neutral network of layers with these shapes of parameters: (N, ...) -> logits."""

    def __init__(self, network, shapes):
        rngs = nnx.Rngs(0)
        self.layers = nnx.Dict()
        wiring = []
        for layer, inputs in layers_of(network, KINDS):
            make = KINDS[layer["kind"]]
            self.layers[layer["name"]] = make(layer, parameters_of(layer, shapes), rngs)
            wiring.append((layer["name"], tuple(inputs), _place(layer)))
        self.wiring = tuple(wiring)

    def values(self, x):
        """Return every layer's output, and the input, as a `Value` by name."""
        outputs = {"input": Value(x)}
        for name, sources, place in self.wiring:
            inputs = [outputs[source] for source in sources]
            last = all(value.last for value in inputs) if place is None else place
            arrays = [value.moved(last) for value in inputs]
            outputs[name] = Value(self.layers[name](*arrays), last)
        return outputs

    def __call__(self, x):
        """Return the logits."""
        return self.values(x)[self.wiring[-1][0]].moved(False)


class Parameters:
    """Where a `Network` has the neutral parameters, and the conversion of their layouts."""

    def __init__(self, network, shapes):
        by_name = {layer["name"]: layer for layer in network["layers"]}
        self.shapes = shapes
        self.paths = {}
        for name in shapes:
            layer, parameter = name.split(".")
            self.paths[name] = ("layers", layer, *_path(by_name[layer], parameter))

    def set(self, module, weights):
        """Set the parameters of a module by neutral name."""
        flat = _flat(nnx.state(module, nnx.Param))
        for name, path in self.paths.items():
            array = weights[name]
            if _is_kernel(name):
                array = array.transpose((*range(2, array.ndim), 1, 0))
            flat[path] = jnp.asarray(array.reshape(flat[path].shape))
        nnx.update(module, nnx.from_flat_state(flat))

    def neutral(self, state):
        """Return the parameters of a state, or their gradients, by neutral name."""
        flat = _flat(state)
        arrays = {}
        for name, path in self.paths.items():
            array, shape = numpy.asarray(flat[path]), self.shapes[name]
            if _is_kernel(name):
                last = len(shape) - 1
                array = array.reshape(shape[2:] + (shape[1], shape[0]))
                array = array.transpose((last, last - 1, *range(last - 1)))
            arrays[name] = numpy.ascontiguousarray(array.reshape(shape))
        return arrays


def _flat(state):
    """Return the arrays of a state by path."""
    return {path: variable.get_value() for path, variable in nnx.to_flat_state(state)}


def _is_kernel(name):
    """Return whether Flax has a parameter transposed: the inputs' axis before the outputs'."""
    return name.endswith(("kernel", "recurrent"))


def _path(layer, parameter):
    """Return the path of a layer's parameter in its module."""
    kind = layer["kind"]
    if kind == "multihead_attention":
        part, name = parameter.split("_")
        return ("out" if part == "output" else part, name)
    if kind not in CELLS:
        return ("bias" if parameter == "offset" else parameter,)
    way = ("forward_rnn",) if layer.get("bidirectional") else ()
    if parameter.startswith("backward_"):
        way, parameter = ("backward_rnn",), parameter[len("backward_") :]
    place = {
        "kernel": ("dense_i", "kernel"),
        "recurrent": ("dense_h", "kernel"),
        "bias": (BIASES[kind], "bias"),
        "recurrent_bias": ("dense_h", "bias"),
    }
    return ("rnn", *way, "cell", *place[parameter])


def _conv(layer, shapes, rngs):
    filters, channels, *kernel = shapes["kernel"]
    padding = tuple(map(tuple, layer["padding"]))
    strides = tuple(layer["stride"])
    return nnx.Conv(channels, filters, kernel, strides, padding=padding, rngs=rngs)


def _max_pool(layer, shapes, rngs):
    settings = {"window_shape": tuple(layer["size"]), "strides": tuple(layer["stride"])}
    around = [(0, 0), *map(tuple, layer["padding"]), (0, 0)]

    def pool(x):
        if any(map(any, around)):
            x = jnp.pad(x, around, constant_values=-jnp.inf)
        # By name, and looked up now: so jax2onnx can put its own in place of Flax's function.
        return nnx.max_pool(x, **settings)

    return pool


def _dense(layer, shapes, rngs):
    units, width = shapes["kernel"]
    return nnx.Linear(width, units, rngs=rngs)


class Recurrent(nnx.Module):
    """One of Flax's cells over a sequence, in one or both directions."""

    def __init__(self, layer, shapes, rngs):
        self.units = layer["units"]
        self.lstm = layer["kind"] == "lstm"
        self.sequences = layer["return_sequences"]
        self.both = layer.get("bidirectional", False)

        def one_way():
            cell = CELLS[layer["kind"]](shapes["kernel"][1], self.units, rngs=rngs)
            if layer["kind"] == "gru":
                cell.dense_h = nnx.Linear(self.units, 3 * self.units, rngs=rngs)
            return nnx.RNN(cell, rngs=False)

        self.rnn = one_way()
        if self.both:
            self.rnn = nnx.Bidirectional(self.rnn, one_way(), rngs=False)

    def __call__(self, x, before=None):
        """(N, T, D), and another layer's (N, S, H), whose last step is the state to start from."""
        start = jnp.zeros((x.shape[0], self.units)) if before is None else before[:, -1]
        carry = (start, start) if self.lstm else start
        carry = (carry, carry) if self.both else carry
        last, outputs = self.rnn(x, initial_carry=carry, return_carry=True)
        if self.sequences:
            return outputs
        ways = last if self.both else (last,)
        # An LSTM's carry is its memory and its output; that of the other cells is their output.
        return jnp.concatenate([way[1] if self.lstm else way for way in ways], axis=-1)


class SelfAttention(nnx.MultiHeadAttention):
    """Flax's attention of a sequence with itself."""

    def __init__(self, layer, shapes, rngs):
        (width,) = shapes["query_bias"]
        super().__init__(layer["heads"], width, decode=False, rngs=rngs)
        self.causal = layer.get("causal", False)

    def __call__(self, x):
        """(N, T, D) -> (N, T, D)."""
        return super().__call__(x, is_causal=self.causal)


def _attend(query, memory):
    """(N, Tq, D), (N, Tk, D) -> (N, Tq, D)."""
    query, memory = query[:, :, None], memory[:, :, None]
    return nnx.dot_product_attention(query, memory, memory)[:, :, 0]


class Position(nnx.Module):
    """Adds a learned table to (N, T, D)."""

    def __init__(self, layer, shapes, rngs):
        self.table = nnx.Param(jnp.zeros(shapes["table"]))

    def __call__(self, x):
        """Return the sum."""
        return x + self.table


def _layer_norm(layer, shapes, rngs):
    (width,) = shapes["scale"]
    return nnx.LayerNorm(width, epsilon=layer["epsilon"], rngs=rngs)


def _lrn(layer, shapes, rngs):
    return lambda x: jax_layers.KINDS["lrn"](layer, {}, x)


def _concat(layer, shapes, rngs):
    axis = -1 if _place(layer) else layer["axis"]
    return lambda *inputs: jnp.concatenate(inputs, axis=axis)


def _slice(layer, shapes, rngs):
    part = (slice(None),) * layer["axis"] + (slice(layer["start"], layer["stop"]),)
    return lambda x: x[part]


def _plain(function):
    """Return what makes a layer without settings and parameters of a function."""
    return lambda layer, shapes, rngs: function


#: What makes a layer from its description, the shapes of its parameters, and random numbers.
KINDS = {
    "conv": _conv,
    "max_pool": _max_pool,
    "global_average_pool": _plain(lambda x: x.mean(axis=tuple(range(1, x.ndim - 1)))),
    "lrn": _lrn,
    "relu": _plain(nnx.relu),
    "tanh": _plain(nnx.tanh),
    "flatten": _plain(lambda x: x.reshape(x.shape[0], -1)),
    "dense": _dense,
    "rnn": Recurrent,
    "lstm": Recurrent,
    "gru": Recurrent,
    "concat": _concat,
    "add": _plain(lambda x, y: x + y),
    "attention": _plain(_attend),
    "multihead_attention": SelfAttention,
    "layer_norm": _layer_norm,
    "position": Position,
    "slice": _slice,
    "mean": _plain(lambda x: x.mean(axis=1)),
}


def _place(layer):
    """Return whether a layer takes and gives channels last; None: wherever they are."""
    if layer["kind"] in ("relu", "tanh", "add"):
        return None
    if layer["kind"] == "concat":
        return layer["axis"] == 1
    return layer["kind"] in ("conv", "max_pool", "global_average_pool")
