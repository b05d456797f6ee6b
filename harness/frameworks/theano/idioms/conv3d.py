"""A 3-D convolutional net in Theano."""

from functools import reduce

import numpy
import theano
from theano import tensor
from theano.tensor.nnet import conv3d


def shared(value):
    return theano.shared(value.astype(theano.config.floatX))


def weights(shape, fan_in):
    bound = numpy.sqrt(6.0 / fan_in)
    return shared(numpy.random.uniform(-bound, bound, shape))


def relu(x):
    """Rectify: the gradient at zero, where nnet.relu has a half, is zero."""
    return tensor.switch(x > 0, x, 0)


def conv(params, x, inputs, outputs):
    w, b = weights((outputs, inputs, 3, 3, 3), 27 * inputs), shared(numpy.zeros(outputs))
    params += [w, b]
    y = conv3d(x, w, border_mode="half", filter_flip=False)
    return relu(y + b.dimshuffle("x", 0, "x", "x", "x"))


def pool(x):
    """Take the largest: pool_3d has the whole gradient for each of several equal ones."""
    x = x[:, :, : x.shape[2] // 2 * 2]
    cells = [x[:, :, i::2, j::2, k::2] for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    return reduce(tensor.maximum, cells)


def dense(params, x, inputs, outputs):
    w, b = weights((inputs, outputs), inputs), shared(numpy.zeros(outputs))
    params += [w, b]
    return tensor.dot(x, w) + b


def network():
    x, params = tensor.tensor5("x"), []
    y = pool(conv(params, x, 1, 8))
    y = pool(conv(params, y, 8, 16))
    return [x], dense(params, y.flatten(2), 144, 10), params
