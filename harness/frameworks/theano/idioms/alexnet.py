"""AlexNet in Theano."""

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


def pool(x):
    return pool_2d(x, (3, 3), ignore_border=False, stride=(2, 2))


def dense(params, x, inputs, outputs):
    w, b = weights((inputs, outputs), inputs), shared(numpy.zeros(outputs))
    params += [w, b]
    return tensor.dot(x, w) + b


def network():
    x, params = tensor.tensor4("x"), []
    y = pool(conv(params, x, 1, 8))
    y = pool(conv(params, y, 8, 24))
    y = conv(params, y, 24, 48)
    y = conv(params, y, 48, 32)
    y = pool(conv(params, y, 32, 32))
    y = relu(dense(params, y.flatten(2), 512, 64))
    y = relu(dense(params, y, 64, 64))
    return [x], dense(params, y, 64, 10), params
