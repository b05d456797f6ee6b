"""A residual net in Theano."""

import numpy
import theano
from theano import tensor
from theano.tensor.nnet import conv2d


def shared(value):
    return theano.shared(value.astype(theano.config.floatX))


def weights(shape, fan_in, gain=1):
    bound = gain * numpy.sqrt(6.0 / fan_in)
    return shared(numpy.random.uniform(-bound, bound, shape))


def relu(x):
    """Cut off what is negative: Theano's relu has a gradient of a half where x is 0."""
    return tensor.switch(x > 0, x, 0)


def conv(params, x, inputs, outputs, size, stride=1, gain=1):
    w = weights((outputs, inputs, size, size), size * size * inputs, gain)
    b = shared(numpy.zeros(outputs))
    params += [w, b]
    y = conv2d(x, w, border_mode="half", subsample=(stride, stride), filter_flip=False)
    return y + b.dimshuffle("x", 0, "x", "x")


def block(params, x, inputs, width, stride):
    shortcut = conv(params, x, inputs, width, 1, stride) if stride > 1 else x
    branch = relu(conv(params, x, inputs, width, 3, stride))
    branch = conv(params, branch, width, width, 3, gain=0)
    return relu(branch + shortcut)


def dense(params, x, inputs, outputs):
    w, b = weights((inputs, outputs), inputs), shared(numpy.zeros(outputs))
    params += [w, b]
    return tensor.dot(x, w) + b


def network():
    x, params = tensor.tensor4("x"), []
    y = relu(conv(params, x, 1, 16, 3))
    y = block(params, y, 16, 16, 1)
    y = block(params, y, 16, 32, 2)
    y = block(params, y, 32, 64, 2)
    return [x], dense(params, y.mean(axis=(2, 3)), 64, 10), params
