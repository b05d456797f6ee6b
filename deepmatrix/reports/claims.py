"""The study's statements with what decided them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from deepmatrix.reports.layout import Mood, Row, Table
from deepmatrix.reports.numbers import DASH
from deepmatrix.study.claims import Check
from deepmatrix.study.decisions import Decided, Decision, Outcome

MOODS: dict[Outcome, Mood] = {"holds": "good", "no longer holds": "bad", "undecided": "muted"}

UNDECIDED = "cannot be decided here"

#: What an outcome is called in each column.
WORDS: dict[str, dict[Outcome, str]] = {
    "then": {"holds": "holds", "no longer holds": "did not hold", "undecided": UNDECIDED},
    "now": {"holds": "holds", "no longer holds": "no longer holds", "undecided": UNDECIDED},
}

NOTE = (
    "Then: on Caffe 1.0, CNTK 2.7, Theano 1.0 and TensorFlow 1.15, the last versions of the "
    "study's systems, years younger than it. Now: on PyTorch for Torch, TensorFlow 2, and for "
    "Theano on PyTensor, its heir, where that has a figure, and on JAX where only JAX was asked. "
    "docs/claims.yaml has what decides each. A failure decides nothing unless it says what a system"
    " lacks, nor does a time that is too near to its bound: the reason is here. Records are files "
    "below the folder of all runs."
)


def tables(found: Sequence[Decided]) -> list[Table]:
    """Return a table an area, and first how many statements came out how."""
    areas = list(dict.fromkeys(one.area for one in found))
    by_area = {area: [one for one in found if one.area == area] for area in areas}
    return [_summary(found), *(_table(area, own) for area, own in by_area.items())]


def _summary(found: Sequence[Decided]) -> Table:
    columns = {
        "then": Counter(one.then.outcome for one in found if one.then),
        "now": Counter(one.now.outcome for one in found if one.now),
    }
    lines = [
        Row(
            texts=(_name(outcome), *(str(counts[outcome]) for counts in columns.values())),
            moods=(mood, "plain", "plain"),
        )
        for outcome, mood in MOODS.items()
    ]
    return Table(
        title=f"{len(found)} statements of 2016",
        columns=("", *columns),
        rows=tuple(lines),
        note=NOTE,
        numeric=frozenset({1, 2}),
    )


def _name(outcome: Outcome) -> str:
    """Return what an outcome is called, whatever the column."""
    return " / ".join(dict.fromkeys(words[outcome] for words in WORDS.values()))


def _table(area: str, found: Sequence[Decided]) -> Table:
    return Table(
        title=area.capitalize(),
        columns=("statement", "then", "now", "why", "record"),
        rows=tuple(map(_row, found)),
    )


def _row(one: Decided) -> Row:
    parts = [("then", one.claim.then, one.then), ("now", one.claim.now, one.now)]
    known = [(when, check, decision) for when, check, decision in parts if check and decision]
    records = dict.fromkeys(decision.record for _, _, decision in known if decision.record)
    texts = (
        one.claim.says,
        *(WORDS[when][decision.outcome] if decision else DASH for when, _, decision in parts),
        "; ".join(f"{when}{_stand_in(check)}: {decision.why}" for when, check, decision in known),
        "; ".join(records) or DASH,
    )
    return Row(texts=texts, moods=("plain", _mood(one.then), _mood(one.now), "plain", "muted"))


def _stand_in(check: Check) -> str:
    return f" ({check.stand_in})" if check.stand_in else ""


def _mood(decision: Decision | None) -> Mood:
    return MOODS[decision.outcome] if decision else "plain"
