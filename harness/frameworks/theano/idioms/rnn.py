"""A plain recurrent net in Theano."""

import numpy
import theano
from theano import tensor


def shared(value):
    return theano.shared(value.astype(theano.config.floatX))


def weights(inputs, outputs):
    bound = numpy.sqrt(6.0 / inputs)
    return shared(numpy.random.uniform(-bound, bound, (inputs, outputs)))


def network():
    x = tensor.tensor3("x")
    w, u, b = weights(8, 48), weights(48, 48), shared(numpy.zeros(48))
    v, c = weights(48, 10), shared(numpy.zeros(10))

    def step(from_input, hidden):
        return tensor.tanh(from_input + tensor.dot(hidden, u))

    from_input = tensor.dot(x.dimshuffle(1, 0, 2), w) + b
    hidden, _ = theano.scan(step, from_input, tensor.zeros((x.shape[0], 48)))
    return [x], tensor.dot(hidden[-1], v) + c, [w, u, b, v, c]
