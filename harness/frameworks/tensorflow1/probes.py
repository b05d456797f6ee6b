"""The probes in TensorFlow 1: each is a graph that a session runs once."""

import functools

import numpy
import tensorflow as tf
from tensorflow.python.eager import context

from harness.probes import called

#: The collection of the operations that set variables.
SET = "set"


def _in_a_graph(probe):
    """Return a function that builds and runs a probe's graph.

    *probe* returns tensors by name, and may return which function it called as ``ran``.
    """

    @functools.wraps(probe)
    def ran(**inputs):
        with tf.Graph().as_default(), tf.Session() as session:
            wanted = probe(**inputs)
            function = wanted.pop("ran", "")
            session.run(tf.global_variables_initializer())
            session.run(tf.get_collection(SET))
            return dict(session.run(wanted), ran=function)

    return ran


@tf.custom_gradient
def _round(x):
    return tf.round(x), lambda gradient: 0.5 * gradient


@_in_a_graph
def own_layer(x, upstream):
    x = tf.constant(x)
    y = _round(x)
    (gradient,) = tf.gradients(tf.reduce_sum(y * upstream), x)
    return {"y": y, "gradient": gradient}


@_in_a_graph
def derived_gradient(x, upstream):
    x = tf.constant(x)
    y = x * tf.sin(x)
    (gradient,) = tf.gradients(tf.reduce_sum(y * upstream), x)
    return {"y": y, "gradient": gradient}


def _loop(x, w):
    return tf.while_loop(
        lambda x, steps: tf.reduce_max(tf.abs(x)) > 0.1,
        lambda x, steps: (tf.tanh(tf.matmul(x, w)), steps + 1),
        (x, tf.constant(0)),
    )


@_in_a_graph
def data_dependent_loop(x, brief, w):
    w = tf.constant(w)
    (long, many), (short, few) = _loop(tf.constant(x), w), _loop(tf.constant(brief), w)
    steps = tf.stack([many, few])
    return {"long": long, "short": short, "steps": steps, "ran": tf.while_loop.__name__}


@_in_a_graph
def data_dependent_loop_gradient(x, brief, w):
    del brief
    w = tf.Variable(w)
    last, _ = _loop(tf.constant(x), w)
    return {"gradient": tf.gradients(tf.reduce_sum(last), w)[0]}


def python_loop(x, w):
    """Run eagerly, which TensorFlow 1 can since 1.7, by `tf.enable_eager_execution()`.

    That has to be called before any graph is made; this is what it calls.
    """
    with context.eager_mode():
        y, w = tf.constant(x), tf.Variable(w)
        with tf.GradientTape() as tape:
            while tf.reduce_max(tf.abs(y)) > 0.1:
                y = tf.tanh(tf.matmul(y, w))
            total = tf.reduce_sum(y)
        return {"y": y.numpy(), "gradient": tape.gradient(total, w).numpy()}


def _gates(array):
    """(4H, D) of gates i, f, g, o to (D, 4H) of i, g, f, o, and a vector alike."""
    first, second, third, fourth = numpy.split(array, 4)
    return numpy.concatenate([first, third, second, fourth]).T


def _ungates(tensor):
    first, third, second, fourth = tf.split(tf.transpose(tensor), 4)
    return tf.concat([first, second, third, fourth], 0)


def _set(cell, kernel, recurrent, bias):
    """Set the weights of TensorFlow's cell: one kernel for inputs and states."""
    values = [numpy.concatenate([_gates(kernel), _gates(recurrent)]), _gates(bias)]
    for variable, value in zip(cell.variables, values):
        tf.add_to_collection(SET, tf.assign(variable, value))


@_in_a_graph
def different_lengths(x, lengths, upstream, **weights):
    cell = tf.nn.rnn_cell.BasicLSTMCell(upstream.shape[1], forget_bias=0.0)
    _, state = tf.nn.dynamic_rnn(cell, tf.constant(x), lengths, dtype=tf.float32)
    _set(cell, **weights)
    by_kernel, by_bias = tf.gradients(tf.reduce_sum(state.h * upstream), cell.variables)
    width = x.shape[2]
    return {
        "last": state.h,
        "kernel": _ungates(by_kernel[:width]),
        "recurrent": _ungates(by_kernel[width:]),
        "bias": _ungates(by_bias),
    }


@_in_a_graph
def beam_search(embedding, recurrent, output):
    count, width = embedding.shape

    def grow(step, sequences, scores, hidden):
        now = tf.gather(embedding, sequences[:, -1])
        hidden = tf.tanh(now + tf.matmul(hidden, recurrent, transpose_b=True))
        logits = tf.matmul(hidden, output, transpose_b=True)
        grown = scores[:, None] + tf.nn.log_softmax(logits)
        scores, chosen = tf.nn.top_k(tf.reshape(grown, [-1]), 3)
        parents, tokens = chosen // count, chosen % count
        sequences = tf.concat([tf.gather(sequences, parents), tokens[:, None]], axis=1)
        return step + 1, sequences, scores, tf.gather(hidden, parents)

    start = (
        tf.constant(0),
        tf.zeros((3, 1), tf.int32),
        tf.constant([0.0, -numpy.inf, -numpy.inf]),  # one beam to begin with
        tf.zeros((3, width)),
    )
    shapes = tuple(map(tf.TensorShape, ([], [3, None], [3], [3, width])))
    _, sequences, scores, _ = tf.while_loop(lambda step, *_: step < 5, grow, start, shapes)
    return {"sequences": sequences[:, 1:], "scores": scores}


@_in_a_graph
def bidirectional(x, **weights):
    units = weights["recurrent"].shape[1]
    ways = [tf.nn.rnn_cell.BasicLSTMCell(units, forget_bias=0.0) for _ in range(2)]
    outputs, _ = tf.nn.bidirectional_dynamic_rnn(*ways, tf.constant(x), dtype=tf.float32)
    for cell, prefix in zip(ways, ("", "backward_")):
        _set(cell, *(weights[prefix + name] for name in ("kernel", "recurrent", "bias")))
    return {"y": tf.concat(outputs, -1), "ran": tf.nn.bidirectional_dynamic_rnn.__name__}


@_in_a_graph
def attention(query, key, value, mask, upstream):
    query, key, value = map(tf.constant, (query, key, value))
    scores = tf.matmul(query, key, transpose_b=True) / float(int(query.shape[-1])) ** 0.5
    allowed = tf.broadcast_to(tf.constant(mask > 0), tf.shape(scores))
    odds = tf.nn.softmax(tf.where(allowed, scores, tf.fill(tf.shape(scores), -numpy.inf)))
    y = tf.matmul(odds, value)
    gradients = tf.gradients(tf.reduce_sum(y * upstream), [query, key, value])
    return dict(zip(("query", "key", "value"), gradients), y=y)


def _convolution(operation, x, kernel, upstream):
    """Convolve with channels last, the only layout of TensorFlow on a CPU."""
    dims = x.ndim - 2
    x, upstream = (numpy.moveaxis(array, 1, -1) for array in (x, upstream))
    kernel = tf.constant(kernel.transpose((*range(2, dims + 2), 1, 0)))
    y = operation(tf.constant(x), kernel)
    (gradient,) = tf.gradients(tf.reduce_sum(y * upstream), kernel)
    return {
        "y": tf.transpose(y, (0, dims + 1, *range(1, dims + 1))),
        "gradient": tf.transpose(gradient, (dims + 1, dims, *range(dims))),
    }


@_in_a_graph
def convolution_of_video(x, kernel, upstream):
    def convolve(x, kernel):
        return tf.nn.conv3d(x, kernel, [1] * 5, "VALID")

    answers = _convolution(convolve, x, kernel, upstream)
    return dict(answers, ran=called("conv3d", kernel))


@_in_a_graph
def temporal_convolution(x, kernel, upstream):
    def causal(x, kernel):
        return tf.nn.conv1d(tf.pad(x, [[0, 0], [2, 0], [0, 0]]), kernel, 1, "VALID")

    answers = _convolution(causal, x, kernel, upstream)
    return dict(answers, ran=called(tf.nn.conv1d.__name__, kernel))


@_in_a_graph
def weight_sharing(tokens, targets, embedding):
    matrix = tf.Variable(embedding)
    hidden = tf.tanh(tf.nn.embedding_lookup(matrix, tokens))
    logits = tf.tensordot(hidden, matrix, [[2], [1]])
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits)
    loss = tf.reduce_mean(losses)
    (gradient,) = tf.gradients(loss, matrix)
    return {"loss": loss, "gradient": tf.convert_to_tensor(gradient)}


@_in_a_graph
def higher_order_gradients(x, w1, w2):
    x, w1, w2 = tf.constant(x), tf.Variable(w1), tf.Variable(w2)
    total = tf.reduce_sum(tf.linalg.matvec(tf.tanh(tf.matmul(x, w1)), w2))
    penalty = tf.reduce_sum(tf.gradients(total, x)[0] ** 2)
    by_w1, by_w2 = tf.gradients(penalty, [w1, w2])
    return {"penalty": penalty, "w1": by_w1, "w2": by_w2}


def changed_model(x, y, w1, w2, w3):
    """Add a second part with the same variables: a graph itself cannot change."""
    with tf.Graph().as_default(), tf.Session() as session:
        first, middle, last = (tf.Variable(weight.T) for weight in (w1, w3, w2))
        session.run(tf.global_variables_initializer())
        losses = [
            session.run(_step(names, tf.constant(x), y))[0]
            for names in ([first, last], [first, middle, last])
        ]
        weights = zip(("w1", "w2", "w3"), (first, last, middle))
        arrays = session.run({name: tf.transpose(weight) for name, weight in weights})
    return dict(arrays, losses=losses)


def _step(weights, x, y):
    for weight in weights[:-1]:
        x = tf.tanh(tf.matmul(x, weight))
    logits = tf.matmul(x, weights[-1])
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
    loss = tf.reduce_mean(losses)
    optimiser = tf.train.GradientDescentOptimizer(0.1)
    gate = tf.train.Optimizer.GATE_GRAPH  # no variable changes while a gradient reads it
    return loss, optimiser.minimize(loss, var_list=weights, gate_gradients=gate)
