"""The neutral layers in torch 1.0, as its ONNX exporter takes them: with ``view``, time first.

Import this module after torch only.
"""

import torch
from torch import nn

from harness.frameworks.torch import layers as today

_BIAS = today.NOTES["lstm"]
_TIME = "time is the first axis, since the ONNX exporter refuses the batch there"

#: Where torch's default differs from the neutral description, and how it is adapted.
NOTES = dict(today.NOTES, rnn=_BIAS + "; " + _TIME, lstm=_BIAS + "; " + _TIME, gru=_TIME)


class ConvByThnn(today.Conv):
    """A convolution which, of two dimensions, THNN computes, forward and backward.

    THNN are the C kernels of Lua's Torch, whose ``SpatialConvolution`` called the same function.
    torch 1.0.0 itself would choose MKL-DNN, which came with PyTorch.
    """

    def forward(self, x):
        """(N, C, ...) -> (N, O, ...)."""
        own = self.convolution
        if len(own.kernel_size) != 2:
            return super().forward(x)
        if self.around:
            x = nn.functional.pad(x, self.around)
        function = torch._C._nn.thnn_conv2d
        return function(x, own.weight, own.kernel_size, own.bias, own.stride, own.padding)


class Recurrent(today.Recurrent):
    """torch's own recurrent layers, the time before the batch."""

    def __init__(self, layer, params):
        super().__init__(layer, params)
        self.cell.batch_first = False

    def steps(self, x, state=None):
        """(N, T, D) -> every step of all directions, (N, T, ways * H); *state*: (1, N, H)."""
        return super().steps(x.transpose(0, 1), state).transpose(0, 1)


class MultiheadAttention(today.MultiheadAttention):
    """Self-attention in several heads."""

    def split(self, x):
        """(N, T, D) -> (N, T, heads, D / heads)."""
        return x.view(x.size(0), x.size(1), self.heads, -1)

    def join(self, x):
        """(N, T, heads, D / heads) -> (N, T, D)."""
        return x.contiguous().view(x.size(0), x.size(1), -1)


def _flatten(x):
    return x.contiguous().view(x.size(0), -1)


def _average(x):
    return x.view(x.size(0), x.size(1), -1).mean(2)


class Graph(today.Graph):
    """A network: modules by layer name, each with the names of its inputs."""

    kinds = dict(
        today.KINDS,
        flatten=lambda layer, params: today.Function(_flatten),
        global_average_pool=lambda layer, params: today.Function(_average),
        multihead_attention=MultiheadAttention,
        rnn=Recurrent,
        lstm=Recurrent,
        gru=Recurrent,
    )


class GraphByThnn(Graph):
    """A network whose 2-D convolutions THNN computes."""

    kinds = dict(Graph.kinds, conv=ConvByThnn)
