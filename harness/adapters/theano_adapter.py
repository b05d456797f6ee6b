"""Theano 1.0: expressions that are compiled by a C++ compiler when a function is made of them."""

import json
import os

import numpy

import harness.adapters as protocol
from harness import openblas

theano = None  # the framework, once `start` has imported it


def start():
    """Import Theano. What it compiles goes to this process's own folder: nothing is there yet."""
    global theano
    folder = os.path.join(os.environ.get("TMPDIR", "/tmp"), "theano")
    flags = ["device=cpu", "floatX=float32", "base_compiledir=" + folder, "compiledir_format=c"]
    os.environ["THEANO_FLAGS"] = ",".join([*flags, "blas.ldflags=" + os.environ["BLAS_FLAGS"]])
    import theano as module

    theano = module


def configure(device, threads):
    """Use the CPU; the threads are those of the BLAS."""
    if device != "cpu":
        raise protocol.WrongDevice("Debian's Theano computes on the CPU only")
    openblas.set_threads(threads)


def describe():
    """Say what Theano really uses: the BLAS, and what processor that takes this one for."""
    return {
        "versions": {"theano": theano.__version__},
        "threads": openblas.threads(),
        "device": "cpu",
        "device_name": None,
        "blas": openblas.describe(),
    }


def multiply(left, right):
    """Matrix product by a function that is compiled for it."""
    sides = [theano.tensor.TensorType(str(one.dtype), (False, False))() for one in (left, right)]
    return theano.function(sides, theano.tensor.dot(*sides))(left, right)


class Model:
    """The functions of a network, each compiled when it is first needed, and its parameters."""

    def __init__(self, network, weights, rate):
        from harness.adapters import theano_layers

        self.network = network
        self.weights = {
            name: theano.shared(value, name, borrow=False) for name, value in weights.items()
        }
        self.rate = theano.shared(numpy.float32(rate), "rate")
        self.x = theano.tensor.TensorType("float32", (False,) * (1 + len(network["input"])))("x")
        self.layers = theano_layers.outputs(network, self.weights, self.x)
        self.logits = self.layers[network["layers"][-1]["name"]]
        self.y = theano.tensor.TensorType("int64", (False,) * (self.logits.ndim - 1))("y")
        self._compiled = {}

    def loss(self):
        """Return the mean cross entropy over all labels, (N,) or (N, T)."""
        logits = self.logits.reshape((-1, self.network["classes"]))
        shares = theano.tensor.nnet.softmax(logits)
        return theano.tensor.nnet.categorical_crossentropy(shares, self.y.flatten()).mean()

    def function(self, name):
        """Return a function of this name, made of its expressions by `_FUNCTIONS`."""
        if name not in self._compiled:
            self._compiled[name] = _FUNCTIONS[name](self)
        return self._compiled[name]


def _stepping(model):
    loss = model.loss()
    names = list(model.weights)
    gradients = theano.grad(loss, [model.weights[name] for name in names])
    updates = [
        (model.weights[name], model.weights[name] - model.rate * gradient)
        for name, gradient in zip(names, gradients)
    ]
    return theano.function([model.x, model.y], loss, updates=updates)


_FUNCTIONS = {
    "logits": lambda model: theano.function([model.x], model.logits),
    "layers": lambda model: theano.function([model.x], list(model.layers.values())),
    "gradients": lambda model: theano.function(
        [model.x, model.y], theano.grad(model.loss(), list(model.weights.values()))
    ),
    "step": _stepping,
}


def build(network, weights, rate):
    """Write the network as expressions; nothing is compiled before it is needed."""
    return Model(network, weights, rate)


def notes(network):
    """Return, by kind of layer, what Theano was made to agree in."""
    from harness.adapters import theano_layers

    return protocol.notes_on(network, theano_layers.NOTES)


def put(x, y):
    """Keep a batch: the CPU has it already."""
    return x, y


def forward(model, batch):
    """Compute the logits of a batch."""
    return model.function("logits")(batch[0])


def backward(model, batch):
    """Compute the gradients of a batch."""
    return model.function("gradients")(*batch)


def step(model, batch):
    """One step of SGD; return the loss before the update."""
    return model.function("step")(*batch)


def activations(model, x):
    """Return every layer's output by name."""
    return dict(zip(model.layers, model.function("layers")(x)))


def gradients(model, batch):
    """Return the gradient of the mean loss by neutral name."""
    found = backward(model, batch)
    return {name: numpy.asarray(value) for name, value in zip(model.weights, found)}


def synchronise():
    """Do nothing: Theano on the CPU never runs ahead."""


def get_weights(model):
    """Return the weights by neutral name."""
    return {name: value.get_value() for name, value in model.weights.items()}


def set_weights(model, weights):
    """Set the weights by neutral name."""
    for name, value in model.weights.items():
        value.set_value(weights[name])


def set_rate(model, rate):
    """Set the rate of the steps from now on."""
    model.rate.set_value(numpy.float32(rate))


def predict(model, x):
    """Run the model, arrays in and out."""
    return model.function("logits")(x)


def export(model, form, path, example):
    """Write ``theano``: the weights, and the description that expressions are made from again.

    Theano has no format of its own but pickles of its objects, which its manual advises against
    for keeping.
    """
    del example
    if form != "theano":
        raise protocol.Unsupported("Theano does not write " + form)
    description = numpy.frombuffer(json.dumps(model.network).encode(), "uint8")
    with open(path, "wb") as target:
        numpy.savez(target, network=description, **get_weights(model))
    return {"opset": None}


def load(form, path):
    """Read what `export` wrote, and compile."""
    if form != "theano":
        raise protocol.Unsupported("Theano does not read " + form)
    with numpy.load(path, allow_pickle=False) as archive:
        weights = {name: archive[name] for name in archive.files}
    network = json.loads(weights.pop("network").tobytes().decode())
    model = Model(network, weights, 0.0)
    model.function("logits")
    return model


def answer(model, inputs):
    """Run a model that was read, arrays in and out."""
    return {"y": predict(model, protocol.only(inputs))}
