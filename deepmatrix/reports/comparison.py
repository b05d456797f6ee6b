"""A comparison on a console, as an HTML page, and as Markdown for a comment on a pull request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import PurePath
from statistics import median

from rich.console import Console

from deepmatrix.comparison.changes import ABSENT, Comparison, Side
from deepmatrix.comparison.limits import VOID
from deepmatrix.comparison.verdicts import meaning
from deepmatrix.drawing import numbers
from deepmatrix.drawing.console import STYLES, print_table
from deepmatrix.drawing.escaping import markdown as escape
from deepmatrix.drawing.escaping import markdown_prose
from deepmatrix.drawing.layout import Mood
from deepmatrix.drawing.terminal import print_line
from deepmatrix.reports import html
from deepmatrix.reports.html.pages import NO_RUNS
from deepmatrix.reports.markdown import markdown_table
from deepmatrix.reports.tables import comparison as tables

#: So many lines that break a limit are shown, and cells that are not timed named.
MOST_LINES = 5
MOST_CELLS = 3

#: What a size is that grew, and one that shrank, with the quantities of which it is said.
SIZE_WORDS = {
    ("larger", "smaller"): ("image", "artifact"),
    ("hungrier", "less hungry"): ("memory",),
}


def show_comparison(console: Console, comparison: Comparison) -> None:
    """Print what changed: the headline, then failures, verdicts, drifts, times, sizes."""
    text, mood = headline(comparison)
    print_line(console, text, STYLES[mood])
    for line in (sides(comparison), *versions(comparison)):
        print_line(console, line, STYLES["muted"])
    for table in tables.tables(comparison):
        console.print()
        print_table(console, table)
    console.print()
    for line in remarks(comparison):
        print_line(console, line, STYLES["muted"])
    for line in shortened(comparison.broken):
        print_line(console, f"✗ {line}", STYLES["bad"])


def comparison_page(comparison: Comparison) -> str:
    """Return a comparison as Markdown, one screen."""
    text, _ = headline(comparison)
    parts = [f"### {escape(text)}", *map(escape, (sides(comparison), *versions(comparison)))]
    if comparison.broken:
        lines = (f"- {escape(line)}" for line in shortened(comparison.broken))
        parts.append("\n".join(["**Limits that are broken:**", "", *lines]))
    for table in tables.tables(comparison):
        parts.append(markdown_table(table).replace("## ", "#### ", 1))
    parts.append("\n".join(f"- {markdown_prose(line)}" for line in remarks(comparison)))
    return "\n\n".join(part for part in parts if part) + "\n"


def comparison_html(comparison: Comparison, runs: Mapping[str, html.Evidence] = NO_RUNS) -> str:
    """Return a comparison as an HTML page: what breaks a limit first, then all changes.

    *runs*: where the files of the two sides are, ``base`` and ``head``.
    """
    text, mood = headline(comparison)
    runs = {
        side: replace(evidence, report=f"{tables.SIDES[side]} report")
        for side, evidence in runs.items()
    }
    return html.tables_page(
        f"Comparison {sides(comparison)}",
        tables.tables(comparison, whole=True),
        runs,
        headline=text,
        mood=mood,
        about=list(versions(comparison)),
        broken=comparison.broken,
        remarks=list(remarks(comparison)),
    )


#: The changes that are good ones, as `headline` counts them.
BETTER = {"better verdict", "faster", *(smaller for _, smaller in SIZE_WORDS)}


def _size_counts(comparison: Comparison) -> Iterator[tuple[int, str, str]]:
    """Yield how many sizes grew and how many shrank, with the word for one and for several."""
    for words, quantities in SIZE_WORDS.items():
        ratios = [size.ratio for size in comparison.sizes if size.quantity in quantities]
        grown = sum(ratio > 1 for ratio in ratios)
        for count, word in zip((grown, len(ratios) - grown), words, strict=True):
            yield count, word, word


def headline(comparison: Comparison, *, reviewed: bool = False) -> tuple[str, Mood]:
    """Return what changed in one line, and how good that is.

    *reviewed*: a new failure that breaks no limit is not bad.
    """
    meanings = Counter(map(meaning, comparison.changes))
    counts = [
        (len(comparison.failures), "new failure", "new failures"),
        (meanings["expected failure"], "new expected failure", "new expected failures"),
        (meanings["other"], "other verdict", "other verdicts"),
        (meanings["better"], "better verdict", "better verdicts"),
        (len(comparison.drifts), "error that grew", "errors that grew"),
        (len(comparison.slower), "slower", "slower"),
        (len(comparison.faster), "faster", "faster"),
        *_size_counts(comparison),
    ]
    phrases = [
        f"{count} {singular if count == 1 else plural}"
        for count, singular, plural in counts
        if count
    ]
    is_bad = bool(comparison.broken or (comparison.failures and not reviewed))
    if comparison.is_void:
        told = "; ".join(filter(None, [VOID, ", ".join(phrases)]))
        return (f"✗ {told}", "bad") if is_bad else (f"• {told}", "warned")
    untimed = "; no times compared" if comparison.lacks_times else ""
    changed = ", ".join(phrases) or f"nothing changed{untimed}"
    if comparison.broken:
        count = len(comparison.broken)
        broken = f"{count} limit{'s' * (count > 1)} broken"
        return f"✗ {broken}: {changed}", "bad"
    if all(singular in BETTER for count, singular, _ in counts if count):
        return f"✓ {changed}", "good"
    return (f"✗ {changed}", "bad") if is_bad else (f"• {changed}", "warned")


def sides(comparison: Comparison) -> str:
    """Return which two are compared."""
    return f"from {_side(comparison.base)} to {_side(comparison.head)}"


def versions(comparison: Comparison) -> Iterator[str]:
    """Yield which cells ran in another version on each side."""
    for other in comparison.other_versions:
        yield f"another version: {other.base}, now {other.head} ({_named(other.cells)})"


def _side(side: Side) -> str:
    is_named = not side.run or side.run in PurePath(side.name).parts
    details = [] if is_named else [f"run {side.run}"]
    details += [f"{numbers.minute(side.created)} UTC"] if side.created else []
    return f"{side.name} ({', '.join(details)})" if details else side.name


def remarks(comparison: Comparison) -> Iterator[str]:
    """Yield what cannot be told, and why."""
    added = f", {comparison.added} new ones" if comparison.added else ""
    gone = f", {comparison.gone} gone that had not run, or might fail" if comparison.gone else ""
    yield f"the same: {numbers.count(comparison.unchanged, 'verdict')}{added}{gone}"
    if lost := sum(change.head == ABSENT for change in comparison.failures):
        how = (
            "; make it from a run of the same cells"
            if comparison.base.run
            else (
                ": make a baseline from the cells that are served here, by the same --engine and "
                "--native: --update-baseline with a run of CI itself"
            )
        )
        yield f"the later side does not have {numbers.count(lost, 'verdict')}{how}"
    if comparison.other_files:
        named = ", ".join(comparison.other_files)
        yield f"another file under the same name, so anything may differ by that: {named}"
    if comparison.other_inputs:
        named = ", ".join(comparison.other_inputs)
        yield f"served with other inputs, so errors and times may differ by that: {named}"
    if comparison.times:
        untold = [change for change in comparison.times if change.word == "cannot tell"]
        if untold:
            reach = 100 * (median(change.high / change.ratio for change in untold) - 1)
            yield (
                f"cannot tell for {len(untold)} of {len(comparison.times)} times: equal, or too "
                f"noisy; half of their intervals reach more than {reach:.1f} % to a side"
            )
    for reason, cells in _unrepeated(comparison).items():
        yield f"not measured again, so the first measurement counts: {reason} ({_named(cells)})"
    if comparison.lost_times:
        times = numbers.count(len(comparison.lost_times), "time")
        first = comparison.lost_times[0]
        yield (
            f"the later side does not have {times}, such as {first.quantity} of {first.subject} on "
            f"{first.cell}: a job has no time where it failed or is only checked, and no start "
            "where another job came before it in its process"
        )
    if comparison.single:
        times = numbers.count(comparison.single, "time")
        yield (
            f"too few rounds on a side to tell anything: {times}; for more, take a preset with "
            "several, or `compare --with`"
        )
    for group in comparison.untimed:
        named = _named(group.cells)
        yield f"another machine, so times are not compared: {group.reason} ({named})"


def _unrepeated(comparison: Comparison) -> dict[str, dict[str, None]]:
    """Return the cells with times that were not measured again, by the reason."""
    reasons: dict[str, dict[str, None]] = {}
    for change in comparison.times:
        if change.unrepeated:
            reasons.setdefault(change.unrepeated, {})[change.cell] = None
    return reasons


def _named(cells: Collection[str]) -> str:
    """Return the names of the first cells, and how many more there are."""
    unlisted = f" and {len(cells) - MOST_CELLS} more" if len(cells) > MOST_CELLS else ""
    return ", ".join([*cells][:MOST_CELLS]) + unlisted


def shortened(lines: tuple[str, ...]) -> list[str]:
    """Return the first lines, and how many more there are."""
    if len(lines) <= MOST_LINES + 1:
        return list(lines)
    return [*lines[:MOST_LINES], f"and {len(lines) - MOST_LINES} more; --json has all"]
