"""A 3-D convolutional net in CNTK."""

import cntk
from cntk.layers import Convolution3D, Dense, MaxPooling, Sequential


def network():
    model = Sequential(
        [
            Convolution3D((3, 3, 3), 8, activation=cntk.relu, pad=True),
            MaxPooling((2, 2, 2), strides=2),
            Convolution3D((3, 3, 3), 16, activation=cntk.relu, pad=True),
            MaxPooling((2, 2, 2), strides=2),
            Dense(10),
        ]
    )
    return model(cntk.input_variable((1, 6, 12, 12)))
