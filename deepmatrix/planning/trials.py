"""Trials: two versions of one package, each as a system of its own beside the one it stands for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from deepmatrix.config.documents import did_you_mean
from deepmatrix.config.families import FAMILIES
from deepmatrix.config.matrix import Matrix
from deepmatrix.config.sections import Framework
from deepmatrix.errors import ArgumentError
from deepmatrix.planning.cells import Capabilities, Cell
from deepmatrix.planning.selection import Selection, select_cells

EXAMPLE = "--with onnxruntime==1.31.0 --with onnxruntime==1.32.0"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A version of a package that is tried, and the cells that it is tried in.

    *cells*: pairs of the matrix file's own cell and the cell with this version.
    """

    package: str
    version: str
    cells: tuple[tuple[Cell, Cell], ...]

    @property
    def title(self) -> str:
        """What the user calls it."""
        return f"{self.package}=={self.version}"


def parse(texts: Sequence[str]) -> tuple[str, tuple[str, str]]:
    """Read two texts such as ``onnxruntime==1.32.0``; return the package and both versions.

    Raises:
        ArgumentError: there are not two versions of one package.
    """
    pattern = r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9][A-Za-z0-9.+]*)"
    matches = [re.fullmatch(pattern, text.strip()) for text in texts]
    for text, match in zip(texts, matches, strict=True):
        if match is None:
            raise ArgumentError(f"--with {text}: write a package and its version", hint=EXAMPLE)
    packages = {match[1] for match in matches if match}
    versions = [match[2] for match in matches if match]
    if len(versions) != 2 or len(set(versions)) != 2 or len(packages) != 1:
        raise ArgumentError("--with takes two versions of one package", hint=EXAMPLE)
    return packages.pop(), (versions[0], versions[1])


def trials(
    matrix: Matrix,
    package: str,
    versions: Sequence[str],
    selection: Selection,
    capabilities: Capabilities,
) -> list[Trial]:
    """Return a trial for each version, all in the same cells: native ones with locked wheels.

    Raises:
        ArgumentError: no selected cell has this package, or can run here.
    """
    selected = [cell for cell in select_cells(matrix, selection) if _is_locked(cell)]
    having = [cell for cell in selected if cell.distribution == package]
    if not having:
        known = {cell.distribution for cell in selected}
        raise ArgumentError(
            f"no cell has the package '{package}'{did_you_mean(package, known)}",
            hint=f"packages of cells with locked wheels: {', '.join(sorted(known))}",
        )
    refusals = {cell.id: matrix.exclusion(cell.id) or capabilities.refusal(cell) for cell in having}
    native = [cell for cell in having if not refusals[cell.id] and not capabilities.emulates(cell)]
    if not native:
        reasons = (f"{name}: {reason}" for name, reason in refusals.items() if reason)
        raise ArgumentError(f"no cell with {package} runs natively here", hint="\n".join(reasons))
    return [
        Trial(
            package=package,
            version=version,
            cells=tuple((cell, _with_version(cell, version)) for cell in native),
        )
        for version in versions
    ]


def with_trials(matrix: Matrix, tried: Sequence[Trial]) -> Matrix:
    """Return a matrix that has the systems of the trials, too."""
    added = [cell for trial in tried for _, cell in trial.cells]
    frameworks = {cell.name: cell.system for cell in added if isinstance(cell.system, Framework)}
    runtimes = {cell.name: cell.system for cell in added if cell.name not in frameworks}
    return matrix.model_copy(
        update={
            "frameworks": {**matrix.frameworks, **frameworks},
            "runtimes": {**matrix.runtimes, **runtimes},
        }
    )


def _is_locked(cell: Cell) -> bool:
    """Return whether a cell has locked wheels of its own; a variant measures a setting."""
    return FAMILIES[cell.family].wheels and cell.system.variant_of is None


def _with_version(cell: Cell, version: str) -> Cell:
    name = f"{cell.name}_v{re.sub('[^a-z0-9]+', '_', version.lower())}"
    changed = cell.with_system(variant_of=cell.name, pins=name, distribution=cell.distribution)
    return replace(changed, name=name)
