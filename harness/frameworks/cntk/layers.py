"""The neutral layers in CNTK's own operations. Import this module after CNTK only.

A layer is a function of the layer's description and its inputs; it returns an expression and its
parameters. Shapes are those of one example: CNTK adds the batch itself.
"""

from typing import Any, Callable, Dict

import cntk
import numpy

from harness.adapters import layers_of

#: Where CNTK's default differs from the neutral description, and how it is adapted.
NOTES = {
    "conv": "zeros are padded before where CNTK's own padding differs, or where it refuses a "
    "kernel larger than its input",
    "max_pool": "where the layer pads, the lowest number is padded before",
    "lrn": "CNTK divides alpha by the window's size, as the neutral layer; it narrows the window "
    "where there are fewer channels: channels of zeros are padded before",
    "rnn": "RNNStep in a Recurrence, over a sequence axis made from the steps",
    "lstm": "CNTK's LSTM orders the gates i, g, f, o; in a Recurrence",
    "gru": "CNTK's GRU resets before the product: an own step in a Recurrence",
    "multihead_attention": "computed head by head",
    "layer_norm": "built from means: CNTK's own is over all axes and adds epsilon to the deviation",
}

#: Padding that never wins a maximum.
LOWEST = float(numpy.finfo("float32").min)


class Weight:
    """A parameter of CNTK, with the conversion from and to the neutral layout."""

    def __init__(self, parameter, enter=None, leave=None):
        self.parameter = parameter
        self._enter = enter
        self._leave = leave

    def set(self, array):
        """Set the parameter."""
        value = self._enter(array) if self._enter else array
        self.parameter.value = numpy.ascontiguousarray(value, "float32")

    def neutral(self, array):
        """Return the parameter's value, or its gradient, in the neutral layout."""
        return numpy.ascontiguousarray(self._leave(array) if self._leave else array)


class Graph:
    """A network as expressions: ``values`` by layer name, ``weights`` by neutral name."""

    def __init__(self, network):
        self.input = cntk.input_variable(tuple(network["input"]), name="input")
        values = {"input": self.input}
        self.weights = {}
        for layer, sources in layers_of(network, KINDS):
            result = KINDS[layer["kind"]](layer, *[values[source] for source in sources])
            values[layer["name"]], weights = result if isinstance(result, tuple) else (result, {})
            for name, weight in weights.items():
                self.weights[layer["name"] + "." + name] = weight
        self.logits = values[layer["name"]]
        del values["input"]
        self.values = values


def _parameter(*shape):
    return cntk.parameter(shape, init=0.0)


def _transposed(parameter):
    return Weight(parameter, numpy.transpose, numpy.transpose)


def _surround(x, padding, value):
    """Put *value* around the dimensions that have padding."""
    if not any(before or after for before, after in padding):
        return x
    pattern = [(0, 0), *(tuple(dim) for dim in padding)]
    return cntk.pad(x, pattern, mode=cntk.ops.CONSTANT_PAD, constant_value=value)


def _conv(layer, x):
    kernel = _parameter(layer["filters"], x.shape[0], *layer["kernel"])
    bias = _parameter(layer["filters"], *[1] * len(layer["kernel"]))
    settings = zip(x.shape[1:], layer["kernel"], layer["stride"], layer["padding"])
    auto_padding = all(
        stride == 1 and size % 2 and tuple(around) == (size // 2, size // 2) and size <= dim
        for dim, size, stride, around in settings
    )
    if not auto_padding:
        x = _surround(x, layer["padding"], 0.0)
    padding = [False] + [auto_padding] * len(layer["kernel"])
    convolved = cntk.convolution(kernel, x, strides=tuple(layer["stride"]), auto_padding=padding)
    flat = Weight(bias, lambda a: a.reshape(bias.shape), lambda a: a.reshape(-1))
    return convolved + bias, {"kernel": Weight(kernel), "bias": flat}


def _max_pool(layer, x):
    x = _surround(x, layer["padding"], LOWEST)
    size, stride = tuple(layer["size"]), tuple(layer["stride"])
    return cntk.pooling(x, cntk.MAX_POOLING, size, stride, auto_padding=[False])


def _average(layer, x):
    del layer
    flat = cntk.reshape(x, (x.shape[0], int(numpy.prod(x.shape[1:]))))
    return cntk.reshape(cntk.reduce_mean(flat, axis=1), (x.shape[0],))


def _lrn(layer, x):
    half, channels = layer["size"] // 2, x.shape[0]
    few = channels < layer["size"]
    if few:
        pattern = [(half, half)] + [(0, 0)] * (len(x.shape) - 1)
        x = cntk.pad(x, pattern, mode=cntk.ops.CONSTANT_PAD, constant_value=0.0)
    normalised = cntk.local_response_normalization(
        x, half, layer["k"], layer["alpha"], layer["beta"]
    )
    return cntk.slice(normalised, 0, half, half + channels) if few else normalised


def _linear(x, units, prefix=""):
    """Return a product over the last axis and a bias, and their weights."""
    kernel, bias = _parameter(x.shape[-1], units), _parameter(units)
    weights = {prefix + "kernel": _transposed(kernel), prefix + "bias": Weight(bias)}
    return cntk.times(x, kernel) + bias, weights


def _reorder(order):
    """Return a function that reorders the equal parts of the last axis."""

    def turn(array):
        parts = numpy.split(array, len(order), axis=-1)
        return numpy.concatenate([parts[gate] for gate in order], axis=-1)

    return turn


def _gates(parameter, order):
    """A matrix (D, gates of H) or a bias of gates in CNTK's order of them."""
    turn = _reorder(order)
    back = _reorder([order.index(gate) for gate in range(len(order))])
    return Weight(parameter, lambda a: turn(a.T), lambda a: back(a).T)


def _gru_step(units, width):
    """Return a GRU step that resets after the product, and its weights."""
    kernel, recurrent = _parameter(width, 3 * units), _parameter(units, 3 * units)
    bias, state_bias = _parameter(3 * units), _parameter(3 * units)

    @cntk.Function
    def step(state, x):
        from_input = cntk.times(x, kernel) + bias
        from_state = cntk.times(state, recurrent) + state_bias

        def part(of, number):
            return cntk.slice(of, -1, number * units, (number + 1) * units)

        reset = cntk.sigmoid(part(from_input, 0) + part(from_state, 0))
        update = cntk.sigmoid(part(from_input, 1) + part(from_state, 1))
        new = cntk.tanh(part(from_input, 2) + reset * part(from_state, 2))
        return (1 - update) * new + update * state

    return step, {
        "kernel": _transposed(kernel),
        "recurrent": _transposed(recurrent),
        "bias": Weight(bias),
        "recurrent_bias": Weight(state_bias),
    }


#: By kind: the maker of CNTK's own step, and its order of the gates i, f, g, o.
_STEPS = {
    "rnn": (lambda units: cntk.layers.RNNStep(units, activation=cntk.tanh), [0]),
    "lstm": (cntk.layers.LSTM, [0, 2, 1, 3]),
}


def _direction(layer, x, steps, backwards, before=None):
    """Run over a sequence in one direction; return the output and the weights.

    It starts from the last step of *before*, (S, H), where that is given.
    """
    units, kind = layer["units"], layer["kind"]
    if kind == "gru":
        step, weights = _gru_step(units, x.shape[-1])
    else:
        make, order = _STEPS[kind]
        step = make(units)
    if before is None:
        out = cntk.layers.Recurrence(step, go_backwards=backwards)(x)
    else:
        last = cntk.slice(before, 0, before.shape[0] - 1, before.shape[0])
        out = cntk.layers.RecurrenceFrom(step)(cntk.reshape(last, (units,)), x)
    if kind != "gru":
        by_name = {parameter.name: parameter for parameter in out.parameters}
        names = {"kernel": "W", "recurrent": "H", "bias": "b"}
        weights = {name: _gates(by_name[here], order) for name, here in names.items()}
    if layer["return_sequences"]:
        whole = cntk.sequence.unpack(out, 0, no_mask_output=True)
        return cntk.reshape(whole, (steps, units)), weights
    return (cntk.sequence.first if backwards else cntk.sequence.last)(out), weights


def _recurrent(layer, x, before=None):
    outputs, weights = [], {}
    sequence = cntk.to_sequence(x)
    for prefix in ["", "backward_"] if layer.get("bidirectional") else [""]:
        out, new_weights = _direction(layer, sequence, x.shape[0], bool(prefix), before)
        outputs.append(out)
        weights.update({prefix + name: weight for name, weight in new_weights.items()})
    return outputs[0] if len(outputs) == 1 else cntk.splice(*outputs, axis=-1), weights


def _attend(query, memory, values, causal):
    """(T, D), (S, D), (S, D) -> (T, D)."""
    scores = cntk.times(query, cntk.transpose(memory, (1, 0))) / float(numpy.sqrt(query.shape[-1]))
    if causal:  # a number whose exponential is zero: CNTK makes NaN of an infinity
        scores = scores + cntk.constant(numpy.triu(numpy.full(scores.shape, -1e9, "float32"), 1))
    return cntk.times(cntk.softmax(scores, axis=-1), values)


def _multihead(layer, x):
    width = x.shape[-1]
    head_width = width // layer["heads"]
    weights, parts = {}, []
    for name in ("query_", "key_", "value_"):
        part, new_weights = _linear(x, width, name)
        weights.update(new_weights)
        parts.append(part)
    heads = []
    for start in range(0, width, head_width):
        query, key, value = (cntk.slice(part, -1, start, start + head_width) for part in parts)
        heads.append(_attend(query, key, value, layer.get("causal", False)))
    joined = heads[0] if len(heads) == 1 else cntk.splice(*heads, axis=-1)
    output, new_weights = _linear(joined, width, "output_")
    weights.update(new_weights)
    return output, weights


def _layer_norm(layer, x):
    scale, offset = _parameter(x.shape[-1]), _parameter(x.shape[-1])
    centred = x - cntk.reduce_mean(x, axis=-1)
    variance = cntk.reduce_mean(centred * centred, axis=-1)
    normalised = centred / cntk.sqrt(variance + layer["epsilon"]) * scale + offset
    return normalised, {"scale": Weight(scale), "offset": Weight(offset)}


def _position(layer, x):
    del layer
    table = _parameter(*x.shape)
    return x + table, {"table": Weight(table)}


KINDS: Dict[str, Callable[..., Any]] = {
    "conv": _conv,
    "max_pool": _max_pool,
    "global_average_pool": _average,
    "lrn": _lrn,
    "relu": lambda layer, x: cntk.relu(x),
    "tanh": lambda layer, x: cntk.tanh(x),
    "flatten": lambda layer, x: cntk.reshape(x, (int(numpy.prod(x.shape)),)),
    "dense": lambda layer, x: _linear(x, layer["units"]),
    "rnn": _recurrent,
    "lstm": _recurrent,
    "gru": _recurrent,
    "concat": lambda layer, *inputs: cntk.splice(*inputs, axis=layer["axis"] - 1),
    "add": lambda layer, x, y: x + y,
    "attention": lambda layer, query, memory: _attend(query, memory, memory, False),
    "multihead_attention": _multihead,
    "layer_norm": _layer_norm,
    "position": _position,
    "slice": lambda layer, x: cntk.slice(x, layer["axis"] - 1, layer["start"], layer["stop"]),
    "mean": lambda layer, x: cntk.reshape(cntk.reduce_mean(x, axis=0), (x.shape[1],)),
}
