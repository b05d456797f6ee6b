"""The inputs that a user's own model was served with: a line for the console, and a table."""

from __future__ import annotations

from deepmatrix.drawing import numbers
from deepmatrix.drawing.layout import Column, Table, row, without_empty_columns
from deepmatrix.results.rows import ModelRow
from deepmatrix.store.reported.output import ModelInput

#: At most this many inputs are in the line; the table has all.
FEW = 4

#: Whole numbers below this are written with all of their digits.
LONG = 1e5


def line(model: ModelRow) -> str:
    """Return the inputs of a model in a line, empty where they are not known."""
    if not model.inputs:
        return ""
    listed = [
        f"{entry.name} {entry.dtype} {_shape(entry)}{_range(entry)}" for entry in model.inputs[:FEW]
    ]
    unlisted = len(model.inputs) - len(listed)
    source = "sample" if model.is_sampled else "user-provided"
    return f"{source} inputs: {', '.join(listed)}{f' and {unlisted} more' if unlisted else ''}"


def _shape(entry: ModelInput) -> str:
    return "x".join(map(str, entry.shape)) or "scalar"


def _range(entry: ModelInput) -> str:
    if entry.low is None or entry.high is None:
        return f" of {entry.special}" if entry.special else ""
    besides = f" and {entry.special}" if entry.special else ""
    return f" from {_number(entry.low, entry)} to {_number(entry.high, entry)}{besides}"


def _number(value: float, entry: ModelInput) -> str:
    """Return a value: a whole number that fits five digits, such as a rate of samples, as it is."""
    is_short = "int" in entry.dtype and abs(value) < LONG
    return f"{value:.0f}" if is_short else f"{value:.4g}"


def table(model: ModelRow) -> Table:
    """One line an input that a model was served with: its type, shape, range and source."""
    lines = (
        row(
            entry.name,
            entry.dtype,
            _shape(entry),
            numbers.DASH if entry.low is None else _number(entry.low, entry),
            numbers.DASH if entry.high is None else _number(entry.high, entry),
            "sample" if entry.sampled else "user-provided",
            "; ".join(filter(None, (f"with {entry.special}" * bool(entry.special), entry.values))),
        )
        for entry in model.inputs
    )
    return without_empty_columns(
        Table(
            title=f"Inputs of {model.name}",
            columns=(
                Column("input", key=True),
                Column("type"),
                Column("shape"),
                Column("smallest", numeric=True),
                Column("largest", numeric=True),
                Column("source"),
                Column("values", optional=1),
            ),
            rows=tuple(lines),
        )
    )
