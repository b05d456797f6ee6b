"""The domains of an ONNX model's operators."""

from typing import Any, Iterable

#: The standard's domain may be spelt out (https://onnx.ai/onnx/repo-docs/IR.html#operator-sets).
_SPELT_OUT = "ai.onnx"


def shorten(model: Any) -> Any:
    """Spell the standard's domain ``""`` wherever a model spells it ``ai.onnx``; return the model.

    The standard's evaluator takes these for two domains.
    """
    _shorten_imports(model.opset_import)
    _shorten_nodes(model.graph.node)
    for function in model.functions:
        _shorten_imports(function.opset_import)
        _shorten_nodes(function.node)
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


def _shorten_nodes(nodes: Iterable[Any]) -> None:
    for node in nodes:
        if node.domain == _SPELT_OUT:
            node.domain = ""
        for attribute in node.attribute:
            for graph in [attribute.g, *attribute.graphs]:
                _shorten_nodes(graph.node)
