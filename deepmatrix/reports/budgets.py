"""What exceeds the budgets of a verification."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from deepmatrix.drawing import numbers
from deepmatrix.models.budgets import Budgets
from deepmatrix.results.rows import Results


def exceeded(budgets: Budgets, results: Results) -> Iterator[str]:
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
    yield from _over("p99", budgets.p99_s, times, numbers.duration)
    yield from _over("error", budgets.error, errors, numbers.error)
    yield from _over("image", budgets.image_bytes, images, lambda size: numbers.size(int(size)))


def _over(
    quantity: str,
    limit: float | None,
    measured: Sequence[tuple[str, float]],
    format_value: Callable[[float], str],
) -> Iterator[str]:
    if limit is None:
        return
    limited = f"the budget of {format_value(limit)}"
    if not measured:
        yield f"{quantity}: no measurement to compare with {limited}"
    for name, value in measured:
        if value > limit:
            yield f"{name}: {quantity} {format_value(value)} is over {limited}"
