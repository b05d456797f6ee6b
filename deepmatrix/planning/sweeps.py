"""Sweeps: the cells of a plan, each once more for every instruction set, or number of threads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from deepmatrix.config.documents import did_you_mean
from deepmatrix.config.matrix import Matrix
from deepmatrix.config.sections import InstructionSet
from deepmatrix.errors import ArgumentError
from deepmatrix.planning.cells import Cell

#: What stands for all instruction sets of the matrix file.
ALL = "all"


def sweep(matrix: Matrix, cells: Iterable[Cell], names: Sequence[str]) -> Iterator[Cell]:
    """Yield cells, each followed by itself kept to the instruction sets that are named.

    A processor that its architecture is emulated with anyway is left out.

    Raises:
        ArgumentError: the matrix file has no such instruction set.
    """
    for name in names:
        if name != ALL and name not in matrix.isas:
            known = (ALL, *matrix.isas)
            raise ArgumentError(
                f"no instruction set '{name}'{did_you_mean(name, known)}",
                hint="they are in matrix.yaml under isas",
            )
    for cell in cells:
        yield cell
        for name, isa in matrix.isas.items():
            if (ALL in names or name in names) and _can_have(matrix, cell, isa):
                yield cell.kept_to(name, isa)


def sweep_threads(cells: Iterable[Cell], counts: Sequence[int], usual: int) -> Iterator[Cell]:
    """Yield cells, each followed by itself with the other numbers of threads than the *usual*."""
    for cell in cells:
        yield cell
        for count in dict.fromkeys(counts):
            if count != usual:
                yield cell.with_threads(count)


def _can_have(matrix: Matrix, cell: Cell, isa: InstructionSet) -> bool:
    if cell.architecture != isa.architecture or cell.device != "cpu":
        return False
    usual = matrix.architectures[cell.architecture].emulation.values()
    if isa.processor and isa.processor in usual:
        return False
    return isa.systems is None or not {cell.name, cell.system.variant_of}.isdisjoint(isa.systems)
