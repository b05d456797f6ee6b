"""The worst of a review as annotations of GitHub Actions, which stand beside the changed files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePath

from deepmatrix.comparison.changes import ABSENT
from deepmatrix.comparison.limits import describe_verdict
from deepmatrix.drawing.escaping import annotation, annotation_property
from deepmatrix.reports.review import Review, Wrong

#: A step of GitHub Actions shows so many errors; more of them are only in its log.
MOST = 10


def annotation_lines(review: Review) -> list[str]:
    """Return commands of GitHub Actions, one a line, the worst first and at most `MOST`.

    What is lost comes first, and a limit that a wrong verdict breaks is told by the verdict.
    """
    lost, others = _broken(review)
    wrong = map(_wrong, review.wrong())
    return [*_lines("lost", review.lost), *lost, *wrong, *others, *_rest(review)][:MOST]


def _broken(review: Review) -> tuple[list[str], list[str]]:
    """Return the lines of broken limits: of lost consumers, and of what is no wrong verdict."""
    if review.comparison is None:
        return [], []
    wrong = {(entry.judged.consumer, entry.judged.title) for entry in review.wrong()}
    lost, told = set(), set()
    for change in (*review.comparison.failures, *review.comparison.drifts):
        line = describe_verdict(change)
        if change.head == ABSENT:
            lost.add(line)
        elif (change.cell, change.subject) in wrong:
            told.add(line)
    lines = {line: line.partition(": ")[2] for line in review.comparison.broken}
    return (
        list(_lines("broken limit", [line for line in lines if lines[line] in lost])),
        list(_lines("broken limit", [line for line in lines if lines[line] not in lost | told])),
    )


def _wrong(wrong: Wrong) -> str:
    judged = wrong.judged
    path = PurePath(wrong.source)
    file = "" if path.is_absolute() else annotation_property(path.as_posix())
    title = annotation_property(f"{judged.title}: {judged.verdict} on {judged.consumer}")
    text = judged.cause.text if judged.cause else judged.message or judged.reason
    return f"::error {f'file={file},' if file else ''}title={title}::{annotation(text)}"


def _rest(review: Review) -> Iterator[str]:
    yield from _lines("broken budget", review.over_budget)
    yield from _lines("not served", review.unserved)


def _lines(title: str, texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        yield f"::error title={title}::{annotation(text)}"
