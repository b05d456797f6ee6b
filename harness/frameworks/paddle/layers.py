"""The neutral layers in PaddlePaddle's own, and a network of them as a graph.

Import this module after paddle only. A layer with parameters yields them by their neutral names,
and whether it has them transposed.
"""

import paddle
from paddle import nn
from paddle.nn import functional

from harness.adapters import layers_of, parameters_of

SECOND = "paddle has a second bias: it is zero, and the optimiser does not have it"

#: Where PaddlePaddle's default differs from the neutral description, and how it is adapted.
NOTES = {
    "rnn": SECOND,
    "lstm": SECOND,
    "lrn": "not adapted: Paddle2ONNX pads it by a number that it never sets, so that some exports "
    "are wrong",
    "attention": "two products and a softmax: paddle's own layer has projections",
}


class Conv(nn.Layer):
    """A convolution of one, two or three dimensions, with the padding of its description."""

    def __init__(self, layer, params):
        super().__init__()
        filters, channels, *kernel = params["kernel"].shape
        kind = (nn.Conv1D, nn.Conv2D, nn.Conv3D)[len(kernel) - 1]
        padding = _padding(layer)
        self.convolution = kind(channels, filters, kernel, layer["stride"], padding=padding)

    def forward(self, x):
        """(N, C, ...) -> (N, O, ...)."""
        return self.convolution(x)

    def neutral(self):
        """Yield (parameter's name, parameter, whether it is transposed)."""
        yield "kernel", self.convolution.weight, False
        yield "bias", self.convolution.bias, False


def _padding(layer):
    return [amount for dim in layer["padding"] for amount in dim]


def _max_pool(layer, params):
    kind = (nn.MaxPool1D, nn.MaxPool2D, nn.MaxPool3D)[len(layer["size"]) - 1]
    return kind(layer["size"], layer["stride"], _padding(layer))


class Dense(nn.Linear):
    """A linear layer on the last axis."""

    def __init__(self, layer, params):
        super().__init__(params["kernel"].shape[1], params["kernel"].shape[0])

    def neutral(self):
        """Yield (parameter's name, parameter, whether it is transposed)."""
        yield "kernel", self.weight, True
        yield "bias", self.bias, False


class Recurrent(nn.Layer):
    """paddle's own recurrent layers. See `NOTES` for their second bias."""

    def __init__(self, layer, params):
        super().__init__()
        kind = {"rnn": nn.SimpleRNN, "lstm": nn.LSTM, "gru": nn.GRU}[layer["kind"]]
        self.units = layer["units"]
        self.whole = layer["return_sequences"]
        self.ways = ["", "_reverse"] if layer.get("bidirectional") else [""]
        self.second = layer["kind"] == "gru"
        direction = "bidirect" if len(self.ways) == 2 else "forward"
        self.cell = kind(params["kernel"].shape[1], self.units, direction=direction)
        for way in self.ways:
            bias = getattr(self.cell, "bias_hh_l0" + way)
            if not self.second:  # its kernel fails where a gradient is not wanted
                bias.set_value(paddle.zeros_like(bias))

    def forward(self, x, before=None):
        """(N, T, D) -> (N, T, H) or the last step of each direction, (N, H).

        It starts from the last step of *before*, (N, S, H), where that is given.
        """
        y, _ = self.cell(x, None if before is None else before[:, -1].unsqueeze(0))
        if self.whole:
            return y
        if len(self.ways) == 1:
            return y[:, -1]
        return paddle.concat([y[:, -1, : self.units], y[:, 0, self.units :]], 1)

    def neutral(self):
        """Yield (parameter's name, parameter, whether it is transposed)."""
        for way in self.ways:
            prefix = "backward_" if way else ""
            yield prefix + "kernel", getattr(self.cell, "weight_ih_l0" + way), False
            yield prefix + "recurrent", getattr(self.cell, "weight_hh_l0" + way), False
            yield prefix + "bias", getattr(self.cell, "bias_ih_l0" + way), False
            if self.second:
                yield prefix + "recurrent_bias", getattr(self.cell, "bias_hh_l0" + way), False


class SelfAttention(nn.Layer):
    """paddle's attention of a sequence with itself, in several heads."""

    def __init__(self, layer, params):
        super().__init__()
        self.causal = layer.get("causal", False)
        self.attention = nn.MultiHeadAttention(params["query_bias"].shape[0], layer["heads"])

    def forward(self, x):
        """(N, T, D) -> (N, T, D)."""
        steps = x.shape[1]
        mask = paddle.tril(paddle.ones([steps, steps])).astype("bool") if self.causal else None
        return self.attention(x, attn_mask=mask)

    def neutral(self):
        """Yield (parameter's name, parameter, whether it is transposed)."""
        parts = {"query": "q", "key": "k", "value": "v", "output": "out"}
        for part, name in parts.items():
            linear = getattr(self.attention, name + "_proj")
            yield part + "_kernel", linear.weight, True
            yield part + "_bias", linear.bias, False


def _attend(query, memory):
    """(N, Tq, D), (N, Tk, D) -> (N, Tq, D)."""
    scores = paddle.matmul(query, memory, transpose_y=True) / query.shape[-1] ** 0.5
    return paddle.matmul(functional.softmax(scores), memory)


class LayerNorm(nn.LayerNorm):
    """A normalization of the last axis."""

    def __init__(self, layer, params):
        super().__init__(params["scale"].shape[0], layer["epsilon"])

    def neutral(self):
        """Yield (parameter's name, parameter, whether it is transposed)."""
        yield "scale", self.weight, False
        yield "offset", self.bias, False


class Position(nn.Layer):
    """Adds a learned table."""

    def __init__(self, layer, params):
        super().__init__()
        self.table = self.create_parameter(params["table"].shape)

    def forward(self, x):
        """(N, T, D) -> (N, T, D)."""
        return x + self.table

    def neutral(self):
        """Yield (parameter's name, parameter, whether it is transposed)."""
        yield "table", self.table, False


class Function(nn.Layer):
    """A layer without parameters."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        """Return the function of the inputs."""
        return self.function(*inputs)


def _slice(layer, params):
    axes, starts, stops = [layer["axis"]], [layer["start"]], [layer["stop"]]
    return Function(lambda x: paddle.slice(x, axes, starts, stops))


KINDS = {
    "conv": Conv,
    "max_pool": _max_pool,
    "global_average_pool": lambda layer, params: Function(lambda x: x.flatten(2).mean(2)),
    "lrn": lambda layer, params: nn.LocalResponseNorm(
        layer["size"], layer["alpha"], layer["beta"], layer["k"]
    ),
    "relu": lambda layer, params: nn.ReLU(),
    "tanh": lambda layer, params: nn.Tanh(),
    "flatten": lambda layer, params: nn.Flatten(),
    "dense": Dense,
    "rnn": Recurrent,
    "lstm": Recurrent,
    "gru": Recurrent,
    "concat": lambda layer, params: Function(lambda *inputs: paddle.concat(inputs, layer["axis"])),
    "add": lambda layer, params: Function(lambda x, y: x + y),
    "attention": lambda layer, params: Function(_attend),
    "multihead_attention": SelfAttention,
    "layer_norm": LayerNorm,
    "position": Position,
    "slice": _slice,
    "mean": lambda layer, params: Function(lambda x: x.mean(1)),
}


class Graph(nn.Layer):
    """A network: layers by name, each with the names of its inputs."""

    def __init__(self, network, weights):
        super().__init__()
        self.layers = nn.LayerDict()
        self.reads = []
        for layer, inputs in layers_of(network, KINDS):
            make = KINDS[layer["kind"]]
            self.layers[layer["name"]] = make(layer, parameters_of(layer, weights))
            self.reads.append((layer["name"], inputs))

    def forward(self, x):
        """Return the logits of x."""
        return self.values(x)[self.reads[-1][0]]

    def values(self, x):
        """Return every layer's output, and the input, by name."""
        outputs = {"input": x}
        for name, inputs in self.reads:
            outputs[name] = self.layers[name](*[outputs[source] for source in inputs])
        return outputs

    def neutral(self):
        """Yield (neutral name, parameter, whether it is transposed)."""
        for name, module in self.layers.items():
            if hasattr(module, "neutral"):
                for parameter_name, value, transposed in module.neutral():
                    yield name + "." + parameter_name, value, transposed
