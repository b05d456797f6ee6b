"""What other tools draw over time: native latencies, errors, and sizes in bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from deepmatrix.results.rows import Results

Quantity = Literal["latency", "error", "image-size", "peak-memory"]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One number: seconds, a relative error, or bytes; smaller is better.

    *subject*: what is measured, the same from run to run. *low*, *high*: its interval, if any.
    *rounds*: the value of each round, where there are rounds.
    """

    subject: str
    quantity: Quantity
    value: float
    low: float | None = None
    high: float | None = None
    rounds: tuple[float, ...] = ()


def measurements(results: Results) -> Iterator[Measurement]:
    """Yield the measurements of a run: emulated times are left out, as they tell nothing."""
    titles = {judged.artifact: judged.title for judged in results.portability}
    for served in results.inference:
        if not served.emulated:
            has_interval = served.p50_s.rounds > 1
            yield Measurement(
                subject=f"{titles.get(served.subject, served.subject)} on {served.cell}, "
                f"batch {served.batch}",
                quantity="latency",
                value=served.p50_s.median,
                low=served.p50_s.low if has_interval else None,
                high=served.p50_s.high if has_interval else None,
                rounds=served.p50_s.round_medians,
            )
    for judged in results.portability:
        if judged.error is not None and math.isfinite(judged.error) and not judged.judges:
            subject = f"{judged.title} on {judged.consumer}"
            yield Measurement(subject=subject, quantity="error", value=judged.error)
    for cell in results.cells:
        if cell.image_bytes:
            yield Measurement(subject=cell.cell, quantity="image-size", value=cell.image_bytes)
    for cell, model, peak in results.memory():
        subject = f"{model} on {cell.cell}" if model else cell.cell
        yield Measurement(subject=subject, quantity="peak-memory", value=peak)
