"""Results as JUnit XML, which CI systems show as tests."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from deepmatrix.drawing import numbers
from deepmatrix.drawing.escaping import xml
from deepmatrix.results.rows import PortabilityRow, Results, TrainingRow

EXPECTED = "expected failure"


def document(results: Results) -> str:
    """Return suites `cells`, `training` and `portability`, a test case a row, and `run`."""
    root = ET.Element("testsuites", name=xml(f"deepmatrix {results.run}"))
    _suite(
        root,
        "cells",
        [(row.cell, "cell", row.status, row.reason, "") for row in results.cells],
    )
    _suite(
        root,
        "training",
        [
            (row.workload, row.cell, *_status(row), numbers.interval(row.step_s))
            for row in results.training
        ],
    )
    _suite(
        root,
        "portability",
        [
            (row.title, row.consumer, *_status(row), numbers.error(row.error))
            for row in results.portability
        ],
    )
    problems = "; ".join(results.problems)
    verdict = ("all as expected", "run", "failed" if problems else "ok", problems, "")
    _suite(root, "run", [verdict])  # what the exit code says
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _status(row: TrainingRow | PortabilityRow) -> tuple[str, str]:
    """Return the status of a row and its reason; an expected failure has its own status."""
    status = row.status if isinstance(row, TrainingRow) else row.verdict
    return (
        (EXPECTED, f"{status}: {row.expected_failure}")
        if row.expected_failure
        else (status, row.reason)
    )


def _suite(root: ET.Element, name: str, cases: list[tuple[str, str, str, str, str]]) -> None:
    suite = ET.SubElement(root, "testsuite", name=name)
    counts = {"failures": 0, "skipped": 0}
    for case, group, status, reason, shown in cases:
        element = ET.SubElement(suite, "testcase", name=xml(case), classname=xml(group))
        if status in {"ok", "match"}:
            if shown:
                ET.SubElement(element, "system-out").text = xml(shown)
            continue
        skipped = status in {"not-run", EXPECTED}
        counts["skipped" if skipped else "failures"] += 1
        kind = "skipped" if skipped else "failure"
        ET.SubElement(element, kind, message=xml(f"{status}: {reason}"))
    suite.set("tests", str(len(cases)))
    for key, count in counts.items():
        suite.set(key, str(count))
