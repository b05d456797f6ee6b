"""The neutral layers in Keras's own, wired by its functional API, on any backend.

Import this module after Keras only. Keras convolves with channels last. So a value knows where its
channels are, and is permuted only where a layer needs another layout.
"""

import keras
import ml_dtypes
import numpy

from harness.adapters import layers_of

#: Where Keras's default differs from the neutral description, and how it is adapted.
NOTES = {
    "conv": "channels last inside; a padding layer before it where 'same' would pad differently",
    "max_pool": "channels last inside; -inf is padded before it where 'same' would pad differently",
    "max_pool, 3-D": "not adapted: TensorFlow's own kernel gives each of several equal "
    "maxima the whole gradient; oneDNN's, used by graphs on x86-64, gives it to one",
    "lrn": "Keras has none: TensorFlow's own, whose alpha is for one channel, so it gets "
    "alpha / size; on other backends sums of shifted squares",
    "gru": "Keras orders the gates z, r, h",
    "multihead_attention": "Keras's kernels are (in, heads, width of a head)",
}


class Value:
    """A Keras tensor and whether its channels are last; the neutral layout has them first."""

    def __init__(self, tensor, last=False):
        self.tensor = tensor
        self.last = last

    def moved(self, last):
        """Return the tensor with its channels last, or first."""
        rank = len(self.tensor.shape)
        if self.last == last or rank < 3:
            return self.tensor
        order = (*range(2, rank), 1) if last else (rank - 1, *range(1, rank - 1))
        return keras.layers.Permute(order)(self.tensor)


class Weight:
    """A variable of Keras, with the conversion from and to the neutral layout."""

    def __init__(self, variable, enter=None, leave=None):
        self.variable = variable
        self._enter = enter
        self._leave = leave

    def set(self, array):
        """Set the variable."""
        self.variable.assign(self._enter(array) if self._enter else array)

    def neutral(self, tensor):
        """Return the variable's value, or its gradient, in the neutral layout."""
        array = keras.ops.convert_to_numpy(tensor)
        return numpy.ascontiguousarray(self._leave(array) if self._leave else array)


class Graph:
    """A network as a Keras model: ``values`` by layer name, ``weights`` by neutral name."""

    def __init__(self, network):
        source = keras.Input(tuple(network["input"]), name="input")
        self.values = {"input": Value(source)}
        self.weights = {}
        for layer, sources in layers_of(network, KINDS):
            inputs = [self.values[source] for source in sources]
            value, weights = KINDS[layer["kind"]](layer, *inputs)
            self.values[layer["name"]] = value
            for name, weight in weights.items():
                self.weights[layer["name"] + "." + name] = weight
        self.model = keras.Model(source, value.moved(False))

    def watched(self):
        """Return the names of all layers and a model of their outputs in the neutral layout."""
        names = [name for name in self.values if name != "input"]
        outputs = [self.values[name].moved(False) for name in names]
        return names, keras.Model(self.model.input, outputs)


def _plain(variable):
    return Weight(variable)


def _transposed(variable):
    return Weight(variable, numpy.transpose, numpy.transpose)


def _conv(layer, x):
    tensor = x.moved(True)
    dims = len(layer["kernel"])
    padding = _padding_mode(layer, layer["kernel"], tensor)
    if padding is None:
        pads = (keras.layers.ZeroPadding1D, keras.layers.ZeroPadding2D, keras.layers.ZeroPadding3D)
        around = tuple(map(tuple, layer["padding"]))
        tensor = pads[dims - 1](around[0] if dims == 1 else around)(tensor)
    kind = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)[dims - 1]
    keras_layer = kind(
        layer["filters"],
        tuple(layer["kernel"]),
        strides=tuple(layer["stride"]),
        padding=padding or "valid",
        name=layer["name"],
    )
    value = Value(keras_layer(tensor), True)
    return value, {
        "kernel": _transposed_kernel(keras_layer.kernel),
        "bias": _plain(keras_layer.bias),
    }


def _transposed_kernel(variable):
    """(O, I, k...) to (k..., I, O), and back."""
    rank = len(variable.shape)
    enter = (*range(2, rank), 1, 0)
    leave = (rank - 1, rank - 2, *range(rank - 2))
    return Weight(variable, lambda a: a.transpose(enter), lambda a: a.transpose(leave))


def _padding_mode(layer, window, tensor):
    """Return "valid" or "same" where Keras's padding equals the layer's, else None."""
    padding = [tuple(dim) for dim in layer["padding"]]
    if not any(map(any, padding)):
        return "valid"
    for dim, size, stride, (before, after) in zip(
        tensor.shape[1:-1], window, layer["stride"], padding
    ):
        total = max((-(-dim // stride) - 1) * stride + size - dim, 0)
        if (before, after) != (total // 2, total - total // 2):
            return None
    return "same"


def _max_pool(layer, x):
    tensor = x.moved(True)
    padding = _padding_mode(layer, layer["size"], tensor)
    if padding is None:
        tensor = PadForMax(layer["padding"])(tensor)
    kinds = (keras.layers.MaxPooling1D, keras.layers.MaxPooling2D, keras.layers.MaxPooling3D)
    kind, window = kinds[len(layer["size"]) - 1], tuple(layer["size"])
    keras_layer = kind(window, tuple(layer["stride"]), padding or "valid", name=layer["name"])
    return Value(keras_layer(tensor), True), {}


class PadForMax(keras.layers.Layer):
    """Pads the dimensions of (N, dims..., C) with values that never win a maximum."""

    def __init__(self, padding):
        super().__init__()
        self.around = [[0, 0], *padding, [0, 0]]

    def call(self, x):
        """Return the padded tensor."""
        least = ml_dtypes.finfo(keras.backend.standardize_dtype(x.dtype)).min
        return keras.ops.pad(x, self.around, constant_values=float(least))


class LocalResponseNormalization(keras.layers.Layer):
    """Across the channels of (N, H, W, C)."""

    def __init__(self, layer):
        super().__init__(name=layer["name"])
        self.radius = layer["size"] // 2
        self.settings = {
            "bias": layer["k"],
            "alpha": layer["alpha"] / layer["size"],
            "beta": layer["beta"],
        }

    def call(self, x):
        """Return the normalized tensor."""
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            return tf.nn.local_response_normalization(x, self.radius, **self.settings)
        channels = x.shape[-1]
        padding = [[0, 0]] * 3 + [[self.radius, self.radius]]
        squares = keras.ops.pad(keras.ops.square(x), padding)
        shifts = range(2 * self.radius + 1)
        total = sum(squares[..., shift : shift + channels] for shift in shifts)
        scale = self.settings["bias"] + self.settings["alpha"] * total
        return x * keras.ops.power(scale, -self.settings["beta"])


class Attention(keras.layers.Layer):
    """Scaled dot-product attention of a query over a memory, without parameters."""

    def call(self, query, memory):
        """(N, Tq, D), (N, Tk, D) -> (N, Tq, D)."""
        scores = keras.ops.matmul(query, keras.ops.swapaxes(memory, 1, 2))
        return keras.ops.matmul(keras.ops.softmax(scores / query.shape[-1] ** 0.5), memory)


class Position(keras.layers.Layer):
    """Adds a learned table to (N, T, D)."""

    def build(self, shape):
        """Make the table."""
        self.table = self.add_weight(shape=shape[1:], name="table")

    def call(self, x):
        """Return the sum."""
        return x + self.table


def _simple(make):
    """Return a function that makes an element-wise layer, for any place of the channels."""
    return lambda layer, x: (Value(make(layer)(x.tensor), x.last), {})


def _neutral(make):
    """Return a function that makes a layer without parameters on the neutral layout."""
    return lambda layer, x: (Value(make(layer)(x.moved(False))), {})


def _average(layer, x):
    tensor = x.moved(True)
    kinds = (
        keras.layers.GlobalAveragePooling1D,
        keras.layers.GlobalAveragePooling2D,
        keras.layers.GlobalAveragePooling3D,
    )
    return Value(kinds[len(tensor.shape) - 3](name=layer["name"])(tensor)), {}


def _lrn(layer, x):
    return Value(LocalResponseNormalization(layer)(x.moved(True)), True), {}


def _dense(layer, x):
    keras_layer = keras.layers.Dense(layer["units"], name=layer["name"])
    value = Value(keras_layer(x.moved(False)))
    return value, {"kernel": _transposed(keras_layer.kernel), "bias": _plain(keras_layer.bias)}


def _recurrent(layer, x, before=None):
    kinds = {"rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM, "gru": keras.layers.GRU}
    keras_layer = kinds[layer["kind"]](
        layer["units"], return_sequences=layer["return_sequences"], name=layer["name"]
    )
    if not layer.get("bidirectional"):
        start = {"initial_state": before.moved(False)[:, -1]} if before else {}
        value = Value(keras_layer(x.moved(False), **start))
        return value, _recurrent_weights(layer, keras_layer, "")
    bidirectional = keras.layers.Bidirectional(keras_layer, name=layer["name"])
    value = Value(bidirectional(x.moved(False)))
    weights = _recurrent_weights(layer, bidirectional.forward_layer, "")
    weights.update(_recurrent_weights(layer, bidirectional.backward_layer, "backward_"))
    return value, weights


def _recurrent_weights(layer, keras_layer, prefix):
    cell = keras_layer.cell
    if layer["kind"] != "gru":
        return {
            prefix + "kernel": _transposed(cell.kernel),
            prefix + "recurrent": _transposed(cell.recurrent_kernel),
            prefix + "bias": _plain(cell.bias),
        }
    return {
        prefix + "kernel": Weight(
            cell.kernel, lambda a: _swap_gates(a).T, lambda a: _swap_gates(a.T)
        ),
        prefix + "recurrent": Weight(
            cell.recurrent_kernel, lambda a: _swap_gates(a).T, lambda a: _swap_gates(a.T)
        ),
        prefix + "bias": _Half(cell.bias, 0),
        prefix + "recurrent_bias": _Half(cell.bias, 1),
    }


def _swap_gates(array):
    """Exchange the first two thirds of the rows: the gates r and z."""
    first, second, third = numpy.split(array, 3)
    return numpy.concatenate([second, first, third])


class _Half(Weight):
    """One of the two rows of a GRU's bias."""

    def __init__(self, variable, row):
        super().__init__(variable)
        self.row = row

    def set(self, array):
        """Set the row."""
        whole = numpy.array(keras.ops.convert_to_numpy(self.variable))
        whole[self.row] = _swap_gates(array)
        self.variable.assign(whole)

    def neutral(self, tensor):
        """Return the row in the neutral layout."""
        return _swap_gates(keras.ops.convert_to_numpy(tensor)[self.row])


def _multihead(layer, x):
    tensor = x.moved(False)
    width, heads = tensor.shape[-1], layer["heads"]
    keras_layer = keras.layers.MultiHeadAttention(heads, width // heads, name=layer["name"])
    value = Value(keras_layer(tensor, tensor, use_causal_mask=layer.get("causal", False)))
    inner = {
        "query": keras_layer.query_dense,
        "key": keras_layer.key_dense,
        "value": keras_layer.value_dense,
    }
    weights = {}
    for part, dense in inner.items():
        weights[part + "_kernel"] = _reshaped(dense.kernel, (width, heads, width // heads), width)
        weights[part + "_bias"] = Weight(
            dense.bias, lambda a: a.reshape(heads, -1), lambda a: a.reshape(-1)
        )
    output = keras_layer.output_dense
    weights["output_kernel"] = _reshaped(output.kernel, (heads, width // heads, width), width)
    weights["output_bias"] = _plain(output.bias)
    return value, weights


def _reshaped(variable, shape, width):
    return Weight(variable, lambda a: a.T.reshape(shape), lambda a: a.reshape(width, width).T)


def _layer_norm(layer, x):
    keras_layer = keras.layers.LayerNormalization(epsilon=layer["epsilon"], name=layer["name"])
    value = Value(keras_layer(x.moved(False)))
    return value, {"scale": _plain(keras_layer.gamma), "offset": _plain(keras_layer.beta)}


def _position(layer, x):
    keras_layer = Position(name=layer["name"])
    value = Value(keras_layer(x.moved(False)))
    return value, {"table": _plain(keras_layer.table)}


def _concat(layer, *inputs):
    rank = len(inputs[0].tensor.shape)
    last = all(value.last for value in inputs)
    axis = layer["axis"]
    if last:
        axis = rank - 1 if axis == 1 else axis - 1
    keras_layer = keras.layers.Concatenate(axis=axis, name=layer["name"])
    return Value(keras_layer([value.moved(last) for value in inputs]), last), {}


def _add(layer, *inputs):
    last = all(value.last for value in inputs)
    keras_layer = keras.layers.Add(name=layer["name"])
    return Value(keras_layer([value.moved(last) for value in inputs]), last), {}


def _attention(layer, query, memory):
    keras_layer = Attention(name=layer["name"])
    return Value(keras_layer(query.moved(False), memory.moved(False))), {}


def _slice(layer, x):
    part = (slice(None),) * layer["axis"] + (slice(layer["start"], layer["stop"]),)
    return Value(x.moved(False)[part]), {}


KINDS = {
    "conv": _conv,
    "max_pool": _max_pool,
    "global_average_pool": _average,
    "lrn": _lrn,
    "relu": _simple(lambda layer: keras.layers.ReLU(name=layer["name"])),
    "tanh": _simple(lambda layer: keras.layers.Activation("tanh", name=layer["name"])),
    "flatten": _neutral(lambda layer: keras.layers.Flatten(name=layer["name"])),
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
    "mean": _neutral(lambda layer: keras.layers.GlobalAveragePooling1D(name=layer["name"])),
}
