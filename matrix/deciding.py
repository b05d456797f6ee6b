"""Decisions: what runs say of the study's statements, with the record that says it."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from matrix.claims import Check, Claim, Claims
from matrix.rows import PortabilityRow, Results

Outcome = Literal["holds", "no longer holds", "undecided"]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What became of a check: *why* in words, and the *record* that it rests on."""

    outcome: Outcome
    why: str
    record: str = ""


@dataclass(frozen=True, kw_only=True)
class Decided:
    """A statement with what decided it, then and now, where anything was to."""

    area: str
    claim: Claim
    then: Decision | None
    now: Decision | None


@dataclass(frozen=True, kw_only=True)
class Fact:
    """What a run says that bears on a check: whether it is so, in words, and where it stands."""

    so: bool
    why: str
    record: str


def decide(document: Claims, runs: Sequence[Results]) -> list[Decided]:
    """Decide every statement by the last of the runs that can."""
    return [
        Decided(
            area=area,
            claim=claim,
            then=_decision(claim.then, runs) if claim.then else None,
            now=_decision(claim.now, runs) if claim.now else None,
        )
        for area, claims in document.claims.items()
        for claim in claims
    ]


def _decision(check: Check, runs: Sequence[Results]) -> Decision:
    if check.undecided is not None:
        return Decision(outcome="undecided", why=check.undecided)
    for results in reversed(runs):
        for fact in FINDERS[check.kind](check, results):
            outcome: Outcome = "holds" if fact.so == check.expect else "no longer holds"
            return Decision(outcome=outcome, why=fact.why, record=f"{results.run}: {fact.record}")
    return Decision(outcome="undecided", why="none of these runs tried it")


def _cells_of(system: str | None, results: Results) -> list[str]:
    """Return the cells of a system that ran, the native ones first."""
    ran = [row for row in results.cells if row.name == system and row.jobs]
    return [row.cell for row in sorted(ran, key=lambda row: row.emulated)]


def _probe(check: Check, results: Results) -> Iterator[Fact]:
    for cell in _cells_of(check.of, results):
        for row in results.probes:
            if row.cell == cell and row.probe == check.probe:
                so = row.verdict == "match"
                why = f"{cell}: {row.error:.1e} from gold" if so else f"{cell}: {row.reason}"
                yield Fact(so=so, why=why, record=f"records/{cell}")


def _network(check: Check, results: Results) -> Iterator[Fact]:
    for cell in _cells_of(check.of, results):
        for row in results.training:
            if row.cell == cell and row.workload == check.network:
                so = row.status == "ok"
                why = f"{cell} trained {row.workload}" if so else f"{cell}: {row.reason}"
                if so and row.output_error is not None:
                    why += f", {row.output_error:.1e} from gold"
                yield Fact(so=so, why=why, record=f"records/{cell}/{row.workload}")


def _note(check: Check, results: Results) -> Iterator[Fact]:
    for cell in _cells_of(check.of, results):
        for row in results.notes:
            if row.name == check.of and row.about == check.note:
                so = (check.words or "") in row.note
                why = f"{cell}, made to agree in {row.about}: {row.note}"
                yield Fact(so=so, why=why, record=f"records/{cell}")


@dataclass(frozen=True, kw_only=True)
class Number:
    """A figure of a cell, and of what unit."""

    value: float
    unit: str
    cell: str

    def __str__(self) -> str:
        return f"{self.cell} {self.value:.3g} {self.unit}"


def _numbers(check: Check, system: str | None, results: Results) -> Iterator[Number]:
    for cell in _cells_of(system, results):
        for value, unit in FIGURES[str(check.figure)](check, cell, results):
            if value is not None:
                yield Number(value=value, unit=unit, cell=cell)


def _figure(check: Check, results: Results) -> Iterator[Fact]:
    mine = next(_numbers(check, check.of, results), None)
    other = next(_numbers(check, check.over, results), None) if check.over else None
    if mine is None or (check.over and other is None):
        return
    value, why = mine.value, str(mine)
    if other:
        value = mine.value / other.value
        why = f"{mine}, {other}: {value:.3g} times"
    so = value >= check.at_least if check.at_least else value <= (check.at_most or 0.0)
    where = f"records/{mine.cell}" + (f"/{check.workload}" if check.workload else "")
    yield Fact(so=so, why=f"{check.figure} {why}", record=where)


_Figures = Iterable[tuple[float | None, str]]


def _startup(of: str) -> Callable[[Check, str, Results], _Figures]:
    def find(check: Check, cell: str, results: Results) -> _Figures:
        for row in results.startup:
            if row.cell == cell and row.workload == check.workload:
                estimate = getattr(row, of)
                yield (estimate.median if estimate else None, "s")

    return find


def _start(check: Check, cell: str, results: Results) -> _Figures:
    for row in results.startup:
        if row.cell == cell and row.workload == check.workload:
            parts = (row.interpreter_s, row.import_s, row.build_s, row.first_step_s)
            known = [part.median for part in parts if part]
            yield (sum(known) if len(known) == len(parts) else None, "s")


def _step(check: Check, cell: str, results: Results) -> _Figures:
    for row in results.training:
        if row.cell == cell and row.workload == check.workload:
            yield (row.step_s.median if row.step_s else None, "s")


def _pass(check: Check, cell: str, results: Results) -> _Figures:
    for row in results.passes:
        if row.cell == cell and row.workload == check.workload:
            yield (row.backward_s.median, "s")


def _image(check: Check, cell: str, results: Results) -> _Figures:
    del check
    for row in results.cells:
        if row.cell == cell and row.image_bytes:
            yield (row.image_bytes / 1e6, "MB")


def _memory(check: Check, cell: str, results: Results) -> _Figures:
    del check
    for row in results.cells:
        if row.cell == cell and row.peak_memory_bytes:
            yield (row.peak_memory_bytes / 1e6, "MB")


FIGURES: dict[str, Callable[[Check, str, Results], _Figures]] = {
    "import": _startup("import_s"),
    "first step": _startup("first_step_s"),
    "start": _start,
    "step": _step,
    "forward and backward": _pass,
    "image": _image,
    "memory": _memory,
}


def _cell(check: Check, results: Results) -> Iterator[Fact]:
    rows = [row for row in results.cells if fnmatch.fnmatchcase(row.cell, check.cell or "")]
    for row in sorted(rows, key=lambda row: row.status == "not-run"):
        so = row.status == "ok"
        said = "ran" if so else row.reason or row.status
        yield Fact(so=so, why=f"{row.cell}: {said}", record=f"records/{row.cell}" if so else "plan")


def _artifact(check: Check, results: Results) -> Iterator[Fact]:
    """One fact of all that were served: so, where there is one and all of them match."""
    rows = [
        row
        for row in results.portability
        if fnmatch.fnmatchcase(row.artifact, check.artifact or "")
        and fnmatch.fnmatchcase(row.consumer, check.consumer or "")
        and row.verdict != "not-run"
    ]
    if not rows:
        return
    bad = [row for row in rows if row.verdict != "match"]
    shown = bad[0] if bad else rows[0]
    why = f"{len(rows) - len(bad)} of {len(rows)} match"
    if bad:
        reason = shown.known or shown.reason
        why += f"; {shown.artifact} on {shown.consumer}: {shown.verdict}: {reason}"
    else:
        worst = max((row.error for row in rows if row.error is not None), default=0.0)
        why += f", the largest error {worst:.1e}, on {', '.join(sorted({_name(r) for r in rows}))}"
    yield Fact(so=not bad, why=why, record=f"records/{shown.consumer}/{shown.artifact}")


def _name(row: PortabilityRow) -> str:
    """Return the name of a consumer: what stands before its base."""
    return row.consumer.rsplit("-", 3)[0]


FINDERS: dict[str, Callable[[Check, Results], Iterator[Fact]]] = {
    "probe": _probe,
    "network": _network,
    "note": _note,
    "figure": _figure,
    "cell": _cell,
    "artifact": _artifact,
}
