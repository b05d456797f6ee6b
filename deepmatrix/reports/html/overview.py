"""The first screen: what failed, drifted or takes too much, each with its cause."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from deepmatrix.drawing.layout import Mood, shortened
from deepmatrix.drawing.verdicts import SIGNS
from deepmatrix.judging.verdicts import ORDER
from deepmatrix.reports import unfinished
from deepmatrix.reports.html import verdicts
from deepmatrix.reports.html.evidence import Evidence, Link
from deepmatrix.reports.tables import slower
from deepmatrix.reports.tables.own_models import headlines
from deepmatrix.reports.tables.own_models import overview as all_models
from deepmatrix.results import remarks
from deepmatrix.results.rows import PortabilityRow, Results
from deepmatrix.store.causes import CauseKind
from deepmatrix.store.records import image_path

#: So many of what is wrong are shown at once; more are folded, and more than those counted.
MOST_SHOWN, MOST_FOLDED = 12, 200

#: Verdicts on a wrong answer, or none: they stand first.
WRONG = ("error", "drift")

#: From here on it does not matter how many times its tolerance an error is.
MANY_TIMES = 999.5

#: Causes whose node is not the first wrong one: none is wrong alone, or one before it may be.
WITHOUT_FIRST_NODE: Final[frozenset[CauseKind]] = frozenset({"fusion", "unfinished"})

#: A longer reason is told once, in characters: a line.
LONGEST_REPEATED = 110


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is not as expected. *kind*: its verdict, or what it concerns.

    *anchor*: where the page has more of it. *command*: it shows a fault again.
    """

    kind: str
    sign: str
    css: str
    title: str
    place: str
    figure: str
    explanation: str
    anchor: str = ""
    command: str = ""
    node: str = ""
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Overview:
    """The first screen of a run."""

    headline: str
    mood: Mood
    judges: tuple[str, ...]
    findings: tuple[Finding, ...]
    unlisted: int
    counts: tuple[tuple[str, int], ...]

    @property
    def sign(self) -> str:
        """What stands before the headline, as in a comparison."""
        return {"good": "✓", "bad": "✗"}.get(self.mood, "•")


def overview(
    results: Results, places: Mapping[tuple[str, str], str], evidence: Evidence
) -> Overview:
    """Return the first screen of a run."""
    pending = unfinished.pending_problems(results)
    shown = pending | {remarks.row_problem(row) for row in results.portability}
    further = [problem for problem in results.problems if problem not in shown]
    judged = list(_wrong_verdicts(results, places, evidence))
    findings = (
        *(finding for finding in judged if finding.kind in WRONG),
        *_other_problems(results, further[:MOST_FOLDED], evidence),
        *(finding for finding in judged if finding.kind not in WRONG),
        *([_pending(results)] if pending else []),
    )
    headline, mood = _headline(results)
    return Overview(
        headline=headline,
        mood=mood,
        judges=tuple(_judges(results)),
        findings=findings,
        unlisted=max(len(set(results.problems) - pending) - len(findings) + bool(pending), 0),
        counts=verdicts.counts(results.portability),
    )


def _judges(results: Results) -> Iterator[str]:
    """Yield where the right values come from; models that differ in it are named."""
    models: dict[str, list[str]] = {}
    for model in results.served_models:
        models.setdefault(headlines.judge_line(model), []).append(model.name)
    for line, names in list(models.items())[:MOST_SHOWN]:
        yield f"{remarks.first_names(names)}: {line}" if len(models) > 1 else line


def _headline(results: Results) -> tuple[str, Mood]:
    """Return a run in one line, and its mood, which what became slower turns into a warning."""
    text, mood = _judgement(results)
    if not results.slower:
        return text, mood
    if mood == "good":
        return f"{text}, but {slower.remark(results)}", "warned"
    return f"{text}; {slower.remark(results)}", mood


def _judgement(results: Results) -> tuple[str, Mood]:
    """Return whether a run is as expected: a model that nothing served is no success."""
    mood: Mood = "good" if unfinished.is_good(results) else "bad"
    if len(results.served_models) == 1:
        text, own_mood = headlines.headline(results, results.served_models[0])
        return text, own_mood if mood == "good" else mood
    expected = unfinished.expectation(results)
    if not results.models:
        return expected.capitalize(), mood
    return f"{all_models.line(results)[0]}; {expected}", mood


def _wrong_verdicts(
    results: Results, places: Mapping[tuple[str, str], str], evidence: Evidence
) -> Iterator[Finding]:
    """Yield the verdicts that are wrong and not expected to be, the worst first.

    A cause or a long reason that several share is told once.
    """
    problems = set(results.problems)
    wrong = [
        row
        for row in results.portability
        if not row.pending and remarks.row_problem(row) in problems
    ]
    listed = sorted(wrong, key=_badness)[:MOST_FOLDED]
    first: dict[tuple[str, str], PortabilityRow] = {}
    for row in listed:
        first.setdefault(_shared(row), row)
    searched = {
        (row.artifact, row.consumer): row for row in listed if row.cause and not row.cause.as_on
    }
    for judged in listed:
        as_on = judged.cause.as_on if judged.cause else ""
        alike = searched.get((judged.artifact, as_on), first[_shared(judged)])
        yield _wrong_verdict(judged, None if alike is judged else alike, places, evidence)


def _shared(judged: PortabilityRow) -> tuple[str, str]:
    """Return what wrong verdicts have alike that are told once: a verdict for one long reason."""
    text = verdicts.explanation(judged)
    told = text if len(text) > LONGEST_REPEATED else f"{judged.artifact} {judged.consumer}"
    return judged.verdict, told


def _wrong_verdict(
    judged: PortabilityRow,
    alike: PortabilityRow | None,
    places: Mapping[tuple[str, str], str],
    evidence: Evidence,
) -> Finding:
    """Return a verdict as a finding; *alike*: the one whose cause or reason is told for both."""
    explanation = verdicts.explanation(judged)
    if alike:
        title = "" if alike.artifact == judged.artifact else f"{shortened(alike.title)} "
        explanation = f"as {title}on {alike.consumer}"
    cause = None if alike else judged.cause
    return Finding(
        kind=judged.verdict,
        sign=SIGNS[judged.verdict],
        css=verdicts.css(judged),
        title=judged.title,
        place=judged.consumer,
        figure=_figure(judged),
        explanation=explanation,
        anchor=places.get((judged.artifact, judged.consumer), ""),
        command=cause.reproduce if cause else "",
        node=cause.node if cause and cause.kind not in WITHOUT_FIRST_NODE else "",
        links=(*evidence.of_job(judged.consumer, judged.artifact), *evidence.of_cause(judged)),
    )


def _badness(judged: PortabilityRow) -> tuple[int, float]:
    share = judged.share_of_tolerance
    return -ORDER.index(judged.verdict), -(share or 0.0)


def _figure(judged: PortabilityRow) -> str:
    if judged.error is None or not judged.tolerance:
        return ""
    ratio = judged.error / judged.tolerance
    times = "more than 999" if ratio >= MANY_TIMES else f"{ratio:.3g}"
    return f"{judged.error:.1e}, {times} times its tolerance"


def _other_problems(
    results: Results, problems: Sequence[str], evidence: Evidence
) -> Iterator[Finding]:
    """Yield the problems that are no verdict: budgets, trainings, builds, files."""
    jobs = {remarks.row_problem(row): (row.cell, row.workload) for row in results.training}
    images = {remarks.cell_problem(row): image_path(row.cell) for row in results.cells}
    for problem in problems:
        is_budget = problem in results.over_budget
        yield Finding(
            kind="over budget" if is_budget else "problem",
            sign="▲" if is_budget else "✗",
            css="v-drift" if is_budget else "v-error",
            title="",
            place="",
            figure="",
            explanation=problem,
            links=(
                *(evidence.of_job(*jobs[problem]) if problem in jobs else ()),
                *(evidence.link(images[problem], "image") if problem in images else ()),
            ),
        )


def _pending(results: Results) -> Finding:
    """Return as one what is wrong only because jobs have not run yet."""
    return Finding(
        kind="not run yet",
        sign=SIGNS["not-run"],
        css="v-not-run",
        title="",
        place="",
        figure="",
        explanation=unfinished.describe(results),
    )
