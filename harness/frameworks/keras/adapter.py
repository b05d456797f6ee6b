"""Keras 3 by its own API: ``compile``, ``train_on_batch``, ``predict_on_batch`` and ``export``.

Keras has its defaults, so on a CPU it is eager on torch, a traced function on TensorFlow and
compiled on jax. Data have the neutral layout; inside, channels are last on every backend.
"""

import os
import sys
from typing import Any, Callable, Dict

import numpy

import harness.adapters as protocol
from harness.frameworks.jax import adapter as jax_adapter
from harness.frameworks.tensorflow import adapter as tensorflow_adapter
from harness.frameworks.torch import adapter as torch_adapter

keras: Any = None  # the framework, once `start` has imported it
backend: Any = None  # the adapter of its backend
pending: Any = ()  # variables whose values may still be computing

#: The adapters of the backends, and what each calls the modules that its own `start` imports.
BACKENDS: Any = {
    "jax": (jax_adapter, {"jax": "jax"}),
    "tensorflow": (tensorflow_adapter, {"tf": "tensorflow", "keras": "keras"}),
    "torch": (torch_adapter, {"torch": "torch"}),
}

#: Keras's names of formats.
FORMATS = {
    "onnx": "onnx",
    "saved-model": "tf_saved_model",
    "tflite": "litert",
    "torch-export": "torch",
}

#: What converts to a format, by backend.
CONVERTERS = {
    ("onnx", "jax"): "jax2onnx",
    ("onnx", "tensorflow"): "tf2onnx",
}


def start() -> None:
    """Import Keras, which imports its backend."""
    global backend, keras
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras as module

    keras = module
    backend, names = BACKENDS[keras.backend.backend()]
    for name, imported in names.items():
        setattr(backend, name, sys.modules[imported])


def configure(name: Any, threads: int) -> None:
    """Choose device and threads."""
    backend.configure(name, threads)


def describe() -> Dict[str, Any]:
    """Describe what Keras and its backend really use."""
    described = backend.describe()
    del described["execution"]  # Keras's own default, not a choice of this adapter
    versions = dict({"keras": keras.__version__}, **described["versions"])
    return dict(described, versions=versions)


def multiply(a: protocol.Array, b: protocol.Array) -> protocol.Array:
    """Matrix product on the device, by the backend: Keras's own may narrow float64."""
    product: protocol.Array = backend.multiply(a, b)
    return product


def tiny_product() -> Callable[[], Any]:
    """Return a product of one number by one, as a function."""
    x = keras.ops.convert_to_tensor(numpy.ones((1, 1), "float32"))
    if backend is jax_adapter:
        return lambda: keras.ops.matmul(x, x).block_until_ready()
    return lambda: keras.ops.matmul(x, x)


def build(network: Dict[str, Any], weights: protocol.Arrays, rate: float) -> Any:
    """Build the network with Keras's functional API, and its SGD."""
    from harness.frameworks.keras import programs

    model = programs.Model(network, rate)
    set_weights(model, weights)
    return model


def notes(network: Dict[str, Any]) -> Dict[str, str]:
    """Return, by kind of layer, what differs from the neutral description and is adapted."""
    from harness.frameworks.keras import layers

    return protocol.notes_on(network, layers.NOTES)


def put(x: protocol.Array, y: protocol.Array) -> Any:
    """Move a batch to the device."""
    return keras.ops.convert_to_tensor(x), keras.ops.convert_to_tensor(y.astype("int32"))


def forward(model: Any, batch: Any) -> Any:
    """Compute the logits of a batch; Keras brings them back."""
    return model.keras.predict_on_batch(batch[0])


def backward(model: Any, batch: Any) -> Any:
    """Compute the gradients of a batch, on the device, by the ``id`` of the variable."""
    global pending
    recorded = model.gradients(*batch)
    pending = recorded.values()
    return recorded


def step(model: Any, batch: Any) -> Any:
    """One step of SGD; return the loss, which Keras brings back."""
    global pending
    loss = model.keras.train_on_batch(*batch)
    pending = model.variables
    return loss


def activations(model: Any, x: protocol.Array) -> protocol.Arrays:
    """Return every layer's output by name."""
    names, watched = model.graph.watched()
    return dict(zip(names, watched.predict_on_batch(x)))


def gradients(model: Any, batch: Any) -> protocol.Arrays:
    """Return the gradient of the mean loss by neutral name."""
    recorded = backward(model, batch)
    return {
        name: weight.neutral(recorded[id(weight.variable)])
        for name, weight in model.graph.weights.items()
    }


def synchronise() -> None:
    """Wait for the device, as the backend does."""
    backend.pending = [variable.value for variable in pending]  # what jax's adapter waits for
    backend.synchronise()


get_weights = tensorflow_adapter.get_weights  # that adapter builds with the same layers
set_weights = tensorflow_adapter.set_weights


def set_rate(model: Any, rate: float) -> None:
    """Set the learning rate of the next steps: it is a variable, so nothing compiles again."""
    model.keras.optimizer.learning_rate = rate


def predict(model: Any, x: protocol.Array) -> protocol.Array:
    """Answer as Keras predicts, arrays in and out."""
    logits: protocol.Array = model.keras.predict_on_batch(x)
    return logits


def export(model: Any, format_name: str, path: str, example: protocol.Array) -> Dict[str, Any]:
    """Write a format by Keras's ``export``.

    The batch size stays free, except for ``tflite``, where it is 1.
    """
    if format_name not in FORMATS:
        raise protocol.Unsupported("keras does not write " + format_name)
    rows = 1 if format_name == "tflite" else None
    shape = (rows,) + example.shape[1:]
    signature = [keras.InputSpec(shape=shape, dtype="float32", name="input")]
    settings: Dict[str, Any] = {"input_signature": signature, "verbose": False}
    if format_name == "onnx" and backend is jax_adapter:
        settings["opset_version"] = jax_adapter.OPSET
    if format_name == "torch-export":
        settings["dynamic_shapes"] = {0: torch_adapter.torch.export.Dim("batch", min=1)}
    model.keras.export(path, FORMATS[format_name], **settings)
    described = {"opset": _opset(format_name, path), "exporter": _exporter(format_name)}
    return dict(described, batch=rows) if rows else described


def _opset(format_name, path):
    if format_name != "onnx":
        return None
    import onnx

    opsets = {entry.domain: entry.version for entry in onnx.load(path).opset_import}
    return opsets[""]


def _exporter(format_name):
    """Return the names and versions of Keras and of what converts for it."""
    from importlib import metadata  # novm: Keras is for newer Pythons only

    used = keras.backend.backend()
    converter = CONVERTERS.get((format_name, used), used)
    return f"keras {keras.__version__}, {converter} {metadata.version(converter)}"
