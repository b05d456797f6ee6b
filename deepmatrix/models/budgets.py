"""Budgets of a verification: the limits of latency, error and image size that a user sets."""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated

from pydantic import Field, TypeAdapter

from deepmatrix.boundary.files import read_json
from deepmatrix.boundary.opening import is_there
from deepmatrix.boundary.writing import write_text
from deepmatrix.sizes import BINARY_UNITS, DECIMAL_UNITS
from deepmatrix.store.runs import Run

FILE = "budgets.json"

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}
#: A number, then its unit.
_AMOUNT = r"([0-9]{1,20}(?:\.[0-9]{1,20})?(?:e[+-]?[0-9]{1,3})?)\s*(\D*)"
_BYTES = {**DECIMAL_UNITS, **BINARY_UNITS}


def seconds(text: str) -> float:
    """Read ``5ms``. Raises ArgumentTypeError."""
    return _with_unit(text, _SECONDS)


def size(text: str) -> float:
    """Read ``100MB``; return bytes. Raises ArgumentTypeError."""
    return _with_unit(text, _BYTES)


def number(text: str) -> float:
    """Read a number above zero. Raises ArgumentTypeError."""
    return _with_unit(text, {"": 1.0})


def _with_unit(text: str, units: Mapping[str, float]) -> float:
    match = re.fullmatch(_AMOUNT, text.strip())
    value = float(match[1]) * units.get(match[2], 0.0) if match else 0.0
    if not 0 < value < math.inf:
        examples = " or ".join(f"5{unit}" for unit in units)
        shown = text if len(text) <= 80 else f"{text[:79]}…"
        raise argparse.ArgumentTypeError(f"'{shown}' is not a budget; write it like {examples}")
    return value


Limit = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Budgets:
    """The limits in seconds, error and bytes; None: unlimited."""

    p99_s: Limit | None = None
    error: Limit | None = None
    image_bytes: Limit | None = None


_BUDGETS = TypeAdapter(Budgets)

HINT = "remove the file; the run is then held to no budget"


def save(budgets: Budgets, run: Run) -> None:
    """Write the budgets of a run into it: a resumed run is held to them too."""
    write_text(run.path / FILE, json.dumps(asdict(budgets)))


def load(run: Run) -> Budgets:
    """Return the budgets of a run, empty if it has none. Raises RecordError."""
    path = run.path / FILE
    return read_json(path, _BUDGETS, hint=HINT) if is_there(path) else Budgets()
