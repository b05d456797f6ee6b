"""Results as JUnit XML, which CI systems show as tests."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from deepmatrix.drawing import numbers
from deepmatrix.drawing.escaping import xml
from deepmatrix.reports.review import Review
from deepmatrix.results import remarks
from deepmatrix.results.rows import PortabilityRow, Results, TrainingRow

EXPECTED, ACCEPTED = "expected failure", "accepted"


def document(results: Results) -> str:
    """Return suites `cells`, `training` and `portability`, a test case a row, and `run`."""
    return _page(f"deepmatrix {results.run}", Review(runs=(results,)))


def review_document(review: Review) -> str:
    """Return the suites of all runs of a review: a failure that its comparison accepts is none."""
    return _page("deepmatrix review", review)


def _page(title: str, review: Review) -> str:
    root = ET.Element("testsuites", name=xml(title))
    for results in review.runs:
        _add_suites(root, results, review)
    problems = "; ".join(review.failures)
    verdict = ("all as expected", "run", "failed" if problems else "ok", problems, "")
    _suite(root, "run", [verdict])  # what the exit code says
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _add_suites(root: ET.Element, results: Results, review: Review) -> None:
    _suite(
        root,
        "cells",
        [(row.cell, "cell", row.status, row.reason, "") for row in results.cells],
    )
    _suite(
        root,
        "training",
        [
            (row.workload, row.cell, *_status(row, review), numbers.interval(row.step_s))
            for row in results.training
        ],
    )
    _suite(
        root,
        "portability",
        [
            (row.title, row.consumer, *_status(row, review), numbers.error(row.error))
            for row in results.portability
        ],
    )


def _status(row: TrainingRow | PortabilityRow, review: Review) -> tuple[str, str]:
    """Return the status of a row and its reason; one that may fail has its own status."""
    if isinstance(row, TrainingRow):
        status, cell, subject = row.status, row.cell, row.workload
    else:
        status, cell, subject = row.verdict, row.consumer, row.title
    if row.expected_failure:
        return EXPECTED, f"{status}: {row.expected_failure}"
    if status not in {*remarks.SUCCESS, "not-run"} and review.accepts(cell, subject):
        return ACCEPTED, f"{status}: {row.reason}"
    return status, row.reason


def _suite(root: ET.Element, name: str, cases: list[tuple[str, str, str, str, str]]) -> None:
    suite = ET.SubElement(root, "testsuite", name=name)
    counts = {"failures": 0, "errors": 0, "skipped": 0}
    for case, group, status, reason, shown in cases:
        element = ET.SubElement(suite, "testcase", name=xml(case), classname=xml(group))
        if status in remarks.SUCCESS:
            if shown:
                ET.SubElement(element, "system-out").text = xml(shown)
            continue
        skipped = status in {"not-run", EXPECTED, ACCEPTED}
        counts["skipped" if skipped else "failures"] += 1
        kind = "skipped" if skipped else "failure"
        ET.SubElement(element, kind, message=xml(f"{status}: {reason}"))
    suite.set("tests", str(len(cases)))
    for key, count in counts.items():
        suite.set(key, str(count))
