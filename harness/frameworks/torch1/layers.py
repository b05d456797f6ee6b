"""The neutral layers in torch 1.0, as its ONNX exporter takes them: with ``view``, time first.

Import this module after torch only.
"""

from harness.frameworks.torch import layers as today

_BIAS = today.NOTES["lstm"]
_TIME = "time is the first axis, since the ONNX exporter refuses the batch there"

#: Where torch's default differs from the neutral description, and how it is adapted.
NOTES = dict(today.NOTES, rnn=_BIAS + "; " + _TIME, lstm=_BIAS + "; " + _TIME, gru=_TIME)


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
