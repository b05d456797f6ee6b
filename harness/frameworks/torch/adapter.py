"""PyTorch: eager or compiled training, ``torch.export``, TorchScript and ONNX."""

import contextlib
import functools
import sys
from typing import Any, Callable, Dict, Optional

import numpy

import harness.adapters as protocol
from harness.graphs.inputs.sample_inputs import Sampling

torch: Any = None  # the framework, once `start` has imported it
device: Any = None
autocast: Any = contextlib.ExitStack  # a context that does nothing, or torch's autocast
compiled: bool = False


def start() -> None:
    """Import torch."""
    global torch
    import torch as module

    torch = module


def configure(
    name: Any, threads: int, precision: str = "float32", execution: str = "eager"
) -> None:
    """Choose device, threads, *precision* and *execution*.

    *precision*: ``float32``, or ``bfloat16``, which is autocast, in which the weights are float32.
    Plain float32 everywhere, also on a GPU (no TF32). *execution*: ``eager``, or ``compiled`` by
    ``torch.compile`` as it comes.
    """
    global autocast, compiled, device
    compiled = execution == "compiled"
    if name == "cuda" and not torch.cuda.is_available():
        raise protocol.WrongDevice("asked for cuda, torch.cuda.is_available() is False")
    device = torch.device(name)
    if precision == "bfloat16":
        autocast = functools.partial(torch.autocast, name, torch.bfloat16)
    torch.set_num_threads(threads)
    if torch.get_num_interop_threads() != 1:  # it can be set once only
        torch.set_num_interop_threads(1)
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def describe() -> Dict[str, Any]:
    """Describe what torch really uses."""
    actual = torch.zeros(1, device=device).device.type
    instructions = torch.backends.cpu.get_cpu_capability()
    one = torch.ones(1, 1, device=device)
    with autocast():
        product = one @ one
    library = "MKL" if torch.backends.mkl.is_available() else "no MKL"
    versions = {"torch": torch.__version__}
    if torch.version.cuda:
        versions["cuda"] = torch.version.cuda
    return {
        "versions": versions,
        "threads": torch.get_num_threads(),
        "device": actual,
        "device_name": torch.cuda.get_device_name() if actual == "cuda" else None,
        "blas": f"torch: {library}, {instructions}",
        "precision": str(product.dtype).split(".")[-1],
        "execution": "compiled" if compiled else "eager",
    }


def multiply(a: protocol.Array, b: protocol.Array) -> protocol.Array:
    """Matrix product on the device."""
    return (_tensor(a) @ _tensor(b)).cpu().numpy()


def tiny_product() -> Callable[[], Any]:
    """Return a product of one number by one, as a function."""
    x = _tensor(numpy.ones((1, 1), "float32"))
    return lambda: x @ x


def build(network: Dict[str, Any], weights: protocol.Arrays, rate: float) -> Any:
    """Build the network as a graph of torch's modules, and its SGD."""
    from harness.frameworks.torch import layers

    return trainable(layers.Graph(network, weights), weights, rate)


def trainable(model: Any, weights: protocol.Arrays, rate: float) -> Any:
    """Put a graph of modules on the device, with its weights and its SGD."""
    model = model.to(device)
    set_weights(model, weights)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.optimiser = torch.optim.SGD(trained, lr=rate)
    if compiled:
        model.compile()
    return model


def notes(network: Dict[str, Any]) -> Dict[str, str]:
    """Return, by kind of layer, what differs from the neutral description and is adapted."""
    from harness.frameworks.torch import layers

    return protocol.notes_on(network, layers.NOTES)


def put(x: protocol.Array, y: protocol.Array) -> Any:
    """Move a batch to the device."""
    return _tensor(x), _tensor(y)


def forward(model: Any, batch: Any) -> Any:
    """Compute the logits of a batch, on the device."""
    with torch.inference_mode(), autocast():
        return model(batch[0])


def backward(model: Any, batch: Any) -> Any:
    """Compute the gradients of a batch, on the device."""
    model.optimiser.zero_grad()
    _loss(model, *batch).backward()


def step(model: Any, batch: Any) -> Any:
    """One step of SGD; return the loss as a tensor."""
    x, y = batch
    model.optimiser.zero_grad()
    loss = _loss(model, x, y)
    loss.backward()
    model.optimiser.step()
    return loss.detach()


def _loss(model, x, y):
    """Return the mean over all labels, (N,) or (N, T); it is computed in float32."""
    with autocast():
        logits = model(x).float()
    return torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))


def activations(model: Any, x: protocol.Array) -> protocol.Arrays:
    """Return every layer's output by name."""
    values_of = torch.compile(model.values) if compiled else model.values
    with torch.no_grad(), autocast():
        values = values_of(_tensor(x))
    return {name: value.float().cpu().numpy() for name, value in values.items() if name != "input"}


def gradients(model: Any, batch: Any) -> protocol.Arrays:
    """Return the gradient of the mean loss by neutral name."""
    backward(model, batch)
    return {name: value.grad.cpu().numpy() for name, value in model.neutral()}


def compile_s() -> float:
    """Return the seconds that TorchDynamo, AOTAutograd and Inductor have taken so far."""
    utils = sys.modules.get("torch._dynamo.utils")  # nothing has compiled before it is imported
    return utils.calculate_time_spent()["total_wall_time"] if utils else 0.0


def synchronise() -> None:
    """Wait for the GPU; the CPU is synchronous."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def get_weights(model: Any) -> protocol.Arrays:
    """Return the weights by neutral name."""
    return {name: value.detach().cpu().numpy() for name, value in model.neutral()}


def set_weights(model: Any, weights: protocol.Arrays) -> None:
    """Set the weights by neutral name."""
    with torch.no_grad():
        for name, value in model.neutral():
            value.copy_(_tensor(weights[name]))


def set_rate(model: Any, rate: float) -> None:
    """Set the learning rate of the next steps."""
    for group in model.optimiser.param_groups:
        group["lr"] = rate


def predict(model: Any, x: protocol.Array) -> protocol.Array:
    """Run the model without gradients, arrays in and out."""
    with torch.inference_mode(), autocast():
        return model(_tensor(x)).float().cpu().numpy()


def answer(model: Any, inputs: protocol.Arrays) -> protocol.Arrays:
    """Run a loaded program, arrays in and out; see `programs.outputs_by_name` for the names."""
    from harness.frameworks.torch import programs

    return programs.answer(model, inputs)


def inspect(
    format_name: str, path: str, user_inputs: Optional[protocol.Arrays], sampling: Sampling
) -> Dict[str, Any]:
    """Inspect a program: gold is its answer in float64 where torch's own kernels can give it."""
    from harness.frameworks.torch import programs

    return programs.inspect(format_name, path, user_inputs, sampling, device)


def export(model: Any, format_name: str, path: str, example: protocol.Array) -> Dict[str, Any]:
    """Write one of the formats of `exports`, from the CPU, for any machine."""
    from harness.frameworks.torch import exports

    model = model.to("cpu").eval()
    try:
        return exports.write(model, format_name, path, torch.from_numpy(example))
    finally:
        model.to(device).train()


def predict_with_past(model: Any, inputs: protocol.Arrays) -> protocol.Arrays:
    """Do a step of a language model, with the keys and values of the steps before."""
    from harness.frameworks.torch import with_past

    fed = with_past.arguments({name: _tensor(x) for name, x in inputs.items()})
    with torch.inference_mode():
        return {name: value.cpu().numpy() for name, value in with_past.Step(model)(*fed).items()}


def export_with_past(
    model: Any, format_name: str, path: str, inputs: protocol.Arrays
) -> Dict[str, Any]:
    """Write such a step as ``onnx`` or ``torch-export``, from the CPU, for any machine."""
    from harness.frameworks.torch import with_past

    step = with_past.Step(model.to("cpu").eval())
    try:
        return with_past.write(step, format_name, path, inputs)
    finally:
        model.to(device).train()


def load(format_name: str, path: str) -> Any:
    """Read a ``torch-export``, ``torchscript`` or ``aotinductor`` program.

    A program is code: load it in a cell only.
    """
    from harness.frameworks.torch import programs

    return programs.load(format_name, path, device)


def _tensor(array):
    return torch.from_numpy(array).to(device)
