"""The cells that read a format, and the one that inspects its models."""

from __future__ import annotations

from collections.abc import Sequence, Set

from deepmatrix.config.matrix import Matrix
from deepmatrix.errors import ArgumentError
from deepmatrix.planning.cells import Capabilities, Cell, Skipped, all_cells
from deepmatrix.planning.selection import Selection, match_globs, select_cells
from deepmatrix.planning.sweeps import sweep
from harness.formats import FORMATS

#: Why ``--native`` skips a cell.
LEFT_OUT = "emulated; excluded by --native"


def find_readers(
    matrix: Matrix,
    formats: Set[str],
    selection: Selection,
    capabilities: Capabilities,
    isas: Sequence[str] = (),
) -> tuple[list[Cell], tuple[Skipped, ...]]:
    """Return the selected cells that read one of some formats, and those that cannot run.

    Each is there once more for every instruction set in *isas* that it can have. Where the preset
    has no cell that reads a format, and the user named none, all that read it are selected.

    Raises:
        ArgumentError: a preset, glob, tag or instruction set that matches nothing.
    """

    def refusal(cell: Cell) -> str | None:
        reason = matrix.exclusion(cell.id) or capabilities.refusal(cell)
        left_out = LEFT_OUT if selection.native and capabilities.emulates(cell) else None
        return reason or left_out

    def reads(cell: Cell) -> bool:
        return not formats.isdisjoint(cell.reads)

    cells, skipped = [], []
    usable = (cell.id for cell in all_cells(matrix) if reads(cell) and refusal(cell) is None)
    selected = list(filter(reads, select_cells(matrix, selection, usable)))
    if not selection.include:
        unread = formats - {format for cell in selected for format in cell.reads}
        selected += [
            cell
            for cell in all_cells(matrix)
            if not unread.isdisjoint(cell.reads) and not match_globs([cell.id], selection.exclude)
        ]
    for cell in sweep(matrix, selected, isas):
        reason = refusal(cell)
        if reason is None:
            cells.append(cell)
        else:
            skipped.append(Skipped(cell=cell, reason=reason))
    return cells, tuple(skipped)


def find_inspector(matrix: Matrix, format: str, capabilities: Capabilities) -> Cell:
    """Return the native cell that inspects models of a format.

    Raises ArgumentError where there is none.
    """
    for cell in all_cells(matrix):
        if not cell.inspects(format) or capabilities.emulates(cell):
            continue
        if not (matrix.exclusion(cell.id) or capabilities.refusal(cell)):
            return cell
    inspected = [entry.name for entry in FORMATS.values() if entry.inspector]
    raise ArgumentError(
        f"nothing here can inspect a model of the format {format}",
        hint=f"formats that can be verified: {', '.join(inspected)}",
    )
