"""A residual net in CNTK."""

import cntk
from cntk.layers import Convolution2D, Dense, GlobalAveragePooling, Sequential


def conv(width, stride=1, **settings):
    return Convolution2D((3, 3), width, strides=stride, pad=True, **settings)


def block(width, stride):
    shortcut = Convolution2D((1, 1), width, strides=stride) if stride > 1 else cntk.layers.identity
    branch = conv(width, stride, activation=cntk.relu) >> conv(width, init=0)
    return [(branch, shortcut), cntk.plus, cntk.relu]


def network():
    model = Sequential(
        [
            conv(16, activation=cntk.relu),
            block(16, 1),
            block(32, 2),
            block(64, 2),
            GlobalAveragePooling(),
            Dense(10),
        ]
    )
    return model(cntk.input_variable((1, 32, 32)))
