"""Proof of jax's idioms."""

import jax
import numpy
from jax import numpy as jnp

from harness import idioms
from harness.frameworks.jax.idioms import training


def logits(network, weights, x):
    """Return the float32 logits of the idiom on x, with the neutral weights."""
    module, params = _with_weights(network, weights)
    return _answer(module, params, network, x)


def trained_logits(network, weights, batches, rate):
    """Return the logits of the first batch after the idiomatic training on all batches."""
    module, params = _with_weights(network, weights)
    fed_batches = [(idioms.inputs(network, x, last=True), y) for x, y in batches]
    params = training.train(module.apply, params, fed_batches, rate)
    return _answer(module, params, network, batches[0][0])


def _answer(module, params, network, x):
    arrays = idioms.inputs(network, x, last=True)
    return numpy.asarray(jax.jit(module.apply)(params, *arrays))


def _with_weights(network, weights):
    """Return the idiom and its parameters with the neutral weights, set in creation order."""
    module = idioms.idiom(network, "jax")
    values = _values(network, idioms.channels_last(network, weights))
    params = _filled(module.initial(jax.random.PRNGKey(0)), values)
    unused = list(values)
    assert not unused, len(unused)
    return module, params


def _filled(node, values):
    if isinstance(node, dict):
        return {name: _filled(child, values) for name, child in node.items()}
    if isinstance(node, list):
        return [_filled(child, values) for child in node]
    value = next(values)
    assert node.shape == value.shape, (node.shape, value.shape)
    return jnp.asarray(value)


def _values(network, weights):
    """Yield the weights in order, inputs before outputs."""
    for kind, layer_params in idioms.layers(network, weights):
        names = list(layer_params)
        if kind == "multihead_attention":
            names = [part + end for part in idioms.PARTS for end in ("_kernel", "_bias")]
        for name in names:
            value = layer_params[name]
            if kind == "conv" and name == "kernel":
                value = value.transpose(tuple(range(2, value.ndim)) + (1, 0))
            elif kind != "position" and value.ndim == 2:
                value = value.T
            yield value
