"""A sequence-to-sequence model with attention in jax."""

import jax
from jax import lax
from jax import numpy as jnp


def layer(key, *shape):
    return {"w": jax.nn.initializers.he_uniform()(key, shape), "b": jnp.zeros(shape[-1])}


def gru(key):
    first, second = jax.random.split(key)
    return {
        "w": jax.nn.initializers.he_uniform()(first, (11, 3 * 32)),
        "u": jax.nn.initializers.orthogonal()(second, (32, 3 * 32)),
        "b": jnp.zeros(3 * 32),
        "c": jnp.zeros(3 * 32),
    }


def initial(key):
    keys = jax.random.split(key, 4)
    return {
        "encoder": gru(keys[0]),
        "decoder": gru(keys[1]),
        "attended": layer(keys[2], 64, 32),
        "output": layer(keys[3], 32, 10),
    }


def outputs_of(params, state, x):
    def step(hidden, now):
        from_input = jnp.split(now @ params["w"] + params["b"], 3, axis=-1)
        from_state = jnp.split(hidden @ params["u"] + params["c"], 3, axis=-1)
        r, z = (
            jax.nn.sigmoid(from_input[0] + from_state[0]),
            jax.nn.sigmoid(from_input[1] + from_state[1]),
        )
        n = jnp.tanh(from_input[2] + r * from_state[2])
        hidden = (1 - z) * n + z * hidden
        return hidden, hidden

    state, outputs = lax.scan(step, state, x.swapaxes(0, 1))
    return outputs.swapaxes(0, 1), state


def apply(params, source, fed):
    memory, state = outputs_of(params["encoder"], jnp.zeros((len(source), 32)), source)
    decoded, _ = outputs_of(params["decoder"], state, fed)
    weights = jax.nn.softmax(decoded @ memory.swapaxes(1, 2) / 32**0.5, axis=-1)
    joined = jnp.concatenate([weights @ memory, decoded], axis=-1)
    attended = jnp.tanh(joined @ params["attended"]["w"] + params["attended"]["b"])
    return attended @ params["output"]["w"] + params["output"]["b"]
