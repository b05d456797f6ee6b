"""A sequence-to-sequence model with attention in jax."""

import jax
from jax import lax
from jax import numpy as jnp


def layer(key, *shape):
    return {"w": jax.nn.initializers.he_uniform()(key, shape), "b": jnp.zeros(shape[-1])}


def lstm(key):
    first, second = jax.random.split(key)
    return {
        "w": jax.nn.initializers.he_uniform()(first, (11, 4 * 32)),
        "u": jax.nn.initializers.orthogonal()(second, (32, 4 * 32)),
        "b": jnp.zeros(4 * 32).at[32 : 2 * 32].set(1),
    }


def initial(key):
    keys = jax.random.split(key, 4)
    return {
        "encoder": lstm(keys[0]),
        "decoder": lstm(keys[1]),
        "attended": layer(keys[2], 64, 32),
        "output": layer(keys[3], 32, 10),
    }


def outputs_of(params, x):
    def step(state, now):
        hidden, memory = state
        sums = now @ params["w"] + hidden @ params["u"] + params["b"]
        i, f, g, o = jnp.split(sums, 4, axis=-1)
        memory = jax.nn.sigmoid(f) * memory + jax.nn.sigmoid(i) * jnp.tanh(g)
        hidden = jax.nn.sigmoid(o) * jnp.tanh(memory)
        return (hidden, memory), hidden

    zero = jnp.zeros((len(x), 32))
    _, outputs = lax.scan(step, (zero, zero), x.swapaxes(0, 1))
    return outputs.swapaxes(0, 1)


def apply(params, source, fed):
    memory, decoded = outputs_of(params["encoder"], source), outputs_of(params["decoder"], fed)
    weights = jax.nn.softmax(decoded @ memory.swapaxes(1, 2) / 32**0.5, axis=-1)
    joined = jnp.concatenate([weights @ memory, decoded], axis=-1)
    attended = jnp.tanh(joined @ params["attended"]["w"] + params["attended"]["b"])
    return attended @ params["output"]["w"] + params["output"]["b"]
