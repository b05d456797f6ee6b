"""GoogLeNet in jax."""

import jax
from jax import lax
from jax import numpy as jnp

STEM = [(3, 1, 8), (1, 8, 8), (3, 8, 24)]
INCEPTIONS = [
    (24, 8, 12, 16, 2, 4, 4),
    (32, 16, 16, 24, 4, 12, 8),
    (60, 24, 12, 26, 2, 6, 8),
    (64, 20, 14, 28, 3, 8, 8),
    (64, 16, 16, 32, 3, 8, 8),
    (64, 14, 18, 36, 4, 8, 8),
    (66, 32, 20, 40, 4, 16, 16),
    (104, 32, 20, 40, 4, 16, 16),
    (104, 48, 24, 48, 6, 16, 16),
]
POOLED = (1, 6)


def layer(key, *shape):
    return {"w": jax.nn.initializers.he_uniform()(key, shape), "b": jnp.zeros(shape[-1])}


def inception(key, inputs, pointwise, three_reduce, three, five_reduce, five, pooled):
    keys = jax.random.split(key, 6)
    return {
        "one": layer(keys[0], 1, 1, inputs, pointwise),
        "three_reduce": layer(keys[1], 1, 1, inputs, three_reduce),
        "three": layer(keys[2], 3, 3, three_reduce, three),
        "five_reduce": layer(keys[3], 1, 1, inputs, five_reduce),
        "five": layer(keys[4], 5, 5, five_reduce, five),
        "pooled": layer(keys[5], 1, 1, inputs, pooled),
    }


def initial(key):
    keys = iter(jax.random.split(key, 13))
    return {
        "stem": [layer(next(keys), size, size, *sizes) for size, *sizes in STEM],
        "inceptions": [inception(next(keys), *widths) for widths in INCEPTIONS],
        "output": layer(next(keys), 128, 10),
    }


def conv(params, x):
    y = lax.conv_general_dilated(
        x, params["w"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return jax.nn.relu(y + params["b"])


def pool(x, stride=2):
    strides = (1, stride, stride, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), strides, "SAME")


def normalize(x):
    summed = lax.reduce_window(x * x, 0.0, lax.add, (1, 1, 1, 5), (1, 1, 1, 1), "SAME")
    return x / (1 + 1e-4 / 5 * summed) ** 0.75


def apply_inception(params, x):
    parts = [
        conv(params["one"], x),
        conv(params["three"], conv(params["three_reduce"], x)),
        conv(params["five"], conv(params["five_reduce"], x)),
        conv(params["pooled"], pool(x, 1)),
    ]
    return jnp.concatenate(parts, axis=-1)


def apply(params, x):
    first, reduce, second = params["stem"]
    x = normalize(pool(conv(first, x)))
    x = pool(normalize(conv(second, conv(reduce, x))))
    for number, own in enumerate(params["inceptions"]):
        x = apply_inception(own, x)
        if number in POOLED:
            x = pool(x)
    x = x.mean(axis=(1, 2))
    return x @ params["output"]["w"] + params["output"]["b"]
