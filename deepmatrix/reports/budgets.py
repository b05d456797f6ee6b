"""Budgets of a verification: limits of latency, error and image size, and what exceeds them."""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

from pydantic import Field, TypeAdapter

from deepmatrix.boundary.files import read_json
from deepmatrix.boundary.opening import is_there
from deepmatrix.boundary.writing import write_text
from deepmatrix.drawing import numbers
from deepmatrix.results.rows import Results
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

    def exceeded(self, results: Results) -> Iterator[str]:
        """Yield a line for everything over its budget, and for a budget without a measurement.

        Emulated times do not count, and a standard's evaluator is held to no budget.
        """
        evaluators = {row.cell for row in results.cells if row.evaluator}
        serving = {judged.consumer for judged in results.portability} - evaluators
        titles = {judged.artifact: judged.title for judged in results.portability}
        times = [
            (f"{served.cell}, {titles.get(served.subject, served.subject)}", served.p99_s.value)
            for served in results.inference
            if not served.emulated
        ]
        errors = [
            (f"{judged.title} on {judged.consumer}", judged.error)
            for judged in results.portability
            if judged.error is not None and judged.consumer in serving
        ]
        images = [
            (row.cell, row.image_bytes)
            for row in results.cells
            if row.cell in serving and row.image_bytes
        ]
        yield from _over("p99", self.p99_s, times, numbers.duration)
        yield from _over("error", self.error, errors, numbers.error)
        yield from _over("image", self.image_bytes, images, lambda size: numbers.size(int(size)))


def _over(
    quantity: str,
    limit: float | None,
    measured: Sequence[tuple[str, float]],
    format_value: Callable[[float], str],
) -> Iterator[str]:
    if limit is None:
        return
    budget = f"the budget of {format_value(limit)}"
    if not measured:
        yield f"{quantity}: no measurement to compare with {budget}"
    for name, value in measured:
        if value > limit:
            yield f"{name}: {quantity} {format_value(value)} is over {budget}"


_BUDGETS = TypeAdapter(Budgets)

HINT = "remove the file; the run is then held to no budget"


def save(budgets: Budgets, run: Run) -> None:
    """Write the budgets of a run into it: a resumed run is held to them too."""
    write_text(run.path / FILE, json.dumps(asdict(budgets)))


def load(run: Run) -> Budgets:
    """Return the budgets of a run, empty if it has none. Raises RecordError."""
    path = run.path / FILE
    return read_json(path, _BUDGETS, hint=HINT) if is_there(path) else Budgets()
