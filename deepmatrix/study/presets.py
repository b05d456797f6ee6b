"""Which preset of the matrix file tries what a check looks at."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from deepmatrix.config.matrix import Matrix
from deepmatrix.config.sections import Preset
from deepmatrix.planning.cells import Cell
from deepmatrix.planning.matrix_plan import generates
from deepmatrix.planning.selection import Selection, select_cells
from deepmatrix.results.timing.rows import BOTH_PASSES
from deepmatrix.study import figures
from deepmatrix.study.checks import (
    ArtifactCheck,
    CellCheck,
    Check,
    FactCheck,
    Figure,
    FigureCheck,
    IdiomCheck,
    NetworkCheck,
    NoCheck,
    ProbeCheck,
    UntriedCheck,
)
from harness import record

#: The phase that measures a figure, where only one does.
FIGURE_PHASES: dict[Figure, str] = {
    "import": record.STARTUP,
    "start": record.STARTUP,
    "first step": record.STARTUP,
    "step": record.TRAIN,
    "operation": record.STARTUP,
    "layer": record.PROBE,
    BOTH_PASSES: record.PASSES,
    "lines": record.IDIOM,
}


@dataclass(frozen=True, kw_only=True)
class _Choice:
    """A preset with the cells that it chooses, excluded ones included."""

    name: str
    preset: Preset
    cells: Sequence[Cell]
    matrix: Matrix

    @cached_property
    def runnable(self) -> list[Cell]:
        """The cells that the matrix file does not exclude."""
        return [cell for cell in self.cells if self.matrix.exclusion(cell.id) is None]

    def has_systems(self, *systems: str) -> bool:
        """Return whether each of the systems has a cell that can run."""
        return {cell.name for cell in self.runnable}.issuperset(systems)

    def has_workloads(self, workloads: Sequence[str]) -> bool:
        """Return whether it has all of the workloads."""
        return set(self.preset.workloads).issuperset(workloads)

    def artifacts(self) -> Iterator[tuple[str, str]]:
        """Yield id and format of each model that its cells export."""
        if record.DEPLOY not in self.preset.phases:
            return
        for cell in self.runnable:
            for workload in self.preset.workloads:
                for model_format in cell.exports_of(generates=generates(self.matrix, workload)):
                    yield f"{cell.id}--{workload}--{model_format}", model_format


@dataclass(frozen=True, kw_only=True)
class PresetFinder:
    """Finds the preset that tries what a check looks at."""

    matrix: Matrix

    def find(self, check: Check) -> str | None:
        """Return the first preset of the matrix file that tries it, None where none does."""
        return next((choice.name for choice in self._choices if _tries(check, choice)), None)

    @cached_property
    def _choices(self) -> list[_Choice]:
        return [
            _Choice(
                name=name,
                preset=preset,
                cells=select_cells(self.matrix, Selection(preset=name)),
                matrix=self.matrix,
            )
            for name, preset in self.matrix.presets.items()
        ]


def _tries(check: Check, choice: _Choice) -> bool:
    preset = choice.preset
    match check:
        case ProbeCheck() | FactCheck():
            return record.PROBE in preset.phases and choice.has_systems(check.of)
        case NetworkCheck():
            is_trained = record.TRAIN in preset.phases and choice.has_workloads(check.networks)
            return is_trained and choice.has_systems(check.of)
        case IdiomCheck():
            is_written = record.IDIOM in preset.phases and choice.has_workloads([check.idiom])
            return is_written and choice.has_systems(check.of)
        case FigureCheck():
            return _measures(check, choice)
        case CellCheck():
            return any(fnmatch.fnmatchcase(cell.id, check.cell) for cell in choice.cells)
        case ArtifactCheck():
            return _serves(check, choice)
        case NoCheck() | UntriedCheck():
            return False


def _measures(check: FigureCheck, choice: _Choice) -> bool:
    phase = FIGURE_PHASES.get(check.figure)
    rounds = 1 if check.figure in figures.COUNTED else figures.LEAST_ROUNDS
    return (
        choice.has_workloads(check.workloads)
        and choice.has_systems(check.of, check.over)
        and (not phase or phase in choice.preset.phases)
        and choice.preset.rounds.native >= rounds
    )


def _serves(check: ArtifactCheck, choice: _Choice) -> bool:
    consumers = [cell for cell in choice.runnable if fnmatch.fnmatchcase(cell.id, check.consumer)]
    return any(
        fnmatch.fnmatchcase(artifact, check.artifact)
        and any(consumer.can_read(model_format) for consumer in consumers)
        for artifact, model_format in choice.artifacts()
    )
