"""The probes in CNTK: functions of one example, which CNTK batches."""

import cntk
import numpy

from harness.adapters import Unsupported
from harness.probes import called


def _input(x, gradient=True):
    return cntk.input_variable(x.shape[1:], needs_gradient=gradient)


class Round(cntk.ops.functions.UserFunction):
    """Rounding, in Python, with a gradient of its own."""

    def infer_outputs(self):
        return [
            cntk.output_variable(
                self.inputs[0].shape, self.inputs[0].dtype, self.inputs[0].dynamic_axes
            )
        ]

    def forward(self, argument, device=None, outputs_to_retain=None):
        return None, numpy.round(argument)

    def backward(self, state, root_gradients):
        return 0.5 * root_gradients


def own_layer(x, upstream):
    variable, weights = _input(x), _input(upstream, gradient=False)
    y = cntk.user_function(Round([variable]))
    total = cntk.reduce_sum(y * weights)
    feed = {variable: x, weights: upstream}
    return {"y": y.eval({variable: x}), "gradient": total.grad(feed, wrt=[variable])}


def derived_gradient(x, upstream):
    variable, weights = _input(x), _input(upstream, gradient=False)
    y = variable * cntk.sin(variable)
    total = cntk.reduce_sum(y * weights)
    feed = {variable: x, weights: upstream}
    return {"y": y.eval({variable: x}), "gradient": total.grad(feed, wrt=[variable])}


def _loop(start, longest, w):
    """Unfold over a sequence that is long enough, until all values are small."""

    def small(value):
        return cntk.less_equal(cntk.reduce_max(cntk.abs(value)), 0.1)

    step = cntk.layers.UnfoldFrom(
        lambda value: cntk.tanh(cntk.times(value, w)), until_predicate=small
    )
    return step(start, longest)


def data_dependent_loop(x, brief, w):
    variable = cntk.input_variable(x.shape)
    longest = cntk.sequence.input_variable(1)
    loop = _loop(variable, longest, cntk.constant(w))
    answers = {}
    for name, start in (("long", x), ("short", brief)):
        feed = {variable: start[None], longest: numpy.zeros((1, 1000, 1), "float32")}
        values = loop.eval(feed)[0]
        answers[name] = values[-1]
        answers.setdefault("steps", []).append(len(values))
    return answers


def data_dependent_loop_gradient(x, brief, w):
    del brief
    variable, weights = cntk.input_variable(x.shape), cntk.parameter(init=w)
    longest = cntk.sequence.input_variable(1)
    total = cntk.reduce_sum(cntk.sequence.last(_loop(variable, longest, weights)))
    feed = {variable: x[None], longest: numpy.zeros((1, 1000, 1), "float32")}
    return {"gradient": total.grad(feed, wrt=[weights])}


def python_loop(x, w):
    y, weights = cntk.constant(x), cntk.parameter(init=w)
    try:
        while float(cntk.reduce_max(cntk.abs(y))) > 0.1:
            y = cntk.tanh(cntk.times(y, weights))
    except TypeError as error:
        raise Unsupported("a function has no value that Python could read: %s" % error)
    return {"y": y.eval(), "gradient": cntk.reduce_sum(y).grad({}, wrt=[weights])}


def _lstm(units, width, **weights):
    """Return CNTK's LSTM, with gates in the order i, g, f, o, and its parameters by name."""
    step = cntk.layers.LSTM(units)
    out = cntk.layers.Recurrence(step)(cntk.sequence.input_variable(width))
    params = {parameter.name: parameter for parameter in out.parameters}
    order = [0, 2, 1, 3]
    for name, here in (("kernel", "W"), ("recurrent", "H"), ("bias", "b")):
        parts = numpy.split(weights[name], 4)
        params[here].value = numpy.ascontiguousarray(numpy.concatenate([parts[n] for n in order]).T)
    return step, params


def _neutral(gradient):
    first, third, second, fourth = numpy.split(gradient.T, 4)
    return numpy.concatenate([first, second, third, fourth])


def different_lengths(x, lengths, upstream, **weights):
    units = weights["recurrent"].shape[1]
    step, params = _lstm(units, x.shape[2], **weights)
    variable, factors = cntk.sequence.input_variable(x.shape[2]), cntk.input_variable(units)
    last = cntk.sequence.last(cntk.layers.Recurrence(step)(variable))
    total = cntk.reduce_sum(last * factors)
    rows = [row[:length] for row, length in zip(x, lengths)]
    gradients = total.grad({variable: rows, factors: upstream}, wrt=list(params.values()))
    return {
        "last": last.eval({variable: rows}),
        "kernel": _neutral(gradients[params["W"]]),
        "recurrent": _neutral(gradients[params["H"]]),
        "bias": _neutral(gradients[params["b"]]),
    }


def beam_search(embedding, recurrent, output):
    """CNTK takes the steps; Python chooses the beams: top_k gives no indices to gather by."""
    before, state = cntk.input_variable(4), cntk.input_variable(4)
    hidden = cntk.tanh(before + cntk.times(state, recurrent.T.copy()))
    logs = cntk.log_softmax(cntk.times(hidden, output.T.copy()))
    step = cntk.combine([hidden, logs])
    sequences, scores = numpy.zeros((1, 1), int), numpy.zeros(1, "float32")
    states = numpy.zeros((1, embedding.shape[1]), "float32")
    for _ in range(5):
        outputs = step.eval({before: embedding[sequences[:, -1]], state: states})
        grown = (scores[:, None] + outputs[logs.output]).reshape(-1)
        chosen = numpy.argsort(-grown)[:3]
        parents, tokens = divmod(chosen, len(output))
        scores, states = grown[chosen], outputs[hidden.output][parents]
        sequences = numpy.concatenate([sequences[parents], tokens[:, None]], axis=1)
    outside = "Python repeats the step and chooses the beams"
    return {"sequences": sequences[:, 1:], "scores": scores, "outside": outside}


def bidirectional(x, **weights):
    variable = cntk.sequence.input_variable(x.shape[2])
    ways = []
    for prefix in ("", "backward_"):
        params = {name: weights[prefix + name] for name in ("kernel", "recurrent", "bias")}
        step, _ = _lstm(params["recurrent"].shape[1], x.shape[2], **params)
        ways.append(cntk.layers.Recurrence(step, go_backwards=bool(prefix))(variable))
    return {"y": numpy.stack(cntk.splice(*ways).eval({variable: list(x)}))}


def attention(query, key, value, mask, upstream):
    """Attend one head at a time, in one graph: CNTK multiplies matrices only."""
    arrays = {"query": query, "key": key, "value": value}
    variables = {name: _input(array) for name, array in arrays.items()}
    factors = _input(upstream, gradient=False)
    hidden = numpy.where(mask > 0, 0, -1e30).astype("float32")
    heads = [
        _attend([_head(variable, head) for variable in variables.values()], hidden)
        for head in range(query.shape[1])
    ]
    y = cntk.splice(*(cntk.reshape(head, (1,) + head.shape) for head in heads), axis=0)
    feed = {variables[name]: array for name, array in arrays.items()}
    gradients = cntk.reduce_sum(y * factors).grad(
        {**feed, factors: upstream}, wrt=list(variables.values())
    )
    answers = {name: gradients[variable] for name, variable in variables.items()}
    return dict(answers, y=y.eval(feed))


def _head(variable, number):
    """(H, T, D) -> (T, D) of a head."""
    return cntk.reshape(cntk.slice(variable, 0, number, number + 1), variable.shape[1:])


def _attend(parts, hidden):
    """Query (T, D), key and value (S, D), and what is added to the scores, (T, S) -> (T, D)."""
    query, key, value = parts
    scores = cntk.times(query, cntk.transpose(key, (1, 0))) * float(query.shape[-1]) ** -0.5
    return cntk.times(cntk.softmax(scores + cntk.constant(hidden), axis=-1), value)


def _convolution(x, kernel, upstream):
    weights, variable = cntk.parameter(init=kernel), _input(x, gradient=False)
    factors = _input(upstream, gradient=False)
    y = cntk.convolution(weights, variable, auto_padding=[False])
    total = cntk.reduce_sum(y * factors)
    gradient = total.grad({variable: x, factors: upstream}, wrt=[weights])
    ran = called(y.root_function.op_name, kernel)
    return {"y": y.eval({variable: x}), "gradient": gradient, "ran": ran}


def convolution_of_video(x, kernel, upstream):
    return _convolution(x, kernel, upstream)


def temporal_convolution(x, kernel, upstream):
    before = numpy.pad(x, ((0, 0), (0, 0), (2, 0)), "constant")
    return _convolution(before, kernel, upstream)


def weight_sharing(tokens, targets, embedding):
    matrix = cntk.parameter(init=embedding)
    count = len(embedding)
    source, wanted = (cntk.input_variable((tokens.shape[1], count)) for _ in range(2))
    hidden = cntk.tanh(cntk.times(source, matrix))
    logits = cntk.times(hidden, cntk.transpose(matrix, (1, 0)))
    right = cntk.reduce_sum(logits * wanted, axis=-1)
    loss = cntk.reduce_mean(cntk.reduce_log_sum_exp(logits, axis=-1) - right)
    rows = numpy.eye(count, dtype="float32")
    feed = {source: rows[tokens], wanted: rows[targets]}
    return {
        "loss": loss.eval(feed).mean(),
        "gradient": loss.grad(feed, wrt=[matrix]) / len(tokens),
    }


def higher_order_gradients(x, w1, w2):
    """Try a gradient of a gradient: CNTK gives gradients as arrays, which have none."""
    variable, first, second = _input(x), cntk.parameter(init=w1), cntk.parameter(init=w2[:, None])
    total = cntk.reduce_sum(cntk.times(cntk.tanh(cntk.times(variable, first)), second))
    penalty = cntk.reduce_sum(cntk.square(total.grad({variable: x}, wrt=[variable])))
    gradients = penalty.grad({}, wrt=[first, second])
    return {"penalty": penalty.eval(), "w1": gradients[first], "w2": gradients[second]}


def changed_model(x, y, w1, w2, w3):
    params = {
        name: cntk.parameter(init=numpy.ascontiguousarray(value.T))
        for name, value in (("w1", w1), ("w2", w2), ("w3", w3))
    }
    losses = [
        _step([params[name] for name in names], x, y)
        for names in (("w1", "w2"), ("w1", "w3", "w2"))
    ]
    return dict({name: parameter.value.T for name, parameter in params.items()}, losses=losses)


def _step(weights, x, y):
    variable, wanted = _input(x, gradient=False), cntk.input_variable(weights[-1].shape[-1])
    value = variable
    for weight in weights[:-1]:
        value = cntk.tanh(cntk.times(value, weight))
    logits = cntk.times(value, weights[-1])
    loss = cntk.cross_entropy_with_softmax(logits, wanted)
    schedule = cntk.learning_parameter_schedule(0.1, minibatch_size=cntk.learners.IGNORE)
    trainer = cntk.Trainer(logits, (loss,), [cntk.sgd(weights, schedule)])
    rows = numpy.eye(weights[-1].shape[-1], dtype="float32")
    trainer.train_minibatch({variable: x, wanted: rows[y]})
    return trainer.previous_minibatch_loss_average
