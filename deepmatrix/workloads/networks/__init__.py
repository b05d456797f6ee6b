"""The networks: neutral descriptions, the one source for every framework and for gold."""

from __future__ import annotations

from deepmatrix.workloads.networks import images, sequences
from deepmatrix.workloads.networks.description import (
    GATES,
    Layer,
    Network,
    Shape,
    cache_shapes,
    flops,
    inputs_of,
    parameter_count,
    parameters,
    shapes,
    training_flops,
)

__all__ = [
    "GATES",
    "NETWORKS",
    "Layer",
    "Network",
    "Shape",
    "cache_shapes",
    "flops",
    "inputs_of",
    "parameter_count",
    "parameters",
    "shapes",
    "training_flops",
]


def _networks() -> dict[str, Network]:
    networks_ = [images.digits_conv(), sequences.digits_lstm()]
    for size in ("tiny", "small", "imagenet"):
        networks_ += [images.alexnet(size), images.vgg_a(size), images.googlenet(size)]
    for size in ("tiny", "small"):
        networks_ += [sequences.recurrent(kind, kind, size) for kind in ("rnn", "lstm", "gru")]
        networks_.append(sequences.recurrent("bilstm", "lstm", size, bidirectional=True))
        networks_ += [sequences.seq2seq(size), sequences.conv1d(size), sequences.transformer(size)]
        networks_ += [images.conv3d(size), images.resnet(size), sequences.decoder(size)]
    for network in (sequences.recurrent("lstm", "lstm", "small"), sequences.transformer("small")):
        networks_ += [sequences.of_length(network, length) for length in sequences.LENGTHS]
    return {network["name"]: network for network in networks_}


NETWORKS = _networks()
