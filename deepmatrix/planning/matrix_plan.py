"""The plan of a matrix: a preset's workloads on the cells of a selection."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator

from deepmatrix.config.matrix import Matrix
from deepmatrix.config.sections import Preset
from deepmatrix.planning.cells import Capabilities, Cell, Skipped
from deepmatrix.planning.plan import Plan
from deepmatrix.planning.selection import Selection, covers, find_preset, select_cells
from deepmatrix.planning.sweeps import sweep, sweep_threads
from deepmatrix.workloads.networks import NETWORKS
from harness import record


def plan_matrix(
    matrix: Matrix,
    selection: Selection,
    capabilities: Capabilities,
    *,
    seed: int,
    idioms: Collection[tuple[str, str]] = (),
    probes: Collection[str] = (),
) -> Plan:
    """Plan a run.

    *idioms* are those that are written, by network and framework, *probes* the packages of the
    harness that have them.

    A cell runs when the selection chooses it, no exclusion of the matrix file forbids it, the
    engine can run it, and the preset has something for it to do. A chosen cell that does not run
    is skipped, with the reason.

    Raises:
        ArgumentError: a preset, glob or tag that matches nothing.
    """
    preset = find_preset(matrix, selection.preset)
    cells, skipped = _divide(matrix, selection, capabilities)
    return Plan(
        preset=selection.preset,
        seed=seed,
        cells=cells,
        skipped=skipped,
        emulated=capabilities.emulated_ids(cells),
        workloads=preset.workloads,
        rounds_native=preset.rounds.native,
        rounds_emulated=preset.rounds.emulated,
        phases=tuple(phase for phase in record.PHASES if phase in preset.phases),
        cold=preset.cold,
        held_out=preset.held_out,
        steps_emulated=None if preset.emulated_accuracy else matrix.tolerances.steps,
        infer=preset.infer,
        idioms=_idiomatic(matrix, preset, idioms),
        generating=frozenset(name for name in preset.workloads if generates(matrix, name)),
        probed=frozenset(cell.id for cell in cells if cell.folder in probes),
        checked_cells=frozenset(cell.id for cell in cells if cell.is_evaluator),
        checked_workloads=frozenset(preset.checked),
        timed_only=frozenset(cell.id for cell in cells if cell.threads),
    )


def has_all_cells(plan: Plan, matrix: Matrix) -> bool:
    """Return whether a plan has all cells that its preset selects, in this matrix, by itself.

    Raises:
        ArgumentError: there is no such preset, or it selects nothing.
    """
    return covers(plan, select_cells(matrix, Selection(preset=plan.preset)))


def _divide(
    matrix: Matrix, selection: Selection, capabilities: Capabilities
) -> tuple[tuple[Cell, ...], tuple[Skipped, ...]]:
    """Return the cells of a selection that run, and those that do not."""
    preset = find_preset(matrix, selection.preset)
    cells, skipped = [], []
    for cell in _swept(matrix, selection, capabilities):
        forbidden = matrix.exclusion(cell.plain.id) or capabilities.refusal(cell)
        if reason := forbidden or _idle(cell, preset):
            skipped.append(Skipped(cell=cell, reason=reason))
        else:
            cells.append(cell)
    return tuple(cells), tuple(skipped)


def generates(matrix: Matrix, workload: str) -> bool:
    """Return whether a workload's network is a language model, which generates."""
    network = NETWORKS.get(matrix.workloads[workload].network)
    return network is not None and network.get("task") == "text"


def _swept(matrix: Matrix, selection: Selection, capabilities: Capabilities) -> Iterator[Cell]:
    """Yield the selected cells, those that are timed with each number of threads.

    Runtimes are also kept to the preset's instruction sets; evaluators, which judge, are not.
    """
    preset = find_preset(matrix, selection.preset)
    counts = selection.threads or preset.threads
    for cell in select_cells(matrix, selection):
        is_timed = not (capabilities.emulates(cell) or cell.is_evaluator)
        yield from sweep_threads([cell], counts if is_timed else (), matrix.limits.threads)
        if preset.isas and cell.role == "runtime" and not cell.is_evaluator:
            yield from itertools.islice(sweep(matrix, [cell], preset.isas), 1, None)


def _idiomatic(
    matrix: Matrix, preset: Preset, idioms: Collection[tuple[str, str]]
) -> frozenset[tuple[str, str]]:
    """Return the pairs of a framework and a workload whose network it has an idiom of."""
    return frozenset(
        (framework, workload)
        for workload in preset.workloads
        for network, framework in idioms
        if network == matrix.workloads[workload].network
    )


def _idle(cell: Cell, preset: Preset) -> str | None:
    """Return why a preset leaves a cell nothing to do, or None."""
    if cell.role == "runtime" and record.DEPLOY not in preset.phases:
        return "this preset exports nothing that it could serve"
    return None
