"""The neutral layers in TensorFlow 1's operations. Import this module after TensorFlow only.

On the CPU it convolves with channels last only. So a value knows where its channels are, and is
transposed only where a layer needs another layout.
"""

from typing import Any, Callable, Dict, List

import numpy
import tensorflow as tf

from harness.adapters import layers_of

#: Where TensorFlow's default differs from the neutral description, and how it is adapted.
NOTES = {
    "conv": "channels last inside; zeros are padded before it where 'SAME' would pad differently",
    "max_pool": "channels last inside; -inf is padded before it where 'SAME' would pad differently",
    "max_pool, 3-D": "not adapted: TensorFlow's kernel gives each of several equal "
    "maxima the whole gradient",
    "lrn": "TensorFlow's alpha is for one channel: it gets alpha / size",
    "rnn": "BasicRNNCell in a dynamic_rnn; one kernel for inputs and states",
    "lstm": "BasicLSTMCell orders the gates i, g, f, o and adds 1 to f by default: set to add 0",
    "gru": "GRUCell resets before the product: an own cell in a dynamic_rnn",
    "layer_norm": "built from moments",
}


class Value:
    """A tensor and whether its channels are last; the neutral layout has them first."""

    def __init__(self, tensor, last=False):
        self.tensor = tensor
        self.last = last

    def moved(self, last):
        """Return the tensor with its channels last, or first."""
        rank = len(self.tensor.shape)
        if self.last == last or rank < 3:
            return self.tensor
        order = [0, *range(2, rank), 1] if last else [0, rank - 1, *range(1, rank - 1)]
        return tf.transpose(self.tensor, order)


class Weight:
    """A part of a variable, with the conversion from and to the neutral layout.

    *rows*: of the variable's, where it is not all of them.
    """

    def __init__(self, variable, enter=None, leave=None, rows=slice(None)):
        self.variable = variable
        self._enter = enter
        self._leave = leave
        self._rows = rows

    def put(self, whole, array):
        """Write a neutral array into its part of the variable's value."""
        whole[self._rows] = self._enter(array) if self._enter else array

    def neutral(self, whole):
        """Return its part of the variable's value, or gradient, in the neutral layout."""
        part = whole[self._rows]
        return numpy.ascontiguousarray(self._leave(part) if self._leave else part)


class Graph:
    """A network as operations: ``values`` by layer name, ``weights`` by neutral name."""

    def __init__(self, network):
        self.input = tf.placeholder(tf.float32, [None] + list(network["input"]), "input")
        self.values = {"input": Value(self.input)}
        self.weights = {}
        for layer, sources in layers_of(network, KINDS):
            inputs = [self.values[source] for source in sources]
            with tf.variable_scope(layer["name"]):
                value, weights = KINDS[layer["kind"]](layer, *inputs)
            self.values[layer["name"]] = value
            for name, weight in weights.items():
                self.weights[layer["name"] + "." + name] = weight
        self.logits = value.moved(False)
        self.variables: List[Any] = []
        for weight in self.weights.values():
            if all(weight.variable is not variable for variable in self.variables):
                self.variables.append(weight.variable)

    def outputs(self):
        """Return every layer's output by name, in the neutral layout."""
        return {name: value.moved(False) for name, value in self.values.items() if name != "input"}


def _variable(name, shape):
    return tf.get_variable(name, [int(dim) for dim in shape], initializer=tf.zeros_initializer())


def _transposed(variable, rows=slice(None)):
    return Weight(variable, numpy.transpose, numpy.transpose, rows)


def _padding_mode(layer, window, tensor):
    """Return "VALID" or "SAME" where TensorFlow's padding equals the layer's, else None."""
    padding = [tuple(dim) for dim in layer["padding"]]
    if not any(map(any, padding)):
        return "VALID"
    dims = tensor.shape.as_list()[1:-1]
    for dim, size, stride, around in zip(dims, window, layer["stride"], padding):
        total = max((-(-dim // stride) - 1) * stride + size - dim, 0)
        if around != (total // 2, total - total // 2):
            return None
    return "SAME"


def _conv(layer, x):
    tensor = x.moved(True)
    dims = len(layer["kernel"])
    padding = _padding_mode(layer, layer["kernel"], tensor)
    if padding is None:
        tensor = tf.pad(tensor, [[0, 0]] + list(layer["padding"]) + [[0, 0]])
    shape = [*layer["kernel"], tensor.shape[-1], layer["filters"]]
    kernel, bias = _variable("kernel", shape), _variable("bias", shape[-1:])
    operation = (tf.nn.conv1d, tf.nn.conv2d, tf.nn.conv3d)[dims - 1]
    strides = layer["stride"][0] if dims == 1 else [1] + list(layer["stride"]) + [1]
    convolved = operation(tensor, kernel, strides, padding or "VALID") + bias
    enter = (*range(2, dims + 2), 1, 0)
    leave = (dims + 1, dims, *range(dims))
    moved = Weight(kernel, lambda a: a.transpose(enter), lambda a: a.transpose(leave))
    return Value(convolved, True), {"kernel": moved, "bias": Weight(bias)}


def _max_pool(layer, x):
    tensor = x.moved(True)
    padding = _padding_mode(layer, layer["size"], tensor)
    if padding is None:
        around = [[0, 0]] + list(layer["padding"]) + [[0, 0]]
        tensor = tf.pad(tensor, around, constant_values=tensor.dtype.min)
    operation = (tf.nn.max_pool1d, tf.nn.max_pool2d, tf.nn.max_pool3d)[len(layer["size"]) - 1]
    pooled = operation(tensor, list(layer["size"]), list(layer["stride"]), padding or "VALID")
    return Value(pooled, True), {}


def _average(layer, x):
    del layer
    axes = list(range(2, len(x.tensor.shape)))
    return Value(tf.reduce_mean(x.moved(False), axes)), {}


def _lrn(layer, x):
    share = layer["alpha"] / layer["size"]
    normalised = tf.nn.lrn(x.moved(True), layer["size"] // 2, layer["k"], share, layer["beta"])
    return Value(normalised, True), {}


def _flatten(layer, x):
    del layer
    tensor = x.moved(False)
    return Value(tf.reshape(tensor, [-1, int(numpy.prod(tensor.shape.as_list()[1:]))])), {}


def _product(x, kernel, bias):
    """(..., D) by (D, K): over the last axis, in one product."""
    if len(x.shape) == 2:
        return tf.matmul(x, kernel) + bias
    dims = x.shape.as_list()[1:-1]
    flat = tf.matmul(tf.reshape(x, [-1, x.shape[-1]]), kernel) + bias
    return tf.reshape(flat, [-1, *dims, int(kernel.shape[-1])])


def _linear(x, units, prefix=""):
    """Return a product and a bias of their own, and their weights."""
    kernel = _variable(prefix + "kernel", [x.shape[-1], units])
    bias = _variable(prefix + "bias", [units])
    weights = {prefix + "kernel": _transposed(kernel), prefix + "bias": Weight(bias)}
    return _product(x, kernel, bias), weights


def _dense(layer, x):
    output, weights = _linear(x.moved(False), layer["units"])
    return Value(output), weights


def _swap_gates(array):
    """Exchange the second and the third quarter of the rows: the gates f and g."""
    first, second, third, fourth = numpy.split(array, 4)
    return numpy.concatenate([first, third, second, fourth])


class _GruCell(tf.nn.rnn_cell.RNNCell):
    """A GRU that resets after the product: two kernels, two biases. The state's rows are first."""

    def __init__(self, units, width):
        super().__init__()
        self.units = units
        self.kernel = _variable("kernel", [width, 3 * units])
        self.recurrent = _variable("recurrent", [units, 3 * units])
        self.bias = _variable("bias", [3 * units])
        self.recurrent_bias = _variable("recurrent_bias", [3 * units])

    @property
    def state_size(self):
        """Return the width of the state."""
        return self.units

    @property
    def output_size(self):
        """Return the width of the output."""
        return self.units

    def call(self, inputs, state):
        """Return the output and the state after one step."""
        from_input = tf.matmul(inputs, self.kernel) + self.bias
        from_state = tf.matmul(state, self.recurrent) + self.recurrent_bias
        gates = tf.sigmoid(from_input[:, : 2 * self.units] + from_state[:, : 2 * self.units])
        reset, update = gates[:, : self.units], gates[:, self.units :]
        new = tf.tanh(from_input[:, 2 * self.units :] + reset * from_state[:, 2 * self.units :])
        after = (1 - update) * new + update * state
        return after, after

    def weights_by_name(self, width):
        """Return its weights by the names of a layer's parameters."""
        del width
        return {
            "kernel": _transposed(self.kernel),
            "recurrent": _transposed(self.recurrent),
            "bias": Weight(self.bias),
            "recurrent_bias": Weight(self.recurrent_bias),
        }


class _LstmCell(tf.nn.rnn_cell.BasicLSTMCell):
    """TensorFlow's, and where the neutral parameters are in its one kernel."""

    def __init__(self, units, width):
        super().__init__(units, forget_bias=0.0)
        del width

    def weights_by_name(self, width):
        """Return its weights by the names of a layer's parameters."""
        kernel, bias = self.variables
        return {
            "kernel": Weight(
                kernel, lambda a: _swap_gates(a).T, lambda a: _swap_gates(a.T), slice(width)
            ),
            "recurrent": Weight(
                kernel, lambda a: _swap_gates(a).T, lambda a: _swap_gates(a.T), slice(width, None)
            ),
            "bias": Weight(bias, _swap_gates, _swap_gates),
        }


class _RnnCell(tf.nn.rnn_cell.BasicRNNCell):
    """TensorFlow's, and where the neutral parameters are in its one kernel."""

    def __init__(self, units, width):
        super().__init__(units)
        del width

    def weights_by_name(self, width):
        """Return its weights by the names of a layer's parameters."""
        kernel, bias = self.variables
        return {
            "kernel": _transposed(kernel, slice(width)),
            "recurrent": _transposed(kernel, slice(width, None)),
            "bias": Weight(bias),
        }


def _recurrent(layer, x, before=None):
    tensor = x.moved(False)
    width = int(tensor.shape[-1])
    kind = {"rnn": _RnnCell, "lstm": _LstmCell, "gru": _GruCell}[layer["kind"]]
    cells: List[Any] = []
    for name in ["forward", "backward"] if layer.get("bidirectional") else ["forward"]:
        with tf.variable_scope(name):
            cells.append(kind(layer["units"], width))
    if len(cells) == 1:
        start = before.moved(False)[:, -1] if before else None
        outputs, states = tf.nn.dynamic_rnn(cells[0], tensor, initial_state=start, dtype=tf.float32)
        outputs, states = [outputs], [states]
    else:
        outputs, states = tf.nn.bidirectional_dynamic_rnn(*cells, tensor, dtype=tf.float32)
    if not layer["return_sequences"]:
        outputs = [getattr(state, "h", state) for state in states]
    weights = {}
    for prefix, cell in zip(["", "backward_"], cells):
        for name, weight in cell.weights_by_name(width).items():
            weights[prefix + name] = weight
    joined = outputs[0] if len(cells) == 1 else tf.concat(outputs, -1)
    return Value(joined), weights


def _attend(query, memory, values, causal):
    """(..., T, D), (..., S, D), (..., S, D) -> (..., T, D)."""
    width = float(int(query.shape[-1]))
    scores = tf.matmul(query, memory, transpose_b=True) / numpy.float32(numpy.sqrt(width))
    if causal:
        steps = (int(query.shape[-2]),) * 2
        scores += numpy.triu(numpy.full(steps, -numpy.inf, "float32"), 1)
    return tf.matmul(tf.nn.softmax(scores), values)


def _attention(layer, query, memory):
    del layer
    values = memory.moved(False)
    return Value(_attend(query.moved(False), values, values, False)), {}


def _multihead(layer, x):
    tensor = x.moved(False)
    steps, width = tensor.shape.as_list()[1:]
    heads = layer["heads"]
    weights, parts = {}, []
    for name in ("query_", "key_", "value_"):
        part, new_weights = _linear(tensor, width, name)
        weights.update(new_weights)
        split_heads = tf.reshape(part, [-1, steps, heads, width // heads])
        parts.append(tf.transpose(split_heads, [0, 2, 1, 3]))
    query, key, value = parts
    attended = _attend(query, key, value, layer.get("causal", False))
    joined = tf.transpose(attended, [0, 2, 1, 3])
    output, new_weights = _linear(tf.reshape(joined, [-1, steps, width]), width, "output_")
    weights.update(new_weights)
    return Value(output), weights


def _layer_norm(layer, x):
    tensor = x.moved(False)
    scale, offset = (_variable(name, tensor.shape[-1:]) for name in ("scale", "offset"))
    mean, variance = tf.nn.moments(tensor, [-1], keep_dims=True)
    normalised = (tensor - mean) / tf.sqrt(variance + layer["epsilon"]) * scale + offset
    return Value(normalised), {"scale": Weight(scale), "offset": Weight(offset)}


def _position(layer, x):
    del layer
    tensor = x.moved(False)
    table = _variable("table", tensor.shape[1:])
    return Value(tensor + table), {"table": Weight(table)}


def _concat(layer, *inputs):
    last = all(value.last for value in inputs)
    axis = layer["axis"]
    if last:
        axis = len(inputs[0].tensor.shape) - 1 if axis == 1 else axis - 1
    return Value(tf.concat([value.moved(last) for value in inputs], axis), last), {}


def _add(layer, *inputs):
    del layer
    last = all(value.last for value in inputs)
    return Value(tf.add_n([value.moved(last) for value in inputs]), last), {}


def _slice(layer, x):
    part = (slice(None),) * layer["axis"] + (slice(layer["start"], layer["stop"]),)
    return Value(x.moved(False)[part]), {}


def _mean(layer, x):
    del layer
    return Value(tf.reduce_mean(x.moved(False), 1)), {}


KINDS: Dict[str, Callable[..., Any]] = {
    "conv": _conv,
    "max_pool": _max_pool,
    "global_average_pool": _average,
    "lrn": _lrn,
    "relu": lambda layer, x: (Value(tf.nn.relu(x.tensor), x.last), {}),
    "tanh": lambda layer, x: (Value(tf.tanh(x.tensor), x.last), {}),
    "flatten": _flatten,
    "dense": _dense,
    "rnn": _recurrent,
    "lstm": _recurrent,
    "gru": _recurrent,
    "concat": _concat,
    "add": _add,
    "attention": _attention,
    "multihead_attention": _multihead,
    "layer_norm": _layer_norm,
    "position": _position,
    "slice": _slice,
    "mean": _mean,
}
