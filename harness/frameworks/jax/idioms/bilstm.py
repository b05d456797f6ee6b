"""A bidirectional LSTM in jax."""

import jax
from jax import lax
from jax import numpy as jnp


def layer(key, *shape):
    return {"w": jax.nn.initializers.he_uniform()(key, shape), "b": jnp.zeros(shape[-1])}


def lstm(key):
    first, second = jax.random.split(key)
    return {
        "w": jax.nn.initializers.he_uniform()(first, (8, 4 * 48)),
        "u": jax.nn.initializers.orthogonal()(second, (48, 4 * 48)),
        "b": jnp.zeros(4 * 48).at[48 : 2 * 48].set(1),
    }


def initial(key):
    first, second, third = jax.random.split(key, 3)
    return {"forward": lstm(first), "backward": lstm(second), "output": layer(third, 96, 10)}


def last_of(params, x, reverse):
    def step(state, now):
        hidden, memory = state
        sums = now @ params["w"] + hidden @ params["u"] + params["b"]
        i, f, g, o = jnp.split(sums, 4, axis=-1)
        memory = jax.nn.sigmoid(f) * memory + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(memory), memory), None

    zero = jnp.zeros((len(x), 48))
    (last, _), _ = lax.scan(step, (zero, zero), x.swapaxes(0, 1), reverse=reverse)
    return last


def apply(params, x):
    ways = [last_of(params["forward"], x, False), last_of(params["backward"], x, True)]
    return jnp.concatenate(ways, axis=-1) @ params["output"]["w"] + params["output"]["b"]
