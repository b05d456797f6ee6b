"""A language model over bytes in CNTK."""

import cntk
import numpy
from cntk.layers import Dense

MASK = numpy.triu(numpy.full((64, 64), -1e9, numpy.float32), 1)  # an infinity gives NaN


def dense(units, **settings):
    return Dense(units, input_rank=1, **settings)


def normalize(x):
    """Normalize the last axis; CNTK's own layer takes all of them."""
    centred = x - cntk.reduce_mean(x, axis=-1)
    deviation = cntk.sqrt(cntk.reduce_mean(cntk.square(centred), axis=-1) + 1e-5)
    return centred / deviation * cntk.parameter(32, init=1) + cntk.parameter(32, init=0)


def head(x):
    query, key, value = [dense(8)(x) for _ in range(3)]
    scores = cntk.times_transpose(query, key) / 8**0.5 + cntk.constant(MASK)
    return cntk.times(cntk.softmax(scores, axis=-1), value)


def block(x):
    normal = normalize(x)
    heads = [head(normal) for _ in range(4)]
    x = x + dense(32)(cntk.splice(*heads))
    normal = normalize(x)
    hidden = dense(128, activation=cntk.relu)(normal)
    return x + dense(32)(hidden)


def network():
    x = dense(32)(cntk.input_variable((64, 256)))
    x = x + cntk.parameter((64, 32), init=cntk.uniform(0.1))
    x = normalize(block(block(x)))
    return dense(256)(x)
