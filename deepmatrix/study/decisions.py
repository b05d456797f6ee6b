"""Decisions: what runs say of the study's statements, with the record that says it.

A statement is decided by what was shown alone. What failed for a reason that is not the system's
own, was not reached or is too near to a bound leaves it open, with that reason.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from deepmatrix.results.rows import CellRow, PortabilityRow, ProbeRow, Results, TrainingRow
from deepmatrix.results.statistics import Estimate
from deepmatrix.study.claims import Check, Claim, Claims
from harness.record import EVERYWHERE

Outcome = Literal["holds", "no longer holds", "undecided"]

#: A ratio of times of one round must be past its bound by so much: rounds are known to differ.
MARGIN = 1.5

#: Phases whose `unsupported` says that a network cannot be expressed; an export's does not.
EXPRESSING = ("startup", "parity", "train")

#: Errors at loading that tell of a broken cell, not of the model.
BROKEN = (*EVERYWHERE, "ImportError", "ModuleNotFoundError", "NameError", "MemoryError", "OSError")


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What became of a check: *why* in words, and the *record* that it rests on.

    The record's path is relative to the folder of all runs.
    """

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
    """What a run says that bears on a check: whether it is so, in words, and in which file.

    *so* is None where it cannot be told; *why* then says what is in the way. What was *measured*
    and is too near to tell still stands instead of an earlier figure.
    """

    so: bool | None
    why: str
    record: str
    measured: bool = False


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
    left = Decision(outcome="undecided", why="none of these runs tried it")
    for results in runs:
        facts = list(FINDERS[check.kind](check, results))
        telling = [fact for fact in facts if fact.so is not None]
        for fact in (telling or facts)[:1]:
            found = _of_fact(check, fact, results)
            if telling or fact.measured or left.outcome == "undecided":
                left = found
    return left


def _of_fact(check: Check, fact: Fact, results: Results) -> Decision:
    outcome: Outcome = "undecided"
    if fact.so is not None:
        outcome = "holds" if fact.so == check.expect else "no longer holds"
    return Decision(outcome=outcome, why=fact.why, record=f"{results.run}/{fact.record}")


def _record(cell: str, subject: str) -> str:
    """Return where a run keeps the record of a cell's first round."""
    return f"records/{cell}/{subject}/r0.json"


def _cells_of(system: str | None, results: Results) -> list[CellRow]:
    """Return the cells of a system that ran, the native ones first."""
    ran = [row for row in results.cells if row.name == system and row.jobs]
    return sorted(ran, key=lambda row: row.emulated)


def _probe(check: Check, results: Results) -> Iterator[Fact]:
    for cell in _cells_of(check.of, results):
        for row in results.probes:
            if row.cell == cell.cell and row.probe == check.probe:
                so, why = _of_ran(check, row) if check.ran else _of_probe(check, row)
                record = _record(row.cell, row.workload)
                yield Fact(so=so, why=f"{row.cell}: {why}", record=record)


def _of_probe(check: Check, row: ProbeRow) -> tuple[bool | None, str]:
    if row.verdict == "match":
        return True, f"{row.error:.1e} from gold"
    lacks = row.verdict == "unsupported" or (row.verdict == "failed" and _named(check, row.reason))
    return False if lacks else None, f"{row.verdict}: {row.reason}"


def _of_ran(check: Check, row: ProbeRow) -> tuple[bool | None, str]:
    if row.verdict != "match":
        return None, f"{row.verdict}: {row.reason}"
    if not row.ran:
        return None, "it did not say what ran"
    return fnmatch.fnmatchcase(row.ran, check.ran or ""), f"what ran is {row.ran}"


def _named(check: Check, reason: str) -> bool:
    """Return whether an error is the one that says what the system lacks."""
    return check.error is not None and check.error in reason


def _network(check: Check, results: Results) -> Iterator[Fact]:
    for cell in _cells_of(check.of, results):
        for row in results.training:
            if row.cell == cell.cell and row.workload == check.network:
                so, why = _of_training(check, row)
                yield Fact(so=so, why=why, record=_record(row.cell, row.workload))


def _of_training(check: Check, row: TrainingRow) -> tuple[bool | None, str]:
    if row.status == "ok" and row.accuracy is not None:
        far = "" if row.output_error is None else f", {row.output_error:.1e} from gold"
        return True, f"{row.cell} trained {row.workload}{far}"
    if row.status == "ok":
        return None, f"{row.cell}: it was not to train"
    lacks = row.status == "unsupported" and row.failed_phase in EXPRESSING
    lacks = lacks or (row.status == "failed" and _named(check, row.reason))
    return (
        False if lacks else None,
        f"{row.cell}: {row.status}: {row.expected_failure or row.reason}",
    )


@dataclass(frozen=True, kw_only=True)
class Number:
    """A figure of a cell, with its interval where one is known, and the file that has it."""

    value: float
    low: float | None = None
    high: float | None = None
    text: str = ""
    record: str = ""


ONE = Number(value=1.0, low=1.0, high=1.0)


def _exact(value: float, unit: str, cell: str, record: str) -> Number:
    """Return a figure that is the same every time."""
    text = f"{cell} {value:.3g} {unit}"
    return Number(value=value, low=value, high=value, text=text, record=record)


def _timed(estimates: Sequence[Estimate | None], cell: str, subject: str) -> Iterator[Number]:
    """Yield the sum of times, where all of them are known."""
    known = [one for one in estimates if one]
    if len(known) < len(estimates):
        return
    value = sum(one.median for one in known)
    several = all(one.rounds > 1 and one.low > 0 for one in known)  # one has no interval
    yield Number(
        value=value,
        low=sum(one.low for one in known) if several else None,
        high=sum(one.high for one in known) if several else None,
        text=f"{cell} {value:.3g} s",
        record=_record(cell, subject),
    )


def _numbers(check: Check, system: str | None, results: Results) -> Iterator[Number]:
    """Yield a system's figures, of native cells: an emulated one measures the emulator."""
    for cell in _cells_of(system, results):
        if not cell.emulated:
            yield from FIGURES[str(check.figure)](check, cell, results)


def _figure(check: Check, results: Results) -> Iterator[Fact]:
    mine = next(_numbers(check, check.of, results), None)
    other = next(_numbers(check, check.over, results), None) if check.over else ONE
    if mine is None and (other is None or other is ONE):
        return
    if mine is None or other is None:
        lacking, there = (check.of, other) if mine is None else (check.over, mine)
        why = f"there is no {check.figure} of {lacking}, run natively and right, beside it"
        yield Fact(so=None, why=why, record=there.record if there else "")
        return
    value = mine.value / other.value
    low, high = _range(mine, other)
    so = _past(check, low, high)
    unit = f", {other.text}: {value:.3g} times" if check.over else ""
    of_one = mine.low is None or other.low is None
    between = "" if low == high else ", one round" if of_one else f" [{low:.3g}, {high:.3g}]"
    near = f", too near to {check.at_least or check.at_most:g} to tell" if so is None else ""
    why = f"{check.figure} {mine.text}{unit}{between}{near}"
    yield Fact(so=so, why=why, record=mine.record, measured=True)


def _range(mine: Number, other: Number) -> tuple[float, float]:
    """Return between what the ratio lies, for certain."""
    if mine.low is None or mine.high is None or other.low is None or other.high is None:
        return mine.value / other.value / MARGIN, mine.value / other.value * MARGIN
    return mine.low / other.high, mine.high / other.low


def _past(check: Check, low: float, high: float) -> bool | None:
    """Return on which side of the bound a range is, or None where it is on both."""
    if check.at_least is not None:
        return True if low >= check.at_least else False if high < check.at_least else None
    bound = check.at_most or 0.0
    return True if high <= bound else False if low > bound else None


_Find = Callable[[Check, CellRow, Results], Iterable[Number]]


def _startup(*of: str) -> _Find:
    def find(check: Check, cell: CellRow, results: Results) -> Iterator[Number]:
        for row in results.startup:
            if row.cell == cell.cell and row.workload == check.workload:
                yield from _timed([getattr(row, one) for one in of], row.cell, row.workload)

    return find


def _step(check: Check, cell: CellRow, results: Results) -> Iterator[Number]:
    """Yield the time of a step that trains as gold does: one that does less may be faster."""
    for row in results.training:
        if row.cell == cell.cell and row.workload == check.workload and row.status == "ok":
            yield from _timed([row.step_s], row.cell, row.workload)


def _pass(check: Check, cell: CellRow, results: Results) -> Iterator[Number]:
    for row in results.passes:
        if row.cell == cell.cell and row.workload == check.workload:
            yield from _timed([row.backward_s], row.cell, row.workload)


def _lines(check: Check, cell: CellRow, results: Results) -> Iterator[Number]:
    """Yield the lines of a network that was proven to be the same one."""
    for row in results.idioms:
        wanted = row.cell == cell.cell and row.workload == check.workload
        if wanted and row.status == "ok" and row.lines:
            yield _exact(row.lines, "lines", row.cell, _record(row.cell, row.workload))


def _image(check: Check, cell: CellRow, results: Results) -> Iterator[Number]:
    del check, results
    if cell.image_bytes:
        yield _exact(cell.image_bytes / 1e6, "MB", cell.cell, f"builds/{cell.cell}.json")


def _memory(check: Check, cell: CellRow, results: Results) -> Iterator[Number]:
    del check
    if cell.peak_memory_bytes:
        value = cell.peak_memory_bytes / 1e6
        text = f"{cell.cell} {value:.3g} MB"
        yield Number(value=value, text=text, record=_any_record(cell, results))


FIGURES: dict[str, _Find] = {
    "import": _startup("import_s"),
    "first step": _startup("first_step_s"),
    "start": _startup("interpreter_s", "import_s", "build_s", "first_step_s"),
    "step": _step,
    "forward and backward": _pass,
    "lines": _lines,
    "image": _image,
    "memory": _memory,
}


def _cell(check: Check, results: Results) -> Iterator[Fact]:
    """Yield a fact: so, where one of them ran; not so, where there can be none."""
    rows = [row for row in results.cells if fnmatch.fnmatchcase(row.cell, check.cell or "")]
    for row in (row for row in rows if row.status == "ok"):
        how = "ran, emulated" if row.emulated else "ran"
        yield Fact(so=True, why=f"{row.cell}: {how}", record=_any_record(row, results))
    for row in rows:
        so = False if all(one.excluded for one in rows) else None
        record = _any_record(row, results) if row.jobs else "plan.json"
        yield Fact(so=so, why=f"{row.cell}: {row.reason or row.status}", record=record)


def _any_record(cell: CellRow, results: Results) -> str:
    """Return where a record of a cell is: the first that gave a time."""
    subjects = [row.workload for row in results.startup if row.cell == cell.cell]
    subjects += [row.workload for row in results.training if row.cell == cell.cell]
    subjects += [row.subject for row in results.serving if row.cell == cell.cell]
    return _record(cell.cell, subjects[0]) if subjects else f"records/{cell.cell}"


def _artifact(check: Check, results: Results) -> Iterator[Fact]:
    """Yield one fact of all that were to be served."""
    rows = [
        row
        for row in results.portability
        if fnmatch.fnmatchcase(row.artifact, check.artifact or "")
        and fnmatch.fnmatchcase(row.consumer, check.consumer or "")
    ]
    tried = [row for row in rows if row.verdict != "not-run"]
    if rows:
        shown = _shown(tried or rows)
        record = _record(shown.consumer, shown.artifact) if tried else "plan.json"
        yield Fact(so=_served(tried), why=_why_served(tried, shown), record=record)


def _served(rows: Sequence[PortabilityRow]) -> bool | None:
    """Return whether artifacts can be run: None where some answer wrongly, or none was tried."""
    wrong = [row for row in rows if row.verdict in ("drift", "error") and not row.expected_failure]
    if not wrong and any(row.verdict == "match" for row in rows):
        return True
    return False if rows and all(map(_refused, rows)) else None


def _refused(row: PortabilityRow) -> bool:
    """Return whether a consumer cannot load an artifact, for all that is known."""
    at_loading = row.failed_phase == "startup" and row.error_type not in BROKEN
    return row.verdict == "unsupported" or (row.verdict == "error" and at_loading)


def _shown(rows: Sequence[PortabilityRow]) -> PortabilityRow:
    """Return the row to tell of: one that is wrong, and decides least, before all others."""
    return min(
        rows, key=lambda row: (row.verdict == "match", bool(row.expected_failure), _refused(row))
    )


def _why_served(tried: Sequence[PortabilityRow], shown: PortabilityRow) -> str:
    matched = [row for row in tried if row.verdict == "match"]
    if not tried or len(matched) < len(tried):
        reason = shown.expected_failure or shown.reason
        said = f"{shown.artifact} on {shown.consumer}: {shown.verdict}: {reason}"
        return f"{len(matched)} of {len(tried)} match; {said}"
    worst = max((row.error for row in tried if row.error is not None), default=0.0)
    names = ", ".join(sorted({_name(row) for row in tried}))
    return f"{len(tried)} of {len(tried)} match, the largest error {worst:.1e}, on {names}"


def _name(row: PortabilityRow) -> str:
    """Return the name of a consumer: what stands before its base."""
    name = row.consumer.rsplit("-", 3)[0]
    return f"{name} (emulated)" if row.emulated else name


FINDERS: dict[str, Callable[[Check, Results], Iterator[Fact]]] = {
    "probe": _probe,
    "network": _network,
    "figure": _figure,
    "cell": _cell,
    "artifact": _artifact,
}
