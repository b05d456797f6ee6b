"""The inside of a TFLite model: its operators, and models made from parts of it.

Uses the flatbuffer classes of LiteRT, or of TensorFlow. A tensor has the name in the signature,
which runtimes use; else its own name, with its index where that is not unique.
"""

from typing import Any, Dict, Iterable, List

from harness.graphs.quantisation import Grids, allowed_steps, is_step


def _schema() -> Any:
    try:
        from ai_edge_litert import schema_py_generated as schema
    except ImportError:
        from tensorflow.lite.python import schema_py_generated as schema
    return schema


def read(path: str) -> Any:
    """Return the model in a file as objects that can be changed."""
    with open(path, "rb") as source:
        return _schema().ModelT.InitFromPackedBuf(source.read(), 0)


def write(model: Any, path: str) -> None:
    """Write a model without its signatures, whose outputs may no longer be all there are.

    The names in the signatures become the tensors' own.
    """
    import flatbuffers

    for tensor, name in zip(model.subgraphs[0].tensors, names(model)):
        tensor.name = name.encode()
    model.signatureDefs = None
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    with open(path, "wb") as target:
        target.write(bytes(builder.Output()))


def names(model: Any) -> List[str]:
    """Return a unique name for every tensor, by its index."""
    signed = _signature_names(model)
    unique: List[str] = []
    for index, tensor in enumerate(model.subgraphs[0].tensors):
        name = (tensor.name or b"").decode(errors="replace")
        duplicate = not name or name in unique or name in signed.values()
        unique.append(signed.get(index) or (f"{name}#{index}" if duplicate else name))
    return unique


def _signature_names(model: Any) -> Dict[int, str]:
    """Return the names in the first graph's signature by tensor index; inputs come first.

    A name that occurs twice belongs to the first tensor only.
    """
    names_by_index: Dict[int, str] = {}
    signatures = [entry for entry in model.signatureDefs or [] if entry.subgraphIndex == 0]
    for signature in signatures[:1]:
        for entry in [*signature.inputs, *signature.outputs]:
            name = entry.name.decode(errors="replace")
            if name not in names_by_index.values():
                names_by_index.setdefault(entry.tensorIndex, name)
    return names_by_index


def nodes(model: Any) -> List[Dict[str, Any]]:
    """Return name, kind, inputs and outputs of the operators in their order, for JSON."""
    kinds = {
        value: name for name, value in vars(_schema().BuiltinOperator).items() if name[0].isalpha()
    }
    tensor_names = names(model)
    described = []
    for number, node in enumerate(model.subgraphs[0].operators):
        code = model.operatorCodes[node.opcodeIndex]
        kind = kinds.get(max(code.builtinCode, code.deprecatedBuiltinCode), "?")
        described.append(
            {
                "name": f"{kind}.{number}",
                "kind": kind,
                "inputs": [tensor_names[index] for index in node.inputs if index >= 0],
                "outputs": [tensor_names[index] for index in node.outputs],
            }
        )
    return described


def grids(model: Any) -> Grids:
    """Return "scale" and "zero_point" of the tensors that have one of each, by name."""
    known: Grids = {}
    for name, tensor in zip(names(model), model.subgraphs[0].tensors):
        grid = tensor.quantization
        scales = [] if grid is None or grid.scale is None else list(grid.scale)
        zeros = [] if grid is None or grid.zeroPoint is None else list(grid.zeroPoint)
        if len(scales) == 1 and is_step(scales[0]):
            known[name] = {"scale": float(scales[0]), "zero_point": int(zeros[0]) if zeros else 0}
    return known


def outputs_in_steps(model: Any) -> Dict[str, Dict[str, Any]]:
    """Return the outputs that are quantised, or were last, by name.

    Each has its "step", 1 where it is an integer itself, and the number of "steps" that right
    answers may be apart; an integer output also its "scale" and "zero_point". An output in floats
    has one only where DEQUANTIZE writes it: what float operators add is not known here.
    """
    known, described = grids(model), nodes(model)
    makers = {name: node for node in described for name in node["outputs"]}
    depths = _roundings(model, described, known)
    tensor_names = names(model)
    outputs: Dict[str, Dict[str, Any]] = {}
    for name in (tensor_names[index] for index in model.subgraphs[0].outputs):
        maker = makers.get(name)
        source = name
        if maker is not None and maker["kind"] == "DEQUANTIZE":
            source = maker["inputs"][0]
        if source not in known or not depths.get(source):
            continue
        steps = allowed_steps(depths[source])
        if source == name:
            outputs[name] = dict(known[name], step=1.0, steps=steps)
        else:
            outputs[name] = {"step": known[source]["scale"], "steps": steps}
    return outputs


def _roundings(model: Any, described: Any, known: Grids) -> Dict[str, int]:
    """Return by tensor how many operators that round follow one another before it.

    An operator whose output has the scale of its input moves values, and rounds nothing.
    """
    tensor_names = names(model)
    depths = {tensor_names[index]: 0 for index in model.subgraphs[0].inputs}
    for node in described:
        read = [name for name in node["inputs"] if name in depths]
        if read:
            before = max(depths[name] for name in read)
            same = [known.get(name) for name in read]
            for name in node["outputs"]:
                depths[name] = before + (name in known and known[name] not in same)
    return depths


def expose(model: Any, tensors: Iterable[Dict[str, Any]]) -> None:
    """Add inner tensors, each with its ``name``, to the outputs of a model."""
    graph = model.subgraphs[0]
    tensor_names = names(model)
    added = [tensor_names.index(tensor["name"]) for tensor in tensors]
    present = list(graph.outputs)
    graph.outputs = [*graph.outputs, *(index for index in added if index not in present)]


def cut(model: Any, number: int) -> List[str]:
    """Remove all operators but the one of this *number*; return the names of its inputs."""
    graph = model.subgraphs[0]
    produced = {index for node in graph.operators for index in node.outputs}
    moving = produced | set(graph.inputs)
    tensor_names = names(model)
    node = graph.operators[number]
    graph.operators = [node]
    graph.inputs = list(dict.fromkeys(index for index in node.inputs if index in moving))
    graph.outputs = list(node.outputs)
    needed = {graph.tensors[index].buffer for index in node.inputs if index >= 0}
    needed.update(tensor.buffer for inner in model.subgraphs[1:] for tensor in inner.tensors)
    for index, buffer in enumerate(model.buffers):
        if index not in needed:
            buffer.data = None
    return [tensor_names[index] for index in graph.inputs]
