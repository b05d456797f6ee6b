"""Comparing verdicts: new failures, lost consumers, other verdicts, errors that grew."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from deepmatrix.comparison.changes import ABSENT, Key, Kind, VerdictChange
from deepmatrix.judging.verdicts import VerdictName
from deepmatrix.results.expressiveness.rows import ProbeRow
from deepmatrix.results.rows import PortabilityRow, Results, TrainingRow
from deepmatrix.store.records import Status
from deepmatrix.store.reported.phases import PhaseStatus

NOT_RUN: VerdictName = "not-run"

#: From best to worst. A verdict that moves down this list is a new failure, and so is one that
#: had run and is lost: then nobody knows whether it would still fail only as it did.
RANKS = {
    "match": 0,
    "ok": 0,
    NOT_RUN: 1,
    ABSENT: 1,
    "unsupported": 2,
    "drift": 3,
    "wrong": 3,
}
WORST = 4

#: An error that grew by less says nothing: another order of the same sums may double it.
GROWTH = 2.0

#: Below this share of its tolerance an error may grow as it likes: it is rounding.
SHARE = 0.5

KINDS: tuple[Kind, ...] = get_args(Kind)

#: The words of a verdict, by its kind.
WORDS: dict[Kind, tuple[str, ...]] = {
    "serving": get_args(VerdictName),
    "training": (*get_args(Status), NOT_RUN),
    "idiom": get_args(PhaseStatus),
    "probe": get_args(ProbeRow.model_fields["verdict"].annotation),
}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One verdict. *subject*: what people call it. *expected*: why it may fail, where it does."""

    verdict: str
    subject: str
    error: float | None = None
    tolerance: float | None = None
    reason: str = ""
    expected: str = ""

    @property
    def excused(self) -> bool:
        """Whether it may fail, and fails nothing."""
        return bool(self.expected)

    @property
    def has_run(self) -> bool:
        """Whether it says how something went."""
        return self.verdict != NOT_RUN

    @property
    def rank(self) -> int:
        """How bad it is: 0 is good."""
        return RANKS.get(self.verdict, WORST)

    @property
    def failed(self) -> bool:
        """Whether it is neither good nor excused."""
        return bool(self.rank) and not self.excused

    @property
    def weight(self) -> tuple[bool, int, float, str, str]:
        """What the worst of several is told by: a failure first, then the larger error."""
        is_finite = self.error is not None and math.isfinite(self.error)
        error = self.error if self.error is not None and is_finite else math.inf
        return self.failed, self.rank, error, self.verdict, self.reason


#: What a verdict is against an earlier one.
Part = Literal["failures", "changes", "drifts", "unchanged", "added", "gone"]


@dataclass(kw_only=True)
class VerdictChanges:
    """What changed between two sets of verdicts. *accepted*: failures that were there before."""

    failures: list[VerdictChange] = field(default_factory=list)
    changes: list[VerdictChange] = field(default_factory=list)
    drifts: list[VerdictChange] = field(default_factory=list)
    accepted: list[VerdictChange] = field(default_factory=list)
    unchanged: int = 0
    added: int = 0
    gone: int = 0
    compared: int = 0

    def add(self, part: Part, change: VerdictChange) -> None:
        """Add a change to a part; one of those that are no change is only counted."""
        if part in ("failures", "changes", "drifts"):
            getattr(self, part).append(change)
        else:
            setattr(self, part, getattr(self, part) + 1)

    def extend(self, further: VerdictChanges) -> None:
        """Add what changed between two other sets."""
        for name, value in vars(further).items():
            setattr(self, name, getattr(self, name) + value)


def all_outcomes(*runs: Results) -> dict[Key, list[Outcome]]:
    """Return every verdict of some runs, the worst of several first; what judges itself has none.

    Neither the order of the runs nor that of their rows counts.
    """
    outcomes: dict[Key, dict[Outcome, None]] = {}
    for results in runs:
        for key, outcome in (*_serving(results), *_own(results)):
            outcomes.setdefault(key, {})[outcome] = None
    return {
        key: sorted(several, key=lambda one: one.weight, reverse=True)
        for key, several in outcomes.items()
    }


def worst_outcomes(*runs: Results) -> dict[Key, Outcome]:
    """Return what `all_outcomes` does, only the worst of several."""
    return {key: several[0] for key, several in all_outcomes(*runs).items()}


def key_of(row: PortabilityRow | TrainingRow) -> Key:
    """Return what the verdict of a row is of."""
    if isinstance(row, TrainingRow):
        return "training", row.workload, row.cell
    return "serving", row.artifact, row.consumer


def _serving(results: Results) -> Iterator[tuple[Key, Outcome]]:
    for judged in results.portability:
        if not judged.judges:
            yield (
                key_of(judged),
                Outcome(
                    verdict=judged.verdict,
                    subject=judged.title,
                    error=judged.finite_error,
                    tolerance=judged.tolerance,
                    reason=judged.reason,
                    expected=_expected(judged.verdict, judged.expected_failure),
                ),
            )


def _own(results: Results) -> Iterator[tuple[Key, Outcome]]:
    """Yield how a framework's own work went: training, idioms, probes."""
    kinds: tuple[tuple[Kind, tuple[tuple[str, str, str, str, str], ...]], ...] = (
        (
            "training",
            tuple(
                (row.workload, row.cell, row.status, row.reason, row.expected_failure)
                for row in results.training
            ),
        ),
        (
            "idiom",
            tuple(
                (row.workload, row.cell, row.status, row.reason, row.expected_failure)
                for row in results.idioms
            ),
        ),
        (
            "probe",
            tuple((row.probe, row.cell, row.verdict, row.reason, "") for row in results.probes),
        ),
    )
    for kind, rows in kinds:
        for subject, cell, verdict, reason, expected_failure in rows:
            expected = _expected(verdict, expected_failure)
            yield (
                (kind, subject, cell),
                Outcome(verdict=verdict, subject=subject, reason=reason, expected=expected),
            )


def _expected(verdict: str, expected_failure: str) -> str:
    """Return why a verdict may be bad, nothing where it is good."""
    return expected_failure if RANKS.get(verdict, WORST) else ""


def compare_machines(base: Results, head: Results, growth: float) -> VerdictChanges:
    """Return what changed between two runs on each machine, which both call alike.

    See `deepmatrix.comparison.machines`. What is of no machine is compared once.
    """
    changes = VerdictChanges()
    for machine in sorted({"", *(row.machine for row in (*base.training, *head.training))}):
        before, after = _at(base, machine), _at(head, machine)
        changes.extend(
            compare_verdicts(worst_outcomes(before), all_outcomes(after), growth, machine)
        )
    return changes


def _at(results: Results, machine: str) -> Results:
    """Return what has verdicts on a machine, or on none."""
    training = tuple(row for row in results.training if row.machine == machine)
    of_none = {"portability": (), "idioms": (), "probes": ()} if machine else {}
    return results.model_copy(update={"training": training, **of_none})


def compare_verdicts(
    base: Mapping[Key, Outcome],
    head: Mapping[Key, Sequence[Outcome]],
    growth: float = GROWTH,
    machine: str = "",
) -> VerdictChanges:
    """Return what changed: of several later verdicts the worst, and each that is worse than before.

    Args:
        base: the earlier verdicts.
        head: the later ones, the worst first.
        growth: so many times an error has to grow to be named.
        machine: on which all of them were given, where the cells ran on several.
    """
    changes = VerdictChanges()
    for key in sorted(base.keys() | head.keys()):
        before = base.get(key)
        for number, after in enumerate(head.get(key, (None,))):
            change = _change(key, before, after, machine)
            part = _part(change, before, after, growth)
            is_worse = part in ("failures", "drifts")
            if is_worse or number == 0:
                changes.add(part, change)
            if after and after.failed and not is_worse:
                changes.accepted.append(change)
    both = base.keys() & head.keys()
    changes.compared = sum(NOT_RUN not in (base[key].verdict, head[key][0].verdict) for key in both)
    return changes


def has_grown(before: Outcome, after: Outcome) -> bool:
    """Return whether an error grew by any factor that a limit may name, and matters."""
    return _has_grown(_change((KINDS[0], "", ""), before, after), growth=1.0)


def _part(
    change: VerdictChange, before: Outcome | None, after: Outcome | None, growth: float
) -> Part:
    """Return what a change is."""
    if _is_new_failure(before, after):
        return "failures"
    if before is None:
        return "added"
    if after is None:
        return "gone"
    if before.verdict != after.verdict:
        return "changes"
    return "drifts" if _has_grown(change, growth) else "unchanged"


def _is_new_failure(before: Outcome | None, after: Outcome | None) -> bool:
    """Return whether a verdict is lost, or worse than it was; what may fail is neither.

    What failed where it was expected to counts as good before: a failure that nobody expects any
    more is new.
    """
    if after is not None and after.excused:
        return False
    if before is not None and is_lost(before, after):
        return not before.excused
    is_known = before is not None and not (before.excused and before.has_run)
    return after is not None and after.rank > (before.rank if before and is_known else 0)


#: What another verdict means: see `meaning`.
Meaning = Literal["new failure", "expected failure", "better", "other"]


def meaning(change: VerdictChange) -> Meaning:
    """Return what it means that a verdict is another one, by the two words and what is expected.

    It is worse, a new failure or one that is expected; it is good now; or it fails otherwise than
    it did, not worse.
    """
    before, after = (
        Outcome(verdict=verdict, subject="", expected=expected)
        for verdict, expected in (
            (change.base, change.base_expected),
            (change.head, change.head_expected),
        )
    )
    sides = (None if change.base == ABSENT else before, None if change.head == ABSENT else after)
    if _is_new_failure(*sides):
        return "new failure"
    if not after.rank:
        return "better"
    return "expected failure" if after.excused and after.rank > before.rank else "other"


def is_lost(before: Outcome, after: Outcome | None) -> bool:
    """Return whether what had run is no longer there, or did not run this time."""
    return before.has_run and not (after is not None and after.has_run)


def _change(
    key: Key, before: Outcome | None, after: Outcome | None, machine: str = ""
) -> VerdictChange:
    kind, subject, cell = key
    named = after or before
    base_error = before.error if before else None
    head_error = after.error if after else None
    return VerdictChange(
        kind=kind,
        cell=cell,
        machine=machine,
        subject=named.subject if named else subject,
        artifact=subject if kind == "serving" else "",
        base=before.verdict if before else ABSENT,
        head=after.verdict if after else ABSENT,
        reason=after.reason if after else "the later run does not have it",
        base_expected=before.expected if before else "",
        head_expected=after.expected if after else "",
        base_error=base_error,
        head_error=head_error,
        tolerance=after.tolerance if after else None,
        growth=head_error / base_error if head_error and base_error else None,
    )


def _has_grown(change: VerdictChange, growth: float) -> bool:
    """Return whether an error grew so far that it matters, or is no longer finite."""
    before, after = change.base_error, change.head_error
    if before is None:
        return False
    if after is None or not math.isfinite(after):
        return math.isfinite(before)
    return (
        after >= growth * before and after >= SHARE * (change.tolerance or 0.0) and after > before
    )
