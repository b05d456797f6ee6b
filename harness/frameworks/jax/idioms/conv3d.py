"""A 3-D convolutional net in jax."""

import jax
from jax import lax
from jax import numpy as jnp


def layer(key, *shape):
    return {"w": jax.nn.initializers.he_uniform()(key, shape), "b": jnp.zeros(shape[-1])}


def initial(key):
    first, second, third = jax.random.split(key, 3)
    return {
        "convs": [layer(first, 3, 3, 3, 1, 8), layer(second, 3, 3, 3, 8, 16)],
        "output": layer(third, 144, 10),
    }


def conv(params, x):
    y = lax.conv_general_dilated(
        x, params["w"], (1, 1, 1), "SAME", dimension_numbers=("NDHWC", "DHWIO", "NDHWC")
    )
    return jax.nn.relu(y + params["b"])


def pool(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 2, 1), (1, 2, 2, 2, 1), "VALID")


def apply(params, x):
    for own in params["convs"]:
        x = pool(conv(own, x))
    return x.reshape(len(x), -1) @ params["output"]["w"] + params["output"]["b"]
