"""A GRU in Theano."""

import numpy
import theano
from theano import tensor
from theano.tensor.nnet import sigmoid


def shared(value):
    return theano.shared(value.astype(theano.config.floatX))


def weights(inputs, outputs):
    bound = numpy.sqrt(6.0 / inputs)
    return shared(numpy.random.uniform(-bound, bound, (inputs, outputs)))


def network():
    x = tensor.tensor3("x")
    w, u = weights(8, 3 * 48), weights(48, 3 * 48)
    b, c = shared(numpy.zeros(3 * 48)), shared(numpy.zeros(3 * 48))
    v, d = weights(48, 10), shared(numpy.zeros(10))

    def step(given, hidden):
        given = tensor.split(given, [48] * 3, 3, axis=1)
        kept = tensor.split(tensor.dot(hidden, u) + c, [48] * 3, 3, axis=1)
        r, z = sigmoid(given[0] + kept[0]), sigmoid(given[1] + kept[1])
        n = tensor.tanh(given[2] + r * kept[2])
        return (1 - z) * n + z * hidden

    given = tensor.dot(x.dimshuffle(1, 0, 2), w) + b
    hidden, _ = theano.scan(step, given, tensor.zeros((x.shape[0], 48)))
    return [x], tensor.dot(hidden[-1], v) + d, [w, u, b, c, v, d]
