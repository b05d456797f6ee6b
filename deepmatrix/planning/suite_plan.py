"""The plan of a suite: the tests of a format's standard, in every runtime that reads it."""

from __future__ import annotations

from dataclasses import replace

from deepmatrix.config.matrix import Matrix
from deepmatrix.config.sections import Infer
from deepmatrix.errors import ArgumentError
from deepmatrix.planning.cells import Capabilities
from deepmatrix.planning.plan import Plan
from deepmatrix.planning.readers import find_inspector, find_readers
from deepmatrix.planning.selection import Selection, covers, select_cells


def plan_suite(
    matrix: Matrix, format: str, selection: Selection, capabilities: Capabilities
) -> Plan:
    """Plan the tests of a format's standard: nothing is produced, and nothing timed.

    Only cells with an adapter try them: a program in another language starts anew for every model.
    Emulated cells try them where a glob names them. The first cell of the plan is the format's
    inspector, which makes the suite; it tries them too where it is selected.

    Raises:
        ArgumentError: a preset, glob or tag that matches nothing; no cell can make the tests, or
            none try them.
    """
    readers, skipped = find_readers(matrix, {format}, selection, capabilities)
    cells = [
        cell
        for cell in readers
        if cell.adapter and (selection.include or not capabilities.emulates(cell))
    ]
    if not cells:
        raise ArgumentError(
            f"no selected cell can run the {format} tests",
            hint="it needs a runtime with a Python adapter; emulated ones are named by a glob",
        )
    inspector = find_inspector(matrix, format, capabilities)
    if inspector not in cells:
        inspector = replace(inspector, serves=False)
    return Plan(
        preset=selection.preset,
        seed=0,
        cells=(inspector, *(cell for cell in cells if cell.id != inspector.id)),
        skipped=skipped,
        emulated=capabilities.emulated_ids(cells),
        workloads=(),
        rounds_native=1,
        rounds_emulated=1,
        phases=(),
        cold=False,
        infer=Infer(batches=(1,), samples=1, min_s=0.0, warmup=0),
    )


def has_all_cells(plan: Plan, matrix: Matrix, format: str) -> bool:
    """Return whether a plan of these tests has all cells that try them where no glob names any.

    These are native: of an architecture that a cell of the plan has, and is not emulated.

    Raises:
        ArgumentError: there is no such preset, or it selects nothing.
    """
    native = {cell.architecture for cell in plan.cells if cell.id not in plan.emulated}
    selected = [
        cell
        for cell in select_cells(matrix, Selection(preset=plan.preset))
        if cell.adapter and format in cell.reads and cell.architecture in native
    ]
    return covers(plan, selected)
