"""torch 1.0.0: eager training, partly on the C kernels of Lua's Torch; TorchScript and ONNX."""

import ctypes
import os
from typing import Any, Dict

import harness.adapters as protocol
from harness.frameworks.torch import adapter as shared
from harness.frameworks.torch.adapter import (  # noqa: F401 - the rest of the adapter
    activations,
    backward,
    get_weights,
    gradients,
    multiply,
    put,
    set_rate,
    set_weights,
    start,
    step,
    synchronise,
    tiny_product,
)

#: The two libraries of Lua's Torch, each with one of its functions.
TORCH7 = {"TH": "THFloatTensor_addmm", "THNN": "THNN_FloatSpatialConvolutionMM_updateOutput"}


by_thnn = False


def configure(device: str, threads: int, convolution: str = "default") -> None:
    """Use the CPU and this many threads.

    *convolution*: what computes a network's 2-D convolutions, torch's ``default`` or ``thnn``.
    """
    global by_thnn
    if device != "cpu":
        raise protocol.WrongDevice("torch 1.0.0 is run on the CPU only")
    by_thnn = convolution == "thnn"
    shared.device = shared.torch.device(device)
    shared.torch.set_num_threads(threads)


def describe() -> Dict[str, Any]:
    """Describe what torch really uses; *blas* also says what it has and uses of Lua's Torch."""
    torch = shared.torch
    libraries = ["MKL"] * torch.backends.mkl.is_available() + _libraries_of_torch7()
    convolutions = ["conv{}d by {}".format(dims, _convolution(dims)) for dims in (1, 2, 3)]
    return {
        "versions": {"torch": torch.__version__, "cuda": torch.version.cuda},
        "threads": torch.get_num_threads(),
        "device": torch.zeros(1).device.type,
        "device_name": None,
        "blas": "torch: {}; {}".format(", ".join(libraries), ", ".join(convolutions)),
    }


def _libraries_of_torch7():
    """Return the libraries of Lua's Torch that torch's shared object defines a function of."""
    folder = os.path.dirname(shared.torch.__file__)
    kernels = ctypes.CDLL(os.path.join(folder, "lib", "libcaffe2.so"))
    return [library for library, function in TORCH7.items() if hasattr(kernels, function)]


def _convolution(dims):
    """Return the operation that a float32 convolution ends in, as its gradient is named."""
    torch = shared.torch
    x = torch.zeros([1] * (dims + 2), requires_grad=True)
    if dims == 2 and by_thnn:
        node = torch._C._nn.thnn_conv2d(x, x, (1, 1)).grad_fn
    else:
        node = getattr(torch.nn.functional, "conv{}d".format(dims))(x, x).grad_fn
    while "Conv" not in node.name():
        node = node.next_functions[0][0]
    return node.name().replace("Backward", "")


def build(network: Dict[str, Any], weights: protocol.Arrays, rate: float) -> Any:
    """Build the network as a graph of torch's modules, and its SGD."""
    from harness.frameworks.torch1 import layers

    kind = layers.GraphByThnn if by_thnn else layers.Graph
    return shared.trainable(kind(network, weights), weights, rate)


def notes(network: Dict[str, Any]) -> Dict[str, str]:
    """Return, by kind of layer, what differs from the neutral description and is adapted."""
    from harness.frameworks.torch1 import layers

    return protocol.notes_on(network, layers.NOTES)


def forward(model: Any, batch: Any) -> Any:
    """Compute the logits of a batch."""
    with shared.torch.no_grad():
        return model(batch[0])


def predict(model: Any, x: protocol.Array) -> protocol.Array:
    """Run the model without gradients, arrays in and out."""
    return forward(model, [shared.torch.from_numpy(x)]).numpy()


def export(model: Any, format_name: str, path: str, example: protocol.Array) -> Dict[str, Any]:
    """Write ``torchscript``, or ``onnx`` for a batch of 1: its exporter fixes the batch."""
    if format_name == "torchscript":
        return shared.export(model, format_name, path, example)
    if format_name != "onnx":
        raise protocol.Unsupported("torch 1.0.0 does not write " + format_name)
    torch = shared.torch
    names = {"input_names": ["input"], "output_names": ["logits"]}
    torch.onnx.export(model, torch.from_numpy(example[:1]), path, **names)
    opset = torch.onnx.symbolic._onnx_opset_version
    return {"opset": opset, "exporter": "torch.onnx of torch " + torch.__version__, "batch": 1}


def load(format_name: str, path: str) -> Any:
    """Read a ``torchscript`` program. A program is code: load it in a cell only."""
    if format_name != "torchscript":
        raise protocol.Unsupported("torch 1.0.0 does not read " + format_name)
    return shared.torch.jit.load(path, map_location="cpu")


def answer(model: Any, inputs: protocol.Arrays) -> protocol.Arrays:
    """Run a loaded program of one input and one output, arrays in and out."""
    return {"y": predict(model, protocol.single_input(inputs))}
