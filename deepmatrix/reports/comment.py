"""A review as one screen of Markdown, for a comment on a pull request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deepmatrix.comparison.changes import Comparison
from deepmatrix.comparison.limits import describe_size, describe_time, describe_verdict
from deepmatrix.drawing import numbers
from deepmatrix.drawing.escaping import markdown as escape
from deepmatrix.drawing.escaping import markdown_code
from deepmatrix.drawing.layout import Mood, shortened
from deepmatrix.reports.comparison import headline
from deepmatrix.reports.markdown import cut, document
from deepmatrix.reports.review import Review, Wrong
from deepmatrix.reports.tables.own_models import headlines

#: The first line of a comment, by which the one of an earlier run is found and replaced.
MARKER = "<!-- deepmatrix: review -->"

#: So many models, wrong verdicts and lines of a list are shown, so that all fit on one screen.
MOST_MODELS = 8
MOST_WRONG = 5
MOST_LINES = 5

#: So many consumers of one fault are named.
MOST_CELLS = 3

#: The longest line of a list, in characters.
LONGEST_LINE = 300

_SYMBOLS: dict[Mood, str] = {"good": "✓", "bad": "✗"}


def comment_page(review: Review, link: str = "") -> str:
    """Return the verdict, what is lost or wrong first, the broken budgets and what changed.

    *link*: the address of the whole run.
    """
    failures = review.failures
    verdict = f"✗ {numbers.count(len(failures), 'problem')}" if failures else "✓ as expected"
    parts = [
        f"{MARKER}\n### deepmatrix: {verdict}",
        _list("Lost", [_short(line) for line in review.lost], MOST_LINES),
        _list("", list(_models(review)), MOST_MODELS),
        _list("Wrong", [_fault(review, fault) for fault in review.faults()], MOST_WRONG),
        _list("Broken budgets", [escape(line) for line in review.over_budget], MOST_LINES),
        _list("Not served", [_short(line) for line in review.unserved], MOST_LINES),
        _changes(review.comparison) if review.comparison else "",
        f"[All tables, logs and causes]({link})" if link else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def summary_page(review: Review, link: str = "") -> str:
    """Return the comment and the reports of all runs, as long as a job summary may be."""
    pages = [comment_page(review, link), *map(document, review.runs)]
    return cut("\n".join(pages))


def _models(review: Review) -> Iterator[str]:
    for model, rows, fails in review.models():
        text, mood = headlines.summarise(model, rows)
        is_accepted = mood == "bad" and not fails
        yield f"{'○' if is_accepted else _SYMBOLS.get(mood, '○')} {escape(text)}"


def _fault(review: Review, fault: Sequence[Wrong]) -> str:
    """Return wrong verdicts of one cause in one line; the cause's files are with the run."""
    judged = fault[0].judged
    parts = [f"{escape(judged.title)} on {_consumers(review, fault)}: {judged.verdict}"]
    cause = judged.cause
    if cause and cause.kind == "runtime" and cause.node:
        where = "" if cause.only_node else ", also alone" if cause.alone else ", only in the model"
        as_on = f", as on {markdown_code(cause.as_on)}" if cause.as_on else ""
        parts[0] += f", first wrong node {markdown_code(cause.node)}{as_on or where}"
        parts.append(_short(cause.hint))
    elif cause:
        parts.append(_short(cause.text))
    share = judged.share_of_tolerance or 0
    if judged.verdict == "drift" and share > 1:
        error, tolerance = numbers.error(judged.error), numbers.error(judged.tolerance)
        which = "the largest error" if len(fault) > 1 else "the error"
        parts.append(f"{which} is {error}, the tolerance {tolerance}")
    elif not cause:
        parts.append(_short(judged.reason or judged.message))
    return ": ".join(filter(None, parts))


def _consumers(review: Review, fault: Sequence[Wrong]) -> str:
    """Return the consumers of a fault: some by name, with where they ran, and how many more."""
    names = [_consumer(review, wrong) for wrong in fault[:MOST_CELLS]]
    more = len(fault) - len(names)
    return ", ".join(names) + (f" and {numbers.count(more, 'other cell')}" if more else "")


def _consumer(review: Review, wrong: Wrong) -> str:
    place = f" ({escape(wrong.place)})" if wrong.place and len(review.runs) > 1 else ""
    return f"{markdown_code(wrong.judged.consumer)}{place}"


def _changes(comparison: Comparison) -> str:
    """Return what changed against a baseline: what breaks a limit first."""
    text, _ = headline(comparison, reviewed=True)
    lines = list(comparison.broken)
    if not lines:
        verdicts = (*comparison.failures, *comparison.drifts, *comparison.changes)
        lines = [
            *map(describe_verdict, verdicts),
            *map(describe_time, (*comparison.slower, *comparison.faster)),
            *map(describe_size, comparison.sizes),
        ]
    title = f"**Against {escape(comparison.base.name)}:** {escape(text)}"
    return "\n\n".join(filter(None, [title, _list("", [_short(line) for line in lines])]))


def _list(title: str, lines: Sequence[str], most: int = MOST_LINES) -> str:
    """Return a list of at most *most* lines of Markdown under a title, empty without lines."""
    if not lines:
        return ""
    shown = [f"- {line}" for line in lines[:most]]
    shown += [f"- and {len(lines) - most} more"] if len(lines) > most else []
    return "\n".join([*([f"**{title}**", ""] if title else []), *shown])


def _short(text: str) -> str:
    return escape(shortened(text, LONGEST_LINE))
