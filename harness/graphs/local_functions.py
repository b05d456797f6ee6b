"""Functions that an ONNX model defines itself, in its own file."""

from typing import Any, Dict, Iterable, Tuple


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
