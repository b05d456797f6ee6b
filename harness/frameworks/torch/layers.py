"""The neutral layers in torch's own modules, and a network of them as a graph.

Import this module after torch only. A module with parameters yields them by their neutral
names; torch's layouts are the neutral layouts.
"""

import math

import torch
from torch import nn

from harness.adapters import layers_of, parameters_of

#: Where torch's default differs from the neutral description, and how it is adapted.
NOTES = {
    "conv": "torch pads both ends alike; a padding layer before it where they differ",
    "max_pool": "torch pads both ends alike; -inf is padded before it where they differ",
    "rnn": "torch has a second bias: it is zero and not trained",
    "lstm": "torch has a second bias: it is zero and not trained",
    "multihead_attention": "four linear layers: torch's own module has three of them in one matrix",
}


class Conv(nn.Module):
    """A convolution of one, two or three dimensions, with the padding of its description."""

    def __init__(self, layer, params):
        super().__init__()
        dims = len(layer["kernel"])
        kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1]
        even, self.around = _padding(layer, layer["kernel"])
        filters, channels = params["kernel"].shape[:2]
        self.convolution = kind(
            channels, filters, tuple(layer["kernel"]), stride=tuple(layer["stride"]), padding=even
        )

    def forward(self, x):
        """(N, C, ...) -> (N, O, ...)."""
        if self.around:
            x = nn.functional.pad(x, self.around)
        return self.convolution(x)

    def neutral(self):
        """Yield (parameter's name, parameter)."""
        yield "kernel", self.convolution.weight
        yield "bias", self.convolution.bias


class MaxPool(nn.Module):
    """A max pooling of one, two or three dimensions; padding never wins."""

    def __init__(self, layer, params):
        super().__init__()
        kind = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[len(layer["size"]) - 1]
        even, self.around = _padding(layer, layer["size"])
        self.pool = kind(tuple(layer["size"]), stride=tuple(layer["stride"]), padding=even)

    def forward(self, x):
        """(N, C, ...) -> (N, C, ...)."""
        if self.around:
            x = nn.functional.pad(x, self.around, value=-math.inf)
        return self.pool(x)


def _padding(layer, window):
    """Return (padding of torch's layer, padding before it, last dimension first, or None)."""
    padding = layer["padding"]
    if all(
        before == after and 2 * before <= size for (before, after), size in zip(padding, window)
    ):
        return tuple(before for before, _ in padding), None
    return (0,) * len(padding), [amount for dim in reversed(padding) for amount in dim]


class Dense(nn.Linear):
    """A linear layer on the last axis."""

    def __init__(self, layer, params):
        super().__init__(params["kernel"].shape[1], params["kernel"].shape[0])

    def neutral(self):
        """Yield (parameter's name, parameter)."""
        yield "kernel", self.weight
        yield "bias", self.bias


class Recurrent(nn.Module):
    """torch's own recurrent layers. See `NOTES` for their second bias."""

    def __init__(self, layer, params):
        super().__init__()
        kinds = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
        self.units = layer["units"]
        self.whole = layer["return_sequences"]
        self.ways = [""] + (["_reverse"] if layer.get("bidirectional") else [])
        self.second = layer["kind"] == "gru"
        self.cell = kinds[layer["kind"]](
            params["kernel"].shape[1],
            self.units,
            batch_first=True,
            bidirectional=len(self.ways) == 2,
        )
        for way in self.ways:
            bias = getattr(self.cell, "bias_hh_l0" + way)
            if not self.second:
                bias.requires_grad_(False)
                nn.init.zeros_(bias)

    def forward(self, x, before=None):
        """(N, T, D) -> (N, T, H) or the last step of each direction, (N, H).

        It starts from the last step of *before*, (N, S, H), where that is given.
        """
        y = self.steps(x, None if before is None else before[:, -1].unsqueeze(0).contiguous())
        if self.whole:
            return y
        if len(self.ways) == 1:
            return y[:, -1]
        return torch.cat([y[:, -1, : self.units], y[:, 0, self.units :]], 1)

    def steps(self, x, state=None):
        """(N, T, D) -> every step of all directions, (N, T, ways * H); *state*: (1, N, H)."""
        y, _ = self.cell(x, state)
        return y

    def neutral(self):
        """Yield (parameter's name, parameter)."""
        for way in self.ways:
            prefix = "backward_" if way else ""
            yield prefix + "kernel", getattr(self.cell, "weight_ih_l0" + way)
            yield prefix + "recurrent", getattr(self.cell, "weight_hh_l0" + way)
            yield prefix + "bias", getattr(self.cell, "bias_ih_l0" + way)
            if self.second:
                yield prefix + "recurrent_bias", getattr(self.cell, "bias_hh_l0" + way)


class MultiheadAttention(nn.Module):
    """Self-attention in several heads."""

    def __init__(self, layer, params):
        super().__init__()
        width = params["query_bias"].shape[0]
        self.heads = layer["heads"]
        self.causal = layer.get("causal", False)
        self.parts = nn.ModuleDict(
            {part: nn.Linear(width, width) for part in ("query", "key", "value", "output")}
        )

    def forward(self, x):
        """(N, T, D) -> (N, T, D)."""
        return self.attend(*self.project(x))

    def project(self, x):
        """(N, T, D) -> queries, keys and values, each (N, heads, T, D / heads)."""
        return [
            self.split(self.parts[part](x)).transpose(1, 2) for part in ("query", "key", "value")
        ]

    def attend(self, query, key, value):
        """Queries of the last T of S steps, and keys and values of all -> (N, T, D)."""
        joined = self.join(_attend(query, key, value, self.causal).transpose(1, 2))
        return self.parts["output"](joined)

    def split(self, x):
        """(N, T, D) -> (N, T, heads, D / heads)."""
        return x.unflatten(2, (self.heads, -1))

    def join(self, x):
        """(N, T, heads, D / heads) -> (N, T, D)."""
        return x.flatten(2)

    def neutral(self):
        """Yield (parameter's name, parameter)."""
        for part, linear in self.parts.items():
            yield part + "_kernel", linear.weight
            yield part + "_bias", linear.bias


def _attend(query, key, value, causal):
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    if causal:
        scores = scores.masked_fill(_after(query.shape[-2], key.shape[-2], key.device), -math.inf)
    return scores.softmax(-1) @ value


def _after(queries, keys, device):
    """Return (T, S): whether a key is of a step after the query's, of the last T of S steps."""
    asking = torch.arange(keys - queries, keys, device=device)
    return torch.arange(keys, device=device) > asking.unsqueeze(1)


class LayerNorm(nn.LayerNorm):
    """A normalization of the last axis."""

    def __init__(self, layer, params):
        super().__init__(params["scale"].shape[0], eps=layer["epsilon"])

    def neutral(self):
        """Yield (parameter's name, parameter)."""
        yield "scale", self.weight
        yield "offset", self.bias


class Position(nn.Module):
    """Adds a learned table."""

    def __init__(self, layer, params):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(params["table"].shape))

    def forward(self, x):
        """(N, T, D) -> (N, T, D)."""
        return x + self.table

    def neutral(self):
        """Yield (parameter's name, parameter)."""
        yield "table", self.table


class Function(nn.Module):
    """A layer without parameters."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        """Return the function of the inputs."""
        return self.function(*inputs)


def _slice(layer, params):
    length = layer["stop"] - layer["start"]
    return Function(lambda x: x.narrow(layer["axis"], layer["start"], length))


KINDS = {
    "conv": Conv,
    "max_pool": MaxPool,
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
    "concat": lambda layer, params: Function(lambda *inputs: torch.cat(inputs, layer["axis"])),
    "add": lambda layer, params: Function(lambda x, y: x + y),
    "attention": lambda layer, params: Function(
        lambda query, memory: _attend(query, memory, memory, False)
    ),
    "multihead_attention": MultiheadAttention,
    "layer_norm": LayerNorm,
    "position": Position,
    "slice": _slice,
    "mean": lambda layer, params: Function(lambda x: x.mean(1)),
}


class Graph(nn.Module):
    """A network: modules by layer name, each with the names of its inputs."""

    kinds = KINDS

    def __init__(self, network, weights):
        super().__init__()
        self.layers = nn.ModuleDict()
        self.reads = []
        for layer, inputs in layers_of(network, self.kinds):
            make = self.kinds[layer["kind"]]
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
        """Yield (neutral name, parameter)."""
        for name, module in self.layers.items():
            if hasattr(module, "neutral"):
                for parameter_name, value in module.neutral():
                    yield name + "." + parameter_name, value
