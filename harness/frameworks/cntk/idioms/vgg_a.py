"""OxfordNet, configuration A, in CNTK."""

import cntk
from cntk.layers import Convolution2D, Dense, For, MaxPooling, Sequential, default_options


def surround(x):
    """Put zeros around: a layer that pads by itself refuses an input smaller than its kernel."""
    return cntk.pad(x, [(0, 0), (1, 1), (1, 1)])


def stage(widths):
    convs = [[surround, Convolution2D((3, 3), width)] for width in widths]
    return [convs, MaxPooling((2, 2), strides=2)]


def network():
    with default_options(activation=cntk.relu):
        model = Sequential(
            [
                For(([8], [16], [32, 32], [64, 64], [64, 64]), stage),
                Dense(64),
                Dense(64),
                Dense(10, activation=None),
            ]
        )
    return model(cntk.input_variable((1, 32, 32)))
