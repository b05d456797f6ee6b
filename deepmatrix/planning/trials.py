"""Trials: cells that run in turn with those of another trial, beside the ones they stand for.

Two versions of one package are two trials, and so are two earlier runs that are repeated.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from deepmatrix.config.documents import did_you_mean
from deepmatrix.config.families import FAMILIES
from deepmatrix.config.matrix import Matrix
from deepmatrix.config.sections import Framework
from deepmatrix.errors import ArgumentError
from deepmatrix.planning.cells import Capabilities, Cell
from deepmatrix.planning.plan import Plan
from deepmatrix.planning.selection import Selection, select_cells
from deepmatrix.planning.subjects import Kept

#: What the cells of two runs that are repeated are told apart by.
NAMES = ("base", "head")

EXAMPLE = "--with onnxruntime==1.31.0 --with onnxruntime==1.32.0"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One of two that run side by side: a version of a package, or an earlier run.

    *title*: what the user calls it. *cells*: pairs of the matrix file's or the run's own cell, and
    the cell of the trial. *version*: of the package, where that is what is tried. *kept*: what it
    serves of the run.
    """

    title: str
    cells: tuple[tuple[Cell, Cell], ...]
    version: str = ""
    kept: tuple[Kept, ...] = ()


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
            title=f"{package}=={version}",
            version=version,
            cells=tuple((cell, _with_version(cell, version)) for cell in native),
        )
        for version in versions
    ]


def plan_repeat(
    plans: Sequence[Plan],
    titles: Sequence[str],
    served: Mapping[str, Collection[str]],
    fingerprints: Sequence[Mapping[str, str]],
    rounds: int,
) -> tuple[Plan, list[Trial]]:
    """Plan to serve artifacts of two runs again, in turn, each by the cells of its own run.

    Args:
        plans: of the earlier run and of the later one, whose settings hold.
        titles: what the user calls the runs.
        served: the artifacts to serve, by the cell that serves them; both runs have both.
        fingerprints: of the artifacts of each run, by their ids.
        rounds: how many processes of each cell serve them.
    """
    tried = [
        _repeated(*of_run, served)
        for of_run in zip(NAMES, plans, titles, fingerprints, strict=True)
    ]
    last = plans[-1]
    plan = Plan(
        preset=last.preset,
        seed=last.seed,
        cells=tuple(cell for trial in tried for _, cell in trial.cells),
        skipped=(),
        emulated=frozenset(),
        workloads=(),
        rounds_native=rounds,
        rounds_emulated=rounds,
        phases=(),
        cold=last.cold,
        infer=last.infer,
        isolate=last.isolate,
        kept=tuple(kept for trial in tried for kept in trial.kept),
        compares=True,
    )
    return plan, tried


def _repeated(
    name: str,
    plan: Plan,
    title: str,
    fingerprints: Mapping[str, str],
    served: Mapping[str, Collection[str]],
) -> Trial:
    """Return the trial of an earlier run, whose cells and artifacts get names with *name*."""
    cells = tuple((cell, _renamed(cell, name)) for cell in plan.cells if cell.id in served)
    kept = tuple(
        Kept(
            artifact=replace(artifact, producer=f"{name}-{artifact.producer}"),
            origin=artifact.id,
            consumers=consumers,
            fingerprint=fingerprints[artifact.id],
        )
        for artifact in plan.artifacts()
        if (consumers := tuple(new.id for own, new in cells if artifact.id in served[own.id]))
    )
    return Trial(title=title, cells=cells, kept=kept)


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
    suffix = f"v{re.sub('[^a-z0-9]+', '_', version.lower())}"
    return _renamed(cell, suffix, pins=f"{cell.name}_{suffix}")


def _renamed(cell: Cell, suffix: str, pins: str = "") -> Cell:
    """Return a cell as a variant of its system with a name of its own."""
    changed = cell.with_system(
        variant_of=cell.system.variant_of or cell.name,
        pins=pins or cell.pins_name,
        distribution=cell.distribution,
    )
    return replace(changed, name=f"{cell.name}_{suffix}")
