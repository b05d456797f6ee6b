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

    def step(from_input, hidden):
        from_input = tensor.split(from_input, [48] * 3, 3, axis=1)
        from_state = tensor.split(tensor.dot(hidden, u) + c, [48] * 3, 3, axis=1)
        r, z = sigmoid(from_input[0] + from_state[0]), sigmoid(from_input[1] + from_state[1])
        n = tensor.tanh(from_input[2] + r * from_state[2])
        return (1 - z) * n + z * hidden

    from_input = tensor.dot(x.dimshuffle(1, 0, 2), w) + b
    hidden, _ = theano.scan(step, from_input, tensor.zeros((x.shape[0], 48)))
    return [x], tensor.dot(hidden[-1], v) + d, [w, u, b, c, v, d]
