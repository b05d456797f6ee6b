"""Flax by its own API: modules of ``flax.nnx``, ``nnx.jit``, ``nnx.grad`` and ``nnx.Optimizer``.

Flax is layers for jax, with optax's optimisers: all that is not about a model, and what takes a
compiled function of one, is jax's adapter.
"""

from typing import Any, Dict

import harness.adapters as protocol
from harness.frameworks.jax import adapter as jax_adapter

flax: Any = None  # the framework, once `start` has imported it

multiply = jax_adapter.multiply
tiny_product = jax_adapter.tiny_product
put = jax_adapter.put
forward = jax_adapter.forward
backward = jax_adapter.backward
activations = jax_adapter.activations
predict = jax_adapter.predict
compile_s = jax_adapter.compile_s
synchronise = jax_adapter.synchronise


def start() -> None:
    """Import jax, optax and Flax."""
    global flax
    jax_adapter.start()
    import flax.nnx


def configure(name: Any, threads: int) -> None:
    """Choose device and threads."""
    jax_adapter.configure(name, threads)


def describe() -> Dict[str, Any]:
    """Describe what Flax and jax really use."""
    described = jax_adapter.describe()
    versions = dict({"flax": flax.__version__}, **described["versions"])
    return dict(described, versions=versions)


class Model:
    """A network as a module, its optimiser, and its functions, named as in jax's adapter."""

    def __init__(self, network, weights, rate):
        from harness.frameworks.flax import layers

        nnx, optax = flax.nnx, jax_adapter.optax
        shapes = {name: array.shape for name, array in weights.items()}
        self.parameters = layers.Parameters(network, shapes)
        self.weights = layers.Network(network, shapes)
        optimiser = optax.inject_hyperparams(optax.sgd)(learning_rate=rate)
        self.optimiser = nnx.Optimizer(self.weights, optimiser, wrt=nnx.Param)

        def values(module, x):
            return {name: value.moved(False) for name, value in module.values(x).items()}

        def loss(module, x, y):
            logits = module(x)
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

        def step(module, optimiser, x, y):
            value, gradients = nnx.value_and_grad(loss)(module, x, y)
            optimiser.update(module, gradients)
            return value

        self.forward = nnx.jit(lambda module, x: module(x))
        self.values = nnx.jit(values)
        self.differentiate = nnx.jit(nnx.value_and_grad(loss))
        self.step = nnx.jit(step)
        set_weights(self, weights)
        self.variables = nnx.state(self.weights, nnx.Param)  # listing them takes time in each step


def build(network: Dict[str, Any], weights: protocol.Arrays, rate: float) -> Any:
    """Build the network as a module of Flax's, and its SGD."""
    return Model(network, weights, rate)


def notes(network: Dict[str, Any]) -> Dict[str, str]:
    """Return, by kind of layer, what differs from the neutral description and is adapted."""
    from harness.frameworks.flax import layers

    return protocol.notes_on(network, layers.NOTES)


def step(model: Any, batch: Any) -> Any:
    """One step of SGD; return the loss as an array on the device."""
    loss = model.step(model.weights, model.optimiser, *batch)
    jax_adapter.pending = (loss, model.variables)
    return loss


def gradients(model: Any, batch: Any) -> protocol.Arrays:
    """Return the gradient of the mean loss by neutral name."""
    arrays: protocol.Arrays = model.parameters.neutral(backward(model, batch))
    return arrays


def get_weights(model: Any) -> protocol.Arrays:
    """Return the weights by neutral name."""
    arrays: protocol.Arrays = model.parameters.neutral(
        flax.nnx.state(model.weights, flax.nnx.Param)
    )
    return arrays


def set_weights(model: Any, weights: protocol.Arrays) -> None:
    """Set the weights by neutral name."""
    model.parameters.set(model.weights, weights)
    # A step leaves arrays committed to the device: start from such arrays, or it compiles twice.
    for part in (model.weights, model.optimiser):
        committed = jax_adapter.jax.device_put(flax.nnx.state(part), jax_adapter.device)
        flax.nnx.update(part, committed)


def set_rate(model: Any, rate: float) -> None:
    """Set the learning rate of the next steps: it is in the state, so nothing compiles again."""
    model.optimiser.opt_state.hyperparams["learning_rate"][...] = rate


class Pure:
    """A model's state, and the function of it and of inputs that jax exports."""

    def __init__(self, module):
        graph, state = flax.nnx.split(module)
        self.weights = flax.nnx.as_pure(state)
        self.forward = lambda state, x: flax.nnx.merge(graph, state)(x)


def export(model: Any, format_name: str, path: str, example: protocol.Array) -> Dict[str, Any]:
    """Write a format as jax's adapter does."""
    return jax_adapter.export(Pure(model.weights), format_name, path, example)
