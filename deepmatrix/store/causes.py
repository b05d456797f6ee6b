"""What a diagnosis found: why outputs are wrong on a consumer, and the error of every node."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from deepmatrix.boundary.bounds import Count, CutLine, Fixed, Id, Line, Measure, Remark, TensorName
from deepmatrix.store.parts import Part

#: The file of a cause, in its folder.
CAUSE_FILE: Final = "cause.json"

#: What makes outputs wrong. file: the model file. reference: the user's reference. runtime: the
#: runtime, at one node. fusion: the runtime, across several nodes. answers: outputs that cannot be
#: compared. batch: a batch of several rows. evaluator: the judge itself. opaque: the cause stays
#: unknown. unfinished: the search ran out of time.
CauseKind = Literal[
    "file",
    "reference",
    "runtime",
    "fusion",
    "answers",
    "batch",
    "evaluator",
    "opaque",
    "unfinished",
]


class Cause(Part):
    """Why an artifact's outputs are wrong on a consumer, as far as it could be traced.

    *model*: the name of a user's own model. *node*, *tensor*: the first ones outside tolerance.
    *runs*: how often the consumer ran during the diagnosis. *alone*: the node alone, which lies
    beside the cause, shows the fault. *only_node*: the model has no other node. *hint*: what to do
    about it, where that is known. *as_on*: the consumer that was searched, where this one's
    outputs are wrong alike. *reproduce*: a command that shows the fault.
    """

    artifact: Id
    model: Id = ""
    consumer: Id
    kind: CauseKind
    text: CutLine
    node: TensorName = ""
    tensor: TensorName = ""
    error: Measure | None = None
    tolerance: Measure | None = None
    runs: Count = 0
    alone: bool = False
    only_node: bool = False
    hint: CutLine = ""
    as_on: Id = Field(default="", pattern=r"^[^/\\]*$")
    reproduce: Line = ""


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

    @property
    def is_wrong(self) -> bool:
        """Whether it is beyond its tolerance, or has no number."""
        return self.error is None or not self.error <= self.tolerance


class NodeErrors(Part):
    """All nodes of an artifact on a consumer, in the order of the graph.

    *note*: why some are missing.
    """

    artifact: Id
    consumer: Id
    nodes: Fixed[NodeError]
    note: Line = ""
