"""Results as JUnit XML, which CI systems show as tests."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Literal

from deepmatrix.drawing import numbers
from deepmatrix.drawing.escaping import xml
from deepmatrix.reports.review import Review
from deepmatrix.results import remarks
from deepmatrix.results.rows import CellRow, PortabilityRow, Results, TrainingRow

Ending = Literal["passed", "failure", "skipped"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A test, of the class *group*.

    *reason*: why it ended so; of one that passed, what it measured. *details*: the cause.
    """

    name: str
    group: str
    ending: Ending
    reason: str = ""
    details: str = ""


def document(results: Results) -> str:
    """Return suites `cells`, `training` and `portability`, a test case a row, and `run`."""
    return _page(f"deepmatrix {results.run}", Review(runs=(results,)))


def review_document(review: Review) -> str:
    """Return the suites of all runs of a review: what does not fail it is no failed test."""
    return _page("deepmatrix review", review)


def _page(title: str, review: Review) -> str:
    root = ET.Element("testsuites", name=xml(title))
    for results in review.runs:
        _add_suites(root, results, review)
    problems = "; ".join(review.failures)
    ending: Ending = "failure" if problems else "passed"
    whole = Case(name="all as expected", group="run", ending=ending, reason=problems)
    _suite(root, "run", [whole])  # what the exit code says
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _add_suites(root: ET.Element, results: Results, review: Review) -> None:
    training = [_case(row, results, review) for row in results.training]
    portability = [_case(row, results, review) for row in results.portability]
    failing = {case.group for case in (*training, *portability) if case.ending == "failure"}
    cells = [_cell(row, results, fails=row.cell in failing) for row in results.cells]
    suites = {"cells": cells, "training": training, "portability": portability}
    for name, cases in suites.items():
        _suite(root, name, cases, results.run if len(review.runs) > 1 else "")


def _cell(row: CellRow, results: Results, *, fails: bool) -> Case:
    ending, reason = _cell_ending(row, results, fails=fails)
    return Case(name=row.cell, group="cell", ending=ending, reason=reason)


def _case(row: TrainingRow | PortabilityRow, results: Results, review: Review) -> Case:
    ending, reason = _ending(row, results, review)
    if isinstance(row, TrainingRow):
        return Case(name=row.workload, group=row.cell, ending=ending, reason=reason)
    details = _details(row) if ending == "failure" else ""
    return Case(name=row.title, group=row.consumer, ending=ending, reason=reason, details=details)


def _details(judged: PortabilityRow) -> str:
    """Return the cause of a wrong answer, and the command that shows it again."""
    if judged.cause is None:
        return judged.message
    again = judged.cause.reproduce
    return judged.cause.text + (f"\nsee it again: {again}" if again else "")


def _cell_ending(row: CellRow, results: Results, *, fails: bool) -> tuple[Ending, str]:
    """Return how the test of a cell ended. *fails*: one of its trainings or verdicts does."""
    problem = remarks.cell_problem(row)
    if problem and problem in results.problems:
        return "failure", problem
    if row.status in remarks.SUCCESS:
        return "passed", ""
    outcome = f"{row.status}: {row.reason}"
    return ("failure" if fails else "skipped"), outcome


def _ending(
    row: TrainingRow | PortabilityRow, results: Results, review: Review
) -> tuple[Ending, str]:
    """Return how the test of a row ended, and why; one that may fail is skipped."""
    if line := review.failure(results, row):
        return "failure", line
    if isinstance(row, TrainingRow):
        status, judges, measured = row.status, False, numbers.interval(row.step_s)
    else:
        status, judges, measured = row.verdict, row.judges, numbers.error(row.error)
    if status in remarks.SUCCESS:
        return "passed", measured
    if row.expected_failure:
        return "skipped", f"expected failure: {status}: {row.expected_failure}"
    outcome = f"{status}: {row.reason}"
    if judges:
        return "skipped", f"it judges the model, and is no consumer: {outcome}"
    excuse = review.excuse(row)
    return "skipped", f"{excuse}: {outcome}" if excuse else outcome


def _suite(root: ET.Element, name: str, cases: list[Case], run: str = "") -> None:
    """Add a suite. *run*: its run, where there are several: GitLab takes tests of a name once."""
    suite = ET.SubElement(root, "testsuite", name=name, tests=str(len(cases)))
    endings = [case.ending for case in cases]
    suite.set("failures", str(endings.count("failure")))
    suite.set("errors", "0")
    suite.set("skipped", str(endings.count("skipped")))
    for case in cases:
        group = f"{run}.{case.group}" if run else case.group
        element = ET.SubElement(suite, "testcase", name=xml(case.name), classname=xml(group))
        if case.ending != "passed":
            outcome = ET.SubElement(element, case.ending, message=xml(case.reason))
            outcome.text = xml(case.details) or None
        elif case.reason:
            ET.SubElement(element, "system-out").text = xml(case.reason)
