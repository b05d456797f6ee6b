"""Node data for Model Explorer: the error of every node, over its tolerance, on a model's graph.

https://github.com/google-ai-edge/model-explorer/wiki/2.-User-Guide#custom-node-data
"""

from __future__ import annotations

import json
import math

from deepmatrix.store.causes import NodeError, NodeErrors

#: What stands for an error that is no number: JSON has none.
MOST = 1e30

#: Up to which share of its tolerance a node has which colour; beyond 1 it is wrong.
COLOURS = ((0.1, "#b7e4c7"), (1.0, "#ffe8a3"), (MOST, "#f4a6a0"))


def explorer_file(name: str) -> str:
    """Return where a run keeps the node data of a file of node errors, by its *name*."""
    return f"model-explorer/{name}"


def document(measured: NodeErrors) -> str:
    """Return the errors of a consumer's nodes as node data, as JSON.

    Model Explorer finds a node of ONNX by its name, and one of TFLite by a tensor that it makes: a
    node is listed by both.
    """
    worst_last = sorted(measured.nodes, key=_share)
    by_tensor = {node.tensor: _share(node) for node in worst_last}
    by_node = {node.node: _share(node) for node in worst_last}
    return json.dumps(
        {
            "name": f"error over tolerance on {measured.consumer}",
            "results": {
                name: {"value": share} for name, share in (by_tensor | by_node).items() if name
            },
            "thresholds": [{"value": most, "bgColor": colour} for most, colour in COLOURS],
        },
        indent=1,
        allow_nan=False,
    )


def _share(node: NodeError) -> float:
    """Return a node's error over its tolerance."""
    if node.error is None or not node.tolerance or not math.isfinite(node.error):
        return MOST
    return min(MOST, node.error / node.tolerance)
