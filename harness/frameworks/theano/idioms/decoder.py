"""A language model over bytes in Theano."""

import numpy
import theano
from theano import tensor
from theano.tensor.nnet import relu, softmax

MASK = numpy.triu(numpy.full((64, 64), -numpy.inf), 1).astype(theano.config.floatX)


def shared(value):
    return theano.shared(value.astype(theano.config.floatX))


def dense(params, x, inputs, outputs):
    bound = numpy.sqrt(6.0 / inputs)
    w = shared(numpy.random.uniform(-bound, bound, (inputs, outputs)))
    b = shared(numpy.zeros(outputs))
    params += [w, b]
    return tensor.dot(x, w) + b


def normalize(params, x):
    scale, offset = shared(numpy.ones(32)), shared(numpy.zeros(32))
    params += [scale, offset]
    x = x - x.mean(axis=-1, keepdims=True)
    return x / tensor.sqrt(x.var(axis=-1, keepdims=True) + 1e-5) * scale + offset


def split(x):
    return x.reshape((-1, 64, 4, 8)).dimshuffle(0, 2, 1, 3).reshape((-1, 64, 8))


def attend(params, x):
    query, key, value = [split(dense(params, x, 32, 32)) for _ in range(3)]
    scores = tensor.batched_dot(query, key.dimshuffle(0, 2, 1)) / 8**0.5 + MASK
    shares = softmax(scores.reshape((-1, 64))).reshape(scores.shape)  # softmax is for matrices
    heads = tensor.batched_dot(shares, value).reshape((-1, 4, 64, 8))
    return dense(params, heads.dimshuffle(0, 2, 1, 3).reshape(x.shape), 32, 32)


def block(params, x):
    x = x + attend(params, normalize(params, x))
    hidden = relu(dense(params, normalize(params, x), 32, 128))
    return x + dense(params, hidden, 128, 32)


def network():
    x, params = tensor.tensor3("x"), []
    position = shared(numpy.random.randn(64, 32) / 10)
    y = dense(params, x, 256, 32) + position
    params.append(position)
    for _ in range(2):
        y = block(params, y)
    return [x], dense(params, normalize(params, y), 32, 256), params
