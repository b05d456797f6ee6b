"""jax with optax: a compiled training step over a dict of parameters, ``jax.export`` and ONNX.

XLA compiles once for every shape, and so for every batch size.
"""

import contextlib
import logging
import os
import sys
from typing import Any, Callable, Dict

import numpy

import harness.adapters as protocol
from harness.measuring import machine

jax: Any = None  # the framework, once `start` has imported it
optax: Any = None
device: Any = None
computed_in: str = "float32"  # or "bfloat16"
pending: Any = ()  # arrays that may still be computing
compilations: Dict[str, float] = {}  # seconds by what XLA and jax did

#: The opset, as for torch: jax2onnx's default, 23, is too new for runtimes of distributions.
OPSET = 20

#: Libraries of layers, which no network here is made of. jax2onnx imports what it knows of them at
#: every first export, and builds their layers with dozens of XLA programs. Natively that takes
#: seconds, and is part of what an export costs; emulated it takes minutes, and proves nothing.
LAYER_LIBRARIES = ("equinox", "dm_pix")


def start() -> None:
    """Import jax and optax."""
    global jax, optax
    import jax as module
    import optax as optax_module

    jax, optax = module, optax_module
    jax.monitoring.register_event_duration_secs_listener(_count_compilation)


def configure(
    name: Any, threads: int, precision: str = "float32", execution: str = "compiled"
) -> None:
    """Choose device, threads, *precision*, the dtype in which layers compute, and *execution*.

    Plain float32 everywhere, also on a GPU (no TF32); the weights always are. *execution*:
    ``compiled``, or ``eager``: every operation by itself, as ``jax.disable_jit`` does.
    """
    global computed_in, device
    computed_in = precision
    jax.config.update("jax_disable_jit", execution == "eager")
    os.environ["NPROC"] = str(threads)  # the only setting for the size of XLA's CPU thread pool
    jax.config.update("jax_platforms", name)
    jax.config.update("jax_default_matmul_precision", "highest")
    try:
        device = jax.devices(name)[0]
    except RuntimeError as error:
        raise protocol.WrongDevice("asked for {}, jax says: {}".format(name, error))


def describe() -> Dict[str, Any]:
    """Describe what jax really uses."""
    actual = _tensor(numpy.zeros(1, "float32")).device
    on_gpu = actual.platform == "gpu"
    return {
        "versions": {module.__name__: module.__version__ for module in (jax, optax) if module},
        "threads": _pool(),
        "device": "cuda" if on_gpu else actual.platform,
        "device_name": actual.device_kind if on_gpu else None,
        "blas": "jax: XLA, Eigen",
        "precision": computed_in,
        "execution": "eager" if jax.config.jax_disable_jit else "compiled",
    }


def multiply(a: protocol.Array, b: protocol.Array) -> protocol.Array:
    """Matrix product on the device; float64 is enabled for this call only."""
    with jax.enable_x64(a.dtype == "float64"):
        return numpy.asarray(_tensor(a) @ _tensor(b))


def tiny_product() -> Callable[[], Any]:
    """Return a product of one number by one, as a function."""
    x = _tensor(numpy.ones((1, 1), "float32"))

    def product():
        return (x @ x).block_until_ready()

    return product


class Model:
    """A network's parameters with its compiled functions."""

    def __init__(self, network, weights, rate):
        from harness.frameworks.jax import layers

        layers.check(network)
        last = network["layers"][-1]["name"]
        optimiser = optax.inject_hyperparams(optax.sgd)(learning_rate=rate)
        self.rate = rate

        def values(weights, x):
            narrow = {name: value.astype(computed_in) for name, value in weights.items()}
            outputs = layers.values(network, narrow, x.astype(computed_in))
            return {name: value.astype("float32") for name, value in outputs.items()}

        def forward(weights, x):
            return values(weights, x)[last]

        def loss(weights, x, y):
            logits = forward(weights, x)
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

        @jax.jit
        def update(weights, state, gradients):
            updates, state = optimiser.update(gradients, state, weights)
            return optax.apply_updates(weights, updates), state

        def step(weights, state, x, y):
            value, gradients = self.differentiate(weights, x, y)
            return (value, *update(weights, state, gradients))

        self.forward = jax.jit(forward)
        self.values = jax.jit(values)
        self.differentiate = jax.jit(jax.value_and_grad(loss))
        # One program. Emulated, XLA would compile the gradients for minutes, which it has already.
        self.step = step if machine.emulated else jax.jit(step)
        self.initial = optimiser.init
        set_weights(self, weights)


def build(network: Dict[str, Any], weights: protocol.Arrays, rate: float) -> Any:
    """Build the network as functions of its parameters, and its SGD."""
    return Model(network, weights, rate)


def notes(network: Dict[str, Any]) -> Dict[str, str]:
    """Return, by kind of layer, what differs from the neutral description and is adapted."""
    from harness.frameworks.jax import layers

    return protocol.notes_on(network, layers.NOTES)


def put(x: protocol.Array, y: protocol.Array) -> Any:
    """Move a batch to the device."""
    return _tensor(x), _tensor(y.astype("int32"))


def forward(model: Any, batch: Any) -> Any:
    """Compute the logits of a batch, on the device."""
    global pending
    pending = model.forward(model.weights, batch[0])


def backward(model: Any, batch: Any) -> Any:
    """Compute the gradients of a batch, on the device, by neutral name."""
    global pending
    _, pending = model.differentiate(model.weights, *batch)
    return pending


def step(model: Any, batch: Any) -> Any:
    """One step of SGD; return the loss as an array on the device."""
    global pending
    loss, model.weights, model.state = model.step(model.weights, model.state, *batch)
    pending = (loss, model.weights)
    return loss


def activations(model: Any, x: protocol.Array) -> protocol.Arrays:
    """Return every layer's output by name."""
    values = model.values(model.weights, _tensor(x))
    return {name: numpy.asarray(value) for name, value in values.items() if name != "input"}


def gradients(model: Any, batch: Any) -> protocol.Arrays:
    """Return the gradient of the mean loss by neutral name."""
    arrays = backward(model, batch)
    return {name: numpy.asarray(value) for name, value in arrays.items()}


def compile_s() -> float:
    """Return the seconds that tracing, lowering and XLA have taken so far."""
    return sum(compilations.values())


def _count_compilation(event, seconds, **_):
    if event.startswith("/jax/core/compile/"):
        compilations[event] = compilations.get(event, 0.0) + seconds


def synchronise() -> None:
    """Wait for the last computation: jax is asynchronous."""
    jax.block_until_ready(pending)


def get_weights(model: Any) -> protocol.Arrays:
    """Return the weights by neutral name; the layouts are the neutral ones."""
    return {name: numpy.asarray(value) for name, value in model.weights.items()}


def set_weights(model: Any, weights: protocol.Arrays) -> None:
    """Set the weights by neutral name."""
    model.weights = {name: _tensor(value) for name, value in weights.items()}
    # A step returns arrays committed to the device: start from such arrays, or it compiles twice.
    model.state = jax.device_put(model.initial(model.weights), device)
    set_rate(model, model.rate)


def set_rate(model: Any, rate: float) -> None:
    """Set the learning rate of the next steps: it is in the state, so nothing compiles again."""
    model.rate = rate
    model.state.hyperparams["learning_rate"] = _tensor(numpy.float32(rate))


def predict(model: Any, x: protocol.Array) -> protocol.Array:
    """Run the compiled model, arrays in and out."""
    return numpy.asarray(model.forward(model.weights, _tensor(x)))


def answer(model: Any, inputs: protocol.Arrays) -> protocol.Arrays:
    """Run a loaded program, with its one input and one output."""
    return {"y": predict(model, protocol.single_input(inputs))}


def export(model: Any, format_name: str, path: str, example: protocol.Array) -> Dict[str, Any]:
    """Write ``jax-export``, for both devices, or ``onnx`` by jax2onnx; the batch size is free."""
    weights = model.weights

    def served(x):
        return model.forward(weights, x)

    if format_name == "jax-export":
        from jax import export as exporting

        dims = ", ".join(map(str, ("batch",) + example.shape[1:]))
        shape = jax.ShapeDtypeStruct(exporting.symbolic_shape(dims), example.dtype)
        program = exporting.export(jax.jit(served), platforms=["cpu", "cuda"])(shape)
        with open(path, "wb") as target:
            target.write(program.serialize())
        return {"opset": None, "exporter": f"jax.export of jax {jax.__version__}"}
    if format_name == "onnx":
        from importlib import metadata  # novm: its wheels are for newer Pythons only

        import jax2onnx
        import onnx

        with _without(LAYER_LIBRARIES if machine.emulated else ()):
            translated = jax2onnx.to_onnx(
                served, inputs=[("batch",) + example.shape[1:]], opset=OPSET
            )
        onnx.save(translated, path)
        opsets = {entry.domain: entry.version for entry in translated.opset_import}
        return {"opset": opsets[""], "exporter": f"jax2onnx {metadata.version('jax2onnx')}"}
    raise protocol.Unsupported("jax does not write " + format_name)


@contextlib.contextmanager
def _without(names):
    """Hide libraries from what is imported meanwhile."""
    hidden = {name: sys.modules.get(name) for name in names}
    sys.modules.update(dict.fromkeys(names))
    logger = logging.getLogger("jax2onnx.plugins.plugin_system")  # it warns of each that is hidden
    level = logger.level
    logger.setLevel(logging.ERROR if names else level)
    try:
        yield
    finally:
        logger.setLevel(level)
        for name, module in hidden.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


class Served:
    """A loaded program, with its compiled call."""

    def __init__(self, path):
        from jax import export as exporting

        with open(path, "rb") as source:
            call = exporting.deserialize(bytearray(source.read())).call
        self.weights = None
        self.forward = jax.jit(lambda _, x: call(x))


def load(format_name: str, path: str) -> Any:
    """Read a ``jax-export``."""
    if format_name != "jax-export":
        raise protocol.Unsupported("jax does not read " + format_name)
    return Served(path)


def _pool():
    """Return the number of compute threads, by the names that XLA gives its threads."""
    try:
        return machine.thread_names().count("tf_XLAEigen")
    except OSError:  # not Linux: only the requested number is known
        return int(os.environ["NPROC"])


def _tensor(array):
    return jax.device_put(array, device)
