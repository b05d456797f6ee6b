"""The error of every node of a model on a consumer, as `--explain all` stores it."""

from __future__ import annotations

from deepmatrix.boundary.bounds import Fixed, Id, Line, Measure, Remark, TensorName
from deepmatrix.store.parts import Part


class NodeError(Part):
    """One tensor of a graph on a consumer, against its float64 evaluation.

    *error*: largest absolute difference over the largest absolute gold value; None where it cannot
    be compared, and *note* says why. *added*: what it exceeds the largest error of its node's
    inputs by.
    """

    node: TensorName
    kind: Remark
    tensor: TensorName
    error: Measure | None
    added: float | None
    tolerance: Measure
    note: Line = ""


class NodeErrors(Part):
    """All nodes of an artifact on a consumer, in the order of the graph.

    *note*: why some are missing.
    """

    artifact: Id
    consumer: Id
    nodes: Fixed[NodeError]
    note: Line = ""
