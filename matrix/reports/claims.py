"""The study's statements with what decided them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from matrix.deciding import Decided, Decision, Outcome
from matrix.reports.layout import Mood, Row, Table
from matrix.reports.numbers import DASH

MOODS: dict[Outcome, Mood] = {"holds": "good", "no longer holds": "bad", "undecided": "muted"}

NOTE = (
    "Then: on Caffe 1.0, CNTK 2.7, Theano 1.0 and TensorFlow 1.15, the last versions of the "
    "study's systems, years younger than it. Now: on torch, TensorFlow and JAX, which is taken for "
    "Theano's heir. docs/claims.yaml has what decides each; where nothing does, the reason is here."
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
            texts=(outcome, *(str(counts[outcome]) for counts in columns.values())),
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


def _table(area: str, found: Sequence[Decided]) -> Table:
    return Table(
        title=area.capitalize(),
        columns=("statement", "then", "now", "why", "record"),
        rows=tuple(map(_row, found)),
    )


def _row(one: Decided) -> Row:
    decisions = [("then", one.then), ("now", one.now)]
    known = [(when, decision) for when, decision in decisions if decision]
    texts = (
        one.claim.says,
        _word(one.then),
        _word(one.now),
        "; ".join(f"{when}: {decision.why}" for when, decision in known),
        "; ".join(decision.record for _, decision in known if decision.record) or DASH,
    )
    return Row(texts=texts, moods=("plain", _mood(one.then), _mood(one.now), "plain", "muted"))


def _word(decision: Decision | None) -> str:
    return decision.outcome if decision else DASH


def _mood(decision: Decision | None) -> Mood:
    return MOODS[decision.outcome] if decision else "plain"
