"""A plain recurrent net in jax."""

import jax
from jax import lax
from jax import numpy as jnp


def layer(key, *shape):
    return {"w": jax.nn.initializers.he_uniform()(key, shape), "b": jnp.zeros(shape[-1])}


def initial(key):
    first, second, third = jax.random.split(key, 3)
    recurrent = jax.nn.initializers.orthogonal()(second, (48, 48))
    return {
        "w": jax.nn.initializers.he_uniform()(first, (8, 48)),
        "u": recurrent,
        "b": jnp.zeros(48),
        "output": layer(third, 48, 10),
    }


def apply(params, x):
    def step(hidden, now):
        return jnp.tanh(now @ params["w"] + hidden @ params["u"] + params["b"]), None

    last, _ = lax.scan(step, jnp.zeros((len(x), 48)), x.swapaxes(0, 1))
    return last @ params["output"]["w"] + params["output"]["b"]
