"""The study's statements as data: what each says, and the checks that decide it.

``docs/claims.yaml`` has them, in our own words. *then* checks the systems of the study, *now* their
successors.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from deepmatrix.config import documents
from deepmatrix.config.documents import Problem, Section, Text, did_you_mean
from deepmatrix.paths import CLAIMS
from deepmatrix.study.checks import Check, FigureCheck, ProbeCheck
from deepmatrix.workloads.probes import NAMES as PROBES

AREAS = (
    "modeling capability",
    "interfaces",
    "model deployment",
    "performance",
    "architecture",
    "ecosystem",
    "cross-platform",
)


class Statement(Section):
    """One statement."""

    says: Text
    then: Check | None = None
    now: Check | None = None


class Statements(Section):
    """The document: statements by the area of the study."""

    version: Literal[1]
    claims: dict[Text, tuple[Statement, ...]]


def load(path: Path = CLAIMS) -> Statements:
    """Load and check the statements.

    Raises:
        ArgumentError: the file does not exist.
        ConfigError: it is wrong; one line a problem, each ``name:line:column: what``.
    """
    return documents.load(path, Statements, _problems)


def _problems(document: Statements) -> Iterator[Problem]:
    for area, statements in document.claims.items():
        if area not in AREAS:
            yield ("claims", area), f"no area '{area}'{did_you_mean(area, AREAS)}", True
        for index, statement in enumerate(statements):
            if statement.then is None and statement.now is None:
                message = "nothing decides it: write 'then', 'now' or both"
                yield ("claims", area, index), message, False
            for period in ("then", "now"):
                for message in _check_problems(getattr(statement, period)):
                    yield ("claims", area, index, period), message, False


def _check_problems(check: Check | None) -> Iterator[str]:
    match check:
        case ProbeCheck() if check.probe not in PROBES:
            yield f"no probe '{check.probe}'{did_you_mean(check.probe, PROBES)}"
        case FigureCheck() if (check.at_least is None) == (check.at_most is None):
            yield "a figure needs one of 'at_least' and 'at_most'"
