"""Where a framework's models are served, and the platforms on which it trained itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

from deepmatrix.config.matrix import Matrix
from deepmatrix.planning.cells import Cell, all_cells
from deepmatrix.results.rows import PortabilityRow, Results
from deepmatrix.store.records import record_path
from deepmatrix.study.evidence import cells_of
from deepmatrix.study.rating.inputs import Measured, Share
from deepmatrix.study.rating.systems import WITH_LIBRARY_UNTRIED
from harness.formats import FORMATS

#: Of so many things at most, those that there are are named, not only the missing ones.
MOST_NAMED = 8

#: A share of fewer platforms says nothing.
LEAST_PLATFORMS = 2


def measure(
    frameworks: Sequence[str], runs: Sequence[Results], matrix: Matrix
) -> Iterator[Measured]:
    """Yield where the models of the frameworks of a period match, and where these trained."""
    cells = {cell.id: cell for cell in all_cells(matrix)}
    yield from _serving(frameworks, runs, cells)
    yield from _training(frameworks, runs, cells)


@dataclass(frozen=True, kw_only=True)
class _Models:
    """The models of a framework that a run trained, and the rows of where they were served."""

    trained: Set[str]
    rows: Sequence[PortabilityRow]


def _serving(
    frameworks: Sequence[str], runs: Sequence[Results], cells: Mapping[str, Cell]
) -> Iterator[Measured]:
    """Yield where models match, of all that a run could show.

    Of several runs it is that which serves the models of most frameworks, then one that is
    finished, then the last: in another there may be other models and other cells.
    """
    served_runs = []
    for results in reversed(runs):
        consumers = _consumers(results, cells)
        served_runs.append((_models(frameworks, results, consumers), consumers, results))
    if not served_runs:
        return
    models, consumers, results = max(
        served_runs, key=lambda served: (len(served[0]), not _unfinished(served[2]))
    )
    exporters = _exporters(frameworks, cells.values())
    for framework, of_framework in models.items():
        targets = {
            name: cell for name, cell in consumers.items() if _is_target(framework, cell, exporters)
        }
        yield from _served(framework, of_framework, targets, f"{results.run}/results.json")


def _exporters(frameworks: Sequence[str], cells: Iterable[Cell]) -> dict[str, set[str]]:
    """Return by format, as it is read, which of these frameworks export it."""
    exporters: dict[str, set[str]] = {}
    for cell in cells:
        if cell.name in frameworks:
            for name in cell.exports:
                exporters.setdefault(FORMATS[name].read_as, set()).add(cell.name)
    return exporters


def _is_target(framework: str, cell: Cell, exporters: Mapping[str, Set[str]]) -> bool:
    """Return whether a runtime is meant for a framework's models: others have their own."""
    meant_for = {name for format in cell.reads for name in exporters.get(format, ())}
    return framework in meant_for or len(meant_for) > 1


def _consumers(results: Results, cells: Mapping[str, Cell]) -> dict[str, Cell]:
    """Return the runtimes of a run that only serve, without those whose jobs have not all run."""
    serving = {row.consumer for row in results.portability if not row.judges}
    return {
        name: cells[name]
        for name in serving - _unfinished(results)
        if name in cells and cells[name].role == "runtime"
    }


def _models(
    frameworks: Sequence[str], results: Results, consumers: Collection[str]
) -> dict[str, _Models]:
    """Return the models of each framework that a run both trained and served, by whatever.

    What only the framework itself reads again is served by none of the *consumers*.
    """
    models: dict[str, _Models] = {}
    if not consumers:
        return models
    for framework in frameworks:
        producers = {row.cell for row in results.cells if row.name == framework}
        rows = [row for row in results.portability if row.artifact.split("--")[0] in producers]
        trained = {
            row.workload for row in results.training if row.cell in producers and row.status == "ok"
        }
        read = [row for row in rows if row.consumer in consumers] or rows
        if trained and any(row.verdict != "not-run" for row in read):
            models[framework] = _Models(trained=trained, rows=rows)
    return models


def _served(
    framework: str,
    models: _Models,
    consumers: Mapping[str, Cell],
    record: str,
) -> Iterator[Measured]:
    """Yield the shares of pairs: each model that it trained, by each cell, language, platform.

    What a library that was not tried might serve too has a share only where nothing is missing.
    """
    matched = {
        (row.artifact.split("--")[1], row.consumer) for row in models.rows if row.verdict == "match"
    }
    targets_by_input: dict[tuple[str, str], dict[str, str]] = {
        ("model deployment", "cells of runtimes that serve its models"): {
            name: name for name in consumers
        },
        ("interfaces", "languages that serve its models"): {
            name: cell.language.partition(" for ")[0] for name, cell in consumers.items()
        },
        ("cross-platform", "platforms that serve its models"): {
            name: platform_name(cell)
            for name, cell in consumers.items()
            if not cell.family.startswith("wine")
        },
    }
    for (area, what), targets in targets_by_input.items():
        served: dict[str, set[str]] = {target: set() for target in sorted(targets.values())}
        for model, consumer in matched:
            if model in models.trained and consumer in targets:
                served[targets[consumer]].add(model)
        share = Share(part=sum(map(len, served.values())), whole=len(models.trained) * len(served))
        is_whole = share.part == share.whole
        if served and (is_whole or framework not in WITH_LIBRARY_UNTRIED):
            yield Measured(
                area=area,
                what=what,
                framework=framework,
                figure=share,
                text=_served_text(share, served, len(models.trained)),
                record=record,
            )


def _unfinished(results: Results) -> Set[str]:
    """Return the cells with jobs that have not run yet."""
    return {row.consumer for row in results.portability if row.pending}


def _served_text(share: Share, served: Mapping[str, Collection[str]], models: int) -> str:
    """Return the share of pairs, and by which targets all models, some or none are served."""
    groups: dict[int, list[str]] = {}
    for target, matched in served.items():
        groups.setdefault(len(matched), []).append(target)
    parts = [f"{share.part} of {share.whole}"]
    for count, targets in sorted(groups.items(), reverse=True):
        if count < models or len(served) <= MOST_NAMED:
            parts.append(f"{_models_text(count, models)}: {', '.join(targets)}")
    return "; ".join(parts)


def _models_text(count: int, models: int) -> str:
    if count == models:
        return "all models" if models > 1 else "its model"
    return f"{count} of {models} models" if count else "none"


def platform_name(cell: Cell) -> str:
    """Return the operating system and the architecture of a cell that is not under Wine."""
    return f"Linux on {cell.architecture}"


@dataclass(frozen=True, kw_only=True)
class _Trainings:
    """Where a framework trained a network: a record by platform; and how it ended elsewhere."""

    records: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def _training(
    frameworks: Sequence[str],
    runs: Sequence[Results],
    cells: Mapping[str, Cell],
) -> Iterator[Measured]:
    """Yield on how many platforms a framework trained, of those on which any of a period did.

    Nothing of a framework that was not tried on one of these, whoever excluded it there.
    """
    trainings = {framework: _trainings(framework, runs, cells) for framework in frameworks}
    platforms = sorted({name for tried in trainings.values() for name in tried.records})
    if len(platforms) < LEAST_PLATFORMS:
        return
    for framework, tried in trainings.items():
        trained = [name for name in platforms if name in tried.records]
        lacking = {name: tried.failures.get(name, "") for name in platforms if name not in trained}
        if trained and all(lacking.values()):
            missing = "".join(f"; not {name} ({reason})" for name, reason in lacking.items())
            yield Measured(
                area="cross-platform",
                what="platforms on which it trained",
                framework=framework,
                figure=Share(part=len(trained), whole=len(platforms)),
                text=f"{len(trained)} of {len(platforms)}: {', '.join(trained)}{missing}",
                record=tried.records[trained[-1]],
            )


def _trainings(framework: str, runs: Sequence[Results], cells: Mapping[str, Cell]) -> _Trainings:
    """Return where a framework trained, emulated or not: the numbers are right, or they are not."""
    trainings = _Trainings()
    for results in runs:
        names = {row.cell for row in cells_of(framework, results) if row.cell in cells}
        for row in results.training:
            if row.cell in names and row.status != "not-run":
                platform = platform_name(cells[row.cell])
                if row.status == "ok":
                    record = f"{results.run}/{record_path(row.cell, row.workload)}"
                    trainings.records[platform] = record
                else:
                    trainings.failures[platform] = row.status
    return trainings
