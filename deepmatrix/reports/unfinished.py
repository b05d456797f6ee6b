"""Unfinished: a run of which nothing ran, or a part not yet, which is told once."""

from __future__ import annotations

from collections.abc import Iterator

from deepmatrix.drawing import numbers
from deepmatrix.results.remarks import cell_problem, row_problem
from deepmatrix.results.rows import CellRow, PortabilityRow, Results, TrainingRow


def pending_problems(results: Results) -> set[str]:
    """Return the problems that are no more than jobs that have not run yet."""
    rows: list[TrainingRow | PortabilityRow] = [*results.training, *results.portability]
    lines = {
        *map(cell_problem, _unfinished(results)),
        *(row_problem(row) for row in rows if row.pending),
    }
    return lines & set(results.problems)


def expectation(results: Results) -> str:
    """Return whether a run is as expected; one without cells, which ran nothing, is not."""
    problems = numbers.count(len(results.problems), "problem")
    if not results.cells:
        return f"nothing ran; {problems}" if results.problems else "nothing ran"
    pending = pending_problems(results)
    wrong = sum(problem not in pending for problem in results.problems)
    unexpected = f"{numbers.count(wrong, 'problem')} not as expected"
    if pending:
        return f"not finished; {unexpected}" if wrong else "not finished"
    return unexpected if wrong else "all as expected"


def is_good(results: Results) -> bool:
    """Return whether a run ran something, and all of that is as expected."""
    return bool(results.cells) and not results.problems


def describe(results: Results) -> str:
    """Return in words that jobs have not run yet, and how many, where a cell counts them."""
    cells = _unfinished(results)
    jobs = sum(row.missing for row in cells)
    counted = f"{numbers.count(jobs, 'job')} of {numbers.count(len(cells), 'cell')}"
    return (
        "The run was interrupted, or is still running. "
        f"Not run: {f'{counted}, and what needs them' if jobs else 'some jobs'}. "
        "Finish with --resume."
    )


def idle_cells(results: Results) -> Iterator[tuple[str, list[str]]]:
    """Yield why cells did not run, as a sentence, with their names: once for each reason.

    Those whose jobs have not run yet are not among them.
    """
    waiting = {
        *(row.cell for row in _unfinished(results)),
        *(row.consumer for row in results.portability if row.pending),
        *(row.cell for row in results.training if row.pending),
    }
    cells: dict[str, list[str]] = {}
    for cell in results.cells:
        if cell.status == "not-run" and cell.cell not in waiting:
            cells.setdefault(cell.reason, []).append(cell.cell)
    for reason, names in cells.items():
        yield f"{numbers.count(len(names), 'cell')} did not run: {reason}", names


def _unfinished(results: Results) -> list[CellRow]:
    """Return the cells that can run, and have jobs that did not."""
    return [row for row in results.cells if row.missing and row.status != "build-failed"]
