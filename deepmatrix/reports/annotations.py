"""The worst of a review as annotations of GitHub Actions, which stand beside the changed files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from deepmatrix.drawing.escaping import annotation, annotation_property
from deepmatrix.reports.review import Review, Wrong

#: A step of GitHub Actions shows so many errors; more of them are only in its log.
MOST = 10


def annotation_lines(review: Review) -> list[str]:
    """Return commands of GitHub Actions, one a line, the worst first and at most `MOST`."""
    return [*map(_wrong, review.wrong()), *_others(review)][:MOST]


def _wrong(wrong: Wrong) -> str:
    judged = wrong.judged
    path = PurePath(wrong.source)
    file = "" if path.is_absolute() else annotation_property(path.as_posix())
    title = annotation_property(f"{judged.title}: {judged.verdict} on {judged.consumer}")
    text = judged.cause.text if judged.cause else judged.message or judged.reason
    return f"::error {f'file={file},' if file else ''}title={title}::{annotation(text)}"


def _others(review: Review) -> Iterator[str]:
    for line in review.lost:
        yield f"::error title=lost::{annotation(line)}"
    for line in review.over_budget:
        yield f"::error title=broken budget::{annotation(line)}"
    for line in review.unserved:
        yield f"::error title=not served::{annotation(line)}"
