"""GoogLeNet in Theano."""

from functools import reduce

import numpy
import theano
from theano import tensor
from theano.tensor.nnet import conv2d, relu


def shared(value):
    return theano.shared(value.astype(theano.config.floatX))


def weights(shape, fan_in):
    bound = numpy.sqrt(6.0 / fan_in)
    return shared(numpy.random.uniform(-bound, bound, shape))


def conv(params, x, inputs, outputs, size):
    w = weights((outputs, inputs, size, size), size * size * inputs)
    b = shared(numpy.zeros(outputs))
    params += [w, b]
    y = conv2d(x, w, border_mode="half", filter_flip=False)
    return relu(y + b.dimshuffle("x", 0, "x", "x"))


def pool(x, stride=2):
    """Take the largest: pool_2d has the whole gradient for each of several equal ones."""
    count, channels, height, width = x.shape
    padded = tensor.zeros((count, channels, height + 2, width + 2))  # nothing is less after relu
    padded = tensor.set_subtensor(padded[:, :, 1:-1, 1:-1], x)
    first = stride - 1
    cells = [
        padded[:, :, first + i : height + i : stride, first + j : width + j : stride]
        for i in range(3)
        for j in range(3)
    ]
    return reduce(tensor.maximum, cells)


def normalize(x):
    count, channels, height, width = x.shape
    squares = tensor.zeros((count, channels + 4, height, width))
    squares = tensor.set_subtensor(squares[:, 2:-2], tensor.sqr(x))
    summed = sum(squares[:, n : n + channels] for n in range(5))
    return x / (1 + 1e-4 / 5 * summed) ** 0.75


def inception(params, x, inputs, pointwise, three, five, pooled):
    first = conv(params, x, inputs, pointwise, 1)
    second = conv(params, conv(params, x, inputs, three[0], 1), *three, size=3)
    third = conv(params, conv(params, x, inputs, five[0], 1), *five, size=5)
    fourth = conv(params, pool(x, 1), inputs, pooled, 1)
    return tensor.concatenate([first, second, third, fourth], axis=1)


def dense(params, x, inputs, outputs):
    w, b = weights((inputs, outputs), inputs), shared(numpy.zeros(outputs))
    params += [w, b]
    return tensor.dot(x, w) + b


def network():
    x, params = tensor.tensor4("x"), []
    y = normalize(pool(conv(params, x, 1, 8, 3)))
    y = conv(params, y, 8, 8, 1)
    y = pool(normalize(conv(params, y, 8, 24, 3)))
    y = inception(params, y, 24, 8, (12, 16), (2, 4), 4)
    y = pool(inception(params, y, 32, 16, (16, 24), (4, 12), 8))
    y = inception(params, y, 60, 24, (12, 26), (2, 6), 8)
    y = inception(params, y, 64, 20, (14, 28), (3, 8), 8)
    y = inception(params, y, 64, 16, (16, 32), (3, 8), 8)
    y = inception(params, y, 64, 14, (18, 36), (4, 8), 8)
    y = pool(inception(params, y, 66, 32, (20, 40), (4, 16), 16))
    y = inception(params, y, 104, 32, (20, 40), (4, 16), 16)
    y = inception(params, y, 104, 48, (24, 48), (6, 16), 16)
    return [x], dense(params, y.mean(axis=(2, 3)), 128, 10), params
