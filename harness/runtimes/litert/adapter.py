"""LiteRT, once TensorFlow Lite: reads ``tflite`` and answers."""

from typing import Any, Dict, List, Optional

import numpy

import harness.adapters as protocol
from harness.graphs import WrongInputs, quantisation
from harness.graphs.inputs import sample_inputs
from harness.graphs.inputs.sample_inputs import Sampling
from harness.graphs.tflite import model as tflite
from harness.graphs.tflite import values as tflite_values

#: What judges a model.
REFERENCE = "baseline: LiteRT's reference kernels, in the model's own precision"

litert: Any = None  # the runtime, once `start` has imported it
threads: Any = None


def start() -> None:
    """Import the interpreter."""
    global litert
    import ai_edge_litert.interpreter as module

    litert = module


def configure(device: str, count: int) -> None:
    """Set the number of threads of all later interpreters."""
    global threads
    if device != "cpu":
        raise protocol.WrongDevice("this adapter is for the CPU only")
    threads = count


def describe() -> Dict[str, Any]:
    """Describe what is used. The interpreter does not tell its number of threads."""
    from importlib import metadata  # novm: its wheels are for newer Pythons only

    return {
        "versions": {"litert": metadata.version("ai-edge-litert")},
        "threads": threads,
        "device": "cpu",
        "device_name": None,
        "blas": "LiteRT: XNNPACK",
    }


def multiply(a: protocol.Array, b: protocol.Array) -> protocol.Array:
    """Matrix product as a model of one node. There is no product in float64."""
    if a.dtype != "float32":
        raise protocol.Unsupported("LiteRT has no matrix product in float64")
    model = Served(model_content=_product_model(a.shape, b.shape))
    (product,) = answer(model, {"a": a, "b": b}).values()
    return product


class WrongShape(ValueError):
    """The model does not take the shape of an input."""


class Served:
    """An interpreter with the indices of its inputs and outputs by name, both in its order.

    The names are those of the signature, where the file has one.
    """

    def __init__(self, **options):
        self.interpreter = litert.Interpreter(num_threads=threads, **options)
        inputs = self.interpreter.get_input_details()
        self.is_dynamic = any(map(_is_dynamic, inputs))
        try:
            self.interpreter.allocate_tensors()
        except RuntimeError:  # a dynamic shape may be a placeholder: `answer` sets another
            if not self.is_dynamic:
                raise
        outputs = self.interpreter.get_output_details()
        signature = self._signature(inputs)
        self.inputs = _places(inputs, signature and signature.get_input_details())
        self.outputs = _places(outputs, signature and signature.get_output_details())

    def _signature(self, inputs):
        """Return the signature with the inputs of the graph that `invoke` runs, or None."""
        tensors = {(entry["index"], entry["name"]) for entry in inputs}
        for key in self.interpreter.get_signature_list():
            runner = self.interpreter.get_signature_runner(key)
            if {
                (entry["index"], entry["name"]) for entry in runner.get_input_details().values()
            } == tensors:
                return runner
        return None

    def declared(self):
        """Return the current details, such as dtype and shape, of the inputs by name."""
        entries = {entry["index"]: entry for entry in self.interpreter.get_input_details()}
        return {name: entries[index] for name, index in self.inputs.items()}


def _is_dynamic(entry):
    """Return whether a tensor's shape in the file stands for others."""
    return bool((numpy.asarray(entry["shape_signature"]) < 0).any())


def _dims(name, entry):
    """Return the sizes of an input, and a name where the file says that it has no certain one."""
    sizes = entry["shape"].tolist()
    signed = entry["shape_signature"].tolist() or sizes
    return [f"{name}.{axis}" if size < 0 else size for axis, size in enumerate(signed)]


def _places(entries, signed):
    """Return the indices of tensors by name, in the order of *entries*."""
    order = [entry["index"] for entry in entries]
    named = signed or {entry["name"]: entry for entry in entries}
    places = {name: entry["index"] for name, entry in named.items()}
    return dict(sorted(places.items(), key=lambda item: order.index(item[1])))


def load(format_name: str, path: str) -> Any:
    """Read a model."""
    if format_name != "tflite":
        raise protocol.Unsupported("LiteRT does not read " + format_name)
    return Served(model_path=path)


def inspect(
    format_name: str, path: str, user_inputs: Optional[protocol.Arrays], sampling: Sampling
) -> Dict[str, Any]:
    """Inspect a model: its outputs, and those of the reference kernels, which judge them.

    The format has no float64; the reference kernels are LiteRT's other ones, plain loops in the
    model's own precision.
    """
    model = load(format_name, path)
    declared = [
        {
            "name": name,
            "dtype": str(numpy.dtype(entry["dtype"])),
            "shape": _dims(name, entry),
            "usual": entry["shape"].tolist(),
        }
        for name, entry in model.declared().items()
    ]
    graph = tflite.read(path)
    legal = {} if user_inputs else tflite_values.legal_values(graph)
    inputs = user_inputs or sample_inputs.arrays(
        [dict(entry, values=legal.get(entry["name"])) for entry in declared], sampling
    )
    grids, quantised = _quantisation(graph)
    inputs = quantisation.quantise(inputs, declared, grids)
    try:
        outputs = answer(model, inputs)
    except WrongShape as error:
        raise WrongInputs(str(error))
    described: Dict[str, Any] = {
        "inputs": declared,
        "values": {name: values.why for name, values in legal.items()},
        "quantised": quantised,
    }
    result = {"described": described, "inputs": inputs, "outputs": outputs}
    try:
        result["gold"] = answer(reference(path), inputs)
    except (RuntimeError, ValueError) as error:
        described["remarks"] = [f"no answer of the reference kernels: {error}".splitlines()[0]]
    else:
        described["judged_by"] = dict.fromkeys(outputs, REFERENCE)
        described["rounded"] = list(outputs)
    return result


def _quantisation(graph):
    """Return what quantised tensors stand for, and the outputs that are compared by steps."""
    return tflite.grids(graph), tflite.outputs_in_steps(graph)


def trace(path: str, inputs: protocol.Arrays) -> Dict[str, Any]:
    """Evaluate every operator by the reference kernels, in float32, the format's best precision."""
    model = tflite.read(path)
    tensor_names = tflite.names(model)
    whole = reference(path)
    answer(whole, inputs)
    nodes = tflite.nodes(model)
    return {
        "nodes": nodes,
        "outputs": [tensor_names[index] for index in model.subgraphs[0].outputs],
        "precise": dict(_values_after_run(whole.interpreter, tensor_names, nodes)),
        "single": {},
    }


def _values_after_run(interpreter, tensor_names, nodes):
    """Yield the tensors that have values after a run; those inside a loop have none."""
    for name in [name for node in nodes for name in node["outputs"]]:
        try:
            yield name, interpreter.get_tensor(tensor_names.index(name))
        except ValueError:
            continue


def expose(path: str, tensors: List[Dict[str, Any]], target: str) -> None:
    """Write the model with inner tensors as additional outputs."""
    model = tflite.read(path)
    tflite.expose(model, tensors)
    tflite.write(model, target)


def cut(path: str, inputs: protocol.Arrays, number: int, target: str) -> Dict[str, Any]:
    """Write one operator as a model; return its inputs and the reference kernel's outputs."""
    model = tflite.read(path)
    tensor_names = tflite.names(model)
    whole = reference(path)
    answer(whole, inputs)
    get_tensor = whole.interpreter.get_tensor
    node_inputs = {name: get_tensor(tensor_names.index(name)) for name in tflite.cut(model, number)}
    tflite.write(model, target)
    return {"inputs": node_inputs, "gold": answer(reference(target), node_inputs)}


def reference(path):
    """Return a model on the reference kernels, without a delegate, that keeps every tensor."""
    return Served(
        model_path=path,
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )


def answer(model: Any, inputs: protocol.Arrays) -> protocol.Arrays:
    """Run the interpreter, arrays in and out; it is resized where the shapes differ."""
    interpreter, declared = model.interpreter, model.declared()
    feed = protocol.match_names(inputs, list(declared))
    resized = [name for name, x in feed.items() if tuple(declared[name]["shape"]) != x.shape]
    for name in resized:
        interpreter.resize_tensor_input(model.inputs[name], feed[name].shape, strict=False)
    try:
        interpreter.allocate_tensors()
        for name, x in feed.items():
            interpreter.set_tensor(model.inputs[name], x)
        interpreter.invoke()
    except RuntimeError as error:
        if model.is_dynamic:
            fed = ", ".join(f"{name} {x.shape}" for name, x in feed.items())
            raise WrongShape(
                f"it does not take {fed}: give other sizes with --shape or --inputs ({error})"
            ) from error
        if not resized:
            raise
        wanted = ", ".join(f"{name} {tuple(declared[name]['shape'])}" for name in resized)
        fed = ", ".join(f"{name} {feed[name].shape}" for name in resized)
        raise WrongShape(f"it takes {wanted} only; got {fed}") from error
    return {name: interpreter.get_tensor(index) for name, index in model.outputs.items()}


def _product_model(a, b):
    """Return the bytes of a model ``product = BATCH_MATMUL(a, b)``, float32."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    shapes = (("a", a), ("b", b), ("product", (a[0], b[1])))
    graph = schema.SubGraphT()
    graph.tensors = [_tensor(schema, name, shape) for name, shape in shapes]
    graph.inputs, graph.outputs = [0, 1], [2]
    node = schema.OperatorT()
    node.inputs, node.outputs = [0, 1], [2]
    node.builtinOptionsType = schema.BuiltinOptions.BatchMatMulOptions
    node.builtinOptions = schema.BatchMatMulOptionsT()
    graph.operators = [node]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.BATCH_MATMUL
    model = schema.ModelT()
    model.version, model.subgraphs, model.operatorCodes = 3, [graph], [code]
    model.buffers = [schema.BufferT()]  # the first buffer is empty by convention
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(schema, name, shape):
    tensor = schema.TensorT()
    tensor.name, tensor.shape = name, numpy.array(shape, "int32")
    tensor.type, tensor.buffer = schema.TensorType.FLOAT32, 0
    return tensor
