"""The probes in PyTensor: expressions, each made a function once, without C: that takes minutes."""

import numpy
import pytensor
import pytensor.tensor as pt
from pytensor.scan.utils import until
from pytensor.tensor import signal
from pytensor.tensor.special import log_softmax

from harness.adapters import Unsupported
from harness.probes import called

#: The functions of numpy behind the expressions, as a user has them to try something out.
MODE = "FAST_COMPILE"


def _evaluate(**wanted):
    """Compile expressions without inputs and evaluate them."""
    compiled = pytensor.function([], list(wanted.values()), mode=MODE)
    return dict(zip(wanted, compiled()))


def _round(x):
    """Round, by a new operation of PyTensor's own with an own gradient."""
    inner = x.type()
    return pytensor.OpFromGraph(
        [inner],
        [pt.round(inner, mode="half_to_even")],
        pullback=lambda inputs, outputs, gradients: [0.5 * gradients[0]],
    )(x)


def own_layer(x, upstream):
    x = pytensor.shared(x)
    y = _round(x)
    return _evaluate(y=y, gradient=pytensor.grad((y * upstream).sum(), x))


def derived_gradient(x, upstream):
    x = pytensor.shared(x)
    y = x * pt.sin(x)
    return _evaluate(y=y, gradient=pytensor.grad((y * upstream).sum(), x))


def _loop(x, w):
    """Scan until all values are small: a scan has a maximum number of steps, and at least one."""

    def step(x, steps):
        after = pt.tanh(pt.dot(x, w))
        return (after, steps + 1), until(abs(after).max() <= 0.1)

    start = [x, pt.constant(0, dtype="int64")]
    values, steps = pytensor.scan(step, outputs_info=start, n_steps=1000, return_updates=False)
    none = abs(x).max() <= 0.1
    return pt.switch(none, x, values[-1]), pt.switch(none, 0, steps[-1])


def data_dependent_loop(x, brief, w):
    # In one function, PyTensor would merge the two loops into one that ends with the first.
    start = pt.matrix()
    loop = pytensor.function([start], _loop(start, pytensor.shared(w)), mode=MODE)
    (long, many), (short, few) = loop(x), loop(brief)
    return {"long": long, "short": short, "steps": [many, few]}


def data_dependent_loop_gradient(x, brief, w):
    del brief
    x, w = pytensor.shared(x), pytensor.shared(w)
    last, _ = _loop(x, w)
    return _evaluate(gradient=pytensor.grad(last.sum(), w))


def python_loop(x, w):
    y, w = pytensor.shared(x), pytensor.shared(w)
    try:
        while abs(y).max() > 0.1:
            y = pt.tanh(pt.dot(y, w))
    except TypeError as error:
        raise Unsupported("an expression has no value that Python could read: %s" % error)
    return _evaluate(y=y, gradient=pytensor.grad(y.sum(), w))


def _lstm(x, kernel, recurrent, bias, mask=None):
    """(N, T, D) to every step's output (T, N, H). Where the mask is 0, the state stays."""
    units = recurrent.get_value().shape[1]

    def step(from_input, step_mask, hidden, memory):
        gates = from_input + pt.dot(hidden, recurrent.T)
        write, forget, new, read = (gates[:, n * units : (n + 1) * units] for n in range(4))
        after = pt.sigmoid(forget) * memory + pt.sigmoid(write) * pt.tanh(new)
        answer = pt.sigmoid(read) * pt.tanh(after)
        return step_mask * answer + (1 - step_mask) * hidden, step_mask * after + (
            1 - step_mask
        ) * memory

    rows, steps = x.shape[:2]
    from_input = pt.dot(x.transpose(1, 0, 2), kernel.T) + bias
    mask = numpy.ones((steps, rows, 1), "float32") if mask is None else mask
    zeros = numpy.zeros((rows, units), "float32")
    hidden, _ = pytensor.scan(
        step,
        sequences=[from_input, pt.constant(mask)],
        outputs_info=[pt.constant(zeros)] * 2,
        return_updates=False,
    )
    return hidden


def different_lengths(x, lengths, upstream, **weights):
    params = {name: pytensor.shared(value) for name, value in weights.items()}
    mask = (numpy.arange(x.shape[1])[:, None] < lengths).astype("float32")[:, :, None]
    last = _lstm(x, mask=mask, **params)[-1]
    gradients = pytensor.grad((last * upstream).sum(), list(params.values()))
    return _evaluate(last=last, **dict(zip(params, gradients)))


def beam_search(embedding, recurrent, output):
    count, width = embedding.shape
    embedding, recurrent, output = (
        pytensor.shared(array) for array in (embedding, recurrent, output)
    )

    def grow(step, sequences, scores, hidden):
        hidden = pt.tanh(embedding[sequences[:, step]] + pt.dot(hidden, recurrent.T))
        logs = log_softmax(pt.dot(hidden, output.T), axis=1)
        grown = (scores[:, None] + logs).flatten()
        chosen = pt.argsort(-grown)[:3]
        parents, tokens = chosen // count, chosen % count
        sequences = pt.set_subtensor(sequences[parents][:, step + 1], tokens)
        return sequences, grown[chosen], hidden[parents]

    start = (
        numpy.zeros((3, 6), "int64"),
        numpy.array([0, -numpy.inf, -numpy.inf], "float32"),  # one beam to begin with
        numpy.zeros((3, width), "float32"),
    )
    sequences, scores, _ = pytensor.scan(
        grow,
        sequences=pt.arange(5),
        outputs_info=list(map(pt.constant, start)),
        return_updates=False,
    )
    return _evaluate(sequences=sequences[-1][:, 1:], scores=scores[-1])


def bidirectional(x, **weights):
    params = {name: pytensor.shared(value) for name, value in weights.items()}
    names = ("kernel", "recurrent", "bias")
    forward = _lstm(x, *(params[name] for name in names))
    backward = _lstm(x[:, ::-1], *(params["backward_" + name] for name in names))[::-1]
    return _evaluate(y=pt.concatenate([forward, backward], axis=2).dimshuffle(1, 0, 2))


def attention(query, key, value, mask, upstream):
    query, key, value = (pytensor.shared(array) for array in (query, key, value))
    factor = numpy.float32(query.get_value().shape[-1] ** -0.5)
    scores = (query.dimshuffle(0, 1, 2, "x", 3) * key.dimshuffle(0, 1, "x", 2, 3)).sum(-1) * factor
    scores = pt.switch(pt.constant(mask > 0), scores, -numpy.inf)
    odds = pt.exp(scores - scores.max(axis=-1, keepdims=True))
    odds = odds / odds.sum(axis=-1, keepdims=True)
    y = (odds.dimshuffle(0, 1, 2, 3, "x") * value.dimshuffle(0, 1, "x", 2, 3)).sum(3)
    gradients = pytensor.grad((y * upstream).sum(), [query, key, value])
    return _evaluate(y=y, **dict(zip(("query", "key", "value"), gradients)))


def convolution_of_video(x, kernel, upstream):
    try:
        convolve3d = signal.convolve3d
    except AttributeError as error:
        raise Unsupported("its convolutions are of one and two dimensions: %s" % error)
    kernel = pytensor.shared(kernel)
    y = convolve3d(pt.constant(x)[:, None], kernel[:, :, ::-1, ::-1, ::-1], mode="valid").sum(2)
    return _evaluate(y=y, gradient=pytensor.grad((y * upstream).sum(), kernel))


def temporal_convolution(x, kernel, upstream):
    weight = pytensor.shared(kernel)
    padded = numpy.pad(x, ((0, 0), (0, 0), (kernel.shape[2] - 1, 0)))
    each = signal.convolve1d(pt.constant(padded)[:, None], weight[None, :, :, ::-1], mode="valid")
    y = each.sum(axis=2)
    answers = _evaluate(y=y, gradient=pytensor.grad((y * upstream).sum(), weight))
    return dict(answers, ran=called(signal.convolve1d.__name__, kernel))


def weight_sharing(tokens, targets, embedding):
    matrix = pytensor.shared(embedding)
    hidden = pt.tanh(matrix[tokens]).reshape((tokens.size, embedding.shape[1]))
    logs = log_softmax(pt.dot(hidden, matrix.T), axis=1)
    loss = -logs[pt.arange(targets.size), targets.flatten()].mean()
    return _evaluate(loss=loss, gradient=pytensor.grad(loss, matrix))


def higher_order_gradients(x, w1, w2):
    x, w1, w2 = (pytensor.shared(array) for array in (x, w1, w2))
    total = pt.dot(pt.tanh(pt.dot(x, w1)), w2).sum()
    penalty = pt.sqr(pytensor.grad(total, x)).sum()
    by_w1, by_w2 = pytensor.grad(penalty, [w1, w2])
    return _evaluate(penalty=penalty, w1=by_w1, w2=by_w2)


def changed_model(x, y, w1, w2, w3):
    params = {name: pytensor.shared(value) for name, value in (("w1", w1), ("w2", w2), ("w3", w3))}
    losses = [
        _step([params[name] for name in names], x, y)
        for names in (("w1", "w2"), ("w1", "w3", "w2"))
    ]
    return dict({name: value.get_value() for name, value in params.items()}, losses=losses)


def _step(weights, x, y):
    value = pt.constant(x)
    for weight in weights[:-1]:
        value = pt.tanh(pt.dot(value, weight.T))
    logs = log_softmax(pt.dot(value, weights[-1].T), axis=1)
    loss = -logs[numpy.arange(len(y)), y].mean()
    rate = numpy.float32(0.1)
    updates = [(weight, weight - rate * pytensor.grad(loss, weight)) for weight in weights]
    return pytensor.function([], loss, updates=updates, mode=MODE)()
