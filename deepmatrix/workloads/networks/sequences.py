"""Networks that read sequences: recurrent ones, attention, temporal convolution."""

from __future__ import annotations

from deepmatrix.workloads.networks.builder import Builder
from deepmatrix.workloads.networks.description import Network

UNITS = {"tiny": 8, "small": 48}

#: Steps of the sequences over which times are swept.
LENGTHS = (8, 24, 72, 216)

#: Ten digits and the start token.
TOKENS = 11

#: What a byte can be.
SYMBOLS = 256


def digits_lstm() -> Network:
    """One LSTM that reads an image row by row: 8 steps of 8 pixels."""
    builder = Builder("digits-lstm", [8, 8], 10, "rows")
    builder.layer("lstm", "lstm", units=48, return_sequences=False)
    return builder.finish()


def recurrent(name: str, kind: str, size: str, *, bidirectional: bool = False) -> Network:
    """One recurrent layer that reads an image row by row."""
    builder = Builder(f"{name}-{size}", [8, 8], 10, "rows")
    settings = {"bidirectional": True} if bidirectional else {}
    builder.layer(name, kind, units=UNITS[size], return_sequences=False, **settings)
    return builder.finish()


def of_length(network: Network, length: int) -> Network:
    """Return a network that reads longer or shorter sequences, of noise: only for times."""
    name, _, _ = network["name"].rpartition("-")
    return {
        **network,
        "name": f"{name}-length-{length}",
        "input": [length, *network["input"][1:]],
        "task": "random",
    }


def seq2seq(size: str) -> Network:
    """An encoder and a decoder with global attention, taught to reverse digits.

    Luong and others, "Effective approaches to attention-based neural machine translation", 2015,
    dot score, here scaled; by the units of Cho and others, 2014. The decoder starts from the
    encoder's last state. Teacher forcing: the one input holds the source and, after it in time,
    what the decoder is fed: the target, one step late.
    """
    steps = {"tiny": 4, "small": 6}[size]
    units = {"tiny": 8, "small": 32}[size]
    builder = Builder(f"seq2seq-{size}", [2 * steps, TOKENS], 10, "reversal")
    builder.layer("source", "slice", "input", axis=1, start=0, stop=steps)
    encoded = builder.layer("encoder", "gru", units=units, return_sequences=True)
    fed = builder.layer("fed", "slice", "input", axis=1, start=steps, stop=2 * steps)
    decoded = builder.layer("decoder", "gru", fed, encoded, units=units, return_sequences=True)
    context = builder.layer("attention", "attention", decoded, encoded)
    builder.layer("joined", "concat", context, decoded, axis=2)
    builder.dense("attended", units)
    builder.layer("attended_tanh", "tanh")
    return builder.finish()


def conv1d(size: str) -> Network:
    """A temporal convolutional net that reads the columns of an image as channels."""
    builder = Builder(f"conv1d-{size}", [8, 8], 10, "rows")
    for number, filters in enumerate({"tiny": (8, 8), "small": (32, 64)}[size], start=1):
        builder.conv_relu(f"conv{number}", filters, 3)
    builder.layer("flatten", "flatten")
    return builder.finish()


def transformer(size: str) -> Network:
    """A transformer encoder that reads an image row by row, normalized before each part.

    Vaswani and others, "Attention is all you need", 2017; Xiong and others, "On layer
    normalization in the transformer architecture", 2020; learned positions.
    """
    width, heads, blocks = {"tiny": (8, 2, 1), "small": (32, 4, 2)}[size]
    builder = Builder(f"transformer-{size}", [8, 8], 10, "rows")
    builder.dense("embedding", width)
    _transform(builder, width, heads, blocks)
    builder.layer("mean", "mean")
    return builder.finish()


def decoder(size: str) -> Network:
    """A language model over bytes: a transformer in which a step sees none after it.

    Radford and others, "Language models are unsupervised multitask learners", 2019, with a Relu.
    Its input is one-hot, so that a dense layer is the embedding.
    """
    steps, width, heads, blocks = {"tiny": (16, 32, 4, 1), "small": (64, 32, 4, 2)}[size]
    builder = Builder(f"decoder-{size}", [steps, SYMBOLS], SYMBOLS, "text")
    builder.layer("embedding", "dense", units=width, initial="one_hot")
    _transform(builder, width, heads, blocks, causal=True)
    return builder.finish()


def _transform(builder: Builder, width: int, heads: int, blocks: int, **attention: bool) -> None:
    """Add positions, and blocks of attention and dense layers, normalized."""
    before = builder.layer("position", "position")
    for number in range(1, blocks + 1):
        builder.layer(f"norm{number}_1", "layer_norm", before, epsilon=1e-5)
        attended = builder.layer(
            f"attention{number}", "multihead_attention", heads=heads, **attention
        )
        before = builder.layer(f"add{number}_1", "add", before, attended)
        builder.layer(f"norm{number}_2", "layer_norm", epsilon=1e-5)
        builder.dense(f"dense{number}_1", 4 * width)
        builder.layer(f"dense{number}_relu", "relu")
        fed = builder.dense(f"dense{number}_2", width)
        before = builder.layer(f"add{number}_2", "add", before, fed)
    builder.layer("norm", "layer_norm", epsilon=1e-5)
