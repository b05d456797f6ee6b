"""Tables of deployment: what was exported, where it gives the same answers, what serving costs."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Iterator

from deepmatrix.reports import numbers
from deepmatrix.reports.layout import Mood, Row, Table, mark, moods, status
from deepmatrix.reports.layout import row as row_of
from deepmatrix.results.rows import ExportRow, PortabilityRow, Results


def tables(results: Results) -> Iterator[Table]:
    """Yield the tables in their order."""
    yield exports(results)
    yield from verdicts(results)
    yield causes(results)
    yield deployment(results)
    yield scenarios(results)
    yield interfaces(results)


def exports(results: Results) -> Table:
    """Every producer's exports: a line a workload, a column a format, and by what."""
    formats = sorted({row.format for row in results.exports})
    lines = []
    rows = sorted(results.exports, key=lambda row: (row.workload, row.cell))
    for (workload, cell), group in itertools.groupby(
        rows, key=lambda one: (one.workload, one.cell)
    ):
        found = {row.format: row for row in group}
        emulated = any(row.emulated for row in found.values())
        exported = (_export(found.get(one)) for one in formats)
        texts = (workload, cell + mark(emulated), *exported, _exporters(found.values()))
        lines.append(Row(texts=texts, moods=moods(len(texts), 0, "plain", emulated)))
    return Table(
        title="Exports",
        columns=("workload", "cell", *formats, "written by"),
        rows=tuple(lines),
        numeric=frozenset(range(2, 2 + len(formats))),
        note="Size of a model's files, and the time of its export with the exporter's import. "
        "Written by: each exporter with its version, in the order of the formats.",
    )


def _export(row: ExportRow | None) -> str:
    if row is None:
        return numbers.DASH
    return f"{numbers.size(row.bytes)}, {numbers.duration(row.export_s)}"


def _exporters(rows: Iterable[ExportRow]) -> str:
    """Return what wrote them, each once: some exporters write several formats."""
    ordered = sorted(rows, key=lambda row: row.format)
    return "; ".join(dict.fromkeys(row.exporter for row in ordered if row.exporter)) or numbers.DASH


def verdicts(results: Results) -> Iterator[Table]:
    """One table a workload: consumers down, producers across, verdict and error in each field."""
    rows = sorted(results.portability, key=lambda row: _workload(row.artifact))
    for workload, group in itertools.groupby(rows, key=lambda row: _workload(row.artifact)):
        yield _verdicts(workload, list(group))


def _verdicts(workload: str, rows: list[PortabilityRow]) -> Table:
    producers = sorted({row.artifact.split("--")[0] for row in rows})
    found = {(_reader(row), row.artifact.split("--")[0]): row for row in rows}
    readers = sorted(
        {_reader(row): row.emulated for row in rows}.items(), key=lambda one: (one[1], one[0])
    )
    own = {row.artifact.split("--")[0]: row.producer_error for row in rows if row.producer_error}
    first = ("the producer itself", "", *(numbers.error(own.get(one)) for one in producers))
    lines = [row_of(*first, mood="muted")]
    for (consumer, form), emulated in readers:
        judged = [found.get(((consumer, form), producer)) for producer in producers]
        lines.append(
            Row(
                texts=(consumer + mark(emulated), form, *(_verdict(row) for row in judged)),
                moods=("plain", "plain", *(_mood(row) for row in judged)),
            )
        )
    return Table(
        title=f"Portability: {workload}",
        columns=("served by", "from", *(f"model of {producer}" for producer in producers)),
        rows=tuple(lines),
        note=(
            "Errors are the largest difference from a float64 evaluation over its largest value. "
            "The tolerance scales with the producer's own error; a consumer that computes in less "
            "than float32 is named with its precision, and has a tolerance of its own."
        ),
    )


def causes(results: Results) -> Table:
    """What is not a match, a line each with what it was traced to, else with its reason."""
    wrong = [row for row in results.portability if row.verdict not in ("match", "not-run")]
    lines = []
    for row in wrong:
        texts = (row.artifact, row.consumer + mark(row.emulated), row.verdict, _why(row))
        lines.append(Row(texts=texts, moods=("plain", "plain", _mood(row), "plain")))
    return Table(
        title="Causes",
        columns=("artifact", "served by", "verdict", "traced to"),
        rows=tuple(lines),
        note=(
            "What differs is followed through the graph, by runs of the same consumer that also "
            "give inner results, to the first node that is wrong; the node is kept alone below "
            "`causes/` in the run, with a command that shows its fault in `cause.json`."
        ),
    )


def _why(row: PortabilityRow) -> str:
    found = row.cause.text if row.cause else row.reason
    return f"{found}. Known: {row.expected_failure}" if row.expected_failure else found


def _workload(artifact: str) -> str:
    return artifact.split("--")[1]


def _reader(row: PortabilityRow) -> tuple[str, str]:
    return row.consumer, row.artifact.rsplit("--", 1)[1]


def _verdict(row: PortabilityRow | None) -> str:
    if row is None:
        return numbers.DASH
    lower = "" if row.precision == "float32" else f" ({row.precision})"
    if row.verdict != "match":
        word = row.verdict + lower
        return f"{word}: known" if row.expected_failure else status(word, row.reason)
    again = "" if row.repeatable is not False else ", not repeatable"
    return f"match{lower} {numbers.error(row.error)}{again}"


def _mood(row: PortabilityRow | None) -> Mood:
    if row is None or row.verdict == "not-run" or row.expected_failure:
        return "muted"
    return "good" if row.verdict == "match" else "bad"


def deployment(results: Results) -> Table:
    """Every cell that served: its image, its memory, and how long it takes to a first answer."""
    workloads = sorted({row.workload for row in results.serving})
    starts: dict[tuple[str, str], list[float]] = {}
    for row in results.serving:
        if row.start_s:
            starts.setdefault((row.cell, row.workload), []).append(row.start_s.median)
    served = {row.cell for row in results.serving}
    cells = sorted(
        (cell for cell in results.cells if cell.cell in served),
        key=lambda cell: (cell.emulated, cell.image_bytes or 0),
    )
    lines = []
    for cell in cells:
        times = [starts.get((cell.cell, workload)) for workload in workloads]
        texts = (
            cell.cell + mark(cell.emulated),
            numbers.size(cell.image_bytes),
            numbers.size(cell.peak_memory_bytes),
            *(numbers.duration(statistics.median(one) if one else None) for one in times),
        )
        lines.append(Row(texts=texts, moods=moods(len(texts), 0, "plain", cell.emulated)))
    return Table(
        title="Deployment",
        columns=("cell", "image", "peak memory", *(f"to answer: {one}" for one in workloads)),
        rows=tuple(lines),
        numeric=frozenset(range(1, 3 + len(workloads))),
        note=(
            "To answer: from the request to start the container (or process) to the first answer, "
            "with the start of the runtime and the loading of the model; the median over "
            "artifacts and rounds. The smallest image first."
        ),
    )


def scenarios(results: Results) -> Table:
    """MLPerf's scenarios, a line each."""
    lines = []
    for row in results.scenarios:
        texts = (
            row.cell + mark(row.emulated),
            row.workload,
            row.scenario,
            f"{row.samples_per_s:,.0f}/s",
            numbers.duration(row.p90_s),
            numbers.duration(row.p99_s),
            numbers.duration(row.bound_s),
            "valid" if row.valid else "not valid",
        )
        moods_of = moods(len(texts), 7, "plain" if row.valid else "bad", row.emulated)
        lines.append(Row(texts=texts, moods=moods_of))
    return Table(
        title="MLPerf scenarios",
        columns=(
            "cell",
            "model",
            "scenario",
            "samples",
            "p90",
            "p99",
            "bound on p99",
            "LoadGen says",
        ),
        rows=tuple(lines),
        numeric=frozenset(range(3, 7)),
        note=(
            "By MLCommons' LoadGen, over two seconds each: no MLPerf result. Server: the highest "
            "load tried whose p99 is within ten times a single answer's time, or a millisecond."
        ),
    )


def interfaces(results: Results) -> Table:
    """From which languages models were really run, by which cells, with the evidence counted."""
    languages = {row.cell: row.language for row in results.cells}
    found: dict[str, list[PortabilityRow]] = {}
    for row in results.portability:
        found.setdefault(languages[row.consumer], []).append(row)
    lines = []
    for language, rows in sorted(found.items()):
        matched = [row for row in rows if row.verdict == "match"]
        by = sorted({row.consumer.split("-debian")[0] for row in matched})
        texts = (
            language,
            ", ".join(by) or numbers.DASH,
            f"{len(matched)} of {len(rows)}",
            f"records/{matched[0].consumer}/" if matched else numbers.DASH,
        )
        lines.append(
            Row(texts=texts, moods=moods(4, 2, "good" if matched else "bad", emulated=False))
        )
    return Table(
        title="Interfaces",
        columns=("language", "by", "answers that match", "one record"),
        rows=tuple(lines),
        numeric=frozenset({2}),
        note="From which languages a model was run in this run, and gave the right answers.",
    )
