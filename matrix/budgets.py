"""Budgets of a verification: what an answer may cost, and the line that breaks one."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from matrix.reports import numbers
from matrix.rows import Results

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}
_BYTES = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


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
    found = re.fullmatch(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*(\D*)", text.strip())
    if not found or found[2] not in units or not float(found[1]) > 0:
        wanted = " or ".join(f"5{unit}" for unit in units)
        raise argparse.ArgumentTypeError(f"'{text}' is not a budget; write it like {wanted}")
    return float(found[1]) * units[found[2]]


@dataclass(frozen=True)
class Budgets:
    """The most that answers may cost: seconds, error, bytes; None where there is no budget."""

    p99_s: float | None = None
    error: float | None = None
    image_bytes: float | None = None

    def exceeded(self, results: Results) -> Iterator[str]:
        """Yield a line for everything that is over its budget. Emulated times do not count."""
        for served in results.inference:
            if self.p99_s and not served.emulated and served.p99_s.value > self.p99_s:
                yield (
                    f"{served.cell}, {served.subject}: p99 {numbers.duration(served.p99_s.value)} "
                    f"is over the budget of {numbers.duration(self.p99_s)}"
                )
        for judged in results.portability:
            if self.error and judged.error is not None and judged.error > self.error:
                yield (
                    f"{judged.artifact} on {judged.consumer}: error {numbers.error(judged.error)} "
                    f"is over the budget of {numbers.error(self.error)}"
                )
        serving = {judged.consumer for judged in results.portability}
        for cell in (cell for cell in results.cells if cell.cell in serving):
            if self.image_bytes and cell.image_bytes and cell.image_bytes > self.image_bytes:
                yield (
                    f"{cell.cell}: an image of {numbers.size(cell.image_bytes)} is over the budget "
                    f"of {numbers.size(int(self.image_bytes))}"
                )
