"""A GRU in jax."""

import jax
from jax import lax
from jax import numpy as jnp


def layer(key, *shape):
    return {"w": jax.nn.initializers.he_uniform()(key, shape), "b": jnp.zeros(shape[-1])}


def initial(key):
    first, second, third = jax.random.split(key, 3)
    return {
        "w": jax.nn.initializers.he_uniform()(first, (8, 3 * 48)),
        "u": jax.nn.initializers.orthogonal()(second, (48, 3 * 48)),
        "b": jnp.zeros(3 * 48),
        "c": jnp.zeros(3 * 48),
        "output": layer(third, 48, 10),
    }


def apply(params, x):
    def step(hidden, now):
        from_input = jnp.split(now @ params["w"] + params["b"], 3, axis=-1)
        from_state = jnp.split(hidden @ params["u"] + params["c"], 3, axis=-1)
        r, z = (
            jax.nn.sigmoid(from_input[0] + from_state[0]),
            jax.nn.sigmoid(from_input[1] + from_state[1]),
        )
        n = jnp.tanh(from_input[2] + r * from_state[2])
        return (1 - z) * n + z * hidden, None

    last, _ = lax.scan(step, jnp.zeros((len(x), 48)), x.swapaxes(0, 1))
    return last @ params["output"]["w"] + params["output"]["b"]
