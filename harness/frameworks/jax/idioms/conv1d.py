"""A temporal convolutional net in jax."""

import jax
from jax import lax
from jax import numpy as jnp


def layer(key, *shape):
    return {"w": jax.nn.initializers.he_uniform()(key, shape), "b": jnp.zeros(shape[-1])}


def initial(key):
    first, second, third = jax.random.split(key, 3)
    return {
        "convs": [layer(first, 3, 8, 32), layer(second, 3, 32, 64)],
        "output": layer(third, 512, 10),
    }


def conv(params, x):
    y = lax.conv_general_dilated(
        x, params["w"], (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC")
    )
    return jax.nn.relu(y + params["b"])


def apply(params, x):
    for own in params["convs"]:
        x = conv(own, x)
    return x.reshape(len(x), -1) @ params["output"]["w"] + params["output"]["b"]
