"""The worst of a review as annotations of GitHub Actions, which stand beside the changed files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath

from deepmatrix.comparison.changes import ABSENT, Comparison
from deepmatrix.comparison.limits import describe_broken
from deepmatrix.drawing import numbers
from deepmatrix.drawing.escaping import annotation, annotation_property
from deepmatrix.reports.review import Review, Wrong

#: A step of GitHub Actions shows so many errors; more of them are only in its log.
MOST = 10


def annotation_lines(review: Review) -> list[str]:
    """Return commands of GitHub Actions, one a line, the worst first and at most `MOST`.

    What is lost comes first, and a limit that a wrong verdict breaks is told by the verdict.
    """
    compared = review.comparison
    lost = _lost(compared) if compared else []
    told = {*lost, *(entry.line for entry in review.wrong)}
    others = [line for line in compared.broken if line not in told] if compared else []
    return [
        *_lines("lost", review.lost),
        *_lines("broken limit", lost),
        *map(_fault, review.faults()),
        *_lines("broken limit", others),
        *_lines("broken budget", review.over_budget),
        *_lines("not served", review.unserved),
    ][:MOST]


def _lost(comparison: Comparison) -> list[str]:
    """Return the lines of consumers that are gone, where that breaks a limit."""
    changes = comparison.failures
    return [
        describe_broken(change) for change in changes if change.breaks and change.head == ABSENT
    ]


def _fault(fault: Sequence[Wrong]) -> str:
    wrong, judged = fault[0], fault[0].judged
    path = PurePath(wrong.source)
    file = "" if path.is_absolute() else annotation_property(path.as_posix())
    more = f" and {numbers.count(len(fault) - 1, 'other cell')}" if len(fault) > 1 else ""
    title = annotation_property(f"{judged.title}: {judged.verdict} on {judged.consumer}{more}")
    text = annotation(wrong.explanation)
    return f"::error {f'file={file},' if file else ''}title={title}::{text}"


def _lines(title: str, texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        yield f"::error title={title}::{annotation(text)}"
