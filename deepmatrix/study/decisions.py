"""Decisions: what runs say of the study's statements, with the record that says it.

Only what a run showed decides a statement. A failure that is not the system's own, a phase that was
skipped and a number near its bound leave it undecided, with that reason. What no run tried is not
tried; the reason then names the command that tries it, or what none tries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from deepmatrix.config.matrix import Matrix
from deepmatrix.invocation import command_line
from deepmatrix.results.rows import Results
from deepmatrix.study import deployment, expressiveness, figures
from deepmatrix.study.checks import (
    ArtifactCheck,
    CellCheck,
    Check,
    FactCheck,
    FigureCheck,
    IdiomCheck,
    NetworkCheck,
    NoCheck,
    ProbeCheck,
    UntriedCheck,
)
from deepmatrix.study.evidence import Evidence
from deepmatrix.study.presets import PresetFinder
from deepmatrix.study.statements import Statement, Statements

Outcome = Literal["holds", "does not hold", "undecided", "not tried"]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What follows from a check: the outcome, its *reason*, and the *record* that it rests on.

    The record's path is relative to the folder of all runs.
    """

    outcome: Outcome
    reason: str
    record: str = ""


#: Outcomes that a run decides.
DECIDED: Final[frozenset[Outcome]] = frozenset({"holds", "does not hold"})


@dataclass(frozen=True, kw_only=True)
class DecidedStatement:
    """A statement with the decisions of its checks, None where it has no such check."""

    area: str
    statement: Statement
    then: Decision | None
    now: Decision | None

    @property
    def is_decided(self) -> bool:
        """Whether a run decides it, then or now."""
        outcomes = {decision.outcome for decision in (self.then, self.now) if decision}
        return not outcomes.isdisjoint(DECIDED)


def decide(document: Statements, runs: Sequence[Results], matrix: Matrix) -> list[DecidedStatement]:
    """Decide every statement by the last of the runs that can.

    *matrix* has the presets that are suggested for statements that no run tried.
    """
    presets = PresetFinder(matrix=matrix)
    return [
        DecidedStatement(
            area=area,
            statement=statement,
            then=_decide_check(statement.then, runs, presets) if statement.then else None,
            now=_decide_check(statement.now, runs, presets) if statement.now else None,
        )
        for area, statements in document.claims.items()
        for statement in statements
    ]


def _decide_check(check: Check, runs: Sequence[Results], presets: PresetFinder) -> Decision:
    if isinstance(check, NoCheck):
        return Decision(outcome="undecided", reason=check.undecided)
    if isinstance(check, UntriedCheck):
        return Decision(outcome="not tried", reason=check.untried)
    decision: Decision | None = None
    for results in runs:
        evidence = list(find_evidence(check, results))
        conclusive = [item for item in evidence if item.confirms is not None]
        for item in (conclusive or evidence)[:1]:
            if conclusive or item.measured or decision is None or decision.outcome == "undecided":
                decision = _conclude(check, item, results)
    return decision or Decision(outcome="not tried", reason=_how_to_try(check, presets))


def _how_to_try(check: Check, presets: PresetFinder) -> str:
    preset = presets.find(check)
    if preset is None:
        return "no preset of the matrix file tries it; add one"
    return f"{command_line('matrix', '--preset', preset)} tries it"


def _conclude(check: Check, evidence: Evidence, results: Results) -> Decision:
    outcome: Outcome = "undecided"
    if evidence.confirms is not None:
        outcome = "holds" if evidence.confirms == check.expect else "does not hold"
    record = f"{results.run}/{evidence.record}"
    return Decision(outcome=outcome, reason=evidence.reason, record=record)


def find_evidence(check: Check, results: Results) -> Iterator[Evidence]:
    """Yield what a run says of a check, the most telling first."""
    match check:
        case ProbeCheck():
            return expressiveness.probe_evidence(check, results)
        case FactCheck():
            return expressiveness.fact_evidence(check, results)
        case NetworkCheck():
            return expressiveness.network_evidence(check, results)
        case IdiomCheck():
            return expressiveness.idiom_evidence(check, results)
        case FigureCheck():
            return figures.figure_evidence(check, results)
        case CellCheck():
            return deployment.cell_evidence(check, results)
        case ArtifactCheck():
            return deployment.artifact_evidence(check, results)
        case NoCheck() | UntriedCheck():
            return iter(())
