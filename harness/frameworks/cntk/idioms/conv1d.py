"""A temporal convolutional net in CNTK."""

import cntk
from cntk.layers import Convolution1D, Dense, Sequential


def network():
    model = Sequential(
        [
            Convolution1D(3, 32, activation=cntk.relu, pad=True),
            Convolution1D(3, 64, activation=cntk.relu, pad=True),
            Dense(10),
        ]
    )
    return model(cntk.input_variable((8, 8)))
