"""Programs of torch that are loaded to answer: ``torch-export``, ``torchscript``, ``aotinductor``.

A program is code: load it in a cell only. Import this module after torch only.
"""

from typing import Any, Dict, List, Optional

import numpy
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_unflatten

import harness.adapters as protocol
from harness.graphs import BadModel, values
from harness.graphs.inputs import sample_inputs

#: Types of TorchScript's arguments that are numbers of Python, and how an array becomes one.
NUMBERS = {"IntType": int, "FloatType": float, "BoolType": bool}


class Program:
    """A loaded program.

    *names*: of the inputs that it needs. *declared*: name, dtype and shape of every input, or None
    where they are not known. *examples*: inputs that came with it, by name, or nothing.
    """

    names: List[str] = []
    declared: Optional[List[Any]] = None
    examples: Dict[str, Any] = {}


class Script(Program):
    """TorchScript: inputs are those of ``forward``; one with a default need not be given."""

    def __init__(self, path, device, double=False):
        self.device, self.double = device, double
        module = torch.jit.load(path, map_location=device).eval()
        self.module = module.double() if double else module
        _, *arguments = module.forward.schema.arguments  # the first is the module itself
        self.kinds = {argument.name: _kind(argument.type) for argument in arguments}
        self.names = [entry.name for entry in arguments if not entry.has_default_value()]

    def call(self, inputs):
        """Return torch's result for arrays by name."""
        optional = {name: x for name, x in inputs.items() if name not in self.names}
        optional = {name: x for name, x in optional.items() if name in self.kinds}
        needed = {name: x for name, x in inputs.items() if name not in optional}
        feed = {**protocol.match_places(needed, self.names), **optional}
        return self.module(**{name: self._value(name, x) for name, x in feed.items()})

    def _value(self, name, x):
        number = NUMBERS.get(self.kinds[name])
        if number is None and self.kinds[name] != "NumberType":
            return tensor(x, self.device, self.double)
        if x.size != 1:
            raise ValueError(f"the input {name} is a number; got an array of {x.shape}")
        return number(x.item()) if number else x.item()


def _kind(argument_type):
    """Return the kind of an argument's type; that of an optional one is that of its value."""
    if argument_type.kind() == "OptionalType":
        return argument_type.getElementType().kind()
    return argument_type.kind()


class Exported(Program):
    """A program of torch.export: inputs are its leaves, in the order of their nesting."""

    def __init__(self, path, device, double=False):
        self.device, self.double = device, double
        program = torch.export.load(path)
        if device.type == "cuda":
            from torch.export.passes import move_to_device_pass

            program = move_to_device_pass(program, device)
        self.leaves = list(program.graph_signature.user_inputs)
        self.names = [leaf for leaf in self.leaves if isinstance(leaf, str)]
        self.spec = program.call_spec.in_spec
        self.declared = list(_declared(program, self.names))
        self.dtypes = {entry["name"]: entry["dtype"] for entry in self.declared}
        self.examples = _examples(program, self.names, self.leaves)
        module = program.module()
        self.module = module.double() if double else module

    def call(self, inputs):
        """Return torch's result for arrays by name."""
        feed = protocol.match_places(inputs, self.names)
        leaves = [
            self._value(leaf, feed[leaf]) if isinstance(leaf, str) else leaf for leaf in self.leaves
        ]
        arguments, keywords = tree_unflatten(leaves, self.spec)
        return self.module(*arguments, **keywords)

    def _value(self, name, x):
        """Return an input as a tensor of the program's type, which numpy may lack."""
        value = tensor(x, self.device, self.double)
        if self.double or not values.wider_dtype(self.dtypes[name]):
            return value
        return value.to(getattr(torch, self.dtypes[name]))


def _declared(program, names):
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    for name in names:
        value = nodes[name].meta["val"]
        shape = [_dim(dim, program.range_constraints) for dim in value.shape]
        yield {"name": name, "dtype": str(value.dtype).split(".")[1], "shape": shape}


def _dim(dim, ranges):
    """Return a dimension's size; a dynamic one gets `DYNAMIC_SIZE` where its range admits it."""
    if isinstance(dim, int):
        return dim
    limits = ranges.get(dim.node.expr)
    return sample_inputs.DYNAMIC_SIZE if limits is None else _within(limits.lower, limits.upper)


def _within(lower, upper):
    return int(max(lower, min(sample_inputs.DYNAMIC_SIZE, upper)))


def _examples(program, names, leaves):
    """Return the inputs that the program was exported with, by name; a file may lack them."""
    if program.example_inputs is None:
        return {}
    given, _ = tree_flatten(program.example_inputs)
    if len(given) != len(leaves):
        return {}
    by_name = {leaf: x for leaf, x in zip(leaves, given) if leaf in names}
    tensors = all(isinstance(x, torch.Tensor) for x in by_name.values())
    return {name: array(x) for name, x in by_name.items()} if tensors else {}


class Package(Program):
    """What AOTInductor compiled: it knows no names, only an order."""

    def __init__(self, path, device):
        self.device = device
        self.run = torch._inductor.aoti_load_package(path)

    def call(self, inputs):
        """Return torch's result for arrays by name."""
        return self.run(*[tensor(x, self.device) for x in inputs.values()])


KINDS = {"torchscript": Script, "torch-export": Exported, "aotinductor": Package}


def load(format_name, path, device):
    """Read a program. Raises Unsupported for another format."""
    if format_name not in KINDS:
        raise protocol.Unsupported(f"torch does not read {format_name}")
    return KINDS[format_name](path, device)


def answer(program, inputs):
    """Return the outputs by name, for arrays by name."""
    with torch.inference_mode():
        return dict(outputs_by_name(program.call(inputs)))


def outputs_by_name(result, prefix=""):
    """Yield (name, array) for all outputs of a program.

    A dictionary's have its keys as names, those of a tuple or a list their numbers, nested ones
    both with dots; a single output is called ``y``. None is not an output.
    """
    if isinstance(result, dict):
        entries = list(result.items())
    elif isinstance(result, (tuple, list)):
        entries = list(enumerate(result))
    else:
        if result is not None:
            yield prefix or "y", array(result)
        return
    for key, value in entries:
        yield from outputs_by_name(value, f"{prefix}.{key}" if prefix else str(key))


def inspect(format_name, path, user_inputs, sampling, device):
    """Return what the protocol's `inspect` does: gold is torch's own answer in float64.

    Raises BadModel where inputs are needed.
    """
    program = load(format_name, path, device)
    if user_inputs is None and program.declared is None:
        raise BadModel(
            f"a model of the format {format_name} does not say its inputs: give --inputs"
        )
    inputs = user_inputs or _sampled(program, sampling)
    declared = program.declared or [
        {"name": name, "dtype": str(x.dtype), "shape": list(x.shape)} for name, x in inputs.items()
    ]
    if user_inputs and program.declared:  # in float64 too, they are what the program takes
        fed = protocol.match_places(inputs, program.names)
        inputs = {name: values.rounded(fed[name], program.dtypes[name]) for name in program.names}
    outputs = answer(program, protocol.copy_inputs(inputs))
    described = {"inputs": declared}
    if inputs is program.examples:
        described["values"] = dict.fromkeys(inputs, "it was exported with them")
    result = {"described": described, "inputs": inputs, "outputs": outputs}
    gold, reason = _precise(format_name, path, inputs, outputs, device)
    if reason:
        described["remarks"] = ["no float64 evaluation: " + reason]
    else:
        result["gold"] = gold
        described["judged_by"] = dict.fromkeys(gold, "float64 by torch's own kernels")
    return result


def _sampled(program, sampling):
    """Return what a program was exported with, unless the user asks for something else."""
    if program.examples and not (sampling.shapes or sampling.ranges):
        return program.examples
    return sample_inputs.arrays(program.declared, sampling)


def _precise(format_name, path, inputs, outputs, device):
    """Return (outputs in float64 by name, why there are none)."""
    if format_name not in ("torchscript", "torch-export"):
        return None, "it is compiled for its own precision"
    floats = [name for name, y in outputs.items() if y.dtype.kind == "f"]
    watch = Precisions()
    try:
        program = KINDS[format_name](path, device, double=True)
        with torch.no_grad(), watch:
            precise = dict(outputs_by_name(program.call(protocol.copy_inputs(inputs))))
    except Exception as error:  # the program may raise anything in another precision
        return None, _why(error)[:300]
    if watch.reduced:
        return None, "it fixes {} inside".format(", ".join(sorted(watch.reduced)))
    if {name: y.shape for name, y in precise.items()} != {n: y.shape for n, y in outputs.items()}:
        return None, "its outputs differ in shape"
    if not all(numpy.isfinite(precise[name]).all() for name in floats):
        return None, "its outputs are not finite"
    return precise, ""


#: How TorchScript's interpreter begins a message, and how it marks what failed in its sources.
_INTERPRETER = "The following operation failed in the TorchScript interpreter"
_MARK = "<--- HERE"


def _why(error):
    """Return an error in a line.

    TorchScript's interpreter says why at the end of its message, or nothing there, and marks what
    failed below its line of the source.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    if not lines[0].startswith(_INTERPRETER):
        return f"{type(error).__name__}: {lines[0]}"
    failed = [lines[place - 1] for place, line in enumerate(lines) if line.endswith(_MARK)]
    return lines[-1].rstrip(":") + (f", in: {failed[-1]}" if failed else "")


class Precisions(TorchDispatchMode):
    """Notes the floating point types below float64 that an evaluation computes in."""

    def __init__(self):
        super().__init__()
        self.reduced = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for value in tree_flatten(result)[0]:
            is_float = isinstance(value, torch.Tensor) and value.is_floating_point()
            if is_float and value.dtype != torch.float64:
                self.reduced.add(str(value.dtype).split(".")[1])
        return result


def tensor(x, device, double=False):
    """Return an array as a tensor on the device; a float becomes float64 where *double*."""
    x = numpy.asarray(x)
    return torch.from_numpy(x.astype("float64") if double and x.dtype.kind == "f" else x).to(device)


def array(value):
    """Return a tensor or a number as an array; numpy has no bfloat16, so that becomes float32."""
    if not isinstance(value, torch.Tensor):
        return numpy.asarray(value)
    value = value.detach().cpu()
    return (value.float() if value.dtype == torch.bfloat16 else value).numpy()
