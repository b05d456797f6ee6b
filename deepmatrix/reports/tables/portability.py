"""Tables of portability: where models give the same answers, why not, from which languages."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

from deepmatrix.drawing import numbers
from deepmatrix.drawing.layout import (
    Mood,
    Row,
    Source,
    Table,
    expected_status,
    files,
    judged_row,
    key,
    mark,
    number,
    row,
    status,
    text,
)
from deepmatrix.results.counting import consumers
from deepmatrix.results.rows import PortabilityRow, Results
from deepmatrix.store.records import record_path

#: What a table of causes says where one is missing.
UNSEARCHED = (
    " Where a drift has only its error here, nobody searched its cause, or the search was "
    "interrupted: `--resume` goes on with it."
)


def verdicts(results: Results) -> Iterator[Table]:
    """One table a workload: consumers down, producers across, verdict and error in each field."""
    rows = sorted(results.portability, key=lambda judged: _workload(judged.artifact))
    for workload, group in itertools.groupby(rows, key=lambda judged: _workload(judged.artifact)):
        yield _verdict_table(workload, list(group))


def _verdict_table(workload: str, rows: list[PortabilityRow]) -> Table:
    producers = sorted({_producer(judged) for judged in rows})
    by_place = {(_reader(judged), _producer(judged)): judged for judged in rows}
    isas = {judged.consumer: judged.isa for judged in rows}
    is_swept = any(isas.values())
    readers = sorted(
        {_reader(judged): judged.emulated for judged in rows}.items(),
        key=lambda item: (item[1], item[0]),
    )
    producer_errors = {
        _producer(judged): judged.producer_error for judged in rows if judged.producer_error
    }
    own_errors = [numbers.error(producer_errors.get(producer)) for producer in producers]
    isa_mood: tuple[Mood, ...] = ("plain",) if is_swept else ()
    lines = [row("the producer itself", *[""] * (1 + is_swept), *own_errors, mood="muted")]
    for (consumer, format_name), emulated in readers:
        line = [by_place.get(((consumer, format_name), producer)) for producer in producers]
        lines.append(
            Row(
                texts=(
                    consumer + mark(emulated),
                    format_name,
                    *([isas[consumer] or numbers.DASH] if is_swept else []),
                    *map(_verdict_text, line),
                ),
                moods=("plain", "plain", *isa_mood, *map(_mood, line)),
            )
        )
    return Table(
        title=f"Portability: {workload}",
        columns=(
            key("served by"),
            key("format"),
            *([key("instruction set")] if is_swept else []),
            *(text(f"model of {producer}") for producer in producers),
        ),
        rows=tuple(lines),
        note=(
            f"`match` is followed by the error: {numbers.ERROR}. The tolerance is a multiple of "
            "the producer's own error. A consumer that computes in less than float32 is shown with "
            "its precision, and has a larger tolerance."
        ),
    )


def causes(results: Results) -> Table:
    """What is not a match, a line each with its cause, else with its reason."""
    wrong = [
        judged
        for judged in consumers(results.portability)
        if judged.verdict not in ("match", "not-run")
    ]
    is_open = any(judged.verdict == "drift" and judged.cause is None for judged in wrong)
    return Table(
        title="Causes",
        columns=(key("artifact"), key("served by"), text("verdict"), text("cause")),
        rows=tuple(map(_cause_row, wrong)),
        note=(
            "Cause of a wrong answer: the first wrong node. It is found by running the same "
            "consumer on the model with inner results as outputs. `causes/` in the run has the "
            "node alone as a model; `cause.json` there has the command that shows the fault again."
            + (UNSEARCHED if is_open else "")
        ),
    )


def _cause_row(judged: PortabilityRow) -> Row:
    cause = judged.cause.text if judged.cause else judged.reason
    expected = f". Expected failure: {judged.expected_failure}" if judged.expected_failure else ""
    return Row(
        texts=(
            judged.title,
            judged.consumer + mark(judged.emulated),
            judged.verdict,
            cause + expected,
        ),
        moods=("plain", "plain", _mood(judged), "plain"),
    )


def _workload(artifact: str) -> str:
    return artifact.split("--")[1]


def _producer(judged: PortabilityRow) -> str:
    return judged.artifact.split("--")[0]


def _reader(judged: PortabilityRow) -> tuple[str, str]:
    """Return the consumer and the format that it read."""
    return judged.consumer, judged.artifact.rsplit("--", 1)[1]


def _verdict_text(judged: PortabilityRow | None) -> str:
    if judged is None:
        return numbers.DASH
    precision = f" ({judged.precision})" if judged.is_reduced else ""
    if judged.verdict != "match":
        verdict = judged.verdict + precision
        return (
            expected_status(verdict) if judged.expected_failure else status(verdict, judged.reason)
        )
    repeatable = "" if judged.repeatable is not False else ", not repeatable"
    return f"match{precision} {numbers.error(judged.error)}{repeatable}"


def _mood(judged: PortabilityRow | None) -> Mood:
    if judged is None or judged.verdict == "not-run" or judged.expected_failure:
        return "muted"
    return "good" if judged.verdict == "match" else "bad"


def interfaces(results: Results) -> Table:
    """The languages from which models were run, by which cells, and how many answers match."""
    languages = {cell.cell: cell.language for cell in results.cells}
    by_language: dict[str, list[PortabilityRow]] = {}
    for judged in consumers(results.portability):
        by_language.setdefault(languages[judged.consumer], []).append(judged)
    return Table(
        title="Interfaces",
        columns=(
            key("language"),
            text("runtimes"),
            number("matches"),
            files("example record", optional=1),
        ),
        rows=tuple(
            _interface_row(language, rows, results.run)
            for language, rows in sorted(by_language.items())
        ),
        note=(
            "Languages in which a model passed. Matches: the artifacts whose answers match, of all "
            "that runtimes of this language served."
        ),
    )


def _interface_row(language: str, rows: list[PortabilityRow], run: str) -> Row:
    matched = [judged for judged in rows if judged.verdict == "match"]
    runtimes = sorted({judged.consumer.split("-debian")[0] for judged in matched})
    texts = (
        language,
        ", ".join(runtimes) or numbers.DASH,
        f"{len(matched)} of {len(rows)}",
        f"records/{matched[0].consumer}/" if matched else numbers.DASH,
    )
    sources = tuple(
        Source(run=run, path=record_path(judged.consumer, judged.artifact), words="record")
        for judged in matched[:1]
    )
    drawn = judged_row(texts, 2, "good" if matched else "bad", emulated=False)
    return replace(drawn, sources=sources)
