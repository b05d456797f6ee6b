"""TensorFlow 1: a static graph that a session runs."""

import functools
from typing import Any, Callable, Dict

import numpy

import harness.adapters as protocol

tf: Any = None  # the framework, once `start` has imported it
threads = 1


def start() -> None:
    """Import TensorFlow."""
    global tf
    import tensorflow as module

    module.logging.set_verbosity(module.logging.ERROR)  # deprecation warnings of 2020
    tf = module


def configure(device: str, count: int) -> None:
    """Use the CPU and this number of threads for each operation."""
    global threads
    if device != "cpu":
        raise protocol.WrongDevice("TensorFlow 1's wheel for CUDA is another, for CUDA 10")
    threads = count


def describe() -> Dict[str, Any]:
    """Describe what TensorFlow really uses."""
    return {
        "versions": {"tensorflow": tf.__version__},
        "threads": threads,
        "device": "cpu",
        "device_name": None,
        "blas": "tensorflow: Eigen",
    }


def _session(graph):
    options = {"intra_op_parallelism_threads": threads, "inter_op_parallelism_threads": 1}
    return tf.Session(graph=graph, config=tf.ConfigProto(**options))


def multiply(a: protocol.Array, b: protocol.Array) -> protocol.Array:
    """Matrix product by a graph of one operation."""
    graph = tf.Graph()
    with graph.as_default():
        product = tf.matmul(tf.constant(a), tf.constant(b))
    with _session(graph) as session:
        return session.run(product)


def tiny_product() -> Callable[[], Any]:
    """Return a product of one number by one, as a function: a run of a graph that is there."""
    graph = tf.Graph()
    with graph.as_default():
        x = tf.constant([[1.0]])
        product = tf.matmul(x, x)
    return functools.partial(_session(graph).run, product)


class Model:
    """A graph with its gradients and its step, and the session that runs it."""

    def __init__(self, network, rate):
        from harness.frameworks.tensorflow1 import layers

        graph = tf.Graph()
        with graph.as_default():
            self.graph = layers.Graph(network)
            self.outputs = self.graph.outputs()
            logits = self.graph.logits
            self.y = tf.placeholder(tf.int64, logits.shape.as_list()[:-1], "y")
            cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits
            self.loss = tf.reduce_mean(cross_entropy(labels=self.y, logits=logits))
            self.gradients = tf.gradients(self.loss, self.graph.variables)
            self.rate = rate
            self.rate_fed = tf.placeholder(tf.float32, [], "rate")
            optimiser = tf.train.GradientDescentOptimizer(self.rate_fed)
            # Otherwise a variable may change while another gradient still reads it.
            with tf.control_dependencies(self.gradients):
                self.update = optimiser.apply_gradients(zip(self.gradients, self.graph.variables))
            initial = tf.global_variables_initializer()
        self.session = _session(graph)
        self.session.run(initial)

    def run(self, wanted, x, y=None):
        """Run the operations that *wanted* needs; return its values."""
        feed = {self.graph.input: x}
        if y is not None:
            feed.update({self.y: y, self.rate_fed: self.rate})
        return self.session.run(wanted, feed)

    def neutral(self, values):
        """Return the variables' values, or gradients, by neutral name."""
        by_variable = {id(variable): value for variable, value in zip(self.graph.variables, values)}
        return {
            name: weight.neutral(by_variable[id(weight.variable)])
            for name, weight in self.graph.weights.items()
        }


def build(network: Dict[str, Any], weights: protocol.Arrays, rate: float) -> Any:
    """Write the network as a graph, with its gradients."""
    model = Model(network, rate)
    set_weights(model, weights)
    return model


def notes(network: Dict[str, Any]) -> Dict[str, str]:
    """Return, by kind of layer, what differs from the neutral description and is adapted."""
    from harness.frameworks.tensorflow1 import layers

    return protocol.notes_on(network, layers.NOTES)


def put(x: protocol.Array, y: protocol.Array) -> Any:
    """Keep a batch: a session is fed arrays."""
    return x, y


def forward(model: Any, batch: Any) -> Any:
    """Compute the logits of a batch."""
    return model.run(model.graph.logits, batch[0])


def backward(model: Any, batch: Any) -> Any:
    """Compute the gradients of a batch, in the order of the graph's variables."""
    return model.run(model.gradients, *batch)


def step(model: Any, batch: Any) -> Any:
    """One step of SGD; return the loss before the update."""
    return model.run([model.loss, model.update], *batch)[0]


def activations(model: Any, x: protocol.Array) -> protocol.Arrays:
    """Return every layer's output by name."""
    return model.run(model.outputs, x)


def gradients(model: Any, batch: Any) -> protocol.Arrays:
    """Return the gradient of the mean loss by neutral name."""
    return model.neutral(backward(model, batch))


def synchronise() -> None:
    """Do nothing: a session returns when it is done."""


def get_weights(model: Any) -> protocol.Arrays:
    """Return the weights by neutral name."""
    return model.neutral(model.session.run(model.graph.variables))


def set_weights(model: Any, weights: protocol.Arrays) -> None:
    """Set the weights by neutral name."""
    for variable in model.graph.variables:
        whole = numpy.zeros(variable.shape.as_list(), "float32")
        for name, weight in model.graph.weights.items():
            if weight.variable is variable:
                weight.put(whole, weights[name])
        variable.load(whole, model.session)


def set_rate(model: Any, rate: float) -> None:
    """Set the learning rate of the next steps: it is an input of the graph."""
    model.rate = rate


def predict(model: Any, x: protocol.Array) -> protocol.Array:
    """Run the graph, arrays in and out."""
    return model.run(model.graph.logits, x)


def export(model: Any, format_name: str, path: str, example: protocol.Array) -> Dict[str, Any]:
    """Write ``saved-model``, or ``onnx`` by tf2onnx. The batch size stays free."""
    del example
    if format_name == "onnx":
        return _export_onnx(model, path)
    if format_name != "saved-model":
        raise protocol.Unsupported("TensorFlow 1 does not write " + format_name)
    with model.session.graph.as_default():
        tf.saved_model.simple_save(
            model.session, path, {"input": model.graph.input}, {"y": model.graph.logits}
        )
    return {"opset": None, "exporter": f"tensorflow {tf.__version__}"}


def _export_onnx(model, path):
    """Write the graph with its weights as constants, which tf2onnx reads."""
    import tf2onnx

    graph, logits = model.session.graph, model.graph.logits
    frozen = tf.graph_util.convert_variables_to_constants(
        model.session, graph.as_graph_def(), [logits.op.name]
    )
    written, _ = tf2onnx.convert.from_graph_def(
        frozen,
        input_names=[model.graph.input.name],
        output_names=[logits.name],
        output_path=path,
    )
    opsets = {entry.domain: entry.version for entry in written.opset_import}
    return {"opset": opsets[""], "exporter": f"tf2onnx {tf2onnx.__version__}"}


class Served:
    """A loaded SavedModel: the tensors of its default signature by name."""

    def __init__(self, path):
        graph = tf.Graph()
        self.session = _session(graph)
        with graph.as_default():
            read = tf.saved_model.load(self.session, [tf.saved_model.SERVING], path)
        if "serving_default" not in read.signature_def:
            raise protocol.Unsupported("the SavedModel has no signature serving_default")
        signature = read.signature_def["serving_default"]
        self.inputs = {name: tensor.name for name, tensor in signature.inputs.items()}
        self.outputs = {name: signature.outputs[name].name for name in sorted(signature.outputs)}


def load(format_name: str, path: str) -> Any:
    """Read a ``saved-model``."""
    if format_name != "saved-model":
        raise protocol.Unsupported("TensorFlow 1 does not read " + format_name)
    return Served(path)


def answer(model: Any, inputs: protocol.Arrays) -> protocol.Arrays:
    """Run the default signature of a SavedModel, arrays in and out."""
    feed = protocol.match_names(inputs, list(model.inputs))
    by_tensor = {model.inputs[name]: x for name, x in feed.items()}
    return model.session.run(model.outputs, by_tensor)
