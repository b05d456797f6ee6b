"""The tables of a conformance run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from deepmatrix.conformance.suite import SUITE_FORMAT, Change, Conformity, path_in
from deepmatrix.drawing.layout import (
    Row,
    Source,
    Table,
    files,
    key,
    number,
    row,
    shortened,
    text,
)
from deepmatrix.store.records import log_path
from harness.formats import FORMATS

Changes = Mapping[str, Change | None]
"""By cell, the difference from its baseline; None where it has none."""

#: At most this many kinds of failure of a cell are shown; the file has all of them.
MOST_KINDS = 12

#: The longest reason of a kind that is shown, in characters.
LONGEST_EXAMPLE = 110


def tables(
    conformities: Sequence[Conformity], changes: Changes, run_id: str = ""
) -> Iterator[Table]:
    """Yield the counts, the new failures, and the kinds of all failures.

    *run_id*: of the run whose files are linked in a page.
    """
    yield _counts_table(conformities, changes, run_id)
    new_failures = [
        row(conformity.cell, name, outcome.ending, outcome.reason, mood="bad")
        for conformity in conformities
        if (change := changes[conformity.cell])
        for name, outcome in change.worse.items()
    ]
    if new_failures:
        yield Table(
            title="New failures",
            columns=(key("cell"), key("test"), text("outcome"), text("reason")),
            rows=tuple(new_failures),
            note="Tests that pass in the cell's baseline, or are not in it.",
        )
    for conformity in conformities:
        if conformity.failed:
            yield _kinds_table(conformity)


def _counts_table(conformities: Sequence[Conformity], changes: Changes, run_id: str) -> Table:
    suite = conformities[0].suite if conformities else ""
    return Table(
        title=f"Conformance: {suite}, tests of single nodes",
        columns=(
            key("cell"),
            text("versions", optional=1),
            number("pass"),
            number("wrong"),
            number("error"),
            number("crash"),
            number("not tried", optional=2),
            number("new failures"),
            number("fixed", optional=3),
            *([files("evidence")] if run_id else []),
        ),
        rows=tuple(_counts_row(conformity, changes, run_id) for conformity in conformities),
        note=(
            "Not tried: tests with a sequence, an optional or a dtype that NumPy lacks. New "
            "failures and fixed: the difference from the cell's baseline."
        ),
    )


def _counts_row(conformity: Conformity, changes: Changes, run_id: str) -> Row:
    change = changes[conformity.cell]
    versions = ", ".join(f"{name} {version}" for name, version in conformity.versions.items())
    counts = (conformity.counted(ending) for ending in ("pass", "wrong", "error", "crash"))
    outcomes = path_in(Path(), conformity.cell).as_posix()
    log = log_path(conformity.cell, FORMATS[SUITE_FORMAT].suite)
    line = row(
        conformity.cell,
        versions,
        *map(str, counts),
        str(conformity.counted("unsupported") + len(conformity.skipped)),
        "no baseline" if change is None else str(len(change.worse)),
        "" if change is None else str(len(change.better)),
        *([""] if run_id else []),
        mood="bad" if change and change.worse else "plain",
    )
    sources = (
        Source(run=run_id, path=outcomes, words="outcomes"),
        Source(run=run_id, path=log, words="log"),
    )
    return replace(line, sources=sources)


def _kinds_table(conformity: Conformity) -> Table:
    kinds = Counter((outcome.ending, outcome.kind) for outcome in conformity.failed.values())
    examples = {
        (outcome.ending, outcome.kind): outcome.reason
        for outcome in reversed(conformity.failed.values())
    }
    rows = [
        row(str(count), *kind, shortened(examples[kind], LONGEST_EXAMPLE))
        for kind, count in kinds.most_common(MOST_KINDS)
    ]
    hidden = len(kinds) - len(rows)
    hidden_note = f"{hidden} kinds with fewer tests are not shown. " if hidden > 0 else ""
    return Table(
        title=f"Failures: {conformity.cell}",
        columns=(number("tests"), text("outcome"), text("kind"), text("first reason")),
        rows=tuple(rows),
        note=(
            f"{hidden_note}`conformance/{conformity.cell}.json` in the run has the reason of every "
            "test."
        ),
    )
