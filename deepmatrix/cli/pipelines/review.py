"""``review``: what several runs say of a change, as a comment, a job summary and annotations."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from deepmatrix import reports
from deepmatrix.boundary.writing import write_named
from deepmatrix.cli import options as shared
from deepmatrix.comparison.reading import read_comparison, read_results
from deepmatrix.drawing.terminal import make_console, print_line
from deepmatrix.errors import ArgumentError, CellFailed
from deepmatrix.reports.review import Review
from deepmatrix.results.rows import Results


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "runs_of_change",
        nargs="*",
        type=Path,
        metavar="RUN",
        help="the runs of one change, each a run or a results.json",
    )
    parser.add_argument(
        "--comparison",
        type=Path,
        metavar="FILE",
        help="what `compare --json` wrote: its limits then decide on verdicts",
    )
    shared.add_repeated(
        parser,
        "--lost",
        metavar="TEXT",
        help="what left no results, such as a job of CI that was cancelled: it fails the review",
    )
    parser.add_argument(
        "--comment", type=Path, metavar="FILE", help="write one screen of Markdown, for a comment"
    )
    parser.add_argument(
        "--summary",
        type=Path,
        metavar="FILE",
        help="write the comment and all reports, as long as a job summary may be",
    )
    parser.add_argument(
        "--junit",
        type=Path,
        metavar="FILE",
        help="write the verdicts as tests in JUnit XML; what the comparison accepts is skipped",
    )
    parser.add_argument(
        "--annotations",
        action="store_true",
        help="print the worst as annotations of GitHub Actions",
    )
    parser.add_argument(
        "--link", type=_link, metavar="URL", help="the page of CI's run, for the comment"
    )
    shared.add_runs(parser)


def run(options: argparse.Namespace) -> None:
    """Summarise the runs of one change for CI, and fail if one of them is not as expected."""
    if not options.runs_of_change and not options.lost:
        raise ArgumentError("no run is named", hint="name the runs of the change")
    review = Review(
        runs=tuple(_results(path, options.runs) for path in options.runs_of_change),
        comparison=read_comparison(options.comparison) if options.comparison else None,
        lost=tuple(options.lost),
    )
    if options.comment:
        write_named(options.comment, reports.comment_page(review, options.link or ""))
    if options.summary:
        write_named(options.summary, reports.summary_page(review, options.link or ""))
    if options.junit:
        write_named(options.junit, reports.review_document(review))
    if options.annotations:
        for line in reports.annotation_lines(review):
            print(line)
    console = make_console()
    for line in review.failures:
        print_line(console, f"✗ {line}", "red")
    if count := len(review.failures):
        raise CellFailed(f"{count} problem{'s' * (count > 1)}, listed above")
    print_line(console, "✓ as expected", "green")


def _results(path: Path, parent: Path) -> Results:
    """Return what a run reported, its budgets too. Raises RecordError where it cannot be read."""
    for folder in (path, parent / path):
        if (reported := folder / "results.json").is_file():
            return read_results(reported, parent)
    return read_results(path, parent)


def _link(text: str) -> str:
    if not re.fullmatch(r"https?://[!-'*-;=?-~]{1,2000}", text):
        raise argparse.ArgumentTypeError(
            f"'{text[:80]}' is not the address of a page; write https://HOST/PATH without spaces, "
            "brackets and quotes"
        )
    return text
