"""The bricks of records: frozen models, and texts of a process that is not trusted."""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field

from deepmatrix.boundary.bounds import (
    LONGEST_TOLD,
    Id,
    Json,
    Line,
    LongText,
    Whole,
    cut,
    one_line,
)
from harness.record import FOR_USERS, LARGEST_STEP, LEAST_STEP

#: What ONNX Runtime says before its reason: its name, a code, and the file's path inside the cell.
_PREAMBLE = re.compile(
    r"(Can't create a session\. ERROR_CODE: \d+, ERROR_MESSAGE: )?"
    r"(\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : )?(Load model from [^\n]*? failed: ?)?(?=.)"
)


class Part(BaseModel):
    """A piece of a record: frozen; unknown fields are refused."""

    # Validators are built at first use, those of records while the first job runs. Threads may
    # use them at once: pydantic 2.14 builds a model within a lock.
    model_config = ConfigDict(
        defer_build=True, frozen=True, extra="forbid", ser_json_inf_nan="constants"
    )

    def changed(self, **fields: Any) -> Self:
        """Return a copy with other fields, checked as those of a file are.

        Raises pydantic.ValidationError for what could not be read back.
        """
        return type(self).model_validate({**dict(self), **fields})


class Reported(BaseModel):
    """What an untrusted process reports. The host checks the fields it reads and keeps all."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="allow")

    __pydantic_extra__: dict[Id, Json]


class Failure(Part):
    """An exception inside a cell, as data."""

    type: Line
    message: LongText
    traceback: LongText = ""

    @property
    def message_line(self) -> str:
        """The first line of the message, without a terminal's colours.

        It begins with the reason: in a table the middle of a long line is cut.
        """
        line = one_line(next(iter(self.message.strip().splitlines()), ""))
        return cut(_PREAMBLE.sub("", line, count=1), LONGEST_TOLD)

    @property
    def line(self) -> str:
        """The first line of the message, after its type unless the message is meant for users."""
        if not self.message_line:
            return one_line(self.type)
        if self.type in FOR_USERS:
            return self.message_line
        return cut(f"{self.type}: {self.message_line}", LONGEST_TOLD)


#: What one step of a quantised value stands for.
Step = Annotated[float, Field(ge=LEAST_STEP, le=LARGEST_STEP, allow_inf_nan=False)]


class Quantised(Part):
    """An output that depends on quantised values, as its inspector describes it.

    *step*: how far it moves with one step of the values that are quantised last before it.
    *steps*: how many of these right answers may be apart. *scale*, *zero_point*: what its integers
    stand for, where it is itself quantised. *allowed_by*: what in the model allows a runtime to
    round where the graph itself does not.
    """

    step: Step
    steps: int = Field(ge=1, le=1_000_000)
    scale: Step | None = None
    zero_point: Whole | None = None
    allowed_by: Line = ""
