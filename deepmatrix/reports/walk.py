"""A walk through results on a terminal: from a run to a cell, an artifact, and its record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.text import Text

from deepmatrix.config.documents import did_you_mean
from deepmatrix.drawing import numbers
from deepmatrix.drawing.console import STYLES, print_table
from deepmatrix.drawing.counted import COUNTED_SIGNS, sign
from deepmatrix.drawing.escaping import terminal
from deepmatrix.drawing.layout import (
    Column,
    Mood,
    Row,
    Table,
    native,
    shortened,
    shortened_name,
    without_empty_columns,
)
from deepmatrix.drawing.sparks import parts, sparkline
from deepmatrix.drawing.terminal import print_line
from deepmatrix.drawing.verdicts import MOODS
from deepmatrix.errors import ArgumentError
from deepmatrix.invocation import command_line
from deepmatrix.judging.verdicts import ORDER
from deepmatrix.reports import unfinished
from deepmatrix.reports.tables import slower
from deepmatrix.results.counting import EXPECTED, counted_as
from deepmatrix.results.remarks import caution_of, row_problem, worst_first
from deepmatrix.results.rows import CellRow, PortabilityRow, Results, TrainingRow

Value = TypeVar("Value")

#: A cell's name takes at most this share of the width, and the larger one to tell cells apart.
NAME_SHARE, TELLING_SHARE = 0.45, 0.75

#: So many problems are listed.
MOST_PROBLEMS = 8

#: So many names are listed where a part is in several.
MOST_NAMES = 5

#: The longest problem that is shown, in characters: four lines of a narrow terminal.
LONGEST_PROBLEM = 320


#: The greatest width of a sparkline.
SPARKS = 16


def show_run(console: Console, results: Results) -> None:
    """Print the first screen of a run: what is wrong, and a map of all verdicts."""
    good = unfinished.is_good(results)
    text = f"{'✓' if good else '✗'} {unfinished.expectation(results)}"
    print_line(console, f"{results.run}: {text}", STYLES["good" if good else "bad"])
    pending = unfinished.pending_problems(results)
    problems = worst_first(
        results.portability, [each for each in results.problems if each not in pending]
    )
    for problem in _with_causes(results, problems[:MOST_PROBLEMS]):
        print_line(console, f"  {shortened(problem, LONGEST_PROBLEM)}", STYLES["bad"])
    if unlisted := len(problems[MOST_PROBLEMS:]):
        print_line(console, f"  and {unlisted} more", STYLES["bad"])
    if pending:
        print_line(console, f"  {unfinished.describe(results)}", STYLES["warned"])
    if results.warnings:
        warnings = numbers.count(len(results.warnings), "warning")
        print_line(console, f"! {warnings} in report.md", STYLES["warned"])
    for sentence, _ in unfinished.idle_cells(results):
        print_line(console, shortened(sentence, LONGEST_PROBLEM), STYLES["muted"])
    if not_slower := slower.line(results):
        print_line(console, not_slower, STYLES["muted"])
    if results.slower:
        console.print()
        print_table(console, slower.table(results))
    if results.portability:
        console.print()
        _print_map(console, results)


def _with_causes(results: Results, problems: Sequence[str]) -> Iterator[str]:
    """Yield problems; a wrong answer with its cause, where that was searched."""
    causes = {
        row_problem(row): f"{row.title} on {row.consumer}: {row.verdict}: {row.cause.text}"
        for row in results.portability
        if row.cause
    }
    for problem in problems:
        yield causes.get(problem, problem)


def _print_map(console: Console, results: Results) -> None:
    """Print a line for each cell: its name, a sign for each artifact, and their latencies."""
    artifacts = list(dict.fromkeys(row.artifact for row in results.portability))
    by_cell: dict[str, dict[str, PortabilityRow]] = {}
    for row in results.portability:
        by_cell.setdefault(row.consumer, {})[row.artifact] = row
    times = _times(results)
    reach = (min(times.values()), max(times.values())) if times else None
    name_width = _name_width(list(by_cell), console.width)
    room = console.width - name_width - 2 * 2
    sparks = min(SPARKS, room // 2)
    map_width = max(room - sparks, 1)
    for cell, rows in by_cell.items():
        line = Text(terminal(_shortened(cell, name_width)).ljust(name_width) + "  ")
        judged = [rows.get(artifact) for artifact in artifacts]
        for group in parts(judged, map_width):
            line.append_text(_block(group))
        of_cell = [times.get((cell, name)) for name in artifacts]
        line.append("  " + sparkline(of_cell, sparks, reach))
        line.rstrip()
        console.print(line, no_wrap=True)
    console.print()
    print_line(console, _legend(len(artifacts), map_width), STYLES["muted"])


def _times(results: Results) -> dict[tuple[str, str], float]:
    """Return the median of the smallest batch, by cell and artifact."""
    times: dict[tuple[str, str], float] = {}
    for row in sorted(results.inference, key=lambda row: row.batch):
        times.setdefault((row.cell, row.subject), row.p50_s.median)
    return times


def _block(group: Sequence[PortabilityRow | None]) -> Text:
    """Return the sign of the worst verdict of a group."""
    present = [row for row in group if row is not None]
    if not present:
        return Text(" ")
    worst = max(present, key=_badness)
    return Text(sign(worst), style=STYLES[_mood(worst)])


def _badness(row: PortabilityRow) -> tuple[bool, int]:
    """Return how bad a verdict is: any match is better, any other failure worse than expected."""
    is_failure = row.verdict not in ("match", "not-run") and not _is_expected(row)
    return is_failure, ORDER.index(row.verdict)


def _is_expected(row: PortabilityRow) -> bool:
    return counted_as(row) == EXPECTED


def _mood(row: PortabilityRow) -> Mood:
    return "muted" if _is_expected(row) else MOODS[row.verdict]


def _word(row: PortabilityRow) -> str:
    """Return a verdict with its sign, and whether it is an expected failure."""
    return f"{sign(row)} {row.verdict}" + (f" ({EXPECTED})" if _is_expected(row) else "")


def _name_width(names: Sequence[str], width: int) -> int:
    """Return the least width of names that leaves most of them different."""
    longest = max(map(len, names), default=0)
    usual, most = (min(longest, int(width * share)) for share in (NAME_SHARE, TELLING_SHARE))
    return max(
        range(usual, most + 1),
        key=lambda size: (len({_shortened(name, size) for name in names}), -size),
    )


def _shortened(name: str, width: int) -> str:
    """Return a name cut in its middle: cells begin with their runtime and end with their device."""
    if len(name) <= width:
        return name
    end = (width - 1) // 2
    return f"{name[: width - 1 - end]}…{name[len(name) - end :]}"


def _legend(artifacts: int, width: int) -> str:
    signs = ", ".join(f"{sign} {word}" for word, sign in COUNTED_SIGNS.items())
    each = -(-artifacts // width)
    column = f"{each} artifacts, shown by the worst of them" if each > 1 else "an artifact"
    return (
        f"A column is {column}: {signs}. Blocks: latency, on a logarithmic scale. "
        "Name a cell for its artifacts."
    )


def find_cell(results: Results, name: str) -> CellRow:
    """Return the cell of a name, or of a part that only one has. Raises ArgumentError.

    Cells that did not run count only where none that ran has the part.
    """
    cells = {cell.cell: cell for cell in results.cells}
    ran = {full: cell for full, cell in cells.items() if cell.jobs and name in full}
    return _find(cells if name in cells or not ran else ran, name, "cell", "RUN")


def find_verdict(results: Results, cell: str, name: str) -> PortabilityRow:
    """Return a cell's verdict on an artifact, by its name or a part. Raises ArgumentError."""
    rows = {row.title: row for row in results.portability if row.consumer == cell}
    return _find(rows, name, "artifact", "RUN", cell)


def find_training(results: Results, cell: str, workload: str) -> TrainingRow | None:
    """Return a cell's training of a workload, by the whole name; None where it has none."""
    rows = (row for row in results.training if row.cell == cell and row.workload == workload)
    return next(rows, None)


def _find(by_name: dict[str, Value], name: str, kind: str, *shown: str) -> Value:
    """Return the value of a name, or of a part of it; *shown*: what of a run lists the names."""
    if name in by_name:
        return by_name[name]
    matching = [full for full in by_name if name in full]
    if len(matching) == 1:
        return by_name[matching[0]]
    if matching:
        more = ", …" if len(matching) > MOST_NAMES else ""
        raise ArgumentError(
            f"'{name}' names {len(matching)} {kind}s: {', '.join(matching[:MOST_NAMES])}{more}",
            hint="give more of the name",
        )
    raise ArgumentError(
        f"no {kind} '{name}'{did_you_mean(name, list(by_name))}",
        hint=f"`{command_line('show', *shown)}` lists them",
    )


def show_cell(console: Console, results: Results, cell: CellRow) -> None:
    """Print a cell: what it is, and its verdict on each artifact."""
    mood: Mood = "good" if cell.status == "ok" else "bad"
    reason = f": {cell.reason}" if cell.reason else ""
    print_line(console, f"{cell.cell}: {cell.status}{reason}", STYLES[mood])
    facts = {
        "version": cell.version,
        "image": cell.image_bytes and numbers.size(cell.image_bytes),
        "memory": cell.peak_memory_bytes and numbers.size(cell.peak_memory_bytes),
        "work": cell.work_s and native(numbers.duration(cell.work_s), cell.emulated),
    }
    if line := ", ".join(f"{word} {fact}" for word, fact in facts.items() if fact):
        print_line(console, line, STYLES["muted"])
    rows = [row for row in results.portability if row.consumer == cell.cell]
    if rows:
        console.print()
        times = _times(results)
        print_table(console, _verdicts(rows, times), titled=False)
    for trained in (row for row in results.training if row.cell == cell.cell):
        curve = _loss_curve(trained, SPARKS)
        print_line(console, f"trains {trained.workload}: {_training_facts(trained)}  {curve}")


def _training_facts(trained: TrainingRow) -> str:
    step = f"step {numbers.interval(trained.step_s)}" if trained.step_s else "not timed"
    return f"{trained.status}, {step}"


def _loss_curve(trained: TrainingRow, width: int) -> str:
    return sparkline([loss for _, loss, _ in trained.losses], width)


def show_training(console: Console, folder: Path, trained: TrainingRow) -> None:
    """Print a training: its numbers, its losses, and its files. *folder*: of the run."""
    mood: Mood = "good" if trained.status == "ok" else "bad"
    print_line(console, f"{trained.workload} trained on {trained.cell}", "bold")
    print_line(console, _training_facts(trained), STYLES[mood])
    if trained.reason:
        print_line(console, trained.reason)
    facts = {
        "accuracy": numbers.share(trained.accuracy),
        "output error": numbers.error(trained.output_error),
        "gradient error": numbers.error(trained.gradient_error),
        "loss error": numbers.error(trained.loss_error),
    }
    line = ", ".join(f"{word} {fact}" for word, fact in facts.items() if fact != numbers.DASH)
    if line:
        print_line(console, line, STYLES["muted"])
    if trained.losses:
        print_line(console, f"loss  {_loss_curve(trained, console.width - 30)}", wrap=False)
    for path in _job_files(folder, trained.cell, trained.workload):
        print_line(console, str(path), "cyan", wrap=False)


def _verdicts(rows: Sequence[PortabilityRow], times: dict[tuple[str, str], float]) -> Table:
    return without_empty_columns(
        Table(
            title="Verdicts",
            columns=(
                Column("artifact", key=True),
                Column("verdict", unbroken=True),
                Column("error", numeric=True),
                Column("of tolerance", optional=1),
                Column("p50", numeric=True, optional=2),
                Column("why", below=True),
            ),
            rows=tuple(_verdict(row, times.get((row.consumer, row.artifact))) for row in rows),
        )
    )


def _verdict(row: PortabilityRow, p50: float | None) -> Row:
    texts = (
        row.title,
        _word(row),
        numbers.error(row.error),
        numbers.meter(row.error, row.tolerance),
        numbers.duration(p50),
        row.cause.text if row.cause else row.reason or _caution(row),
    )
    mood = _mood(row)
    return Row(texts=texts, moods=("plain", mood, mood, mood, "plain", "plain"))


def _caution(row: PortabilityRow) -> str:
    text = caution_of(row)
    return f"proves little: {text}" if text else ""


def show_verdict(
    console: Console, folder: Path, row: PortabilityRow, samples: Sequence[Sequence[float]]
) -> None:
    """Print a verdict: its numbers by output, its cause, its samples, and its files.

    Args:
        console: prints.
        folder: of the run.
        row: the verdict.
        samples: seconds of the inferences of each round, in their order.
    """
    print_line(console, f"{row.title} on {row.consumer}", "bold")
    for line, mood in _facts(row):
        print_line(console, line, STYLES[mood])
    if row.cause and row.cause.reproduce:
        print_line(console, f"→ see it again: {row.cause.reproduce}", "cyan", wrap=False)
    if row.outputs:
        console.print()
        print_table(console, _outputs(row), titled=False)
    console.print()
    for number, round_samples in enumerate(samples):
        curve = sparkline(round_samples, console.width - 30)
        middle = numbers.duration(sorted(round_samples)[len(round_samples) // 2])
        line = f"round {number}: {middle}  {curve}"
        print_line(console, native(line, row.emulated), wrap=False)
    for path in _files(folder, row):
        print_line(console, str(path), "cyan", wrap=False)


def _facts(row: PortabilityRow) -> Iterator[tuple[str, Mood]]:
    tolerance = f", tolerance {numbers.error(row.tolerance)}: {row.basis}" if row.tolerance else ""
    yield (
        f"{_word(row)}, error {numbers.error(row.error)}{tolerance}",
        _mood(row),
    )
    if _is_expected(row):
        yield f"expected: {row.expected_failure}", "muted"
    if row.cause:
        yield row.cause.text, "plain"
    elif row.reason:
        yield row.reason, "plain"


def _outputs(row: PortabilityRow) -> Table:
    return without_empty_columns(
        Table(
            title="Outputs",
            columns=(
                Column("output", key=True),
                Column("error", numeric=True),
                Column("top-1", numeric=True, optional=1),
                Column("cosine", numeric=True, optional=2),
                Column("note", optional=3),
            ),
            rows=tuple(
                Row(
                    texts=(
                        shortened_name(output.name),
                        numbers.error(output.error),
                        numbers.share(output.top1),
                        numbers.cosine(output.cosine),
                        output.note or output.caution,
                    ),
                    moods=("plain",) * 5,
                )
                for output in row.outputs
            ),
        )
    )


def _files(folder: Path, row: PortabilityRow) -> Iterator[Path]:
    """Yield the records, logs and the folder of the cause, those that are there."""
    yield from _job_files(folder, row.consumer, row.artifact)
    cause = folder / "causes" / f"{row.title}--on--{row.consumer}"
    yield from [cause] if cause.is_dir() else []


def _job_files(folder: Path, cell: str, subject: str) -> Iterator[Path]:
    """Yield the records and logs of a job, also of what was retried, those that are there."""
    yield from sorted((folder / "records" / cell / subject).glob("r*.json"))
    yield from sorted((folder / "logs").glob(f"{cell}--{subject}--r*.log"))
