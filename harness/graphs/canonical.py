"""One spelling of an ONNX graph: what runtimes accept besides it, evaluators do not.

Functions that a model defines itself are another spelling of their nodes.
"""

from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Set, Tuple

#: The standard's domain may be spelt out (https://onnx.ai/onnx/repo-docs/IR.html#operator-sets).
_SPELT_OUT = "ai.onnx"


def canonical(model: Any) -> Any:
    """Change a model so that the standard's evaluator reads it as runtimes do; return the model.

    The standard's domain is ``""`` wherever it is spelt ``ai.onnx``: the evaluator takes these for
    two domains. Nodes stand behind those whose outputs they read, in functions and inner graphs
    too: ONNX Runtime sorts them itself, and its float16 converter appends its casts.
    """
    _shorten_imports(model.opset_import)
    _tidy_nodes(model.graph.node)
    for function in model.functions:
        _shorten_imports(function.opset_import)
        _tidy_nodes(function.node)
    return model


def _shorten_imports(imports: Any) -> None:
    if any(entry.domain == "" for entry in imports):
        rest = [entry for entry in imports if entry.domain != _SPELT_OUT]
        if len(rest) < len(imports):
            del imports[:]
            imports.extend(rest)
    for entry in imports:
        if entry.domain == _SPELT_OUT:
            entry.domain = ""


def _tidy_nodes(nodes: Any) -> None:
    """Shorten the domains of nodes and sort them, those of their inner graphs first."""
    for node in nodes:
        if node.domain == _SPELT_OUT:
            node.domain = ""
        for attribute in node.attribute:
            for graph in [attribute.g, *attribute.graphs]:
                _tidy_nodes(graph.node)
    listed = list(nodes)
    order = _order(listed)
    if order != list(range(len(listed))):
        del nodes[:]
        nodes.extend(listed[number] for number in order)


def _order(nodes: List[Any]) -> List[int]:
    """Return the numbers of nodes in topological order, in their own where that is one.

    In a cycle, which no runtime takes, some node reads what comes after it.
    """
    writers: Dict[str, int] = {}
    for number, node in enumerate(nodes):
        writers.update((name, number) for name in node.output if name)
    read = [
        sorted({writers[name] for name in names_read(node) if name in writers}) for node in nodes
    ]
    order: Dict[int, None] = {}
    for first in range(len(nodes)):
        entered, waiting = {first}, [first]
        while waiting:
            missing = [x for x in read[waiting[-1]] if x not in order and x not in entered]
            if missing:
                entered.add(missing[0])
                waiting.append(missing[0])
            else:
                order.setdefault(waiting.pop())
    return list(order)


def names_read(node: Any) -> Iterable[str]:
    """Return the names of the tensors that a node reads, those from outside its inner graphs too.

    A name comes as often as it is read.
    """
    read = [name for name in node.input if name]
    for attribute in node.attribute:
        for graph in [attribute.g, *attribute.graphs]:
            own = {value.name for value in graph.input}
            own.update(tensor.name for tensor in graph.initializer)
            own.update(name for inner in graph.node for name in inner.output)
            inside = [name for inner in graph.node for name in names_read(inner)]
            inside += [value.name for value in graph.output]
            read += [name for name in inside if name not in own]
    return read


def nodes_before(
    model: Any, name: str, ends_at: Optional[Callable[[Any], bool]] = None
) -> Iterator[Tuple[str, Any]]:
    """Yield the nodes that a tensor depends on, each with the name of its output that is read.

    The way back goes no further than nodes at which it *ends*; these are among them.
    """
    makers = {made: node for node in model.graph.node for made in node.output if made}
    waiting: List[str] = [name]
    seen: Set[str] = set()
    while waiting:
        read = waiting.pop()
        if read in seen or read not in makers:
            continue
        seen.add(read)
        yield read, makers[read]
        if ends_at is None or not ends_at(makers[read]):
            waiting.extend(names_read(makers[read]))


def inlined(model: Any) -> Any:
    """Return the model with the nodes of its local functions in their callers' places.

    A caller that does not state an attribute takes the function's default
    (https://onnx.ai/onnx/repo-docs/IR.html#functions), which the package's inliner forgets.
    """
    import onnx.inliner

    if not model.functions:
        return model
    copy = type(model)()
    copy.CopyFrom(model)
    defaults = {_key(function): function.attribute_proto for function in copy.functions}
    _state_defaults(copy.graph.node, defaults)
    for function in copy.functions:
        _state_defaults(function.node, defaults)
    return onnx.inliner.inline_local_functions(copy)


def _state_defaults(nodes: Iterable[Any], defaults: Dict[Tuple[str, str, str], Any]) -> None:
    """Add the defaults of a function's attributes to the nodes that call it, inner ones too."""
    for node in nodes:
        stated = {attribute.name for attribute in node.attribute}
        for attribute in node.attribute:
            for graph in [attribute.g, *attribute.graphs]:
                _state_defaults(graph.node, defaults)
        for default in defaults.get((node.domain, node.op_type, node.overload), []):
            if default.name not in stated:
                node.attribute.append(default)


def _key(function: Any) -> Tuple[str, str, str]:
    return function.domain, function.name, function.overload
