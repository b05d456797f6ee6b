"""Evidence: what a run says of a check, and where its records are."""

from __future__ import annotations

from dataclasses import dataclass

from deepmatrix.results.rows import CellRow, Results, TrainingRow
from deepmatrix.store.records import record_path


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a run says of a check, in words, and the file that says it.

    *confirms* is None where the run cannot tell; *reason* then says why. *measured*: a number was
    measured, so this evidence replaces an earlier one even where it is inconclusive.
    """

    confirms: bool | None
    reason: str
    record: str
    measured: bool = False


def cell_record_path(cell: CellRow, results: Results) -> str:
    """Return where the first record of a cell that gave a time is."""
    subjects = [row.workload for row in results.startup if row.cell == cell.cell]
    subjects += [row.workload for row in results.training if row.cell == cell.cell]
    subjects += [row.subject for row in results.serving if row.cell == cell.cell]
    return record_path(cell.cell, subjects[0]) if subjects else f"records/{cell.cell}"


def cells_of(system: str, results: Results) -> list[CellRow]:
    """Return the cells of a system that ran, the native ones first."""
    cells = [row for row in results.cells if row.name == system and row.jobs]
    return sorted(cells, key=lambda row: row.emulated)


def has_learned(row: TrainingRow) -> bool:
    """Return whether a network was trained, its numbers like gold's or else as expected."""
    reached = row.accuracy is not None and row.accuracy >= row.accuracy_wanted
    return row.status == "ok" or bool(row.expected_failure and reached)
