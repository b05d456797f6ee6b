"""PaddlePaddle: eager training, and ONNX by Paddle2ONNX."""

import ctypes
import os
import tempfile
from typing import Any, Callable, Dict

import numpy

import harness.adapters as protocol
from harness.measuring import machine

paddle: Any = None  # the framework, once `start` has imported it

#: The opset, as for torch.
OPSET = 20

#: What multiplies matrices, and is asked for its threads.
MKL = "libmklml_intel.so"


def start() -> None:
    """Import paddle."""
    global paddle
    import paddle as module

    paddle = module


def configure(name: Any, threads: int) -> None:
    """Choose device and threads."""
    if name != "cpu":
        raise protocol.WrongDevice("asked for " + name + "; this adapter has the CPU only")
    paddle.set_device(name)
    paddle.base.core.set_num_threads(threads)


def describe() -> Dict[str, Any]:
    """Describe what paddle really uses."""
    mapped = [path for path in machine.mapped_files() if os.path.basename(path) == MKL]
    threads = ctypes.CDLL(mapped[0]).MKL_Get_Max_Threads() if mapped else None
    return {
        "versions": {"paddle": paddle.__version__},
        "threads": threads,
        "device": "cpu" if paddle.ones([1]).place.is_cpu_place() else str(paddle.get_device()),
        "device_name": None,
        "blas": "paddle: " + ("MKL" if mapped else "no MKL"),
        "execution": "eager" if paddle.in_dynamic_mode() else "traced",
    }


def multiply(a: protocol.Array, b: protocol.Array) -> protocol.Array:
    """Matrix product on the device."""
    return paddle.matmul(_tensor(a), _tensor(b)).numpy()


def tiny_product() -> Callable[[], Any]:
    """Return a product of one number by one, as a function."""
    x = paddle.ones([1, 1])
    return lambda: paddle.matmul(x, x)


def build(network: Dict[str, Any], weights: protocol.Arrays, rate: float) -> Any:
    """Build the network as a graph of paddle's layers, and its SGD."""
    from harness.frameworks.paddle import layers

    model = layers.Graph(network, weights)
    set_weights(model, weights)
    trained = [parameter for _, parameter, _ in model.neutral()]
    model.optimiser = paddle.optimizer.SGD(rate, trained)
    return model


def notes(network: Dict[str, Any]) -> Dict[str, str]:
    """Return, by kind of layer, what differs from the neutral description and is adapted."""
    from harness.frameworks.paddle import layers

    return protocol.notes_on(network, layers.NOTES)


def put(x: protocol.Array, y: protocol.Array) -> Any:
    """Move a batch to the device."""
    return _tensor(x), _tensor(y)


def forward(model: Any, batch: Any) -> Any:
    """Compute the logits of a batch, on the device."""
    with paddle.no_grad():
        return model(batch[0])


def backward(model: Any, batch: Any) -> Any:
    """Compute the gradients of a batch, on the device."""
    model.clear_gradients()
    _loss(model, *batch).backward()


def step(model: Any, batch: Any) -> Any:
    """One step of SGD; return the loss as a tensor."""
    model.clear_gradients()
    loss = _loss(model, *batch)
    loss.backward()
    model.optimiser.step()
    return loss


def _loss(model, x, y):
    """Return the mean over all labels, (N,) or (N, T)."""
    return paddle.nn.functional.cross_entropy(model(x), y)


def activations(model: Any, x: protocol.Array) -> protocol.Arrays:
    """Return every layer's output by name."""
    with paddle.no_grad():
        values = model.values(_tensor(x))
    return {name: value.numpy() for name, value in values.items() if name != "input"}


def gradients(model: Any, batch: Any) -> protocol.Arrays:
    """Return the gradient of the mean loss by neutral name."""
    backward(model, batch)
    return {name: _turned(value.grad, turned) for name, value, turned in model.neutral()}


def synchronise() -> None:
    """Do nothing: the CPU is synchronous."""


def get_weights(model: Any) -> protocol.Arrays:
    """Return the weights by neutral name."""
    return {name: _turned(value, turned) for name, value, turned in model.neutral()}


def set_weights(model: Any, weights: protocol.Arrays) -> None:
    """Set the weights by neutral name."""
    for name, value, turned in model.neutral():
        value.set_value(weights[name].T if turned else weights[name])


def _turned(tensor, turned):
    array = tensor.numpy()
    return numpy.ascontiguousarray(array.T if turned else array)


def set_rate(model: Any, rate: float) -> None:
    """Set the learning rate of the next steps."""
    model.optimiser.set_lr(rate)


def predict(model: Any, x: protocol.Array) -> protocol.Array:
    """Run the model without gradients, arrays in and out."""
    with paddle.no_grad():
        return model(_tensor(x)).numpy()


def export(model: Any, format_name: str, path: str, example: protocol.Array) -> Dict[str, Any]:
    """Write ``onnx``, by way of paddle's own program; the batch size stays free.

    ``paddle.onnx.export`` would do both, and then install what it wants for folding constants.
    """
    if format_name != "onnx":
        raise protocol.Unsupported("paddle does not write " + format_name)
    import onnx
    import paddle2onnx

    shape = [None, *example.shape[1:]]
    described = [paddle.static.InputSpec(shape, "float32", "input")]
    model.eval()
    try:
        with tempfile.TemporaryDirectory() as folder:
            program = os.path.join(folder, "program")
            paddle.jit.save(model, program, described)
            files = program + ".json", program + ".pdiparams"
            paddle2onnx.export(*files, path, opset_version=OPSET, optimize_tool="None")
    finally:
        model.train()
    onnx.checker.check_model(path)  # Paddle2ONNX logs that a model is invalid, and writes it
    opsets = {entry.domain: entry.version for entry in onnx.load(path).opset_import}
    return {"opset": opsets[""], "exporter": "paddle2onnx " + paddle2onnx.__version__}


def _tensor(array):
    return paddle.to_tensor(array)
