"""The bricks of records: frozen models, and texts of a process that is not trusted."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def one_line(text: str) -> str:
    """Return an untrusted process's text as one line without control characters."""
    return _CONTROLS.sub(" ", _COLOURS.sub("", text)).strip()


class Part(BaseModel):
    """A piece of a record: frozen; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Reported(BaseModel):
    """What an untrusted process reports. The host checks the fields it reads and keeps all."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Failure(Part):
    """An exception inside a cell, as data."""

    type: str
    message: str
    traceback: str = ""

    @property
    def message_line(self) -> str:
        """The first line of the message, without a terminal's colours."""
        return one_line(next(iter(self.message.strip().splitlines()), ""))

    @property
    def line(self) -> str:
        """The type and the first line of the message, without a terminal's colours."""
        lines = self.message.strip().splitlines()
        return one_line(f"{self.type}: {lines[0]}" if lines else self.type)


class Quantised(Part):
    """An output that depends on quantised values, as its inspector describes it.

    *step*: how far it moves with one step of the values that are quantised last before it.
    *steps*: how many of these right answers may be apart. *scale*, *zero_point*: what its integers
    stand for, where it is itself quantised.
    """

    step: float = Field(gt=0, allow_inf_nan=False)
    steps: int = Field(ge=1, le=1_000_000)
    scale: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    zero_point: int | None = None


#: Tensors of traced programs have names as long as all their scopes together.
TensorName = Annotated[str, StringConstraints(max_length=10_000), AfterValidator(one_line)]
Remark = Annotated[str, StringConstraints(max_length=400), AfterValidator(one_line)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
