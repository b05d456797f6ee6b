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


def lstm(params, x):
    w, u = weights(11, 4 * 32), weights(32, 4 * 32)
    b = shared(numpy.repeat([0, 1, 0, 0], 32))  # the forget gate starts open
    params += [w, u, b]

    def step(from_input, hidden, memory):
        i, f, g, o = tensor.split(from_input + tensor.dot(hidden, u), [32] * 4, 4, axis=1)
        memory = sigmoid(f) * memory + sigmoid(i) * tensor.tanh(g)
        return sigmoid(o) * tensor.tanh(memory), memory

    from_input, zero = tensor.dot(x.dimshuffle(1, 0, 2), w) + b, tensor.zeros((x.shape[0], 32))
    (hidden, _), _ = theano.scan(step, from_input, [zero, zero])
    return hidden.dimshuffle(1, 0, 2)


def dense(params, x, inputs, outputs):
    w, b = weights(inputs, outputs), shared(numpy.zeros(outputs))
    params += [w, b]
    return tensor.dot(x, w) + b


def network():
    source, fed, params = tensor.tensor3("source"), tensor.tensor3("fed"), []
    memory, decoded = lstm(params, source), lstm(params, fed)
    scores = tensor.batched_dot(decoded, memory.dimshuffle(0, 2, 1)) / 32**0.5
    shares = softmax(scores.reshape((-1, 6))).reshape(scores.shape)  # softmax is for matrices
    joined = tensor.concatenate([tensor.batched_dot(shares, memory), decoded], axis=2)
    attended = tensor.tanh(dense(params, joined, 64, 32))
    return [source, fed], dense(params, attended, 32, 10), params
