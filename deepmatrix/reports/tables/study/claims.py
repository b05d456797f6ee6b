"""The study's statements with the decisions of runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from deepmatrix.drawing.layout import Mood, Row, Table, files, key, number, text
from deepmatrix.drawing.numbers import DASH
from deepmatrix.reports.tables.study.sources import sources
from deepmatrix.study.checks import Check
from deepmatrix.study.decisions import DecidedStatement, Decision, Outcome
from deepmatrix.study.statements import Statement

MOODS: dict[Outcome, Mood] = {
    "holds": "good",
    "does not hold": "bad",
    "undecided": "muted",
    "not tried": "muted",
}

UNDECIDED = "cannot be decided here"
NOT_TRIED = "not tried"

#: What an outcome is called.
WORDS: dict[Outcome, str] = {
    "holds": "holds",
    "does not hold": "does not hold",
    "undecided": UNDECIDED,
    "not tried": NOT_TRIED,
}

NOTE = (
    "Then: the last versions of the study's systems, Caffe 1.0, CNTK 2.7, Theano 1.0 and "
    "TensorFlow 1.15, and torch 1.0.0, which has Torch's C libraries TH and THNN, for Torch; they "
    "are years younger than the study. What does not hold of them may have held of those that the "
    "study saw: nothing here decides that. TensorFlow 1.15 is judged by all that it has, since it "
    "is TensorFlow; torch 1.0.0 only where Torch's own C code computes, at least the convolutions. "
    "Now: PyTorch for Torch, TensorFlow 2, and for Theano its successor PyTensor. A dash: nothing "
    "checks it for today. "
    "`docs/claims.yaml` has the check that decides each statement. A failure decides a statement "
    "only if it shows what the system lacks; what Python does in place of a graph, and a cell that "
    "never ran, decide nothing. A time needs three undisturbed rounds on every network that the "
    "statement speaks of, and decides where the whole 95 % interval of the ratio is past the "
    "bound. Networks called `small` have the study's layers at an eighth of their width. Gold is "
    "the same computation in float64, on the same weights and batches. Not tried: a run could "
    "decide it, but none of these did; the reason says what to run, or what no run does yet. "
    "Cannot be decided here: no run could, or the statement has no measure. Study: lines of its "
    "text, at commit b8113bd of December 2016, and words in them. Records are files below the "
    "folder of all runs."
)


def tables(decided: Sequence[DecidedStatement]) -> list[Table]:
    """Return a count of the outcomes, then a table for each area."""
    areas = dict.fromkeys(statement.area for statement in decided)
    return [_summary(decided), *(_table(area, decided) for area in areas)]


def brief(decided: Sequence[DecidedStatement]) -> list[Table]:
    """Return the count of the outcomes, and a table of the statements that are decided."""
    tables_of_decided = tables([statement for statement in decided if statement.is_decided])[1:]
    return [replace(_summary(decided), note=""), *tables_of_decided]


def _summary(decided: Sequence[DecidedStatement]) -> Table:
    counts = {
        "then": Counter(statement.then.outcome for statement in decided if statement.then),
        "now": Counter(statement.now.outcome for statement in decided if statement.now),
    }
    rows = [
        Row(
            texts=(WORDS[outcome], *(str(count[outcome]) for count in counts.values())),
            moods=(mood, "plain", "plain"),
        )
        for outcome, mood in MOODS.items()
    ]
    return Table(
        title=f"{len(decided)} statements of 2016",
        columns=(key("outcome"), *(number(period) for period in counts)),
        rows=tuple(rows),
        note=NOTE,
    )


def _table(area: str, decided: Sequence[DecidedStatement]) -> Table:
    return Table(
        title=area.capitalize(),
        columns=(
            key("statement"),
            text("study", optional=1),
            text("then"),
            text("now"),
            text("reason"),
            files("record", optional=1),
        ),
        rows=tuple(_row(statement) for statement in decided if statement.area == area),
    )


def _row(decided: DecidedStatement) -> Row:
    periods = [
        ("then", decided.statement.then, decided.then),
        ("now", decided.statement.now, decided.now),
    ]
    decisions = [
        (period, check, decision) for period, check, decision in periods if check and decision
    ]
    records = dict.fromkeys(decision.record for _, _, decision in decisions if decision.record)
    reasons = (
        f"{period}{_stand_in(check)}: {decision.reason}" for period, check, decision in decisions
    )
    texts = (
        decided.statement.says,
        _study(decided.statement),
        *(WORDS[decision.outcome] if decision else DASH for _, _, decision in periods),
        "; ".join(reasons),
        "; ".join(records) or DASH,
    )
    return Row(
        texts=texts,
        moods=("plain", "muted", _mood(decided.then), _mood(decided.now), "plain", "muted"),
        sources=sources(records),
    )


def _study(statement: Statement) -> str:
    """Return the lines of the study that it is from, with the quote."""
    lines = ", ".join(map(str, statement.lines))
    return f"line{'s' * (len(statement.lines) > 1)} {lines}: “{statement.quote}”"


def _stand_in(check: Check) -> str:
    return f" ({check.stand_in})" if check.stand_in else ""


def _mood(decision: Decision | None) -> Mood:
    return MOODS[decision.outcome] if decision else "plain"
