"""Tables of what frameworks can express: lines of code, probes, adjusted defaults."""

from __future__ import annotations

from deepmatrix.drawing import numbers
from deepmatrix.drawing.layout import (
    Mood,
    Row,
    Table,
    expected_status,
    key,
    mark,
    row,
    status,
    text,
)
from deepmatrix.results.expressiveness.rows import FactRow, IdiomRow, ProbeRow
from deepmatrix.results.rows import Results
from deepmatrix.workloads import idioms


def idiom_lines(results: Results) -> Table:
    """Workloads down, cells across: logical lines and the error of the idiom's logits."""
    idiom_rows = {(idiom.workload, idiom.cell): idiom for idiom in results.idioms}
    systems = {cell.cell: cell.name for cell in results.cells}
    cells = sorted({idiom.cell: idiom.emulated for idiom in results.idioms}.items())
    rows = []
    for workload in sorted({idiom.workload for idiom in results.idioms}):
        line = [idiom_rows.get((workload, cell)) for cell, _ in cells]
        texts = (workload, *map(_idiom_text, line))
        rows.append(Row(texts=texts, moods=("plain", *map(_idiom_mood, line))))
    if rows:
        loops = [idioms.line_counts().get(("training", systems[cell])) for cell, _ in cells]
        rows.append(row("training loop", *(str(loop or numbers.DASH) for loop in loops)))
    return Table(
        title="Lines of code",
        columns=(key("network"), *(text(cell + mark(emulated)) for cell, emulated in cells)),
        rows=tuple(rows),
        note=(
            "Logical lines of each network as a user writes it in the framework: without "
            "imports, comments and docstrings; a call is one line. The code is in "
            "harness/frameworks/*/idioms. In brackets: the error of its logits from gold, with the "
            "same weights and after two steps of training. Training loop: one for all networks."
        ),
    )


def _idiom_text(idiom: IdiomRow | None) -> str:
    if idiom is None:
        return numbers.DASH
    if idiom.expected_failure and idiom.error is not None:
        return f"{idiom.lines} ({expected_status(numbers.error(idiom.error))})"
    if idiom.status != "ok":
        return status(idiom.status, idiom.reason)
    return f"{idiom.lines} ({numbers.error(idiom.error)})"


def _idiom_mood(idiom: IdiomRow | None) -> Mood:
    if idiom is None or idiom.expected_failure:
        return "muted"
    return "good" if idiom.status == "ok" else "bad"


def probes(results: Results) -> Table:
    """Probes down, cells across: verdict and error in each field."""
    probe_rows = {(probe.probe, probe.cell): probe for probe in results.probes}
    cells = sorted({probe.cell: probe.emulated for probe in results.probes}.items())
    rows = []
    for name in dict.fromkeys(probe.probe for probe in results.probes):
        line = [probe_rows.get((name, cell)) for cell, _ in cells]
        texts = (name.replace("_", " "), *map(_probe_text, line))
        rows.append(Row(texts=texts, moods=("plain", *map(_probe_mood, line))))
    return Table(
        title="Modeling capability",
        columns=(key("probe"), *(text(cell + mark(emulated)) for cell, emulated in cells)),
        rows=tuple(rows),
        note=(
            "Small programs in each framework, whose numbers are compared with a float64 "
            "evaluation. `match` is followed by the error, and by what Python does because the "
            "framework's graph or net does not; `failed` by the framework's own message. A dash: "
            "no program tries it. The code is in harness/frameworks/*/probes.py."
        ),
    )


def _probe_text(probe: ProbeRow | None) -> str:
    if probe is None:
        return numbers.DASH
    if probe.verdict == "match":
        matched = f"match {numbers.error(probe.error)}"
        return f"{matched}, but {probe.outside}" if probe.outside else matched
    return status(probe.verdict, probe.reason)


def _probe_mood(probe: ProbeRow | None) -> Mood:
    if probe is None or (probe.verdict == "match" and probe.outside):
        return "muted"
    return "good" if probe.verdict == "match" else "bad"


def facts(results: Results) -> Table:
    """What the installed files of a framework, and small programs beside it, say of it."""
    return Table(
        title="Facts",
        columns=(key("fact"), key("cell"), text("holds"), text("evidence")),
        rows=tuple(
            row(fact.fact.replace("_", " "), fact.cell, _fact_text(fact), fact.evidence)
            for fact in results.facts
        ),
        note=(
            "Facts of a framework, from its installed files and from small programs. The code is "
            "in harness/frameworks/*/facts.py."
        ),
    )


def _fact_text(fact: FactRow) -> str:
    if fact.holds is None:
        return status("failed", fact.reason) if fact.reason else numbers.DASH
    return "yes" if fact.holds else "no"


def notes(results: Results) -> Table:
    """The defaults of frameworks that were adjusted to the common description."""
    return Table(
        title="Adjusted defaults",
        columns=(key("framework"), key("layer"), text("difference")),
        rows=tuple(row(note.name, note.about, note.note) for note in results.notes),
        note="Defaults of a framework that differ from the network's description, and the change.",
    )
