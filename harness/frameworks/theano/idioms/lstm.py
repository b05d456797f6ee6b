"""An LSTM in Theano."""

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
    w, u = weights(8, 4 * 48), weights(48, 4 * 48)
    b = shared(numpy.repeat([0, 1, 0, 0], 48))  # the forget gate starts open
    v, c = weights(48, 10), shared(numpy.zeros(10))

    def step(from_input, hidden, memory):
        i, f, g, o = tensor.split(from_input + tensor.dot(hidden, u), [48] * 4, 4, axis=1)
        memory = sigmoid(f) * memory + sigmoid(i) * tensor.tanh(g)
        return sigmoid(o) * tensor.tanh(memory), memory

    from_input, zero = tensor.dot(x.dimshuffle(1, 0, 2), w) + b, tensor.zeros((x.shape[0], 48))
    (hidden, _), _ = theano.scan(step, from_input, [zero, zero])
    return [x], tensor.dot(hidden[-1], v) + c, [w, u, b, v, c]
