"""What runs measured of frameworks: networks and probes that were counted, ratios to the best."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from deepmatrix.config.matrix import Matrix
from deepmatrix.drawing import numbers
from deepmatrix.drawing.layout import shortened
from deepmatrix.results.rows import CellRow, Results
from deepmatrix.results.timing.rows import BOTH_PASSES
from deepmatrix.results.timing.statistics import compare
from deepmatrix.store.records import record_path
from deepmatrix.study.checks import Figure
from deepmatrix.study.evidence import cells_of, has_learned
from deepmatrix.study.expressiveness import judge_training
from deepmatrix.study.figures import FIGURES, LEAST_ROUNDS, OF_CELLS, WRITTEN, Number
from deepmatrix.study.rating import platforms
from deepmatrix.study.rating.inputs import Measured, Ratio, Share, largest_table
from deepmatrix.study.rating.systems import SUBSTITUTED, TIMED
from deepmatrix.workloads.networks import NETWORKS
from deepmatrix.workloads.probes import PARALLEL

#: Probes that show what an architecture allows: new kinds of layers, several processes.
ARCHITECTURE_PROBES = {
    "new layers in Python, with gradient": ("own_layer", "derived_gradient"),
    "training shared by two processes": PARALLEL,
}

#: A network that is asked for less shows by no accuracy whether a system learns.
LEAST_ASKED = 0.5

#: Left out: it asks for the imperative style itself, so no graph can pass it.
STYLE_PROBES = ("python_loop",)


def measure(
    frameworks: Sequence[str], runs: Sequence[Results], matrix: Matrix
) -> Iterator[Measured]:
    """Yield what runs say of the frameworks of a period."""
    trained = {framework: _networks(framework, runs) for framework in frameworks}
    yield from _counted("modeling capability", "networks trained", trained)
    yield from _probes(frameworks, runs)
    yield from platforms.measure(frameworks, runs, matrix)
    for compared in COMPARED:
        yield from _ratios(compared, frameworks, runs)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """Whether a network or a probe succeeded, else why not, and the record."""

    succeeded: bool
    why_not: str
    record: str


#: Attempts by the name of what was tried.
Tried = Mapping[str, Attempt]


def _networks(framework: str, runs: Sequence[Results]) -> Tried:
    """Return which networks it learned, of those asked for more than half of the answers.

    A language model is not: no network knows the next byte for sure. A run in which no network was
    trained to the end tried none.
    """
    tried: dict[str, Attempt] = {}
    for results in runs:
        names = _native(framework, results)
        if all(row.accuracy is None for row in results.training):
            continue
        for row in results.training:
            is_tried = row.accuracy is not None or row.status not in ("ok", "not-run")
            if row.cell in names and is_tried and row.accuracy_wanted > LEAST_ASKED:
                judged = row.model_copy(update={"status": "ok"}) if has_learned(row) else row
                succeeded, reason = judge_training(judged)
                tried[row.workload] = Attempt(
                    succeeded=succeeded is True,
                    why_not=reason.removeprefix(f"{row.cell}, {row.workload}: "),
                    record=f"{results.run}/{record_path(row.cell, row.workload)}",
                )
    return tried


def _probes(frameworks: Sequence[str], runs: Sequence[Results]) -> Iterator[Measured]:
    left_out = {*PARALLEL, *STYLE_PROBES}
    probed = {framework: _probed(framework, runs) for framework in frameworks}
    of_models = {
        framework: {probe: tried[probe] for probe in tried if probe not in left_out}
        for framework, tried in probed.items()
    }
    what = "probes passed without arithmetic outside the framework"
    yield from _counted("modeling capability", what, of_models)
    for what, asked in ARCHITECTURE_PROBES.items():
        of_architecture = {
            framework: {probe: tried[probe] for probe in asked if probe in tried}
            for framework, tried in probed.items()
        }
        yield from _counted("architecture", what, of_architecture)


def _probed(framework: str, runs: Sequence[Results]) -> dict[str, Attempt]:
    """Return by probe whether it matched and all of it was the framework's."""
    tried = {}
    for results in runs:
        names = _native(framework, results)
        for row in results.probes:
            if row.cell in names:
                tried[row.probe] = Attempt(
                    succeeded=row.verdict == "match" and not row.outside,
                    why_not=row.outside if row.verdict == "match" else row.reason,
                    record=f"{results.run}/{record_path(row.cell, row.workload)}",
                )
    return tried


def _native(framework: str, results: Results) -> dict[str, CellRow]:
    """Return the native cells of a framework that ran, by id: emulated ones rate the emulator."""
    return {cell.cell: cell for cell in cells_of(framework, results) if not cell.emulated}


def _counted(area: str, what: str, tried: Mapping[str, Tried]) -> Iterator[Measured]:
    """Yield the share that succeeded of what was tried with all of the frameworks.

    These are the frameworks and the names of the largest table without a gap. Where only one
    framework was tried at all, it has all that was tried.
    """
    fields = [(name, framework) for framework in tried for name in tried[framework]]
    names, frameworks = largest_table(list(tried), fields)
    if sum(map(bool, tried.values())) == 1:
        names, frameworks = {name for name, _ in fields}, tried.keys()
    for framework, of_framework in tried.items():
        outcomes = {name: of_framework[name] for name in of_framework if name in names}
        if framework in frameworks and outcomes:
            yield _share(area, what, framework, outcomes)


def _share(area: str, what: str, framework: str, tried: Tried) -> Measured:
    """Return the share of what was tried that succeeded, and why the others did not."""
    failed = [
        _failed_text(name, attempt)
        for name, attempt in sorted(tried.items())
        if not attempt.succeeded
    ]
    part = len(tried) - len(failed)
    without = f", without {'; '.join(failed)}" if failed else ""
    return Measured(
        area=area,
        what=what,
        framework=framework,
        figure=Share(part=part, whole=len(tried)),
        text=f"{part} of {len(tried)}{without}",
        record=next(iter(tried.values())).record,
    )


def _failed_text(name: str, attempt: Attempt) -> str:
    reason = shortened(attempt.why_not.strip(": "))
    return f"{name} ({reason})" if reason else name


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A figure that is compared with the best of a period, in an area, where it is *above*."""

    area: str
    what: str
    figure: Figure
    above: float = 0.0


COMPARED = (
    Compared(area="modeling capability", what="lines of its networks", figure="lines"),
    Compared(area="performance", what="time of a step", figure="step"),
    Compared(area="performance", what="time forward and backward", figure=BOTH_PASSES),
    Compared(area="performance", what="time to the first step", figure="start"),
    Compared(area="architecture", what="lines of a new layer", figure="layer"),
    Compared(area="architecture", what="time of a tiny operation", figure="operation"),
    Compared(area="architecture", what="time of its import", figure="import"),
    Compared(area="architecture", what="size of its image", figure="image"),
    # Metadata that names no other package, as that of 2018 and Debian's, says nothing of them.
    Compared(area="architecture", what="packages that it brings along", figure="packages", above=1),
    Compared(area="architecture", what="size of its shared objects", figure="shared objects"),
)


#: By workload and framework, the figures that are compared, with their files below all runs.
Table = Mapping[str, Mapping[str, Number]]


def _ratios(
    compared: Compared, frameworks: Sequence[str], runs: Sequence[Results]
) -> Iterator[Measured]:
    """Yield each framework's ratio to the best, the geometric mean over the same workloads.

    Lines are the same in every run: the last of each framework are compared. Other figures are of
    one run: that which compares most frameworks, then most networks, of several the last.
    """
    groups: list[Sequence[Results]] = [[results] for results in reversed(runs)]
    if compared.figure in WRITTEN:
        groups = [runs]
    tables = [_table(compared, frameworks, group) for group in groups]
    table = max(tables, key=_table_size, default={})
    over_best = {workload: _over_best(figures) for workload, figures in table.items()}
    for framework in next(iter(table.values()), ()):
        ratios = {workload: over_best[workload][framework] for workload in table}
        figures = {workload: table[workload][framework] for workload in table}
        yield _mean(compared, framework, ratios, figures)


def _table(compared: Compared, frameworks: Sequence[str], runs: Sequence[Results]) -> Table:
    """Return the last figures in these runs: the largest table without a gap."""
    figures: dict[str, dict[str, Number]] = {}
    for results in runs:
        for workload in _workloads(compared.figure, results):
            for framework, number in _figures(compared, workload, frameworks, results):
                record = f"{results.run}/{number.record}"
                figures.setdefault(workload, {})[framework] = replace(number, record=record)
    fields = ((workload, framework) for workload in figures for framework in figures[workload])
    workloads, names = largest_table(frameworks, fields)
    return {
        workload: {name: column[name] for name in frameworks if name in names}
        for workload, column in figures.items()
        if workload in workloads
    }


def _table_size(table: Table) -> tuple[int, int]:
    return len(next(iter(table.values()), ())), len(table)


def _workloads(figure: Figure, results: Results) -> list[str]:
    """Return the workloads that a run may have a figure of; a cell's own is of none."""
    if figure in OF_CELLS:
        return [""]
    names = (
        [row.workload for row in rows]
        for rows in (results.startup, results.training, results.passes, results.idioms)
    )
    return list(dict.fromkeys(itertools.chain.from_iterable(names)))


def _figures(
    compared: Compared, workload: str, frameworks: Iterable[str], results: Results
) -> Iterator[tuple[str, Number]]:
    """Yield the first figure of each framework that has one which counts."""
    for framework in frameworks:
        measured = framework
        if compared.area == "performance":
            if _has_substitute(framework, workload):
                continue
            measured = TIMED.get(framework, framework)
        numbers_of_cells = (
            number
            for cell in _native(measured, results).values()
            for number in FIGURES[compared.figure](workload, cell, results)
            if number.value > compared.above and _counts(number)
        )
        if number := next(numbers_of_cells, None):
            yield framework, number


def _has_substitute(framework: str, workload: str) -> bool:
    """Return whether a framework lacks an operation of a network, so that its time is another's."""
    layers = NETWORKS[workload]["layers"] if workload in NETWORKS else []
    return any(layer["kind"] in SUBSTITUTED.get(framework, ()) for layer in layers)


def _counts(number: Number) -> bool:
    """Return whether a figure is exact, or of enough rounds without a disturbance."""
    if number.rounds is None:
        return True
    return not number.disturbed and len(number.rounds) >= LEAST_ROUNDS and min(number.rounds) > 0


def _over_best(figures: Mapping[str, Number]) -> dict[str, Ratio]:
    """Return each figure over the smallest; intervals allow for its choice from the same data."""
    best = min(figures.values(), key=lambda number: number.value)
    ratios = {}
    for framework, number in figures.items():
        value = number.value / best.value
        low = high = value
        if number is not best and number.rounds and best.rounds:
            comparison = compare(number.rounds, best.rounds, fastest_of=len(figures))
            if comparison:
                low, high = min(value, comparison.low), max(value, comparison.high)
        ratios[framework] = Ratio(value=value, low=max(1.0, low), high=max(1.0, high))
    return ratios


def _mean(
    compared: Compared,
    framework: str,
    ratios: Mapping[str, Ratio],
    figures: Mapping[str, Number],
) -> Measured:
    """Return the geometric mean of ratios, by workload, with the *figures* that they are of."""
    mean = Ratio(
        value=_geometric(ratio.value for ratio in ratios.values()),
        low=_geometric(ratio.low for ratio in ratios.values()),
        high=_geometric(ratio.high for ratio in ratios.values()),
    )
    amounts = {workload: number.text.partition(" ")[2] for workload, number in figures.items()}
    interval = (mean.low, mean.high) if mean.high > mean.low else ()
    text = f"{numbers.ratio(mean.value, *interval)} of the best"
    named = ", ".join(f"{name} ({amount})" for name, amount in amounts.items() if name)
    return Measured(
        area=compared.area,
        what=compared.what,
        framework=framework,
        figure=mean,
        text=f"{text}, on {named}" if named else f"{amounts['']}, {text}",
        record=next(number.record for number in figures.values()),
    )


def _geometric(values: Iterable[float]) -> float:
    return math.exp(fmean(math.log(value) for value in values))
