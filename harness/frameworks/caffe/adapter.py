"""Caffe 1.0: nets as text, trained by its own solver."""

import os
import tempfile
from typing import Any, Callable, Dict

import numpy

import harness.adapters as protocol
from harness.measuring import openblas

caffe: Any = None  # the framework, once `start` has imported it

#: Plain SGD at rate 1. The weight of the loss is the learning rate: it can change at any time.
SOLVER = """net: "%s"
type: "SGD"
base_lr: 1
lr_policy: "fixed"
momentum: 0
weight_decay: 0
display: 0
snapshot_after_train: false
"""

PRODUCT = """layer { name: "x" type: "Input" top: "x" input_param { shape { dim: %d dim: %d } } }
layer {
  name: "product" type: "InnerProduct" bottom: "x" top: "product"
  inner_product_param { num_output: %d bias_term: false }
}
"""


def start() -> None:
    """Import Caffe."""
    os.environ.setdefault("GLOG_minloglevel", "2")  # it logs every layer of every net
    global caffe
    import caffe as module

    caffe = module


def configure(device: str, threads: int) -> None:
    """Use the CPU; the threads are those of the BLAS."""
    if device != "cpu":
        raise protocol.WrongDevice("Debian's Caffe computes on the CPU only")
    caffe.set_mode_cpu()
    openblas.set_threads(threads)


def describe() -> Dict[str, Any]:
    """Describe the versions, and the BLAS with the processor type that it chose."""
    return {
        "versions": {"caffe": caffe.__version__},
        "threads": openblas.threads(),
        "device": "cpu",
        "device_name": None,
        "blas": openblas.describe(),
    }


def multiply(a: protocol.Array, b: protocol.Array) -> protocol.Array:
    """Matrix product by a net of one layer. It computes in float32 only."""
    if a.dtype != "float32":
        raise protocol.Unsupported("Caffe computes in float32")
    net = _net(PRODUCT % (a.shape[0], a.shape[1], b.shape[1]))
    net.params["product"][0].data[...] = b.T
    net.blobs["x"].data[...] = a
    return net.forward()["product"].copy()


def tiny_product() -> Callable[[], Any]:
    """Return a product of one number by one, as a function: a net of one layer."""
    forward: Callable[[], Any] = _net(PRODUCT % (1, 1, 1)).forward
    return forward


def _net(text, weights=None):
    """Return a net for answering."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "net.prototxt")
        with open(path, "w") as target:
            target.write(text)
        return caffe.Net(path, caffe.TEST, **({"weights": weights} if weights else {}))


class Model:
    """A solver of the network with its loss, and the place of each neutral parameter in it."""

    def __init__(self, network, rate):
        from harness.frameworks.caffe import layers

        text = layers.write(network)
        self.lines = text.lines
        self.places = text.parameters
        self.rate = rate
        self.logits = network["layers"][-1]["name"]
        self.outputs = [layer["name"] for layer in network["layers"]]
        self.shape = tuple(network["input"])
        steps = text.shapes[self.logits][:-1]
        self.solver = self._solver(steps)
        self.net = self.solver.net

    def _solver(self, steps):
        """Return the solver. The loss is the mean over all labels, (N,) or (N, T)."""
        with tempfile.TemporaryDirectory() as folder:
            net = os.path.join(folder, "net.prototxt")
            with open(net, "w") as target:
                target.write("\n".join([*self.text(2, steps), _loss(self.logits, steps)]))
            path = os.path.join(folder, "solver.prototxt")
            with open(path, "w") as target:
                target.write(SOLVER % net)
            return caffe.SGDSolver(path)

    def text(self, rows, steps=None):
        """Return the lines of the net with its input and, where *steps* is set, its labels."""
        first, *layer_lines = self.lines
        lines = [first, _input("input", (rows, *self.shape))]
        lines += [_input("label", (rows, *steps))] if steps is not None else []
        return lines + layer_lines

    def feed(self, x, y=None):
        """Copy a batch into the net, and reshape it where the batch has another size."""
        self.net.blobs["input"].reshape(*x.shape)
        self.net.blobs["input"].data[...] = x
        if y is not None:
            self.net.blobs["label"].reshape(*y.shape)
            self.net.blobs["label"].data[...] = y

    def weigh(self, weight):
        """Set the weight of the loss, a factor of every gradient."""
        self.net.blobs["loss"].diff[...] = weight


def _input(name, shape):
    dims = " ".join("dim: %d" % dim for dim in shape)
    return 'layer { name: "%s" type: "Input" top: "%s" input_param { shape { %s } } }' % (
        name,
        name,
        dims,
    )


def _loss(logits, steps):
    return (
        'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "%s" bottom: "label" top: "loss" '
        "softmax_param { axis: %d } }"
    ) % (logits, 1 + len(steps))


def build(network: Dict[str, Any], weights: protocol.Arrays, rate: float) -> Any:
    """Write the network as text and have Caffe's solver build it."""
    model = Model(network, rate)
    set_weights(model, weights)
    return model


def notes(network: Dict[str, Any]) -> Dict[str, str]:
    """Return, by kind of layer, what differs from the neutral description and is adapted."""
    from harness.frameworks.caffe import layers

    return protocol.notes_on(network, layers.NOTES)


def put(x: protocol.Array, y: protocol.Array) -> Any:
    """Keep a batch: Caffe copies it into the net in each step."""
    return x, y


def forward(model: Any, batch: Any) -> Any:
    """Compute the logits of a batch."""
    model.feed(*batch)
    model.net.forward(end=model.logits)


def backward(model: Any, batch: Any) -> Any:
    """Compute the gradients of a batch."""
    model.feed(*batch)
    model.net.clear_param_diffs()
    model.weigh(1.0)
    model.net.forward()
    model.net.backward()


def step(model: Any, batch: Any) -> Any:
    """One step of Caffe's solver; return the loss before the update."""
    model.feed(*batch)
    model.weigh(model.rate)
    model.solver.step(1)
    return model.net.blobs["loss"].data.item()


def activations(model: Any, x: protocol.Array) -> protocol.Arrays:
    """Return every layer's output by name."""
    predict(model, x)
    return {name: model.net.blobs[name].data.copy() for name in model.outputs}


def gradients(model: Any, batch: Any) -> protocol.Arrays:
    """Return the gradient of the mean loss by neutral name."""
    backward(model, batch)
    return _neutral(model, lambda blob: blob.diff)


def synchronise() -> None:
    """Do nothing: Caffe on the CPU is synchronous."""


def get_weights(model: Any) -> protocol.Arrays:
    """Return the weights by neutral name."""
    return _neutral(model, lambda blob: blob.data)


def _neutral(model, of):
    arrays = {}
    for name, (layer, index, turn) in model.places.items():
        array = of(model.net.params[layer][index]).copy()
        arrays[name] = turn(array) if turn else array
    return arrays


def set_weights(model: Any, weights: protocol.Arrays) -> None:
    """Set the weights by neutral name."""
    for name, (layer, index, turn) in model.places.items():
        array = weights[name]
        model.net.params[layer][index].data[...] = turn(array) if turn else array


def set_rate(model: Any, rate: float) -> None:
    """Set the learning rate of the next steps."""
    model.rate = rate


def predict(model: Any, x: protocol.Array) -> protocol.Array:
    """Run the net up to its logits, arrays in and out."""
    model.feed(x)
    model.net.forward(end=model.logits)
    return model.net.blobs[model.logits].data.copy()


def export(model: Any, format_name: str, path: str, example: protocol.Array) -> Dict[str, Any]:
    """Write ``caffe``: a folder of the net as text and its weights."""
    del example
    if format_name != "caffe":
        raise protocol.Unsupported("Caffe does not write " + format_name)
    os.makedirs(path)
    with open(os.path.join(path, "model.prototxt"), "w") as target:
        target.write("\n".join(model.text(1)) + "\n")
    model.net.save(os.path.join(path, "model.caffemodel"))
    return {"opset": None, "exporter": f"Caffe {caffe.__version__}"}


def load(format_name: str, path: str) -> Any:
    """Read a folder of ``model.prototxt`` and ``model.caffemodel``."""
    if format_name != "caffe":
        raise protocol.Unsupported("Caffe does not read " + format_name)
    with open(os.path.join(path, "model.prototxt")) as source:
        text = source.read()
    return _net(text, os.path.join(path, "model.caffemodel"))


def answer(model: Any, inputs: protocol.Arrays) -> protocol.Arrays:
    """Run a loaded net, arrays in and out."""
    feed = protocol.match_places(inputs, list(model.inputs))
    for name, x in feed.items():
        model.blobs[name].reshape(*x.shape)
        model.blobs[name].data[...] = x
    model.forward()
    return {name: numpy.array(model.blobs[name].data) for name in model.outputs}
