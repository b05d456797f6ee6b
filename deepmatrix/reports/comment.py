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
        _list("Wrong", [_wrong(review, entry) for entry in review.wrong()], MOST_WRONG),
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


def _wrong(review: Review, wrong: Wrong) -> str:
    """Return a wrong verdict in one line, with its first wrong node where that was found."""
    judged = wrong.judged
    place = f" ({escape(wrong.place)})" if wrong.place and len(review.runs) > 1 else ""
    line = f"{escape(judged.title)} on {markdown_code(judged.consumer)}{place}: {judged.verdict}"
    cause = judged.cause
    if cause and cause.node:
        as_on = f", as on {markdown_code(cause.as_on)}" if cause.as_on else ""
        line += f", first wrong node {markdown_code(cause.node)}{as_on}"
    if judged.verdict == "drift" and (judged.share_of_tolerance or 0) > 1:
        error, tolerance = numbers.error(judged.error), numbers.error(judged.tolerance)
        return f"{line}: the error is {error}, the tolerance {tolerance}"
    explained = cause.text if cause and not cause.node else ""
    return f"{line}: {_short(explained or judged.reason or judged.message)}"


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
