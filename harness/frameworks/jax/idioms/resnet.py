"""A residual net in jax."""

import jax
from jax import lax
from jax import numpy as jnp


def layer(key, *shape):
    return {"w": jax.nn.initializers.he_uniform()(key, shape), "b": jnp.zeros(shape[-1])}


def block(key, inputs, width, stride):
    first, second = jax.random.split(key)
    params = {"shortcut": layer(first, 1, 1, inputs, width)} if stride > 1 else {}
    params["conv1"] = layer(second, 3, 3, inputs, width)
    params["conv2"] = {"w": jnp.zeros((3, 3, width, width)), "b": jnp.zeros(width)}
    return params


def initial(key):
    keys = jax.random.split(key, 5)
    return {
        "stem": layer(keys[0], 3, 3, 1, 16),
        "blocks": [block(keys[1], 16, 16, 1), block(keys[2], 16, 32, 2), block(keys[3], 32, 64, 2)],
        "output": layer(keys[4], 64, 10),
    }


def conv(params, x, stride=1):
    around = params["w"].shape[0] // 2
    y = lax.conv_general_dilated(
        x,
        params["w"],
        (stride, stride),
        [(around, around)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return y + params["b"]


def apply_block(params, x):
    stride = 2 if "shortcut" in params else 1
    shortcut = conv(params["shortcut"], x, 2) if "shortcut" in params else x
    branch = conv(params["conv2"], jax.nn.relu(conv(params["conv1"], x, stride)))
    return jax.nn.relu(branch + shortcut)


def apply(params, x):
    x = jax.nn.relu(conv(params["stem"], x))
    for own in params["blocks"]:
        x = apply_block(own, x)
    return x.mean(axis=(1, 2)) @ params["output"]["w"] + params["output"]["b"]
