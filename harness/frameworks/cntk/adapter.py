"""CNTK 2.7: functions over dynamic axes, trained by its own learner."""

import ctypes
import os
import re
from typing import Any, Callable, Dict

import numpy

import harness.adapters as protocol

#: As MKL_DEBUG_CPU_TYPE numbers them.
KERNELS = {0: "any x86-64", 4: "AVX", 5: "AVX2", 7: "AVX-512"}

cntk: Any = None  # the framework, once `start` has imported it


def start() -> None:
    """Import CNTK. Without a limit, its OpenMP takes a second thread, which spins."""
    global cntk
    os.environ["OMP_THREAD_LIMIT"] = os.environ.get("OMP_NUM_THREADS", "1")
    os.environ["KMP_WARNINGS"] = "off"  # of that limit
    import cntk as module

    cntk = module


def configure(device: str, threads: int) -> None:
    """Use the CPU; the threads are those of OpenMP, set before CNTK was imported."""
    del threads
    if device != "cpu":
        raise protocol.WrongDevice("CNTK's wheel for CUDA is another, for CUDA 10")
    cntk.logging.set_trace_level(cntk.logging.TraceLevel.Error)
    cntk.device.try_set_default_device(cntk.cpu())


def describe() -> Dict[str, Any]:
    """Describe what CNTK really uses."""
    on_cpu = cntk.use_default_device().type() == cntk.device.DeviceKind.CPU
    return {
        "versions": {"cntk": cntk.__version__},
        "threads": int(os.environ["OMP_THREAD_LIMIT"]),
        "device": "cpu" if on_cpu else "cuda",
        "device_name": None,
        "blas": _mkl(),
    }


def _mkl():
    """Return the version of the MKL in the wheel, and the processor type that it chose kernels for.

    It chooses generic kernels for processors that are not Intel's.
    """
    folder = os.path.dirname(cntk.__file__)
    library = ctypes.CDLL(os.path.join(folder, "libs", "libmklml_intel.so"))
    version_text = ctypes.create_string_buffer(200)
    library.MKL_Get_Version_String(version_text, len(version_text))
    version = re.search(r"Version ([\d.]+)", version_text.value.decode()).group(1)  # type: ignore[union-attr] # it always says one
    kind = library.mkl_serv_cpu_detect()
    return "MKL {}, kernels for {}".format(version, KERNELS.get(kind, "type %d" % kind))


def multiply(a: protocol.Array, b: protocol.Array) -> protocol.Array:
    """Matrix product of two constants."""
    return cntk.times(*(cntk.constant(array, dtype=array.dtype.type) for array in (a, b))).eval()


def tiny_product() -> Callable[[], Any]:
    """Return a product of one number by one, as a function."""
    x = cntk.constant(numpy.ones((1, 1), "float32"))
    evaluate: Callable[[], Any] = cntk.times(x, x).eval
    return evaluate


class Model:
    """A network's expressions with its loss, and the trainer."""

    def __init__(self, network, rate):
        from harness.frameworks.cntk import layers

        self.graph = layers.Graph(network)
        logits = self.graph.logits
        self.classes = network["classes"]
        self.x, self.y = self.graph.input, cntk.input_variable(logits.shape, name="labels")
        right = cntk.reduce_sum(logits * self.y, axis=-1)
        # The mean over all labels of an example, where it has several.
        self.loss = cntk.reduce_mean(cntk.reduce_log_sum_exp(logits, axis=-1) - right)
        self.learner = cntk.sgd(self.loss.parameters, _schedule(rate))
        self.trainer = cntk.Trainer(logits, (self.loss,), [self.learner])
        self.outputs = cntk.combine(list(self.graph.values.values()))

    def fed(self, batch):
        """Return the inputs of the loss."""
        return {self.x: batch[0], self.y: batch[1]}


def _schedule(rate):
    """Return a schedule that applies the rate to the mean gradient of a batch of any size."""
    return cntk.learning_parameter_schedule(rate, minibatch_size=cntk.learners.IGNORE)


def build(network: Dict[str, Any], weights: protocol.Arrays, rate: float) -> Any:
    """Write the network as expressions."""
    model = Model(network, rate)
    set_weights(model, weights)
    return model


def notes(network: Dict[str, Any]) -> Dict[str, str]:
    """Return, by kind of layer, what differs from the neutral description and is adapted."""
    from harness.frameworks.cntk import layers

    return protocol.notes_on(network, layers.NOTES)


class Batch(tuple):  # type: ignore[type-arg] # Python 3.6
    """x and its labels, (N, ...) int64."""


def put(x: protocol.Array, y: protocol.Array) -> Any:
    """Keep a batch. A model converts its labels to one-hot rows."""
    return Batch((x, y))


def _labelled(model, batch):
    x, y = batch
    return x, numpy.eye(model.classes, dtype="float32")[y]


def forward(model: Any, batch: Any) -> Any:
    """Compute the logits of a batch."""
    return model.graph.logits.eval({model.x: batch[0]})


def backward(model: Any, batch: Any) -> Any:
    """Compute the gradients of a batch, summed over it, by parameter."""
    feed = model.fed(_labelled(model, batch))
    return model.loss.grad(feed, wrt=list(model.loss.parameters))


def step(model: Any, batch: Any) -> Any:
    """One step of CNTK's learner; return the loss before the update."""
    model.trainer.train_minibatch(model.fed(_labelled(model, batch)))
    return model.trainer.previous_minibatch_loss_average


def activations(model: Any, x: protocol.Array) -> protocol.Arrays:
    """Return every layer's output by name."""
    values = model.outputs.eval({model.x: x})
    by_id = {variable.uid: value for variable, value in values.items()}
    return {name: by_id[node.output.uid] for name, node in model.graph.values.items()}


def gradients(model: Any, batch: Any) -> protocol.Arrays:
    """Return the gradient of the mean loss by neutral name."""
    by_parameter = backward(model, batch)
    by_id = {parameter.uid: value / len(batch[0]) for parameter, value in by_parameter.items()}
    return {
        name: weight.neutral(by_id[weight.parameter.uid])
        for name, weight in model.graph.weights.items()
    }


def synchronise() -> None:
    """Do nothing: CNTK on the CPU is synchronous."""


def get_weights(model: Any) -> protocol.Arrays:
    """Return the weights by neutral name."""
    return {
        name: weight.neutral(weight.parameter.value) for name, weight in model.graph.weights.items()
    }


def set_weights(model: Any, weights: protocol.Arrays) -> None:
    """Set the weights by neutral name."""
    for name, weight in model.graph.weights.items():
        weight.set(weights[name])


def set_rate(model: Any, rate: float) -> None:
    """Set the learning rate of the next steps."""
    model.learner.reset_learning_rate(_schedule(rate))


def predict(model: Any, x: protocol.Array) -> protocol.Array:
    """Run the model, arrays in and out."""
    return model.graph.logits.eval({model.x: x})


def export(model: Any, format_name: str, path: str, example: protocol.Array) -> Dict[str, Any]:
    """Write ``cntk``, its own format, or ``onnx`` of opset 9 for a batch of 1."""
    del example
    exporter = f"CNTK {cntk.__version__}"
    if format_name == "cntk":
        model.graph.logits.save(path)
        return {"opset": None, "exporter": exporter}
    if format_name == "onnx":
        model.graph.logits.save(path, format=cntk.ModelFormat.ONNX)
        return {"opset": 9, "exporter": exporter, "batch": 1}
    raise protocol.Unsupported("CNTK does not write " + format_name)


def load(format_name: str, path: str) -> Any:
    """Read CNTK's own format."""
    if format_name != "cntk":
        raise protocol.Unsupported("CNTK is not asked to read " + format_name)
    return cntk.load_model(path)


def answer(model: Any, inputs: protocol.Arrays) -> protocol.Arrays:
    """Run a loaded model, arrays in and out."""
    return {"y": model.eval({model.arguments[0]: protocol.single_input(inputs)})}
