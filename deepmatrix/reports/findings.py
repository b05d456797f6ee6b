"""Tables of what frameworks can express: lines of code, probes, defaults made to agree."""

from __future__ import annotations

from collections.abc import Iterator

from deepmatrix.reports import numbers
from deepmatrix.reports.layout import Mood, Row, Table, mark, status
from deepmatrix.reports.layout import row as row_of
from deepmatrix.results.rows import IdiomRow, ProbeRow, Results
from deepmatrix.workloads import idioms


def tables(results: Results) -> Iterator[Table]:
    """Yield the tables; those without rows are left out by who asks."""
    yield _idioms(results)
    yield _probes(results)
    yield _notes(results)


def _idioms(results: Results) -> Table:
    """Workloads down, cells across: logical lines and the error of the idiom's logits."""
    found = {(row.workload, row.cell): row for row in results.idioms}
    names = {row.cell: row.name for row in results.cells}
    cells = sorted({row.cell: row.emulated for row in results.idioms}.items())
    rows = []
    for workload in sorted({row.workload for row in results.idioms}):
        own = [found.get((workload, cell)) for cell, _ in cells]
        texts = (workload, *(_idiom(row) for row in own))
        rows.append(Row(texts=texts, moods=("plain", *(_idiom_mood(row) for row in own))))
    if rows:
        loops = [idioms.counts().get(("training", names[cell])) for cell, _ in cells]
        texts = ("training loop", *(str(loop or numbers.DASH) for loop in loops))
        rows.append(row_of(*texts))
    return Table(
        title="Lines of code",
        columns=("network", *(cell + mark(emulated) for cell, emulated in cells)),
        rows=tuple(rows),
        note=(
            "Logical lines of each network as a person writes it in the framework, in "
            "harness/frameworks/*/idioms, without imports, comments and docstrings; a call is one "
            "line, however long. In brackets: how far its logits are from gold, with the same "
            "weights, and after two steps of training. The loop is the one that trains any of them."
        ),
    )


def _idiom(row: IdiomRow | None) -> str:
    if row is None:
        return numbers.DASH
    if row.expected_failure and row.error is not None:
        return f"{row.lines} ({numbers.error(row.error)}: known)"
    if row.status != "ok":
        return status(row.status, row.reason)
    return f"{row.lines} ({numbers.error(row.error)})"


def _idiom_mood(row: IdiomRow | None) -> Mood:
    if row is None or row.expected_failure:
        return "muted"
    return "good" if row.status == "ok" else "bad"


def _probes(results: Results) -> Table:
    """Probes down, cells across: verdict and error in each field."""
    found = {(row.probe, row.cell): row for row in results.probes}
    cells = sorted({row.cell: row.emulated for row in results.probes}.items())
    rows = []
    for probe in dict.fromkeys(row.probe for row in results.probes):
        own = [found.get((probe, cell)) for cell, _ in cells]
        texts = (probe.replace("_", " "), *(_probe(row) for row in own))
        rows.append(Row(texts=texts, moods=("plain", *(_probe_mood(row) for row in own))))
    return Table(
        title="Modeling capability",
        columns=("probe", *(cell + mark(emulated) for cell, emulated in cells)),
        rows=tuple(rows),
        note=(
            "Small programs in each framework, in harness/frameworks/*/probes.py, whose numbers "
            "are compared with a float64 evaluation. Failed: the framework's own error."
        ),
    )


def _probe(row: ProbeRow | None) -> str:
    if row is None:
        return numbers.DASH
    if row.verdict == "match":
        return f"match {numbers.error(row.error)}"
    return status(row.verdict, row.reason)


def _probe_mood(row: ProbeRow | None) -> Mood:
    return "muted" if row is None else "good" if row.verdict == "match" else "bad"


def _notes(results: Results) -> Table:
    return Table(
        title="Made to agree",
        columns=("framework", "layer", "what differs"),
        rows=tuple(row_of(row.name, row.about, row.note) for row in results.notes),
        note="Where a framework's default is not the neutral description's, and what was done.",
    )
