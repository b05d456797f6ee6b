"""The inside of a TFLite model: its operators, and models made from parts of it.

Through the flatbuffer classes that LiteRT brings. Tensors have the names of the model's signature,
which what serves it goes by, else their own, with their place where these are not unique.
"""


def read(path):
    """Return the model as objects that can be changed."""
    from ai_edge_litert import schema_py_generated as schema

    with open(path, "rb") as source:
        return schema.ModelT.InitFromPackedBuf(source.read(), 0)


def write(model, path):
    """Write a model. The signatures go: they name outputs that may no longer be all.

    Their names stay, as the tensors' own.
    """
    import flatbuffers

    for tensor, name in zip(model.subgraphs[0].tensors, names(model)):
        tensor.name = name.encode()
    model.signatureDefs = None
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    with open(path, "wb") as target:
        target.write(bytes(builder.Output()))


def names(model):
    """Return the tensors' names by their place, each once."""
    signed = _signed(model)
    found = []
    for at, tensor in enumerate(model.subgraphs[0].tensors):
        name = (tensor.name or b"").decode(errors="replace")
        taken = not name or name in found or name in signed.values()
        found.append(signed.get(at) or (f"{name}#{at}" if taken else name))
    return found


def _signed(model):
    """Return the names that the first graph's signature has, by place, each once: inputs' first."""
    found = {}
    own = [one for one in model.signatureDefs or [] if one.subgraphIndex == 0]
    for one in own[:1]:
        for entry in [*one.inputs, *one.outputs]:
            name = entry.name.decode(errors="replace")
            if name not in found.values():
                found.setdefault(entry.tensorIndex, name)
    return found


def nodes(model):
    """Return name, kind, inputs and outputs of the operators in their order, for JSON."""
    from ai_edge_litert import schema_py_generated as schema

    kinds = {
        value: name for name, value in vars(schema.BuiltinOperator).items() if name[0].isalpha()
    }
    called = names(model)
    found = []
    for at, one in enumerate(model.subgraphs[0].operators):
        code = model.operatorCodes[one.opcodeIndex]
        kind = kinds.get(max(code.builtinCode, code.deprecatedBuiltinCode), "?")
        found.append(
            {
                "name": f"{kind}.{at}",
                "kind": kind,
                "inputs": [called[place] for place in one.inputs if place >= 0],
                "outputs": [called[place] for place in one.outputs],
            }
        )
    return found


def expose(model, tensors):
    """Add inner tensors, each with its name, to what a model gives."""
    graph = model.subgraphs[0]
    called = names(model)
    added = [called.index(one["name"]) for one in tensors]
    graph.outputs = [*graph.outputs, *(at for at in added if at not in list(graph.outputs))]


def cut(model, number):
    """Leave one operator; return the names of what it is to be given."""
    graph = model.subgraphs[0]
    made = {place for one in graph.operators for place in one.outputs}
    moving = made | set(graph.inputs)
    called = names(model)
    node = graph.operators[number]
    graph.operators = [node]
    graph.inputs = list(dict.fromkeys(at for at in node.inputs if at in moving))
    graph.outputs = list(node.outputs)
    needed = {graph.tensors[at].buffer for at in node.inputs if at >= 0}
    needed.update(one.buffer for inner in model.subgraphs[1:] for one in inner.tensors)
    for at, buffer in enumerate(model.buffers):
        if at not in needed:
            buffer.data = None
    return [called[at] for at in graph.inputs]
