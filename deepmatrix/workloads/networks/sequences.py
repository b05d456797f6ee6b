"""Networks that read sequences: recurrent ones, attention, temporal convolution."""

from __future__ import annotations

from deepmatrix.workloads.networks.builder import Builder
from deepmatrix.workloads.networks.description import Network

UNITS = {"tiny": 8, "small": 48}

#: Ten digits and what stands before the first one.
TOKENS = 11


def digits_lstm() -> Network:
    """One LSTM that reads an image row by row: 8 steps of 8 pixels."""
    made = Builder("digits-lstm", [8, 8], 10, "rows")
    made.layer("lstm", "lstm", units=48, return_sequences=False)
    return made.done()


def recurrent(name: str, kind: str, size: str, *, bidirectional: bool = False) -> Network:
    """One recurrent layer that reads an image row by row."""
    made = Builder(f"{name}-{size}", [8, 8], 10, "rows")
    settings = {"bidirectional": True} if bidirectional else {}
    made.layer(name, kind, units=UNITS[size], return_sequences=False, **settings)
    return made.done()


def seq2seq(size: str) -> Network:
    """An encoder and a decoder with global attention, taught to reverse digits.

    Luong and others, "Effective approaches to attention-based neural machine translation", 2015,
    dot score, here scaled; teacher forcing; both start at zero. The one input holds the source
    and, after it in time, what the decoder is fed: the target, one step late.
    """
    steps = {"tiny": 4, "small": 6}[size]
    units = {"tiny": 8, "small": 32}[size]
    made = Builder(f"seq2seq-{size}", [2 * steps, TOKENS], 10, "reversal")
    made.layer("source", "slice", "input", axis=1, start=0, stop=steps)
    encoded = made.layer("encoder", "lstm", units=units, return_sequences=True)
    made.layer("fed", "slice", "input", axis=1, start=steps, stop=2 * steps)
    decoded = made.layer("decoder", "lstm", units=units, return_sequences=True)
    context = made.layer("attention", "attention", decoded, encoded)
    made.layer("joined", "concat", context, decoded, axis=2)
    made.dense("attended", units)
    made.layer("attended_tanh", "tanh")
    return made.done()


def conv1d(size: str) -> Network:
    """A temporal convolutional net that reads the columns of an image as channels."""
    made = Builder(f"conv1d-{size}", [8, 8], 10, "rows")
    for number, filters in enumerate({"tiny": (8, 8), "small": (32, 64)}[size], start=1):
        made.conv_relu(f"conv{number}", filters, 3)
    made.layer("flatten", "flatten")
    return made.done()


def transformer(size: str) -> Network:
    """A transformer encoder that reads an image row by row, normalized before each part.

    Vaswani and others, "Attention is all you need", 2017; Xiong and others, "On layer
    normalization in the transformer architecture", 2020; learned positions.
    """
    width, heads, blocks = {"tiny": (8, 2, 1), "small": (32, 4, 2)}[size]
    made = Builder(f"transformer-{size}", [8, 8], 10, "rows")
    made.dense("embedding", width)
    before = made.layer("position", "position")
    for number in range(1, blocks + 1):
        made.layer(f"norm{number}_1", "layer_norm", before, epsilon=1e-5)
        attended = made.layer(f"attention{number}", "multihead_attention", heads=heads)
        before = made.layer(f"add{number}_1", "add", before, attended)
        made.layer(f"norm{number}_2", "layer_norm", epsilon=1e-5)
        made.dense(f"dense{number}_1", 4 * width)
        made.layer(f"dense{number}_relu", "relu")
        fed = made.dense(f"dense{number}_2", width)
        before = made.layer(f"add{number}_2", "add", before, fed)
    made.layer("norm", "layer_norm", epsilon=1e-5)
    made.layer("mean", "mean")
    return made.done()
