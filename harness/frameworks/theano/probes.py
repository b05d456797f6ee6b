"""The probes in Theano: expressions, each compiled once."""

import numpy
import theano
import theano.tensor as tt
from theano.tensor.nnet import conv3d
from theano.tensor.nnet.abstract_conv import causal_conv1d

from harness.adapters import Unsupported
from harness.probes import called


def _evaluate(**wanted):
    """Compile expressions without inputs and evaluate them."""
    compiled = theano.function([], list(wanted.values()))
    return dict(zip(wanted, compiled()))


def _round(x):
    """Round, by a new operation of Theano's own with an own gradient."""
    inner = x.type()
    return theano.OpFromGraph(
        [inner],
        [tt.round(inner, mode="half_to_even")],
        grad_overrides=lambda inputs, gradients: [0.5 * gradients[0]],
    )(x)


def own_layer(x, upstream):
    x = theano.shared(x)
    y = _round(x)
    return _evaluate(y=y, gradient=theano.grad((y * upstream).sum(), x))


def derived_gradient(x, upstream):
    x = theano.shared(x)
    y = x * tt.sin(x)
    return _evaluate(y=y, gradient=theano.grad((y * upstream).sum(), x))


def _loop(x, w):
    """Scan until all values are small: a scan has a maximum number of steps, and at least one."""

    def step(x, steps):
        after = tt.tanh(tt.dot(x, w))
        return (after, steps + 1), theano.scan_module.until(abs(after).max() <= 0.1)

    start = [x, tt.constant(0, dtype="int64")]
    (values, steps), _ = theano.scan(step, outputs_info=start, n_steps=1000)
    none = abs(x).max() <= 0.1
    return tt.switch(none, x, values[-1]), tt.switch(none, 0, steps[-1])


def data_dependent_loop(x, brief, w):
    # In one function, Theano would merge the two loops into one that ends with the first.
    start = tt.matrix()
    loop = theano.function([start], _loop(start, theano.shared(w)))
    (long, many), (short, few) = loop(x), loop(brief)
    return {"long": long, "short": short, "steps": [many, few]}


def data_dependent_loop_gradient(x, brief, w):
    del brief
    x, w = theano.shared(x), theano.shared(w)
    last, _ = _loop(x, w)
    return _evaluate(gradient=theano.grad(last.sum(), w))


def python_loop(x, w):
    y, w = theano.shared(x), theano.shared(w)
    try:
        while abs(y).max() > 0.1:
            y = tt.tanh(tt.dot(y, w))
    except TypeError as error:
        raise Unsupported("an expression has no value that Python could read: %s" % error)
    return _evaluate(y=y, gradient=theano.grad(y.sum(), w))


def _lstm(x, kernel, recurrent, bias, mask=None):
    """(N, T, D) to every step's output (T, N, H). Where the mask is 0, the state stays."""
    units = recurrent.get_value().shape[1]

    def step(from_input, step_mask, hidden, memory):
        gates = from_input + tt.dot(hidden, recurrent.T)
        write, forget, new, read = (gates[:, n * units : (n + 1) * units] for n in range(4))
        after = tt.nnet.sigmoid(forget) * memory + tt.nnet.sigmoid(write) * tt.tanh(new)
        answer = tt.nnet.sigmoid(read) * tt.tanh(after)
        return step_mask * answer + (1 - step_mask) * hidden, step_mask * after + (
            1 - step_mask
        ) * memory

    rows, steps = x.shape[:2]
    from_input = tt.dot(x.transpose(1, 0, 2), kernel.T) + bias
    mask = numpy.ones((steps, rows, 1), "float32") if mask is None else mask
    zeros = numpy.zeros((rows, units), "float32")
    (hidden, _), _ = theano.scan(
        step, sequences=[from_input, tt.constant(mask)], outputs_info=[tt.constant(zeros)] * 2
    )
    return hidden


def different_lengths(x, lengths, upstream, **weights):
    params = {name: theano.shared(value) for name, value in weights.items()}
    mask = (numpy.arange(x.shape[1])[:, None] < lengths).astype("float32")[:, :, None]
    last = _lstm(x, mask=mask, **params)[-1]
    gradients = theano.grad((last * upstream).sum(), list(params.values()))
    return _evaluate(last=last, **dict(zip(params, gradients)))


def beam_search(embedding, recurrent, output):
    count, width = embedding.shape
    embedding, recurrent, output = (
        theano.shared(array) for array in (embedding, recurrent, output)
    )

    def grow(step, sequences, scores, hidden):
        hidden = tt.tanh(embedding[sequences[:, step]] + tt.dot(hidden, recurrent.T))
        logs = tt.log(tt.nnet.softmax(tt.dot(hidden, output.T)))
        grown = (scores[:, None] + logs).flatten()
        chosen = tt.argsort(-grown)[:3]
        parents, tokens = chosen // count, chosen % count
        sequences = tt.set_subtensor(sequences[parents][:, step + 1], tokens)
        return sequences, grown[chosen], hidden[parents]

    start = (
        numpy.zeros((3, 6), "int64"),
        numpy.array([0, -numpy.inf, -numpy.inf], "float32"),  # one beam to begin with
        numpy.zeros((3, width), "float32"),
    )
    (sequences, scores, _), _ = theano.scan(
        grow, sequences=tt.arange(5), outputs_info=list(map(tt.constant, start))
    )
    return _evaluate(sequences=sequences[-1][:, 1:], scores=scores[-1])


def bidirectional(x, **weights):
    params = {name: theano.shared(value) for name, value in weights.items()}
    names = ("kernel", "recurrent", "bias")
    forward = _lstm(x, *(params[name] for name in names))
    backward = _lstm(x[:, ::-1], *(params["backward_" + name] for name in names))[::-1]
    return _evaluate(y=tt.concatenate([forward, backward], axis=2).dimshuffle(1, 0, 2))


def attention(query, key, value, mask, upstream):
    query, key, value = (theano.shared(array) for array in (query, key, value))
    factor = numpy.float32(query.get_value().shape[-1] ** -0.5)
    scores = (query.dimshuffle(0, 1, 2, "x", 3) * key.dimshuffle(0, 1, "x", 2, 3)).sum(-1) * factor
    scores = tt.switch(tt.constant(mask > 0), scores, -numpy.inf)
    odds = tt.exp(scores - scores.max(axis=-1, keepdims=True))
    odds = odds / odds.sum(axis=-1, keepdims=True)
    y = (odds.dimshuffle(0, 1, 2, 3, "x") * value.dimshuffle(0, 1, "x", 2, 3)).sum(3)
    gradients = theano.grad((y * upstream).sum(), [query, key, value])
    return _evaluate(y=y, **dict(zip(("query", "key", "value"), gradients)))


def convolution_of_video(x, kernel, upstream):
    kernel = theano.shared(kernel)
    y = conv3d(tt.constant(x), kernel, filter_flip=False)
    return _evaluate(y=y, gradient=theano.grad((y * upstream).sum(), kernel))


def temporal_convolution(x, kernel, upstream):
    shape, kernel = kernel.shape, theano.shared(kernel)
    y = causal_conv1d(tt.constant(x), kernel, shape, filter_flip=False)
    answers = _evaluate(y=y, gradient=theano.grad((y * upstream).sum(), kernel))
    return dict(answers, ran=called(causal_conv1d.__name__, kernel))


def weight_sharing(tokens, targets, embedding):
    matrix = theano.shared(embedding)
    hidden = tt.tanh(matrix[tokens]).reshape((tokens.size, embedding.shape[1]))
    odds = tt.nnet.softmax(tt.dot(hidden, matrix.T))
    loss = tt.nnet.categorical_crossentropy(odds, tt.constant(targets.flatten())).mean()
    return _evaluate(loss=loss, gradient=theano.grad(loss, matrix))


def higher_order_gradients(x, w1, w2):
    x, w1, w2 = (theano.shared(array) for array in (x, w1, w2))
    total = tt.dot(tt.tanh(tt.dot(x, w1)), w2).sum()
    penalty = tt.sqr(theano.grad(total, x)).sum()
    by_w1, by_w2 = theano.grad(penalty, [w1, w2])
    return _evaluate(penalty=penalty, w1=by_w1, w2=by_w2)


def changed_model(x, y, w1, w2, w3):
    params = {name: theano.shared(value) for name, value in (("w1", w1), ("w2", w2), ("w3", w3))}
    losses = [
        _step([params[name] for name in names], x, y)
        for names in (("w1", "w2"), ("w1", "w3", "w2"))
    ]
    return dict({name: value.get_value() for name, value in params.items()}, losses=losses)


def _step(weights, x, y):
    value = tt.constant(x)
    for weight in weights[:-1]:
        value = tt.tanh(tt.dot(value, weight.T))
    odds = tt.nnet.softmax(tt.dot(value, weights[-1].T))
    loss = tt.nnet.categorical_crossentropy(odds, tt.constant(y)).mean()
    rate = numpy.float32(0.1)
    updates = [(weight, weight - rate * theano.grad(loss, weight)) for weight in weights]
    return theano.function([], loss, updates=updates)()
