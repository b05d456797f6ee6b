"""Training in jax, with optax."""

import jax
import optax


def train(apply, params, batches, rate):
    optimiser = optax.sgd(rate)

    def loss(params, inputs, labels):
        logits = apply(params, *inputs)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    @jax.jit
    def step(params, state, inputs, labels):
        updates, state = optimiser.update(jax.grad(loss)(params, inputs, labels), state)
        return optax.apply_updates(params, updates), state

    state = optimiser.init(params)
    for inputs, labels in batches:
        params, state = step(params, state, inputs, labels)
    return params
