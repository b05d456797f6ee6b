"""The probes in jax: compiled functions of arrays, as its users write them."""

from functools import partial

import jax
import numpy
import optax
from jax import lax
from jax import numpy as jnp

from harness.frameworks.jax import parallel
from harness.probes import called, work_together


@jax.custom_vjp
def _round(x):
    return jnp.round(x)


_round.defvjp(lambda x: (jnp.round(x), None), lambda residual, gradient: (0.5 * gradient,))


def own_layer(x, upstream):
    gradient = jax.jit(jax.grad(lambda x: (_round(x) * upstream).sum()))(x)
    return {"y": jax.jit(_round)(x), "gradient": gradient}


def derived_gradient(x, upstream):
    def waves(x):
        return x * jnp.sin(x)

    gradient = jax.jit(jax.grad(lambda x: (waves(x) * upstream).sum()))(x)
    return {"y": jax.jit(waves)(x), "gradient": gradient}


@jax.jit
def _loop(x, w):
    def advance(state):
        x, steps = state
        return jnp.tanh(x @ w), steps + 1

    return lax.while_loop(lambda state: jnp.abs(state[0]).max() > 0.1, advance, (x, 0))


def data_dependent_loop(x, brief, w):
    (long, many), (short, few) = _loop(x, w), _loop(brief, w)
    return {"long": long, "short": short, "steps": [many, few]}


def data_dependent_loop_gradient(x, brief, w):
    """Take at most 1000 steps: only a loop with a bound has a gradient on the way back."""

    def last(w):
        def advance(x, _):
            return jnp.where(jnp.abs(x).max() > 0.1, jnp.tanh(x @ w), x), None

        return lax.scan(advance, jnp.asarray(x), length=1000)[0]

    return {"gradient": jax.jit(jax.grad(lambda w: last(w).sum()))(w)}


def python_loop(x, w):
    def last(w):
        value = jnp.asarray(x)
        while jnp.abs(value).max() > 0.1:
            value = jnp.tanh(value @ w)
        return value

    return {"y": last(w), "gradient": jax.grad(lambda w: last(w).sum())(w)}


def _advance(weights, state, x):
    hidden, memory = state
    sums = x @ weights["kernel"].T + hidden @ weights["recurrent"].T + weights["bias"]
    i, f, g, o = jnp.split(sums, 4, axis=-1)
    memory = jax.nn.sigmoid(f) * memory + jax.nn.sigmoid(i) * jnp.tanh(g)
    hidden = jax.nn.sigmoid(o) * jnp.tanh(memory)
    return (hidden, memory), hidden


def _zero(x, weights):
    zero = jnp.zeros((x.shape[0], weights["recurrent"].shape[1]))
    return zero, zero


def different_lengths(x, lengths, upstream, **weights):
    def last(weights):
        def advance(state, now):
            time, row = now
            after, _ = _advance(weights, state, row)
            goes_on = (time < lengths)[:, None]
            return tuple(jnp.where(goes_on, new, old) for new, old in zip(after, state)), None

        times = jnp.arange(x.shape[1])
        return lax.scan(advance, _zero(x, weights), (times, x.swapaxes(0, 1)))[0][0]

    gradients = jax.jit(jax.grad(lambda weights: (last(weights) * upstream).sum()))(weights)
    return dict(gradients, last=jax.jit(last)(weights))


@jax.jit
def _beams(embedding, recurrent, output):
    count, width = embedding.shape
    scores = jnp.array([0.0, -jnp.inf, -jnp.inf])  # one beam to begin with
    sequences = jnp.zeros((3, 6), int)

    def grow(state, step):
        sequences, scores, hidden = state
        hidden = jnp.tanh(embedding[sequences[:, step]] + hidden @ recurrent.T)
        grown = scores[:, None] + jax.nn.log_softmax(hidden @ output.T)
        scores, chosen = lax.top_k(grown.ravel(), 3)
        parents, tokens = chosen // count, chosen % count
        sequences = sequences[parents].at[:, step + 1].set(tokens)
        return (sequences, scores, hidden[parents]), None

    state = (sequences, scores, jnp.zeros((3, width)))
    (sequences, scores, _), _ = lax.scan(grow, state, jnp.arange(5))
    return sequences[:, 1:], scores


def beam_search(embedding, recurrent, output):
    sequences, scores = _beams(embedding, recurrent, output)
    return {"sequences": sequences, "scores": scores}


@jax.jit
def _both_ways(x, weights):
    ways = []
    for prefix in ("", "backward_"):
        own = {name: weights[prefix + name] for name in ("kernel", "recurrent", "bias")}
        rows = x.swapaxes(0, 1)
        _, outputs = lax.scan(partial(_advance, own), _zero(x, own), rows, reverse=bool(prefix))
        ways.append(outputs.swapaxes(0, 1))
    return jnp.concatenate(ways, axis=-1)


def bidirectional(x, **weights):
    return {"y": _both_ways(x, weights)}


def attention(query, key, value, mask, upstream):
    def attend(query, key, value):  # jax's own function expects heads after time
        query, key, value = (array.swapaxes(1, 2) for array in (query, key, value))
        allowed = (mask > 0)[None, None]
        return jax.nn.dot_product_attention(query, key, value, mask=allowed).swapaxes(1, 2)

    def total(*inputs):
        return (attend(*inputs) * upstream).sum()

    gradients = jax.jit(jax.grad(total, argnums=(0, 1, 2)))(query, key, value)
    return dict(zip(("query", "key", "value"), gradients), y=jax.jit(attend)(query, key, value))


def _convolution(x, kernel, upstream, **settings):
    def convolve(kernel):
        strides = (1,) * (x.ndim - 2)
        return lax.conv_general_dilated(x, kernel, strides, **settings)

    gradient = jax.jit(jax.grad(lambda kernel: (convolve(kernel) * upstream).sum()))(kernel)
    ran = called(lax.conv_general_dilated.__name__, kernel)
    return {"y": jax.jit(convolve)(kernel), "gradient": gradient, "ran": ran}


def convolution_of_video(x, kernel, upstream):
    return _convolution(x, kernel, upstream, padding="VALID")


def temporal_convolution(x, kernel, upstream):
    return _convolution(x, kernel, upstream, padding=[(2, 0)])


def weight_sharing(tokens, targets, embedding):
    def loss(embedding):
        logits = jnp.tanh(embedding[tokens]) @ embedding.T
        return optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()

    value, gradient = jax.jit(jax.value_and_grad(loss))(embedding)
    return {"loss": value, "gradient": gradient}


def higher_order_gradients(x, w1, w2):
    def total(x, w1, w2):
        return (jnp.tanh(x @ w1) @ w2).sum()

    def penalty(w1, w2):
        return (jax.grad(total)(x, w1, w2) ** 2).sum()

    value, gradients = jax.jit(jax.value_and_grad(penalty, argnums=(0, 1)))(w1, w2)
    return {"penalty": value, "w1": gradients[0], "w2": gradients[1]}


def changed_model(x, y, w1, w2, w3):
    def loss(weights):
        hidden = jnp.tanh(x @ weights["w1"].T)
        if "w3" in weights:
            hidden = jnp.tanh(hidden @ weights["w3"].T)
        logits = hidden @ weights["w2"].T
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    optimiser = optax.sgd(0.1)

    @jax.jit
    def step(weights):
        value, gradients = jax.value_and_grad(loss)(weights)
        updates, _ = optimiser.update(gradients, optimiser.init(weights))
        return value, optax.apply_updates(weights, updates)

    first, weights = step({"w1": jnp.asarray(w1), "w2": jnp.asarray(w2)})
    second, weights = step(dict(weights, w3=jnp.asarray(w3)))
    return dict(weights, losses=numpy.array([first, second]))


def data_parallel(x, y, w1, w2):
    return work_together(parallel.work, {"x": x, "y": y, "w1": w1, "w2": w2})
