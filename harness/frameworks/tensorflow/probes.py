"""The probes in TensorFlow and Keras, compiled by ``tf.function`` where that is usual."""

import keras
import numpy
import tensorflow as tf

from harness.frameworks.tensorflow import parallel
from harness.probes import called, work_together


@tf.custom_gradient
def _round(x):
    return tf.round(x), lambda gradient: 0.5 * gradient


def own_layer(x, upstream):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = _round(x)
        total = tf.reduce_sum(y * upstream)
    return {"y": y, "gradient": tape.gradient(total, x)}


def derived_gradient(x, upstream):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = x * tf.sin(x)
        total = tf.reduce_sum(y * upstream)
    return {"y": y, "gradient": tape.gradient(total, x)}


@tf.function
def _loop(x, w):
    steps = 0
    while tf.reduce_max(tf.abs(x)) > 0.1:
        x = tf.tanh(x @ w)
        steps += 1
    return x, steps


def data_dependent_loop(x, brief, w):
    w = tf.constant(w)
    (long, many), (short, few) = _loop(tf.constant(x), w), _loop(tf.constant(brief), w)
    return {"long": long, "short": short, "steps": [many, few], "ran": "a loop of tf.function"}


def data_dependent_loop_gradient(x, brief, w):
    w = tf.Variable(w)
    with tf.GradientTape() as tape:
        last, _ = _loop(tf.constant(x), w)
        total = tf.reduce_sum(last)
    return {"gradient": tape.gradient(total, w)}


def python_loop(x, w):
    y, w = tf.constant(x), tf.Variable(w)
    with tf.GradientTape() as tape:
        while tf.reduce_max(tf.abs(y)) > 0.1:
            y = tf.tanh(y @ w)
        total = tf.reduce_sum(y)
    return {"y": y, "gradient": tape.gradient(total, w)}


def _set(layer, kernel, recurrent, bias):
    layer.set_weights([kernel.T, recurrent.T, bias])  # Keras's gates are i, f, g, o as well


def different_lengths(x, lengths, upstream, **weights):
    lstm = keras.layers.LSTM(upstream.shape[1])
    mask = tf.sequence_mask(lengths, x.shape[1])
    lstm(x, mask=mask)
    _set(lstm, **weights)

    @tf.function
    def answer():
        with tf.GradientTape() as tape:
            last = lstm(x, mask=mask)
            total = tf.reduce_sum(last * upstream)
        return last, tape.gradient(total, lstm.trainable_variables)

    last, (kernel, recurrent, bias) = answer()
    return {
        "last": last,
        "kernel": tf.transpose(kernel),
        "recurrent": tf.transpose(recurrent),
        "bias": bias,
    }


@tf.function
def _beams(embedding, recurrent, output):
    count = tf.shape(output)[0]
    sequences = tf.zeros((3, 1), tf.int32)
    scores = tf.constant([0.0, -numpy.inf, -numpy.inf])  # one beam to begin with
    hidden = tf.zeros((3, embedding.shape[1]))
    for _ in tf.range(5):
        tf.autograph.experimental.set_loop_options(
            shape_invariants=[(sequences, tf.TensorShape([3, None]))]
        )
        now = tf.gather(embedding, sequences[:, -1])
        hidden = tf.tanh(now + tf.matmul(hidden, recurrent, transpose_b=True))
        logits = tf.matmul(hidden, output, transpose_b=True)
        grown = scores[:, None] + tf.nn.log_softmax(logits)
        scores, chosen = tf.math.top_k(tf.reshape(grown, [-1]), 3)
        parents, tokens = chosen // count, chosen % count
        sequences = tf.concat([tf.gather(sequences, parents), tokens[:, None]], axis=1)
        hidden = tf.gather(hidden, parents)
    return sequences[:, 1:], scores


def beam_search(embedding, recurrent, output):
    sequences, scores = _beams(*map(tf.constant, (embedding, recurrent, output)))
    return {"sequences": sequences, "scores": scores}


def bidirectional(x, **weights):
    lstm = keras.layers.LSTM(weights["recurrent"].shape[1], return_sequences=True)
    wrapper = keras.layers.Bidirectional(lstm)
    wrapper(x)
    for layer, prefix in ((wrapper.forward_layer, ""), (wrapper.backward_layer, "backward_")):
        _set(layer, *[weights[prefix + name] for name in ("kernel", "recurrent", "bias")])
    return {"y": wrapper(x), "ran": type(wrapper).__name__}


def attention(query, key, value, mask, upstream):
    inputs = [tf.constant(tensor) for tensor in (query, key, value)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        time_first = [tf.transpose(tensor, (0, 2, 1, 3)) for tensor in inputs]
        attended = keras.ops.dot_product_attention(*time_first, mask=(mask > 0)[None, None])
        y = tf.transpose(attended, (0, 2, 1, 3))
        total = tf.reduce_sum(y * upstream)
    return dict(zip(("query", "key", "value"), tape.gradient(total, inputs)), y=y)


def _convolution(layer, x, kernel, upstream):
    """Convolve with channels last, the only layout of TensorFlow on a CPU."""
    last = tuple(range(2, x.ndim)) + (1, 0)
    x, upstream = (numpy.moveaxis(array, 1, -1) for array in (x, upstream))
    layer.build(x.shape)
    layer.set_weights([kernel.transpose(last)])
    with tf.GradientTape() as tape:
        y = layer(x)
        total = tf.reduce_sum(y * upstream)
    (gradient,) = tape.gradient(total, layer.trainable_variables)
    return {
        "y": numpy.moveaxis(y.numpy(), -1, 1),
        "gradient": gradient.numpy().transpose(numpy.argsort(last)),
        "ran": called(type(layer).__name__, kernel),
    }


def convolution_of_video(x, kernel, upstream):
    layer = keras.layers.Conv3D(kernel.shape[0], kernel.shape[2:], use_bias=False)
    return _convolution(layer, x, kernel, upstream)


def temporal_convolution(x, kernel, upstream):
    layer = keras.layers.Conv1D(kernel.shape[0], kernel.shape[2], padding="causal", use_bias=False)
    return _convolution(layer, x, kernel, upstream)


def weight_sharing(tokens, targets, embedding):
    embed = keras.layers.ReversibleEmbedding(*embedding.shape, tie_weights=True)
    embed.build(tokens.shape)
    embed.set_weights([embedding])
    with tf.GradientTape() as tape:
        logits = embed(tf.tanh(embed(tokens)), reverse=True)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(targets, logits)
    (gradient,) = tape.gradient(loss, embed.trainable_variables)
    return {"loss": loss, "gradient": tf.convert_to_tensor(gradient)}


def higher_order_gradients(x, w1, w2):
    x, w1, w2 = tf.constant(x), tf.Variable(w1), tf.Variable(w2)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            inner.watch(x)
            total = tf.reduce_sum(tf.linalg.matvec(tf.tanh(x @ w1), w2))
        penalty = tf.reduce_sum(inner.gradient(total, x) ** 2)
    by_w1, by_w2 = outer.gradient(penalty, [w1, w2])
    return {"penalty": penalty, "w1": by_w1, "w2": by_w2}


def _dense(weights):
    layer = keras.layers.Dense(weights.shape[0], use_bias=False)
    layer.build((None, weights.shape[1]))
    layer.set_weights([weights.T])
    return layer


def changed_model(x, y, w1, w2, w3):
    first, middle, last = (_dense(weight) for weight in (w1, w3, w2))
    tanh = keras.layers.Activation("tanh")
    losses = [
        _step(keras.Sequential([first, tanh, last]), x, y),
        _step(keras.Sequential([first, tanh, middle, tanh, last]), x, y),
    ]
    kernels = {"w1": first.kernel, "w2": last.kernel, "w3": middle.kernel}
    return dict({name: tf.transpose(kernel) for name, kernel in kernels.items()}, losses=losses)


def _step(model, x, y):
    optimiser = keras.optimizers.SGD(0.1)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(y, model(x))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimiser.apply_gradients(zip(gradients, model.trainable_variables))
        return loss

    return step()


def data_parallel(x, y, w1, w2):
    return work_together(parallel.work, {"x": x, "y": y, "w1": w1, "w2": w2})
