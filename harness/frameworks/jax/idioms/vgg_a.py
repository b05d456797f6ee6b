"""OxfordNet, configuration A, in jax."""

import jax
from jax import lax
from jax import numpy as jnp

STAGES = [[(1, 8)], [(8, 16)], [(16, 32), (32, 32)], [(32, 64), (64, 64)], [(64, 64), (64, 64)]]
DENSES = [(64, 64), (64, 64), (64, 10)]


def layer(key, *shape):
    return {"w": jax.nn.initializers.he_uniform()(key, shape), "b": jnp.zeros(shape[-1])}


def initial(key):
    keys = iter(jax.random.split(key, 11))
    stages = [[layer(next(keys), 3, 3, *sizes) for sizes in stage] for stage in STAGES]
    return {"stages": stages, "denses": [layer(next(keys), *sizes) for sizes in DENSES]}


def conv(params, x):
    y = lax.conv_general_dilated(
        x, params["w"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return jax.nn.relu(y + params["b"])


def apply(params, x):
    for stage in params["stages"]:
        for own in stage:
            x = conv(own, x)
        x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    x = x.reshape(len(x), -1)
    *hidden, last = params["denses"]
    for own in hidden:
        x = jax.nn.relu(x @ own["w"] + own["b"])
    return x @ last["w"] + last["b"]
