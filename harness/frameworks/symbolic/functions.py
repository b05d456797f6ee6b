"""Theano and its successor PyTensor: expressions, compiled when a function is made of them.

The functions that both adapters share. `use` sets what differs: an object or module
``ops`` with ``module`` (theano or pytensor), ``tensor`` (its operations), ``scan``, ``sigmoid``,
``batched_dot``, ``variable(name, dtype, rank)``, ``cross_entropy(logits, labels)`` a row,
``convolve(layer, kernel, x)`` and ``NOTES``.
"""

import json
from typing import Any, Callable, Dict

import numpy

import harness.adapters as protocol
from harness.frameworks.symbolic import layers

ops: Any = None  # the object of `use`


def use(system):
    """Compute with this system from now on."""
    global ops
    ops = system


def multiply(a: protocol.Array, b: protocol.Array) -> protocol.Array:
    """Matrix product by a function that is compiled for it."""
    factors = [ops.variable(None, str(array.dtype), 2) for array in (a, b)]
    return ops.module.function(factors, ops.tensor.dot(*factors))(a, b)


def tiny_product() -> Callable[[], Any]:
    """Return a product of one number by one, as a function that is compiled for it."""
    x = ops.module.shared(numpy.ones((1, 1), "float32"))
    compiled: Callable[[], Any] = ops.module.function([], ops.tensor.dot(x, x))
    return compiled


class Model:
    """The functions of a network, each compiled at its first use, and its parameters."""

    def __init__(self, network, weights, rate):
        self.network = network
        self.weights = {
            name: ops.module.shared(value, name, borrow=False) for name, value in weights.items()
        }
        self.rate = ops.module.shared(numpy.float32(rate), "rate")
        self.x = ops.variable("x", "float32", 1 + len(network["input"]))
        self.layers = layers.outputs(ops, network, self.weights, self.x)
        self.logits = self.layers[network["layers"][-1]["name"]]
        self.y = ops.variable("y", "int64", self.logits.ndim - 1)
        self._compiled = {}

    def loss(self):
        """Return the mean cross entropy over all labels, (N,) or (N, T)."""
        logits = self.logits.reshape((-1, self.network["classes"]))
        return ops.cross_entropy(logits, self.y.flatten()).mean()

    def function(self, name):
        """Return the function of this name in `_FUNCTIONS`, compiled on the first call."""
        if name not in self._compiled:
            self._compiled[name] = _FUNCTIONS[name](self)
        return self._compiled[name]


def _stepping(model):
    loss = model.loss()
    names = list(model.weights)
    gradients = ops.module.grad(loss, [model.weights[name] for name in names])
    updates = [
        (model.weights[name], model.weights[name] - model.rate * gradient)
        for name, gradient in zip(names, gradients)
    ]
    return ops.module.function([model.x, model.y], loss, updates=updates)


_FUNCTIONS = {
    "logits": lambda model: ops.module.function([model.x], model.logits),
    "layers": lambda model: ops.module.function([model.x], list(model.layers.values())),
    "gradients": lambda model: ops.module.function(
        [model.x, model.y], ops.module.grad(model.loss(), list(model.weights.values()))
    ),
    "step": _stepping,
}


def build(network: Dict[str, Any], weights: protocol.Arrays, rate: float) -> Any:
    """Write the network as expressions; functions compile at their first use."""
    return Model(network, weights, rate)


def notes(network: Dict[str, Any]) -> Dict[str, str]:
    """Return, by kind of layer, what differs from the neutral description and is adapted."""
    return protocol.notes_on(network, ops.NOTES)


def put(x: protocol.Array, y: protocol.Array) -> Any:
    """Return the batch: the CPU has it already."""
    return x, y


def forward(model: Any, batch: Any) -> Any:
    """Compute the logits of a batch."""
    return model.function("logits")(batch[0])


def backward(model: Any, batch: Any) -> Any:
    """Compute the gradients of a batch."""
    return model.function("gradients")(*batch)


def step(model: Any, batch: Any) -> Any:
    """One step of SGD; return the loss before the update."""
    return model.function("step")(*batch)


def activations(model: Any, x: protocol.Array) -> protocol.Arrays:
    """Return every layer's output by name."""
    return dict(zip(model.layers, model.function("layers")(x)))


def gradients(model: Any, batch: Any) -> protocol.Arrays:
    """Return the gradient of the mean loss by neutral name."""
    values = backward(model, batch)
    return {name: numpy.asarray(value) for name, value in zip(model.weights, values)}


def synchronise() -> None:
    """Do nothing: on the CPU it is synchronous."""


def get_weights(model: Any) -> protocol.Arrays:
    """Return the weights by neutral name."""
    return {name: value.get_value() for name, value in model.weights.items()}


def set_weights(model: Any, weights: protocol.Arrays) -> None:
    """Set the weights by neutral name."""
    for name, value in model.weights.items():
        value.set_value(weights[name])


def set_rate(model: Any, rate: float) -> None:
    """Set the learning rate of the next steps."""
    model.rate.set_value(numpy.float32(rate))


def predict(model: Any, x: protocol.Array) -> protocol.Array:
    """Run the model, arrays in and out."""
    return model.function("logits")(x)


def export(model: Any, format_name: str, path: str, example: protocol.Array) -> Dict[str, Any]:
    """Write ``theano``: the weights, and the description from which `load` builds the expressions.

    These systems have no format of their own but pickles of their objects, which their manuals
    advise against for storage.
    """
    del example
    if format_name != "theano":
        raise protocol.Unsupported("there is no writer of " + format_name)
    description = numpy.frombuffer(json.dumps(model.network).encode(), "uint8")
    with open(path, "wb") as target:
        numpy.savez(target, network=description, **get_weights(model))  # type: ignore[arg-type]
    return {"opset": None, "exporter": f"numpy {numpy.__version__}"}


def load(format_name: str, path: str) -> Any:
    """Read what `export` wrote, and compile."""
    if format_name != "theano":
        raise protocol.Unsupported("there is no reader of " + format_name)
    with numpy.load(path, allow_pickle=False) as archive:
        weights = {name: archive[name] for name in archive.files}
    network = json.loads(weights.pop("network").tobytes().decode())
    model = Model(network, weights, 0.0)
    model.function("logits")
    return model


def answer(model: Any, inputs: protocol.Arrays) -> protocol.Arrays:
    """Run a loaded model, arrays in and out."""
    return {"y": predict(model, protocol.single_input(inputs))}
