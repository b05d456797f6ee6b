"""Bounded types: a number, text or list of these can be computed with and shown, whatever it is.

Whole numbers are exact as float64. Sums, products and quotients of a few bounded floats are finite.
Lists stop at their first wrong item, so that a million wrong ones make one error.
"""

from __future__ import annotations

import math
import re
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Final, TypeVar

from pydantic import AfterValidator, BeforeValidator, FailFast, Field, JsonValue, StringConstraints

from harness.record import LONGEST_REMARK

_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
#: Control characters, ends of lines of Unicode, and what turns the direction of writing.
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+")

#: Every whole number up to it is a float64 too.
LARGEST_WHOLE: Final = 2**53

LARGEST_FLOAT: Final = sys.float_info.max

#: Characters of a text, such as a traceback; and items of a list or mapping.
LONGEST_TEXT: Final = 4_000_000
MOST_ITEMS: Final = 1_000_000
LONGEST_KEY: Final = 400

#: Characters of a line that the host makes of what others say.
LONGEST_TOLD: Final = 10_000

Item = TypeVar("Item")


def one_line(text: str) -> str:
    """Return an untrusted process's text as one line without control characters."""
    if text.isascii() and text.isprintable():  # as most are, and many thousand are read
        return text.strip()
    return _CONTROLS.sub(" ", _COLOURS.sub("", text)).strip()


def cut(text: str, longest: int = LONGEST_REMARK) -> str:
    """Return a text as one line, without its middle where that is longer: its ends tell most."""
    line = one_line(text)
    if len(line) <= longest:
        return line
    begin = longest // 2
    return f"{line[:begin]}…{line[begin + 1 - longest :]}"


def _cut(value: object, longest: int) -> object:
    return cut(value, longest) if isinstance(value, str) else value


def path_text(path: str | Path) -> str:
    """Return a path as text that can be written: what is not UTF-8 in it as an escape."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def _not_negative(value: float) -> float:
    if value < 0:
        raise ValueError("it is negative")
    return value


Whole = Annotated[int, Field(ge=-LARGEST_WHOLE, le=LARGEST_WHOLE)]
Count = Annotated[int, Field(ge=0, le=LARGEST_WHOLE)]
#: Bytes of several files together.
Size = Annotated[int, Field(ge=0, le=2**80)]
Opset = Annotated[int, Field(ge=0, le=10_000)]

#: Any finite number that a process reports; its square may overflow, a sum of a few may not.
Number = Annotated[float, Field(ge=-1e300, le=1e300, allow_inf_nan=False)]
NotNegative = Annotated[Number, Field(ge=0)]
Finite = Annotated[float, Field(ge=-LARGEST_FLOAT, le=LARGEST_FLOAT, allow_inf_nan=False)]
#: An error that a process measured: the largest float stands for a value that is not finite.
LargeError = Annotated[float, Field(ge=0, le=LARGEST_FLOAT, allow_inf_nan=False)]
#: By what rounding costs more in a long sum than in a short one.
Growth = Annotated[float, Field(ge=1, le=1e6, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

#: A duration: from none to three years.
Seconds = Annotated[float, Field(ge=0, le=1e8, allow_inf_nan=False)]

#: One measured call. Nothing takes no time: a clock that says so is too coarse to measure with.
Sample = Annotated[float, Field(ge=1e-9, le=1e8, allow_inf_nan=False)]

#: A point in time, seconds since 1970.
Moment = Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)]

#: Operations or bytes a second, and joules.
Rate = Annotated[float, Field(ge=1, le=1e24, allow_inf_nan=False)]
Joules = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]

#: Several durations in a row, or what is typical of some; the time of a run.
Span = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]

#: What the host computed from bounded numbers: a rate, a share, an end of an interval.
Amount = Annotated[float, Field(ge=0, le=1e300, allow_inf_nan=False)]

#: What the host computed from arrays: infinite where gold is zero, NaN where the arrays have it.
Measure = Annotated[float, AfterValidator(_not_negative)]
Cosine = Annotated[float, Field(ge=-1.001, le=1.001, allow_inf_nan=False)]

#: A word of our own: a cell, a subject, a status. A name that a cell or a model gives.
Id = Annotated[str, StringConstraints(max_length=400)]
#: Tensors of traced programs have names as long as all their scopes together.
TensorName = Annotated[str, StringConstraints(max_length=10_000), AfterValidator(one_line)]
Remark = Annotated[str, StringConstraints(max_length=LONGEST_REMARK), AfterValidator(one_line)]
Line = Annotated[str, StringConstraints(max_length=100_000), AfterValidator(one_line)]
LongText = Annotated[str, StringConstraints(max_length=LONGEST_TEXT)]
#: What the host says with names and messages of others in it: a longer one is cut, not refused.
CutRemark = Annotated[Remark, BeforeValidator(partial(_cut, longest=LONGEST_REMARK))]
CutLine = Annotated[
    str,
    StringConstraints(max_length=LONGEST_TOLD),
    BeforeValidator(partial(_cut, longest=LONGEST_TOLD)),
]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
ImageDigest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]

#: A positive number as a key of JSON.
CountKey = Annotated[str, StringConstraints(pattern=r"^[1-9]\d{0,8}$")]

Items = Annotated[list[Item], Field(max_length=MOST_ITEMS), FailFast()]
Few = Annotated[list[Item], Field(max_length=10_000), FailFast()]
FewFixed = Annotated[tuple[Item, ...], Field(max_length=10_000), FailFast()]
Fixed = Annotated[tuple[Item, ...], Field(max_length=MOST_ITEMS), FailFast()]
ByName = Annotated[dict[TensorName, Item], Field(max_length=10_000)]
Facts = Annotated[dict[Id, LongText], Field(max_length=10_000)]


def _check_json(value: JsonValue) -> JsonValue:
    """Raise ValueError for a number that cannot be computed with, or a key too long to show."""
    pending = [value]
    while pending:
        match pending.pop():
            case bool() | None | str():
                pass
            case int() as number if abs(number) > LARGEST_WHOLE:
                raise ValueError(f"it holds a whole number beyond {LARGEST_WHOLE}")
            case float() as number if not math.isfinite(number):
                raise ValueError("it holds a number that is not finite")
            case list() as items:
                pending.extend(items)
            case dict() as mapping:
                if any(len(key) > LONGEST_KEY for key in mapping):
                    raise ValueError(f"it holds a key of more than {LONGEST_KEY} characters")
                pending.extend(mapping.values())
    return value


#: What the host keeps, and shows at most.
Json = Annotated[JsonValue, AfterValidator(_check_json)]


#: Bytes of a file's name, without its folders: what Linux, macOS and Windows take.
LONGEST_NAME = 255


def relative_path(path: str) -> str:
    """Return a path that stays below its folder. Raises ValueError for another one."""
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or set(path) & {"\\", ":", "\0"}:
        raise ValueError("it must be a relative path, with slashes and without '..'")
    if any(len(part.encode("utf-8", "surrogatepass")) > LONGEST_NAME for part in parts):
        raise ValueError(f"it has a name of more than {LONGEST_NAME} bytes")
    return path


RelativePath = Annotated[
    str, StringConstraints(max_length=1000, min_length=1), AfterValidator(relative_path)
]
