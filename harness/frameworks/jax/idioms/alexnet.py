"""AlexNet in jax."""

import jax
from jax import lax
from jax import numpy as jnp

CONVS = [(1, 8), (8, 24), (24, 48), (48, 32), (32, 32)]
DENSES = [(512, 64), (64, 64), (64, 10)]
POOLED = (0, 1, 4)


def layer(key, *shape):
    return {"w": jax.nn.initializers.he_uniform()(key, shape), "b": jnp.zeros(shape[-1])}


def initial(key):
    keys = jax.random.split(key, len(CONVS) + len(DENSES))
    convs = [layer(key, 3, 3, *sizes) for key, sizes in zip(keys, CONVS)]
    denses = [layer(key, *sizes) for key, sizes in zip(keys[len(CONVS) :], DENSES)]
    return {"convs": convs, "denses": denses}


def conv(params, x):
    y = lax.conv_general_dilated(
        x, params["w"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return jax.nn.relu(y + params["b"])


def pool(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "SAME")


def apply(params, x):
    for number, own in enumerate(params["convs"]):
        x = conv(own, x)
        if number in POOLED:
            x = pool(x)
    x = x.reshape(len(x), -1)
    *hidden, last = params["denses"]
    for own in hidden:
        x = jax.nn.relu(x @ own["w"] + own["b"])
    return x @ last["w"] + last["b"]
