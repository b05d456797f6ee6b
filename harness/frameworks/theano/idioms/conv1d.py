"""A temporal convolutional net in Theano."""

import numpy
import theano
from theano import tensor
from theano.tensor.nnet import conv2d


def shared(value):
    return theano.shared(value.astype(theano.config.floatX))


def weights(shape, fan_in):
    bound = numpy.sqrt(6.0 / fan_in)
    return shared(numpy.random.uniform(-bound, bound, shape))


def relu(x):
    """Rectify: the gradient at zero, where nnet.relu has a half, is zero."""
    return tensor.switch(x > 0, x, 0)


def conv(params, x, inputs, outputs):
    w, b = weights((outputs, inputs, 3, 1), 3 * inputs), shared(numpy.zeros(outputs))
    params += [w, b]
    y = conv2d(x, w, border_mode="half", filter_flip=False)
    return relu(y + b.dimshuffle("x", 0, "x", "x"))


def dense(params, x, inputs, outputs):
    w, b = weights((inputs, outputs), inputs), shared(numpy.zeros(outputs))
    params += [w, b]
    return tensor.dot(x, w) + b


def network():
    x, params = tensor.tensor3("x"), []
    y = conv(params, x.dimshuffle(0, 1, 2, "x"), 8, 32)
    y = conv(params, y, 32, 64)
    return [x], dense(params, y.flatten(2), 512, 10), params
