"""Tables of a verification: a line a consumer, a line an output, and what nodes add to errors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from deepmatrix.drawing import numbers
from deepmatrix.drawing.layout import (
    NO_BREAK_SPACE,
    Column,
    Mood,
    Row,
    Table,
    judged_row,
    mark,
    row,
    shortened,
    shortened_name,
    without_empty_columns,
)
from deepmatrix.drawing.verdicts import MOODS, SIGNS
from deepmatrix.reports.tables.own_models.headlines import inspector_name, rows_of
from deepmatrix.reports.tables.speed import MACHINE, are_several
from deepmatrix.results.rows import (
    CellRow,
    ModelRow,
    NodesRow,
    PortabilityRow,
    Results,
)
from deepmatrix.store.causes import Cause
from deepmatrix.store.records import Deviation

#: The table of outputs has at most this many lines; results.json has all.
MOST_OUTPUTS = 24

#: The longest cause or reason of a line, in characters; report.md has them in full.
LONGEST_WHY = 120

#: A drift of less than so many tolerances is close.
CLOSE_DRIFT = 2

#: The verdicts after which there is no number.
UNANSWERED = ("unsupported", "not-run")


def consumers(results: Results, model: ModelRow) -> Table:
    """One line a consumer: verdict, error, the worst output, tolerance, time, precision, why.

    One that several machines measured has a line for each.
    """
    cells = {cell.cell: cell for cell in results.cells}
    several = are_several(results)
    times: dict[str, dict[str, float | None]] = {}
    for served in results.inference:
        if served.subject == model.artifact and not served.emulated:
            there = served.machine if several else ""
            times.setdefault(served.cell, {})[there] = served.p50_s.median
    rows = rows_of(results, model)
    return without_empty_columns(
        Table(
            title=f"Consumers of {model.name}",
            columns=(
                Column("consumer", key=True, unbroken=True),
                Column("version", optional=3, unbroken=True, note=VERSION_NOTE),
                Column("verdict", unbroken=True),
                Column("error", numeric=True, note=ERROR_NOTE),
                Column("of tolerance", optional=1, note="Of tolerance: the error's share of it."),
                Column(
                    "output", optional=5, note="Output: the one that uses most of its tolerance."
                ),
                Column("tolerance", numeric=True, optional=4),
                Column("tolerance from", optional=7, unbroken=True, note=FROM_NOTE),
                Column("machine", optional=3, note=MACHINE),
                Column("p50", numeric=True, optional=2, note=P50_NOTE),
                Column("precision", optional=6),
                Column("why", below=True),
            ),
            rows=tuple(
                _consumer_row(
                    judged,
                    cells,
                    machine,
                    p50,
                    model,
                    is_like_float32=is_wrong_as_float32(judged, rows),
                )
                for judged in rows
                for machine, p50 in times.get(judged.consumer, {"": None}).items()
            ),
        )
    )


ERROR_NOTE = f"Error: {numbers.ERROR}."
FROM_NOTE = (
    "Tolerance from: the model's rounding error is how far its own precision is from float64; no "
    "tolerance is smaller than the smallest, which float32 costs any model."
)
VERSION_NOTE = "Version: of the runtime that answered."
P50_NOTE = "p50: the median time of one inference; native cells only."


def _consumer_row(
    judged: PortabilityRow,
    cells: dict[str, CellRow],
    machine: str,
    p50: float | None,
    model: ModelRow,
    *,
    is_like_float32: bool,
) -> Row:
    is_answered = judged.error is not None
    worst = worst_output(judged)
    name = judged.consumer + mark(judged.emulated)
    if judged.judges:
        name += f" ({inspector_name(model)})"
    cell = cells.get(judged.consumer)
    texts = (
        name,
        cell.version if cell else "",
        SIGNS[judged.verdict] + NO_BREAK_SPACE + judged.verdict,
        numbers.error(judged.error),
        numbers.meter(judged.error, judged.tolerance),
        shortened_name(worst.name) if worst and len(judged.outputs) > 1 else "",
        numbers.error(judged.tolerance) if is_answered else numbers.DASH,
        judged.basis.replace(" ", NO_BREAK_SPACE) if is_answered else "",
        machine,
        numbers.duration(p50),
        _precision(judged) if judged.verdict not in UNANSWERED else numbers.DASH,
        explain_verdict(judged, cell, model, is_like_float32=is_like_float32),
    )
    background: Mood = "muted" if judged.judges or judged.emulated else "plain"
    moods = [background] * len(texts)
    if not judged.judges:
        moods[2] = moods[4] = MOODS[judged.verdict]
    return Row(texts=texts, moods=tuple(moods))


def _precision(judged: PortabilityRow) -> str:
    """Return what a consumer computes in: what the model says, unless the consumer reduces it."""
    own = {output.computed_in for output in judged.outputs}
    own |= {_grid(output.dtype) for output in judged.outputs if output.steps}
    return (
        judged.precision if judged.is_reduced else ", ".join(sorted(own - {""})) or judged.precision
    )


def _grid(dtype: str) -> str:
    return dtype if "int" in dtype else "quantised"


def worst_output(judged: PortabilityRow) -> Deviation | None:
    """Return the output that uses most of its tolerance; old records do not name it."""
    named = [output for output in judged.outputs if output.name == judged.worst_output]
    return max(named or judged.outputs, key=_badness, default=None)


def _badness(output: Deviation) -> float:
    return math.inf if output.error is None else output.error


def is_wrong_as_float32(judged: PortabilityRow, rows: Sequence[PortabilityRow]) -> bool:
    """Return whether a consumer is wrong as one in float32 is, so not by its precision."""
    alike = judged.cause.as_on if judged.cause else ""
    return any(row.consumer == alike and not row.is_reduced for row in rows)


def explain_verdict(
    judged: PortabilityRow, cell: CellRow | None, model: ModelRow, *, is_like_float32: bool
) -> str:
    """Return, in a few words, what a user can know or do about a verdict."""
    words = []
    judges_itself = not model.judged_by and judged.consumer == model.inspector
    if judges_itself and not judged.judges and judged.verdict == "match":
        words.append("gold is its own answer: give a --reference")
    is_reduced = judged.is_reduced and judged.verdict not in UNANSWERED
    if is_reduced and not is_like_float32:
        by = f": set {cell.float32_by}" if cell and cell.float32_by else ""
        words.append(f"{judged.precision} by default{by}")
    if judged.stateful:
        words.append("stateful: keeps state between calls; compared from a fresh load")
    elif judged.unsteady:
        words.append(judged.unsteady)
    elif random := [output for output in judged.outputs if output.random]:
        words.append(f"{', '.join(output.name for output in random)}: {random[0].caution}")
    elif judged.repeatable is False:
        words.append("a second inference gives other bits")
    if judged.verdict != "match":
        words.append(shortened(_reason(judged), LONGEST_WHY))
    if model.is_sampled and _is_close(judged):
        words.append("close to the tolerance on sample inputs: give real --inputs")
    return "; ".join(word for word in words if word)


def _is_close(judged: PortabilityRow) -> bool:
    """Return whether a drift is so small that other inputs may well give another verdict."""
    if judged.verdict != "drift" or judged.error is None or judged.tolerance is None:
        return False
    return judged.error < CLOSE_DRIFT * judged.tolerance


def _reason(judged: PortabilityRow) -> str:
    """Return the cause of a wrong answer, else the error's message, or the reason."""
    if judged.cause:
        return _short_cause(judged.cause)
    return judged.message or judged.reason


def _short_cause(cause: Cause) -> str:
    as_on = f"as on {cause.as_on}: " if cause.as_on else ""
    if cause.kind != "runtime" or not cause.node:
        return cause.text
    start = f"{cause.hint}; {as_on}" if cause.hint else as_on
    if cause.only_node:
        return f"{start}its only node, {cause.node}, is wrong"
    where = "also alone" if cause.alone else "only inside the model"
    return f"{start}first wrong node {cause.node}, {where}"


def outputs(results: Results, model: ModelRow) -> Table:
    """One line an output: what matches together, and each other consumer; without news, no line.

    There is news where a model has several outputs, or vectors such as logits or embeddings.
    """
    judged_rows = rows_of(results, model)
    answered = [judged for judged in judged_rows if judged.outputs and not judged.judges]
    lines = [line for output in _output_names(answered) for line in _output_lines(answered, output)]
    return without_empty_columns(
        Table(
            title=f"Outputs of {model.name}",
            columns=(
                Column("output", key=True),
                Column("consumers", key=True),
                Column("error", numeric=True),
                Column("top-1", numeric=True, note=TOP1_NOTE),
                Column("cosine", numeric=True, note=COSINE_NOTE),
                Column("remark", optional=1),
            ),
            rows=tuple(lines[:MOST_OUTPUTS]),
            note="" if len(lines) <= MOST_OUTPUTS else "More outputs in results.json.",
        )
    )


TOP1_NOTE = "Top-1: the share of rows whose largest value is at the same place as in gold."
COSINE_NOTE = "Cosine: the smallest similarity of a row with gold's."


def _output_names(answered: Sequence[PortabilityRow]) -> list[str]:
    """Return the names of the outputs, if there is anything to say of them."""
    answers = [output for judged in answered for output in judged.outputs]
    names = list(dict.fromkeys(output.name for output in answers))
    has_vectors = any(output.cosine is not None for output in answers)
    return names if len(names) > 1 or has_vectors else []


def _output_lines(answered: Sequence[PortabilityRow], name: str) -> Iterator[Row]:
    matching: dict[str, list[Deviation]] = {}  # by the precision to which they are reduced
    for judged in answered:
        for output in judged.outputs:
            if output.name == name and judged.verdict == "match":
                precision = judged.precision if judged.is_reduced else ""
                matching.setdefault(precision, []).append(output)
            elif output.name == name:
                consumer = judged.consumer + mark(judged.emulated)
                yield _output_row(consumer, [output], MOODS[judged.verdict])
    for precision, alike in sorted(matching.items()):
        yield _output_row(_matching(len(alike), precision, len(matching) > 1), alike, "good")


def _matching(count: int, precision: str, is_split: bool) -> str:
    """Return what consumers that match are called: *is_split* where others match as well."""
    who = {1: "the one that matches"}.get(count, f"{count} that match")
    if precision:
        return f"{who} in {precision}"
    return who if is_split or count == 1 else {2: "both that match"}.get(count, f"all {who}")


def _output_row(who: str, group: Sequence[Deviation], mood: Mood) -> Row:
    """Return the line of an output on some consumers: the worst of each number."""
    worst = max(group, key=_badness)
    is_vector = any(output.cosine is not None for output in group)
    top1 = [output.top1 for output in group if output.top1 is not None and is_vector]
    cosines = [output.cosine for output in group if output.cosine is not None]
    texts = (
        shortened_name(worst.name),
        who,
        numbers.error(worst.error),
        numbers.share(min(top1, default=None)),
        numbers.cosine(min(cosines, default=None)),
        worst.note or worst.caution,
    )
    return Row(texts=texts, moods=("plain", "plain", mood, mood, mood, "plain"))


def nodes(results: Results) -> Table:
    """The nodes that add most to the error of each consumer, in the order of the graph."""
    several = len(results.models) != 1
    lines = [line for measured in results.nodes for line in _node_lines(measured, several)]
    return without_empty_columns(
        Table(
            title="Errors along the graph",
            columns=(
                Column("consumer", key=True),
                Column("model", optional=3),
                Column("node"),
                Column("operator", optional=2),
                Column("error", numeric=True),
                Column("added", numeric=True, note=ADDED_NOTE),
                Column("tolerance", numeric=True, optional=1),
            ),
            rows=tuple(lines),
            note="`nodes/` in the run has all nodes, a file a consumer.",
        )
    )


ADDED_NOTE = "Added: by how much a node's error exceeds that of its inputs."


def _node_lines(measured: NodesRow, several: bool) -> Iterator[Row]:
    names = (measured.consumer, (measured.model or measured.artifact) if several else "")
    for node in measured.largest:
        is_right = node.error is not None and node.error <= node.tolerance
        texts = (
            *names,
            shortened_name(node.node),
            node.kind,
            numbers.error(node.error) if node.error is not None else "not finite",
            numbers.error(node.added),
            numbers.error(node.tolerance),
        )
        mood: Mood = "plain" if is_right else "bad"
        yield judged_row(texts, 4, mood, emulated=False)
        names = ("", "")  # named once
    if measured.note:
        yield row(*names, measured.note, *[""] * 4, mood="muted")
