"""Verdicts: a section for each artifact, a line for each consumer, and the map of all of them."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from deepmatrix.drawing import numbers
from deepmatrix.drawing.counted import COUNTED_SIGNS, sign
from deepmatrix.judging.verdicts import ORDER
from deepmatrix.reports.html import scales
from deepmatrix.reports.html.evidence import Evidence, Link
from deepmatrix.reports.html.scales import Scale
from deepmatrix.reports.tables.own_models.verification import is_wrong_as_float32
from deepmatrix.results.counting import EXPECTED, counted_as, verdict_counts
from deepmatrix.results.remarks import caution_of
from deepmatrix.results.rows import PortabilityRow, Results

#: What the verdict of the cell that gold is from is called: it is not counted.
EVALUATOR = "the evaluator"

#: Verdicts that are no finding.
QUIET = ("match", "not-run")

#: At most this many verdicts have a line; of more, only those that are a finding have one.
MOST_LINES = 12_000

#: The width of the axis of errors, in units of the drawing.
AXIS = 160

#: An error that is more times its tolerance, or has no number, is sorted as if it were this.
LARGEST_SHARE = 1e90


@dataclass(frozen=True, kw_only=True)
class Line:
    """A verdict, prepared: *anchor*: its place in the page.

    *error*, *tolerance*: their places on the axis, None where there is no number. *precision*: what
    it computes in, if not float32, and how to have float32. *caution*: why its match proves little.
    """

    anchor: str
    judged: PortabilityRow
    error: float | None
    tolerance: float | None
    links: tuple[Link, ...]
    cause_links: tuple[Link, ...]
    precision: str
    caution: str

    @property
    def sign(self) -> str:
        """The sign of the verdict."""
        return sign(self.judged)

    @property
    def css(self) -> str:
        """The class that colours the verdict."""
        return css(self.judged)

    @property
    def kind(self) -> str:
        """What the verdict is counted as."""
        return kind(self.judged)

    @property
    def explanation(self) -> str:
        """The cause of a wrong answer, else its reason."""
        return explanation(self.judged)

    @property
    def badness(self) -> float:
        """What to sort by: a match by its share of the tolerance, and any failure after that.

        Expected failures, and what is not counted, come before all others; those by their verdict,
        then by how many times their tolerance the error is.
        """
        share = self.judged.share_of_tolerance
        if self.judged.verdict == "match":
            return round(min(share or 0.0, 1.0), 4)
        rank = ORDER.index(self.judged.verdict)
        if self.kind in (EXPECTED, EVALUATOR):
            return rank
        times = LARGEST_SHARE if share is None else min(share, LARGEST_SHARE)
        return round(100 * rank + math.log10(1 + times), 4)


def kind(judged: PortabilityRow) -> str:
    """Return what a verdict is counted as, everywhere: `EVALUATOR` is not counted."""
    return EVALUATOR if judged.judges else counted_as(judged)


def css(judged: PortabilityRow) -> str:
    """Return the class of a verdict: expected failures, and what judges itself, are drawn so."""
    if judged.judges:
        return "v-judge"
    share = judged.share_of_tolerance
    close = " close" if judged.verdict == "match" and share is not None and share > 0.5 else ""
    return f"v-{judged.verdict}{' expected' if kind(judged) == EXPECTED else ''}{close}"


def explanation(judged: PortabilityRow) -> str:
    """Return the cause of a wrong answer, else its reason."""
    return judged.cause.text if judged.cause else judged.reason


def text_in_map(judged: PortabilityRow) -> str:
    """Return what stands beside the sign in the map: an error, or the precision below float32."""
    if judged.verdict in ("match", "drift") and judged.error is not None:
        text = f"{judged.error:.0e}".replace("e-0", "e-").replace("e+0", "e+")
        return text.removesuffix("e+0")
    return {"unsupported": "no", "not-run": "", "error": "error", "drift": "drift"}.get(
        judged.verdict, ""
    )


@dataclass(frozen=True, kw_only=True)
class Section:
    """All verdicts of an artifact. *scale*: the axis of their errors."""

    title: str
    workload: str
    lines: tuple[Line, ...]
    scale: Scale | None
    counts: tuple[tuple[str, int], ...]

    @property
    def basis(self) -> str:
        """Where most tolerances come from; lines with another basis name theirs."""
        bases = Counter(line.judged.basis for line in self.lines if line.judged.tolerance)
        return bases.most_common(1)[0][0] if bases else ""

    @property
    def is_wrong(self) -> bool:
        """Whether a verdict is neither a match nor expected."""
        return any(
            line.judged.verdict not in ("match", "not-run") and not line.judged.expected_failure
            for line in self.lines
        )


@dataclass(frozen=True, kw_only=True)
class Map:
    """The verdicts of a workload: a line an artifact, a column a consumer.

    *emulated*: so many of the consumers, the last ones, ran emulated.
    """

    workload: str
    consumers: tuple[str, ...]
    emulated: int
    rows: tuple[tuple[str, tuple[tuple[PortabilityRow, str] | None, ...]], ...]
    counts: tuple[tuple[str, int], ...]


def workload_of(judged: PortabilityRow) -> str:
    """Return the workload of an artifact, or the name of a user's own model."""
    return judged.model or judged.artifact.split("--")[1]


def short_title(judged: PortabilityRow) -> str:
    """Return an artifact's name without its workload, which stands above it."""
    if judged.model:
        return judged.model
    producer, _, format_name = judged.artifact.rsplit("--", 2)
    return f"{format_name} of {producer}"


def counts(rows: Sequence[PortabilityRow]) -> tuple[tuple[str, int], ...]:
    """Return how many consumers have each verdict that some have, in the order of the legend."""
    by_word = verdict_counts(rows)
    return tuple((word, by_word[word]) for word in COUNTED_SIGNS if by_word[word])


def in_order(rows: Sequence[PortabilityRow]) -> list[PortabilityRow]:
    """Return rows by workload and artifact, the native consumers first."""
    return sorted(
        rows,
        key=lambda judged: (
            workload_of(judged),
            judged.artifact,
            judged.judges,
            judged.emulated,
            judged.consumer,
        ),
    )


def anchors(results: Results) -> dict[tuple[str, str], str]:
    """Return the place in the page of every verdict that has a line, by artifact and consumer."""
    rows = in_order(results.portability)
    if len(rows) > MOST_LINES:
        rows = [judged for judged in rows if judged.verdict not in QUIET][:MOST_LINES]
    return {(row.artifact, row.consumer): f"v{number}" for number, row in enumerate(rows)}


def maps(results: Results, places: Mapping[tuple[str, str], str]) -> Iterator[Map]:
    """Yield the map of each workload; users' own models share one."""
    key = "" if results.models else None
    rows = in_order(results.portability)
    for workload, group in itertools.groupby(
        rows, key=lambda judged: workload_of(judged) if key is None else key
    ):
        judged_rows = list(group)
        consumers = {judged.consumer: judged.emulated for judged in judged_rows}
        names = sorted(consumers, key=lambda name: (consumers[name], name))
        by_title: dict[str, dict[str, PortabilityRow]] = {}
        for judged in judged_rows:
            by_title.setdefault(short_title(judged), {})[judged.consumer] = judged
        yield Map(
            workload=workload,
            consumers=tuple(names),
            emulated=sum(consumers.values()),
            rows=tuple(
                (title, tuple(_field(by_name.get(name), places) for name in names))
                for title, by_name in by_title.items()
            ),
            counts=counts(judged_rows),
        )


def _field(
    judged: PortabilityRow | None, places: Mapping[tuple[str, str], str]
) -> tuple[PortabilityRow, str] | None:
    return None if judged is None else (judged, places.get((judged.artifact, judged.consumer), ""))


def sections(
    results: Results, places: Mapping[tuple[str, str], str], evidence: Evidence
) -> Iterator[Section]:
    """Yield a section for each artifact that has lines."""
    rows = in_order(results.portability)
    float32_by = {cell.cell: cell.float32_by for cell in results.cells}
    for _, group in itertools.groupby(rows, key=lambda judged: judged.artifact):
        of_artifact = list(group)
        listed = [row for row in of_artifact if (row.artifact, row.consumer) in places]
        if listed:
            yield _section(of_artifact, listed, places, evidence, float32_by)


def _section(
    of_artifact: Sequence[PortabilityRow],
    listed: Sequence[PortabilityRow],
    places: Mapping[tuple[str, str], str],
    evidence: Evidence,
    float32_by: Mapping[str, str],
) -> Section:
    errors = [row.error for row in listed if row.error]
    tolerances = [row.tolerance for row in listed if row.tolerance]
    scale = scales.logarithmic([*errors, *tolerances], AXIS, numbers.error)
    first = of_artifact[0]
    return Section(
        title=short_title(first),
        workload="" if first.model else workload_of(first),
        lines=tuple(
            Line(
                anchor=places[row.artifact, row.consumer],
                judged=row,
                error=_place(scale, row.error),
                tolerance=_place(scale, row.tolerance),
                links=evidence.of_job(row.consumer, row.artifact, rounds=1),
                cause_links=evidence.of_cause(row),
                precision=_precision(row, of_artifact, float32_by.get(row.consumer, "")),
                caution=caution_of(row),
            )
            for row in listed
        ),
        scale=scale,
        counts=counts(of_artifact),
    )


def _precision(
    judged: PortabilityRow, of_artifact: Sequence[PortabilityRow], float32_by: str
) -> str:
    """Return what a consumer computes in, and how to have float32, unless that is wrong alike."""
    if judged.is_reduced and judged.error is not None:
        is_help = float32_by and not is_wrong_as_float32(judged, of_artifact)
        return f"{judged.precision} by default" + (f": set {float32_by}" if is_help else "")
    return "" if judged.precision == "float32" else judged.precision


def _place(scale: Scale | None, value: float | None) -> float | None:
    if scale is None or value is None or not math.isfinite(value):
        return None
    return scale.place(value)
