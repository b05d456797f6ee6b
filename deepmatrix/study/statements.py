"""The study's statements as data: what each says, and the checks that decide it.

``docs/claims.yaml`` has them, in our own words, each with the lines of the study's text and the few
words in them that it rests on. *then* checks the systems of the study, *now* their successors.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveInt

from deepmatrix.config import documents
from deepmatrix.config.documents import Problem, Section, Text, did_you_mean
from deepmatrix.paths import CLAIMS
from deepmatrix.study.checks import Check, FigureCheck, ProbeCheck
from deepmatrix.workloads.probes import NAMES as PROBES

#: The study's areas, and their first and last lines in its text: one line a paragraph, at commit
#: b8113bd of December 2016.
AREAS = {
    "modeling capability": (28, 76),
    "interfaces": (77, 96),
    "model deployment": (97, 119),
    "performance": (120, 142),
    "architecture": (143, 169),
    "ecosystem": (170, 176),
    "cross-platform": (177, 180),
}

#: So many words of the study may be quoted for one statement.
LONGEST_QUOTE = 25


class Statement(Section):
    """One statement. *lines*: of the study's text. *quote*: words that are in one of them."""

    says: Text
    lines: tuple[PositiveInt, ...] = Field(min_length=1)
    quote: Text
    then: Check | None = None
    now: Check | None = None


class EarlierStatement(Section):
    """A statement of the first edition, and what became of it.

    The same words among today's: it stayed. *restated*: today's statements that replace it; none:
    it was taken out. *because*: why, or what changed in how it is decided.
    """

    says: Text
    restated: tuple[Text, ...] = ()
    because: Text | None = None


class Statements(Section):
    """The document: statements by the area of the study, and those of the first edition."""

    version: Literal[1]
    claims: dict[Text, tuple[Statement, ...]]
    earlier: tuple[EarlierStatement, ...] = ()

    @property
    def today(self) -> list[str]:
        """What all statements of today say."""
        return [statement.says for statements in self.claims.values() for statement in statements]

    @property
    def added(self) -> list[str]:
        """What those say that no earlier statement became."""
        known = {says for earlier in self.earlier for says in (earlier.says, *earlier.restated)}
        return [says for says in self.today if says not in known]


def load(path: Path = CLAIMS) -> Statements:
    """Load and check the statements.

    Raises:
        ArgumentError: the file does not exist.
        ConfigError: it is wrong; one line a problem, each ``path:line:column: what``.
    """
    return documents.load(path, Statements, _problems)


def _problems(document: Statements) -> Iterator[Problem]:
    for area, statements in document.claims.items():
        if area not in AREAS:
            yield ("claims", area), f"no area '{area}'{did_you_mean(area, AREAS)}", True
        for index, statement in enumerate(statements):
            for message in _quotation_problems(area, statement):
                yield ("claims", area, index), message, False
            if statement.then is None and statement.now is None:
                message = "nothing decides it: write 'then', 'now' or both"
                yield ("claims", area, index), message, False
            for period in ("then", "now"):
                for message in _check_problems(getattr(statement, period)):
                    yield ("claims", area, index, period), message, False
    for index, message in _earlier_problems(document):
        yield ("earlier", index), message, False


def _quotation_problems(area: str, statement: Statement) -> Iterator[str]:
    first, last = AREAS.get(area, (1, max(statement.lines)))
    for line in statement.lines:
        if not first <= line <= last:
            yield f"line {line} is not of the study's {area}, lines {first} to {last}"
    words = len(statement.quote.split())
    if words > LONGEST_QUOTE:
        yield f"the quote has {words} words, more than {LONGEST_QUOTE}"


def _check_problems(check: Check | None) -> Iterator[str]:
    match check:
        case ProbeCheck() if check.probe not in PROBES:
            yield f"no probe '{check.probe}'{did_you_mean(check.probe, PROBES)}"
        case FigureCheck() if (check.at_least is None) == (check.at_most is None):
            yield "a figure needs one of 'at_least' and 'at_most'"
        case FigureCheck() if check.bound != 1 and not check.bound_from:
            yield f"say where the bound {check.bound:g} comes from, with 'bound_from'"


def _earlier_problems(document: Statements) -> Iterator[tuple[int, str]]:
    """Yield what is wrong with the account of the first edition, by its place in the list."""
    today = document.today
    for index, earlier in enumerate(document.earlier):
        stays = earlier.says in today
        for says in earlier.restated:
            if says not in today:
                yield index, f"no statement '{says}'{did_you_mean(says, today)}"
        if stays and earlier.restated:
            yield index, "it stayed in the same words, so it is not restated"
        if not stays and not earlier.because:
            yield index, "say why it was restated or taken out, with 'because'"
