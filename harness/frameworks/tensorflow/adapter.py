"""TensorFlow with Keras 3: a training step as a traced function, SavedModel and ONNX.

Inputs and outputs have the neutral layout, in exports too; see `harness.frameworks.keras.layers`
for inside.
"""

import os
import tempfile
from typing import Any, Callable, Dict, Optional

import numpy

import harness.adapters as protocol
from harness.graphs.inputs.sample_inputs import Sampling
from harness.graphs.values import as_array

tf: Any = None  # the framework, once `start` has imported it
keras: Any = None
device: Any = None
by_xla: bool = False


def start() -> None:
    """Import TensorFlow and Keras."""
    global tf, keras
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras as keras_module
    import tensorflow as module

    tf, keras = module, keras_module


def configure(
    name: Any, threads: int, precision: str = "float32", execution: str = "traced"
) -> None:
    """Choose device, threads, *precision* and *execution*.

    *precision*: ``float32``, or ``bfloat16``, Keras's mixed policy, in which the variables are
    float32. Plain float32 everywhere, also on a GPU (no TF32). *execution*: ``traced`` by
    ``tf.function``, ``compiled`` by XLA besides, or ``eager``.
    """
    global by_xla, device
    by_xla = execution == "compiled"
    tf.config.run_functions_eagerly(execution == "eager")
    gpus = tf.config.list_physical_devices("GPU")
    if name == "cuda" and not gpus:
        raise protocol.WrongDevice("asked for cuda, TensorFlow lists no GPU")
    used = gpus[:1] if name == "cuda" else []
    tf.config.set_visible_devices(used, "GPU")
    for gpu in used:
        tf.config.experimental.set_memory_growth(
            gpu, True
        )  # allocate what is needed, not all memory
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_tensor_float_32_execution(False)
    device = "/GPU:0" if name == "cuda" else "/CPU:0"
    if precision == "bfloat16":
        keras.mixed_precision.set_dtype_policy("mixed_bfloat16")


def describe() -> Dict[str, Any]:
    """Describe what TensorFlow really uses."""
    on_gpu = "GPU" in _tensor(numpy.zeros(1, "float32")).device
    name = None
    if on_gpu:
        gpu = tf.config.list_physical_devices("GPU")[0]
        name = tf.config.experimental.get_device_details(gpu).get("device_name")
    onednn = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default")
    return {
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
        "threads": tf.config.threading.get_intra_op_parallelism_threads(),
        "device": "cuda" if on_gpu else "cpu",
        "device_name": name,
        "blas": f"tensorflow: Eigen, oneDNN {onednn}",
        "precision": keras.config.dtype_policy().compute_dtype,
        "execution": _execution(),
    }


def _execution():
    if tf.config.functions_run_eagerly():
        return "eager"
    return "compiled" if by_xla else "traced"


def multiply(a: protocol.Array, b: protocol.Array) -> protocol.Array:
    """Matrix product on the device."""
    return tf.matmul(_tensor(a), _tensor(b)).numpy()


def tiny_product() -> Callable[[], Any]:
    """Return a product of one number by one, as a function; eager, as users call it."""
    x = _tensor(numpy.ones((1, 1), "float32"))
    return lambda: tf.matmul(x, x)


class Model:
    """A Keras model with its functions."""

    def __init__(self, graph, shape, rate):
        self.graph = graph
        self.keras = graph.model
        anything = tf.TensorSpec(
            (None,) + shape, "float32"
        )  # otherwise every batch size compiles again
        self.forward = _function(self._forward, input_signature=[anything])
        self.optimiser = keras.optimizers.SGD(rate)

        @_function
        def step(x, y):
            loss, variables, gradients = self.differentiate(x, y)
            self.optimiser.apply_gradients(zip(gradients, variables))
            return loss

        self.step = step
        self.gradients = _function(lambda x, y: self.differentiate(x, y)[2])

    def _forward(self, x):
        return tf.cast(self.keras(x), tf.float32)

    def differentiate(self, x, y):
        """Return the mean loss over all labels, the variables, and the gradients of the loss."""
        cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits
        with tf.GradientTape() as tape:
            logits = tf.cast(self.keras(x, training=True), tf.float32)
            loss = tf.reduce_mean(cross_entropy(labels=y, logits=logits))
        variables = self.keras.trainable_variables
        return loss, variables, tape.gradient(loss, variables)


def _function(function, **settings):
    return tf.function(function, jit_compile=by_xla or None, **settings)


def build(network: Dict[str, Any], weights: protocol.Arrays, rate: float) -> Any:
    """Build the network with Keras's functional API, and its SGD."""
    from harness.frameworks.keras import layers

    with tf.device(device):
        model = Model(layers.Graph(network), tuple(network["input"]), rate)
        set_weights(model, weights)
    return model


def notes(network: Dict[str, Any]) -> Dict[str, str]:
    """Return, by kind of layer, what differs from the neutral description and is adapted."""
    from harness.frameworks.keras import layers

    return protocol.notes_on(network, layers.NOTES)


def put(x: protocol.Array, y: protocol.Array) -> Any:
    """Move a batch to the device."""
    return _tensor(x), _tensor(y)


def forward(model: Any, batch: Any) -> Any:
    """Compute the logits of a batch, on the device."""
    return model.forward(batch[0])


def backward(model: Any, batch: Any) -> Any:
    """Compute the gradients of a batch, on the device, in the order of the model's variables."""
    with tf.device(device):
        return model.gradients(*batch)


def step(model: Any, batch: Any) -> Any:
    """One step of SGD; return the loss as a tensor."""
    return model.step(*batch)


def activations(model: Any, x: protocol.Array) -> protocol.Arrays:
    """Return every layer's output by name."""
    names, watched = model.graph.watched()
    with tf.device(device):
        outputs = (_function(watched) if by_xla else watched)(_tensor(x))
    return {name: tf.cast(value, tf.float32).numpy() for name, value in zip(names, outputs)}


def gradients(model: Any, batch: Any) -> protocol.Arrays:
    """Return the gradient of the mean loss by neutral name, compiled like training."""
    variables = model.keras.trainable_variables
    pairs = zip(variables, backward(model, batch))
    by_variable = {id(variable): value for variable, value in pairs}
    return {
        name: weight.neutral(by_variable[id(weight.variable)])
        for name, weight in model.graph.weights.items()
    }


def synchronise() -> None:
    """Wait for the GPU; on the CPU a step is synchronous."""
    if "GPU" in device:
        tf.test.experimental.sync_devices()


def get_weights(model: Any) -> protocol.Arrays:
    """Return the weights by neutral name."""
    return {name: weight.neutral(weight.variable) for name, weight in model.graph.weights.items()}


def set_weights(model: Any, weights: protocol.Arrays) -> None:
    """Set the weights by neutral name."""
    for name, weight in model.graph.weights.items():
        weight.set(weights[name])


def set_rate(model: Any, rate: float) -> None:
    """Set the learning rate of the next steps: it is a variable, so nothing compiles again."""
    model.optimiser.learning_rate = rate


def predict(model: Any, x: protocol.Array) -> protocol.Array:
    """Run the compiled model, arrays in and out."""
    return model.forward(_tensor(x)).numpy()


def inspect(
    format_name: str, path: str, user_inputs: Optional[protocol.Arrays], sampling: Sampling
) -> Dict[str, Any]:
    """Inspect a SavedModel, by its default signature, or a model of Keras."""
    from harness.frameworks.tensorflow import programs

    return programs.inspect(load(format_name, path), user_inputs, sampling, answer)


def answer(model: Any, inputs: protocol.Arrays) -> protocol.Arrays:
    """Run a loaded model, arrays in and out."""
    feed = protocol.match_names(inputs, list(model.inputs))
    with tf.device(device):
        outputs = model.call({name: tf.convert_to_tensor(x) for name, x in feed.items()})
    return {name: as_array(value.numpy()) for name, value in outputs.items()}


def export(model: Any, format_name: str, path: str, example: protocol.Array) -> Dict[str, Any]:
    """Write ``onnx`` (by Keras and tf2onnx), ``saved-model`` or ``tflite``.

    The batch size stays free, except for ``tflite``, where it is 1.
    """
    shape = (None,) + example.shape[1:]
    signature = [keras.InputSpec(shape=shape, dtype="float32", name="input")]
    tensorflow = f"tensorflow {tf.__version__}"
    if format_name == "saved-model":
        model.keras.export(path, "tf_saved_model", verbose=False, input_signature=signature)
        return {"opset": None, "exporter": f"keras {keras.__version__}, {tensorflow}"}
    if format_name == "onnx":
        model.keras.export(path, "onnx", verbose=False, input_signature=signature)
        import onnx
        import tf2onnx

        opsets = {entry.domain: entry.version for entry in onnx.load(path).opset_import}
        return {"opset": opsets[""], "exporter": f"tf2onnx {tf2onnx.__version__}"}
    if format_name == "tflite":
        save_tflite(model.keras, path, example)
        return {"opset": None, "exporter": f"TFLiteConverter of {tensorflow}", "batch": 1}
    raise protocol.Unsupported(f"tensorflow does not write {format_name}")


def save_tflite(model: Any, path: str, example: protocol.Array, **settings: Any) -> None:
    """Convert a SavedModel: a converter made from a function drops the weights.

    *settings*: attributes of the converter.
    """
    signature = [tf.TensorSpec((1,) + example.shape[1:], "float32")]
    with tempfile.TemporaryDirectory() as folder:
        archive = keras.export.ExportArchive()
        archive.track(model)
        archive.add_endpoint("serve", model.__call__, input_signature=signature)
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        for name, value in settings.items():
            setattr(converter, name, value)
        converted = converter.convert()
    with open(path, "wb") as target:
        target.write(converted)


def load(format_name: str, path: str) -> Any:
    """Read a ``saved-model``, ``keras`` or ``keras-h5``."""
    from harness.frameworks.tensorflow import programs

    with tf.device(device):
        return programs.load(format_name, path)


def _tensor(array):
    with tf.device(device):
        return tf.convert_to_tensor(array)
