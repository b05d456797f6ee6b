"""A sequence-to-sequence model with attention in Theano."""

import numpy
import theano
from theano import tensor
from theano.tensor.nnet import sigmoid, softmax


def shared(value):
    return theano.shared(value.astype(theano.config.floatX))


def weights(inputs, outputs):
    bound = numpy.sqrt(6.0 / inputs)
    return shared(numpy.random.uniform(-bound, bound, (inputs, outputs)))


def gru(params, state, x):
    w, u = weights(11, 3 * 32), weights(32, 3 * 32)
    b, c = shared(numpy.zeros(3 * 32)), shared(numpy.zeros(3 * 32))
    params += [w, u, b, c]

    def step(from_input, hidden):
        from_input = tensor.split(from_input, [32] * 3, 3, axis=1)
        from_state = tensor.split(tensor.dot(hidden, u) + c, [32] * 3, 3, axis=1)
        r, z = sigmoid(from_input[0] + from_state[0]), sigmoid(from_input[1] + from_state[1])
        n = tensor.tanh(from_input[2] + r * from_state[2])
        return (1 - z) * n + z * hidden

    from_input = tensor.dot(x.dimshuffle(1, 0, 2), w) + b
    hidden, _ = theano.scan(step, from_input, state)
    return hidden.dimshuffle(1, 0, 2), hidden[-1]


def dense(params, x, inputs, outputs):
    w, b = weights(inputs, outputs), shared(numpy.zeros(outputs))
    params += [w, b]
    return tensor.dot(x, w) + b


def network():
    source, fed, params = tensor.tensor3("source"), tensor.tensor3("fed"), []
    memory, state = gru(params, tensor.zeros((source.shape[0], 32)), source)
    decoded, _ = gru(params, state, fed)
    scores = tensor.batched_dot(decoded, memory.dimshuffle(0, 2, 1)) / 32**0.5
    shares = softmax(scores.reshape((-1, 6))).reshape(scores.shape)  # softmax is for matrices
    joined = tensor.concatenate([tensor.batched_dot(shares, memory), decoded], axis=2)
    attended = tensor.tanh(dense(params, joined, 64, 32))
    return [source, fed], dense(params, attended, 32, 10), params
