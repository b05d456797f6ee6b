"""The plan of a verification: users' own models on every cell that reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from deepmatrix.config.matrix import Matrix
from deepmatrix.config.sections import Infer
from deepmatrix.errors import ArgumentError, joined
from deepmatrix.planning.cells import Capabilities, Cell, Skipped
from deepmatrix.planning.plan import Plan
from deepmatrix.planning.readers import find_inspector, find_readers
from deepmatrix.planning.selection import Selection
from deepmatrix.planning.subjects import Import, Refused

#: What the first of several models is to the others: one like them; the same in another format,
#: which gives inputs and gold to all; or what they were quantised from, which gives inputs and is
#: not served.
First = Literal["served", "same", "original"]


def plan_models(
    matrix: Matrix,
    models: Sequence[tuple[str, str, str]],
    selection: Selection,
    capabilities: Capabilities,
    *,
    seed: int,
    infer: Infer,
    first: First = "served",
    isas: Sequence[str] = (),
) -> Plan:
    """Plan the verification of models, each a name, a format and its main file.

    *first* says what the first one is to the others: see `First`. Every selected cell that reads
    one of their formats serves them, kept to each of the instruction sets *isas* too. The inspector
    of a format, see `harness.formats`, inspects its models first, whether it is selected or not.

    Raises:
        ArgumentError: a preset, glob or tag that matches nothing; no cell can inspect a model, or
            none serve it: see `find_unserved`.
    """
    formats = {format for _, format, _ in models}
    served = models[first == "original" :]
    read = {format for _, format, _ in served}
    cells, skipped = find_readers(matrix, read, selection, capabilities, isas)
    inspectors = {name: find_inspector(matrix, name, capabilities) for name in sorted(formats)}
    _check_served(served, cells, skipped)
    chosen = {cell.id for cell in cells}
    inspecting = [replace(cell, serves=False) for cell in inspectors.values()]
    return Plan(
        preset=selection.preset,
        seed=seed,
        cells=(*cells, *(cell for cell in inspecting if cell.id not in chosen)),
        skipped=skipped,
        emulated=capabilities.emulated_ids(cells),
        workloads=(),
        rounds_native=1,  # the user waits: the samples of one process are enough
        retries=0,
        rounds_emulated=1,
        phases=(),
        cold=False,
        infer=infer,
        same=first == "same",
        original=first == "original",
        imports=tuple(
            Import(name=name, format=format, file=file, cell=inspectors[format].id)
            for name, format, file in models
        ),
    )


def plan_refused(preset: str, seed: int, infer: Infer, refused: Sequence[Refused]) -> Plan:
    """Return the plan of a verification of which every model is refused: it has no cell."""
    return Plan(
        preset=preset,
        seed=seed,
        cells=(),
        skipped=(),
        emulated=frozenset(),
        workloads=(),
        rounds_native=1,
        rounds_emulated=1,
        phases=(),
        cold=False,
        infer=infer,
        refused=tuple(refused),
    )


def find_unserved(
    matrix: Matrix,
    models: Sequence[tuple[str, str, str]],
    selection: Selection,
    capabilities: Capabilities,
    *,
    first: First = "served",
    isas: Sequence[str] = (),
) -> dict[str, ArgumentError]:
    """Return why some models cannot be served, by their names; arguments as of `plan_models`.

    A preset, glob or tag that matches nothing serves none of them.
    """
    original, served = models[: first == "original"], models[first == "original" :]
    formats = {format for _, format, _ in served}
    try:
        cells, skipped = find_readers(matrix, formats, selection, capabilities, isas)
    except ArgumentError as error:
        return {name: error for name, _, _ in models}
    unread = {name: _unread(name, format, cells, skipped) for name, format, _ in served}
    reasons = {name: error for name, error in unread.items() if error}
    for name, format, _ in (*original, *served):
        try:
            find_inspector(matrix, format, capabilities)
        except ArgumentError as error:
            reasons.setdefault(name, error)
    return reasons


def _check_served(
    models: Sequence[tuple[str, str, str]], cells: Sequence[Cell], skipped: Sequence[Skipped]
) -> None:
    """Raise ArgumentError for the models that none of the chosen cells read."""
    unread = (_unread(name, format, cells, skipped) for name, format, _ in models)
    if errors := list(filter(None, unread)):
        raise joined(errors)


def _unread(
    name: str, format: str, cells: Sequence[Cell], skipped: Sequence[Skipped]
) -> ArgumentError | None:
    """Return why none of the chosen cells reads a model, None where one does."""
    if any(format in cell.reads for cell in cells):
        return None
    reasons = [f"{skip.cell.id}: {skip.reason}" for skip in skipped if format in skip.cell.reads]
    return ArgumentError(
        f"{name}: no selected cell that can run here reads the format {format}",
        hint="\n".join(reasons) or "try a wider --only, or drop an --exclude",
    )
