"""OxfordNet, configuration A, in Theano."""

import numpy
import theano
from theano import tensor
from theano.tensor.nnet import conv2d, relu
from theano.tensor.signal.pool import pool_2d


def shared(value):
    return theano.shared(value.astype(theano.config.floatX))


def weights(shape, fan_in):
    bound = numpy.sqrt(6.0 / fan_in)
    return shared(numpy.random.uniform(-bound, bound, shape))


def conv(params, x, inputs, outputs):
    w, b = weights((outputs, inputs, 3, 3), 9 * inputs), shared(numpy.zeros(outputs))
    params += [w, b]
    y = conv2d(x, w, border_mode="half", filter_flip=False)
    return relu(y + b.dimshuffle("x", 0, "x", "x"))


def dense(params, x, inputs, outputs):
    w, b = weights((inputs, outputs), inputs), shared(numpy.zeros(outputs))
    params += [w, b]
    return tensor.dot(x, w) + b


def network():
    x, params = tensor.tensor4("x"), []
    y, inputs = x, 1
    for widths in ([8], [16], [32, 32], [64, 64], [64, 64]):
        for width in widths:
            y = conv(params, y, inputs, width)
            inputs = width
        y = pool_2d(y, (2, 2), ignore_border=True)
    y = relu(dense(params, y.flatten(2), 64, 64))
    y = relu(dense(params, y, 64, 64))
    return [x], dense(params, y, 64, 10), params
