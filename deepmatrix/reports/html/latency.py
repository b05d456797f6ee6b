"""Latency: strips of samples, parts of a start, and what memory and images cost beside it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from deepmatrix.drawing import numbers
from deepmatrix.reports.html import scales
from deepmatrix.reports.html.evidence import MOST_ROUNDS, Evidence, Link
from deepmatrix.reports.html.scales import Scale
from deepmatrix.reports.tables.speed import are_several, model_name
from deepmatrix.results.rows import Results
from deepmatrix.results.timing.rows import InferenceRow, ServingRow
from deepmatrix.results.timing.statistics import Estimate
from deepmatrix.store.records import image_path

#: The width of an axis of times, in units of the drawing.
AXIS = 220

#: At most this many lines of latency has a workload, and so many starts are drawn: the fastest.
MOST_LINES = 600

#: The width of a bar of throughput.
BAR = 80

#: The size of a drawing of memory over latency.
WIDTH, HEIGHT = 420, 160

#: Of more cells than this only those on the frontier have their number in it.
MOST_LABELS = 40


@dataclass(frozen=True, kw_only=True)
class Strip:
    """The samples of one batch: places on the axis of the range, quartiles, median, interval."""

    row: InferenceRow
    model: str
    extent: tuple[float, ...]
    median: float
    interval: tuple[float, float]
    throughput: float
    links: tuple[Link, ...]


@dataclass(frozen=True, kw_only=True)
class Strips:
    """The strips of a workload, the fastest model first, with their axis."""

    title: str
    scale: Scale
    strips: tuple[Strip, ...]
    unlisted: int


def strips(results: Results, evidence: Evidence) -> Iterator[Strips]:
    """Yield the strips of every workload, or user's own model, that was timed."""
    names = {model.artifact: model.name for model in results.models}
    rows = sorted(results.inference, key=lambda row: row.workload)
    several = are_several(results)
    for workload, group in itertools.groupby(rows, key=lambda row: row.workload):
        all_rows = _fastest_first(list(group))
        of_workload = all_rows[:MOST_LINES]
        times = [time for row in of_workload for time in (row.p50_s.median, *row.range_s)]
        scale = scales.logarithmic(times, AXIS, numbers.duration)
        if scale is None:
            continue
        fastest = max(row.samples_per_s for row in of_workload)
        least = min(row.batch for row in of_workload)
        yield Strips(
            title=workload,
            scale=scale,
            unlisted=len(all_rows) - len(of_workload),
            strips=tuple(
                _strip(
                    row,
                    _on(names.get(row.subject) or model_name(row), row.machine * several),
                    scale,
                    fastest,
                    evidence,
                    is_first=row.batch == least,
                )
                for row in of_workload
            ),
        )


def _fastest_first(rows: Sequence[InferenceRow]) -> list[InferenceRow]:
    """Return rows by their model on a cell, the fastest first, with its batches in order."""
    first: dict[tuple[str, str, str], float] = {}
    for row in sorted(rows, key=lambda row: row.batch):
        first.setdefault(_place(row), row.p50_s.median)
    return sorted(rows, key=lambda row: (first[_place(row)], *_place(row), row.batch))


def _place(row: InferenceRow) -> tuple[str, str, str]:
    return row.cell, row.subject, row.machine


def _on(model: str, machine: str) -> str:
    """Return what a model is called, with the machine that ran it where there are several."""
    return f"{model}, on {machine}" if machine else model


def _strip(
    row: InferenceRow,
    model: str,
    scale: Scale,
    fastest: float,
    evidence: Evidence,
    *,
    is_first: bool,
) -> Strip:
    """Return a strip; all rounds are linked once for each model on a cell."""
    return Strip(
        row=row,
        model=model,
        extent=tuple(map(scale.place, row.range_s)),
        median=scale.place(row.p50_s.median),
        interval=(scale.place(row.p50_s.low), scale.place(row.p50_s.high)),
        throughput=round(BAR * row.samples_per_s / fastest, 1),
        links=evidence.of_job(row.cell, row.subject, MOST_ROUNDS if is_first else 1),
    )


#: The parts of a start, in their order: the field of its time, and its name.
PARTS = {
    "container": "container",
    "interpreter_s": "interpreter",
    "import_s": "import",
    "load_s": "load",
    "first_forward_s": "first inference",
}


@dataclass(frozen=True, kw_only=True)
class Start:
    """A cold start: *parts*: name, seconds, place and width on the axis of each."""

    row: ServingRow
    model: str
    total_s: float
    parts: tuple[tuple[str, float, float, float], ...]
    links: tuple[Link, ...]


@dataclass(frozen=True, kw_only=True)
class Starts:
    """All cold starts, the fastest first, with their axis."""

    scale: Scale
    starts: tuple[Start, ...]
    unlisted: int


def starts(results: Results, evidence: Evidence) -> Starts | None:
    """Return the cold starts, None where none was timed."""
    names = {model.artifact: model.name for model in results.models}
    rows = [(row, row.start_s.median) for row in results.serving if row.start_s]
    several = are_several(results)
    fastest = sorted(rows, key=lambda pair: pair[1])[:MOST_LINES]
    scale = scales.linear((total for _, total in fastest), AXIS, numbers.duration)
    if scale is None:
        return None
    return Starts(
        scale=scale,
        starts=tuple(
            Start(
                row=row,
                model=_on(
                    names.get(row.subject) or " of ".join(reversed(_source(row.subject))),
                    row.machine * several,
                ),
                total_s=total,
                parts=tuple(_parts(row, total, scale)),
                links=evidence.of_job(row.cell, row.subject, rounds=1),
            )
            for row, total in fastest
        ),
        unlisted=len(rows) - len(fastest),
    )


def _source(subject: str) -> tuple[str, str]:
    """Return producer and workload, and format, of an artifact."""
    source, _, format_name = subject.rpartition("--")
    return source.replace("--", ", "), format_name


def _parts(
    row: ServingRow, total: float, scale: Scale
) -> Iterator[tuple[str, float, float, float]]:
    """Yield the parts of a start; what no part explains is the container's."""
    told = {name: _median(getattr(row, name)) for name in PARTS if name != "container"}
    seconds = {"container": max(total - sum(told.values()), 0.0), **told}
    begin = 0.0
    for name, words in PARTS.items():
        place = scale.place(begin)
        begin += seconds[name]
        yield words, seconds[name], place, round(scale.place(begin) - place, 1)


def _median(estimate: Estimate | None) -> float:
    return estimate.median if estimate else 0.0


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a cell costs beside its latency. *frontier*: what no faster cell has less of.

    *links*: to the record of the latency, and to what is known of the image.
    """

    cell: str
    p50_s: float
    memory_bytes: int | None
    image_bytes: int | None
    frontier: tuple[str, ...]
    links: tuple[Link, ...]


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A cell by its number in the table. *is_best*: it is on the frontier.

    *label*: the place of its number, None where there is no room for all of them.
    """

    number: int
    x: float
    y: float
    is_best: bool
    label: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """A size over latency; *what* it is the size of."""

    what: str
    across: Scale
    up: Scale
    dots: tuple[Dot, ...]


@dataclass(frozen=True, kw_only=True)
class Costs:
    """The costs of the cells that serve a workload, the fastest first."""

    title: str
    costs: tuple[Cost, ...]
    scatters: tuple[Scatter, ...]


def costs(results: Results, evidence: Evidence) -> Iterator[Costs]:
    """Yield, for each workload, memory and image of each cell beside its fastest answer."""
    cells = {cell.cell: cell for cell in results.cells}
    for workload, fastest in _fastest(results.inference).items():
        times = {name: row.p50_s.median for name, row in fastest.items()}
        memory = {name: cells[name].serving_memory_bytes for name in times}
        images = {name: cells[name].image_bytes for name in times}
        sizes = {"memory": memory, "image": images}
        frontiers = {what: _frontier(times, of_cells) for what, of_cells in sizes.items()}
        of_workload = tuple(
            Cost(
                cell=name,
                p50_s=time,
                memory_bytes=memory[name],
                image_bytes=images[name],
                frontier=tuple(words for words, names in frontiers.items() if name in names),
                links=(
                    *evidence.of_job(name, fastest[name].subject, rounds=1),
                    *evidence.of_job_id(name, cells[name].serving_memory_job, "memory's "),
                    *evidence.link(image_path(name), "image"),
                ),
            )
            for name, time in sorted(times.items(), key=lambda item: item[1])
        )
        drawings = (_scatter(what, of_workload, of_cells) for what, of_cells in sizes.items())
        scatters = tuple(drawn for drawn in drawings if drawn)
        yield Costs(title=workload, costs=of_workload, scatters=scatters)


def _fastest(rows: Sequence[InferenceRow]) -> dict[str, dict[str, InferenceRow]]:
    """Return, by workload and cell, the fastest inference of the smallest batch."""
    least: dict[str, int] = {}
    for row in rows:
        least[row.workload] = min(row.batch, least.get(row.workload, row.batch))
    fastest: dict[str, dict[str, InferenceRow]] = {workload: {} for workload in least}
    for row in sorted(rows, key=lambda row: row.p50_s.median):
        if row.batch == least[row.workload]:
            fastest[row.workload].setdefault(row.cell, row)
    return fastest


def memory_of(results: Results) -> str:
    """Return what was served where memory was measured: one workload for all of a cell."""
    return ", ".join(sorted({workload for _, workload, _ in results.memory()}))


def _scatter(
    what: str, of_workload: Sequence[Cost], of_cells: Mapping[str, int | None]
) -> Scatter | None:
    """Return the drawing of a size over latency, None where none is known."""
    across = scales.logarithmic((cost.p50_s for cost in of_workload), WIDTH, numbers.duration)
    sizes = [of_cells[cost.cell] or 0 for cost in of_workload]
    up = scales.linear(sizes, HEIGHT, lambda value: numbers.size(round(value)))
    if across is None or up is None:
        return None
    numbered = [
        (number, cost, (across.place(cost.p50_s), round(HEIGHT - up.place(bytes_), 1)))
        for number, (cost, bytes_) in enumerate(zip(of_workload, sizes, strict=True), 1)
        if bytes_
    ]
    labelled = {
        number: place
        for number, cost, place in numbered
        if what in cost.frontier or len(numbered) <= MOST_LABELS
    }
    places = scales.label_places(list(labelled.values())[:MOST_LABELS])
    labels = dict(zip(labelled, places, strict=False))
    dots = (
        Dot(number=number, x=x, y=y, is_best=what in cost.frontier, label=labels.get(number))
        for number, cost, (x, y) in numbered
    )
    return Scatter(what=what, across=across, up=up, dots=tuple(dots))


def _frontier(times: Mapping[str, float], sizes: Mapping[str, int | None]) -> frozenset[str]:
    """Return the cells that no other one beats in both time and size."""
    names = set()
    least: int | None = None
    for name in sorted(times, key=lambda name: (times[name], sizes[name] or 0)):
        size = sizes[name]
        if size is not None and (least is None or size < least):
            names.add(name)
            least = size
    return frozenset(names)
