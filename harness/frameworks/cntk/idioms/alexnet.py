"""AlexNet in CNTK."""

import cntk
from cntk.layers import Convolution2D, Dense, Sequential, default_options


def pool(x):
    return cntk.pooling(x, cntk.MAX_POOLING, (3, 3), (2, 2), ceil_out_dim=True)


def network():
    with default_options(activation=cntk.relu, pad=True):
        model = Sequential(
            [
                Convolution2D((3, 3), 8),
                pool,
                Convolution2D((3, 3), 24),
                pool,
                Convolution2D((3, 3), 48),
                Convolution2D((3, 3), 32),
                Convolution2D((3, 3), 32),
                pool,
                Dense(64),
                Dense(64),
                Dense(10, activation=None),
            ]
        )
    return model(cntk.input_variable((1, 32, 32)))
