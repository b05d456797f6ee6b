"""GoogLeNet in CNTK."""

import cntk
from cntk.layers import Convolution2D, Dense, GlobalAveragePooling, MaxPooling, Sequential


def surround(size):
    """Put zeros around: a layer that pads by itself refuses an input smaller than its window.

    In a pooling they do not win, as it follows a relu.
    """
    side = (size // 2, size // 2)
    return lambda x: cntk.pad(x, [(0, 0), side, side])


def conv(filters, size):
    return Sequential([surround(size), Convolution2D((size, size), filters, activation=cntk.relu)])


def pool(x):
    return cntk.pooling(x, cntk.MAX_POOLING, (3, 3), (2, 2), ceil_out_dim=True)


def normalize(x):
    return cntk.local_response_normalization(x, 2, 1.0, 1e-4, 0.75)


def inception(pointwise, three_reduce, three, five_reduce, five, pooled):
    parts = [
        conv(pointwise, 1),
        Sequential([conv(three_reduce, 1), conv(three, 3)]),
        Sequential([conv(five_reduce, 1), conv(five, 5)]),
        Sequential([surround(3), MaxPooling((3, 3)), conv(pooled, 1)]),
    ]
    return lambda x: cntk.splice(*[part(x) for part in parts], axis=0)


def network():
    model = Sequential(
        [
            conv(8, 3),
            pool,
            normalize,
            conv(8, 1),
            conv(24, 3),
            normalize,
            pool,
            inception(8, 12, 16, 2, 4, 4),
            inception(16, 16, 24, 4, 12, 8),
            pool,
            inception(24, 12, 26, 2, 6, 8),
            inception(20, 14, 28, 3, 8, 8),
            inception(16, 16, 32, 3, 8, 8),
            inception(14, 18, 36, 4, 8, 8),
            inception(32, 20, 40, 4, 16, 16),
            pool,
            inception(32, 20, 40, 4, 16, 16),
            inception(48, 24, 48, 6, 16, 16),
            GlobalAveragePooling(),
            Dense(10),
        ]
    )
    return model(cntk.input_variable((1, 32, 32)))
