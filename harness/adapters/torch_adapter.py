"""PyTorch: eager training, ``torch.export`` and ONNX."""

from collections import OrderedDict

import harness.adapters as protocol

torch = None  # the framework, once `start` has imported it
device = None


def start():
    """Import torch."""
    global torch
    import torch as module

    torch = module


def configure(name, threads):
    """Choose device and threads; plain float32 everywhere, also on a GPU (no TF32)."""
    global device
    if name == "cuda" and not torch.cuda.is_available():
        raise protocol.WrongDevice("asked for cuda, torch.cuda.is_available() is False")
    device = torch.device(name)
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def describe():
    """Say what torch really uses."""
    actual = torch.zeros(1, device=device).device.type
    instructions = torch.backends.cpu.get_cpu_capability()
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
    }


def multiply(left, right):
    """Matrix product on the device."""
    return (_tensor(left) @ _tensor(right)).cpu().numpy()


def build(network, weights, rate):
    """Build the network as modules in a row, and its SGD."""
    layers = OrderedDict((layer["name"], _layer(layer, weights)) for layer in network["layers"])
    model = torch.nn.Sequential(layers).to(device)
    set_weights(model, weights)
    trained = [each for each in model.parameters() if each.requires_grad]
    model.optimiser = torch.optim.SGD(trained, lr=rate)
    return model


def _layer(layer, weights):
    kind, nn = layer["kind"], torch.nn
    kernel = weights.get(layer["name"] + ".kernel")
    if kind == "conv2d":
        outputs, inputs, height, width = kernel.shape
        return nn.Conv2d(
            inputs, outputs, (height, width), stride=layer["stride"], padding=layer["padding"]
        )
    if kind == "relu":
        return nn.ReLU()
    if kind == "maxpool2d":
        return nn.MaxPool2d(tuple(layer["size"]))
    if kind == "flatten":
        return nn.Flatten()
    if kind == "dense":
        return nn.Linear(kernel.shape[1], kernel.shape[0])
    if kind == "lstm":
        return _lstm(kernel.shape[1], layer["units"], layer["return_sequences"])
    raise protocol.Unsupported(f"layer kind {kind}")


def _lstm(inputs, units, return_sequences):
    """Return an LSTM layer with one trained bias: torch's second one stays at zero."""

    class Lstm(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = torch.nn.LSTM(inputs, units, batch_first=True)
            self.cell.bias_hh_l0.requires_grad_(False)

        def forward(self, x):
            sequence, _ = self.cell(x)
            return sequence if return_sequences else sequence[:, -1]

    return Lstm()


def put(x, y):
    """Move a batch to the device."""
    return _tensor(x), _tensor(y)


def step(model, batch):
    """One step of SGD; return the loss as a tensor."""
    x, y = batch
    model.optimiser.zero_grad()
    loss = torch.nn.functional.cross_entropy(model(x), y)
    loss.backward()
    model.optimiser.step()
    return loss.detach()


def activations(model, x):
    """Return every layer's output by name."""
    found = {}
    value = _tensor(x)
    with torch.no_grad():
        for name, layer in model.named_children():
            value = layer(value)
            found[name] = value.cpu().numpy()
    return found


def gradients(model, batch):
    """Return the gradient of the mean loss by neutral name."""
    x, y = batch
    model.optimiser.zero_grad()
    torch.nn.functional.cross_entropy(model(x), y).backward()
    return {name: value.grad.cpu().numpy() for name, value in _parameters(model)}


def synchronise():
    """Wait for the GPU; the CPU never runs ahead."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def get_weights(model):
    """Return the weights by neutral name."""
    return {name: value.detach().cpu().numpy() for name, value in _parameters(model)}


def set_weights(model, weights):
    """Set the weights by neutral name."""
    with torch.no_grad():
        for layer in model:
            if hasattr(layer, "cell"):
                layer.cell.bias_hh_l0.zero_()
        for name, value in _parameters(model):
            value.copy_(_tensor(weights[name]))


def _parameters(model):
    """Yield (neutral name, parameter); torch's layouts are the neutral ones."""
    for name, layer in model.named_children():
        if hasattr(layer, "cell"):
            yield name + ".kernel", layer.cell.weight_ih_l0
            yield name + ".recurrent", layer.cell.weight_hh_l0
            yield name + ".bias", layer.cell.bias_ih_l0
        elif hasattr(layer, "weight"):
            yield name + ".kernel", layer.weight
            yield name + ".bias", layer.bias


def predict(model, x):
    """Run the model without gradients, arrays in and out."""
    with torch.inference_mode():
        return model(_tensor(x)).cpu().numpy()


def export(model, form, path, example):
    """Write ``onnx`` or ``torch-export``, from the CPU, so that any machine can read it."""
    if form not in ("onnx", "torch-export"):
        raise protocol.Unsupported(f"torch does not write {form}")
    shapes = ({0: torch.export.Dim("batch")},)
    model = model.to("cpu").eval()
    try:
        program = torch.export.export(model, (torch.from_numpy(example),), dynamic_shapes=shapes)
        if form == "torch-export":
            torch.export.save(program, path)
            return {"opset": None}
        return _save_onnx(program, path, shapes)
    finally:
        model.to(device).train()


def _save_onnx(program, path, shapes):
    """Write an exported program as ONNX.

    torch.onnx.export could export by itself, but torch 2.9 then refuses a free batch of an LSTM.
    """
    translated = torch.onnx.export(
        program,
        dynamo=True,
        dynamic_shapes=shapes,
        input_names=["input"],
        output_names=["logits"],
        verbose=False,
    )
    translated.save(path, external_data=False)
    return {"opset": translated.model.opset_imports.get("")}


def load(form, path):
    """Read a ``torch-export`` program. It is code: only ever do this in a cell."""
    if form != "torch-export":
        raise protocol.Unsupported(f"torch does not read {form}")
    program = torch.export.load(path)
    if device.type == "cuda":
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(program, device)
    return program.module()


def _tensor(array):
    return torch.from_numpy(array).to(device)
