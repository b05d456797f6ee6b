"""Conformance: a standard's own tests in every cell that claims to keep it.

The suite is made once, in the cell that judges the format, and answered by the others; the host
compares. What fails is held against a baseline, so that a new failure stands out.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter

from deepmatrix.errors import EngineError
from deepmatrix.execution.attempts import Attempts
from deepmatrix.execution.runner import OpenRun
from deepmatrix.paths import DATA
from deepmatrix.planning.plan import Cell
from deepmatrix.store import arrays
from deepmatrix.store.arrays import Values
from deepmatrix.store.phases import CaseOutcome, SuiteCase, SuiteData
from deepmatrix.store.runs import read, write_text
from harness.record import CONFORM, SUITE, SUITE_ANSWERS, SUITE_ARRAYS, SUITE_MODELS, SUITE_PLACE

#: The suites, by the format that they are about.
SUITES = {"onnx": "onnx_node"}

#: So many cases may kill their process before a cell is given up.
MOST_CRASHES = 50

BASELINES = DATA / "conformance"

Ending = Literal["pass", "wrong", "error", "unsupported", "crash"]


class Outcome(BaseModel):
    """How a case ended, and why where it did not pass."""

    model_config = ConfigDict(frozen=True)

    ending: Ending
    reason: str = ""


class Conformity(BaseModel):
    """A suite in a cell: how many cases passed, which did not, and which could not be tried."""

    model_config = ConfigDict(frozen=True)

    cell: str
    suite: str
    versions: dict[str, str]
    passed: int
    failed: dict[str, Outcome]
    skipped: dict[str, str]

    def counted(self, ending: Ending) -> int:
        """Return how many cases ended so."""
        if ending == "pass":
            return self.passed
        return sum(1 for one in self.failed.values() if one.ending == ending)


_CONFORMITY = TypeAdapter(Conformity)


@dataclass(frozen=True, kw_only=True)
class Change:
    """What differs from a baseline: cases that fail only now, and that failed only then."""

    worse: Mapping[str, Outcome]
    better: Sequence[str]


def change(found: Conformity, baseline: Conformity) -> Change:
    """Compare with a baseline; a case that fails otherwise than before is no news."""
    return Change(
        worse={name: one for name, one in found.failed.items() if name not in baseline.failed},
        better=sorted(set(baseline.failed) - set(found.failed) - set(found.skipped)),
    )


def baseline_path(cell_id: str) -> Path:
    """Return where a cell's baseline is kept."""
    return BASELINES / f"{cell_id}.json"


def path_in(run: Path, cell_id: str) -> Path:
    """Return where a run keeps what a cell came to."""
    return run / "conformance" / f"{cell_id}.json"


def keep(found: Conformity, path: Path) -> None:
    """Write what a cell came to."""
    write_text(path, found.model_dump_json(indent=1) + "\n")


def found(run: Path) -> list[Conformity]:
    """Return what the cells of a run came to; nothing where it tried no suite."""
    return [read(path, _CONFORMITY) for path in sorted(path_in(run, "x").parent.glob("*.json"))]


def baseline(cell_id: str) -> Conformity | None:
    """Return a cell's baseline, if it has one. Raises RecordError where it cannot be read."""
    path = baseline_path(cell_id)
    return read(path, _CONFORMITY) if path.is_file() else None


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A suite as its judge has made it: its cases, and their files below a folder."""

    name: str
    said: SuiteData
    folder: Path

    @property
    def tried(self) -> dict[int, SuiteCase]:
        """The cases that can be tried, by their number."""
        return {at: case for at, case in enumerate(self.said.cases) if not case.skipped}


def make(attempts: Attempts, judge: Cell, form: str, folder: Path) -> Suite:
    """Have a suite made in a cell, into an empty folder.

    Raises EngineError where the cell cannot make it.
    """
    name = SUITES[form]
    with attempts.one_off(judge, name, (SUITE,), lambda _: {"suite": {"name": name}}) as left:
        said = left.output.suite() if left.output and left.status == "ok" else None
        if said is None:
            raise EngineError(f"{judge.id} cannot make the suite {name}: {left.cause}")
        for one in (SUITE_MODELS, SUITE_ARRAYS):
            target = folder / one
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(left.control / one, target)
    return Suite(name=name, said=said, folder=folder)


@dataclass
class Trial:
    """A suite in one cell: tried until every case has an outcome, whatever it kills."""

    attempts: Attempts
    cell: Cell
    suite: Suite
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def conformity(self) -> Conformity:
        """Try all cases. Raises EngineError where the cell does not get as far."""
        while left := [number for number in self.suite.tried if number not in self.outcomes]:
            self._try(left)
            crashes = sum(1 for one in self.outcomes.values() if one.ending == "crash")
            if crashes > MOST_CRASHES:
                raise EngineError(f"{self.cell.id}: more than {MOST_CRASHES} cases kill it")
        cases = self.suite.said.cases
        failed = {
            cases[number].name: one
            for number, one in sorted(self.outcomes.items())
            if one.ending != "pass"
        }
        return Conformity(
            cell=self.cell.id,
            suite=self.suite.said.version,
            versions=self.versions,
            passed=len(self.outcomes) - len(failed),
            failed=failed,
            skipped={case.name: case.skipped for case in cases if case.skipped},
        )

    def _try(self, numbers: Sequence[int]) -> None:
        def fill(control: Path) -> dict[str, Any]:
            shutil.copytree(self.suite.folder, control, dirs_exist_ok=True)
            asked = [{"number": at, **self.suite.tried[at].model_dump()} for at in numbers]
            return {"suite": {"name": self.suite.name, "cases": asked}}

        with self.attempts.one_off(self.cell, self.suite.name, (CONFORM,), fill) as left:
            said = left.output.conformed() if left.output and left.status == "ok" else None
            if said is None:
                self._blame(left.control, numbers, left.cause or left.status)
                return
            if left.output and left.output.environment:
                self.versions = left.output.environment.versions
            self._judge(said.cases, left.control)

    def _blame(self, control: Path, numbers: Sequence[int], cause: str) -> None:
        """Give the case that was being answered when the process died its outcome."""
        place = control / SUITE_PLACE
        text = place.read_text(encoding="utf-8") if place.is_file() else ""
        if not text.isdecimal() or int(text) not in numbers:
            raise EngineError(f"{self.cell.id} did not come to a case: {cause}")
        self.outcomes[int(text)] = Outcome(ending="crash", reason=cause)

    def _judge(self, said: Mapping[str, CaseOutcome], control: Path) -> None:
        try:
            answers = arrays.read_all(control / SUITE_ANSWERS, arrays.ANY)
            truths = arrays.read_all(self.suite.folder / SUITE_ARRAYS, arrays.ANY)
        except arrays.Unreadable as error:
            raise EngineError(f"{self.cell.id}: {error}") from None
        for number, case in self.suite.tried.items():
            ended = said.get(str(number))
            if ended is None:
                continue
            wanted = [truths[f"{number}/out/{at}"] for at in range(case.outputs)]
            given = [answers.get(f"{number}/{at}") for at in range(ended.outputs)]
            self.outcomes[number] = _outcome(case, ended, given, wanted)


def _outcome(
    case: SuiteCase, ended: CaseOutcome, given: Sequence[Values | None], wanted: Sequence[Values]
) -> Outcome:
    if ended.status != "ok":
        ending: Ending = "unsupported" if ended.status == "unsupported" else "error"
        return Outcome(ending=ending, reason=ended.error.line if ended.error else "")
    if len(given) != len(wanted):
        reason = f"it gave {len(given)} outputs, {len(wanted)} are expected"
        return Outcome(ending="wrong", reason=reason)
    reasons = [_differs(one, truth, case) for one, truth in zip(given, wanted, strict=True)]
    reason = "; ".join(one for one in reasons if one)
    return Outcome(ending="wrong" if reason else "pass", reason=reason)


def _differs(answer: Values | None, truth: Values, case: SuiteCase) -> str:
    """Say how an answer differs from what is expected, by the case's own tolerances, or nothing."""
    if answer is None:
        return "an answer is missing"
    if answer.shape != truth.shape:
        return f"the shape {answer.shape}, not {truth.shape}"
    if answer.dtype.kind != truth.dtype.kind or (
        truth.dtype.kind not in "US" and answer.dtype != truth.dtype
    ):
        return f"the dtype {answer.dtype}, not {truth.dtype}"
    if truth.dtype.kind in "USb":
        wrong = int((answer != truth).sum())
    else:
        near = np.isclose(answer, truth, rtol=case.rtol, atol=case.atol, equal_nan=True)
        wrong = int((~near).sum())
    return f"{wrong} of {truth.size} values differ" if wrong else ""


def try_all(opened: OpenRun, folder: Path, done: Callable[[Conformity], None]) -> dict[str, str]:
    """Try the suite of ONNX in a run's cells, one after the other; the first of them makes it.

    *folder* is an empty one for the suite; *done* is told of every cell that got through. Returns,
    by cell, why the others could not be tried.

    Raises:
        EngineError: the suite cannot be made, or the engine went away.
        Cancelled: the user interrupted it.
    """
    judge, *cells = opened.run.manifest.plan.cells
    not_ready = {
        cell.id: opened.run.prepared()[cell.id].error or ""
        for cell in (judge, *cells)
        if cell.id not in opened.ready
    }
    if judge.id in not_ready:
        raise EngineError(f"{judge.id} is not ready: {not_ready[judge.id]}")
    suite = make(opened.attempts, judge, "onnx", folder)
    broken = {}
    for cell in cells:
        if cell.id in opened.ready:
            try:
                done(Trial(opened.attempts, cell, suite).conformity())
            except EngineError as error:
                broken[cell.id] = error.message
    return {**not_ready, **broken}
