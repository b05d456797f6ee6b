"""The error of every node of a model on a consumer, as `--explain all` stores it."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from deepmatrix.store.parts import Part, one_line


class NodeError(Part):
    """One tensor of a graph on a consumer, against its float64 evaluation.

    *error*: largest absolute difference over the largest absolute gold value; None where it cannot
    be compared, and *note* says why. *added*: what it exceeds the largest error of its node's
    inputs by.
    """

    node: str
    kind: str
    tensor: str
    error: float | None
    added: float | None
    tolerance: float
    note: str = ""


class NodeErrors(Part):
    """All nodes of an artifact on a consumer, in the order of the graph.

    *note*: why some are missing.
    """

    artifact: str
    consumer: str
    nodes: tuple[NodeError, ...]
    note: Annotated[str, AfterValidator(one_line)] = ""
