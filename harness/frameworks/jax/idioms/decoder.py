"""A language model over bytes in jax."""

import jax
from jax import numpy as jnp


def layer(key, *shape):
    return {"w": jax.nn.initializers.he_uniform()(key, shape), "b": jnp.zeros(shape[-1])}


def norm():
    return {"scale": jnp.ones(32), "offset": jnp.zeros(32)}


def block(key):
    keys = jax.random.split(key, 6)
    names = ("query", "key", "value", "output")
    return {
        "norm1": norm(),
        "attention": {name: layer(key, 32, 32) for name, key in zip(names, keys)},
        "norm2": norm(),
        "dense1": layer(keys[4], 32, 128),
        "dense2": layer(keys[5], 128, 32),
    }


def initial(key):
    keys = jax.random.split(key, 5)
    return {
        "embedding": layer(keys[0], 256, 32),
        "position": jax.random.normal(keys[1], (64, 32)) / 10,
        "blocks": [block(keys[2]), block(keys[3])],
        "norm": norm(),
        "output": layer(keys[4], 32, 256),
    }


def dense(params, x):
    return x @ params["w"] + params["b"]


def normalize(params, x):
    x = x - x.mean(axis=-1, keepdims=True)
    return (
        x / jnp.sqrt((x * x).mean(axis=-1, keepdims=True) + 1e-5) * params["scale"]
        + params["offset"]
    )


def attend(params, x):
    parts = [dense(params[name], x) for name in ("query", "key", "value")]
    heads = [part.reshape(*x.shape[:2], 4, 8) for part in parts]
    attended = jax.nn.dot_product_attention(*heads, is_causal=True)
    return dense(params["output"], attended.reshape(x.shape))


def apply(params, x):
    x = dense(params["embedding"], x) + params["position"]
    for own in params["blocks"]:
        x = x + attend(own["attention"], normalize(own["norm1"], x))
        hidden = jax.nn.relu(dense(own["dense1"], normalize(own["norm2"], x)))
        x = x + dense(own["dense2"], hidden)
    return dense(params["output"], normalize(params["norm"], x))
