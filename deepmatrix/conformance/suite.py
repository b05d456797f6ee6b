"""Conformance: a standard's own tests in every cell that claims to implement it.

The cell that inspects the format makes the suite once, the others run it, and the host compares.
Failures are compared with a baseline, so that a new one stands out.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from deepmatrix.boundary.bounds import Count, Facts, Id, Line, Remark
from deepmatrix.boundary.copying import copy_tree
from deepmatrix.boundary.files import Damaged, read_bytes, read_json
from deepmatrix.boundary.opening import is_there
from deepmatrix.boundary.writing import write_text
from deepmatrix.errors import EngineError
from deepmatrix.execution.attempts import Attempts
from deepmatrix.execution.runner import OpenRun
from deepmatrix.paths import DATA
from deepmatrix.planning.cells import Cell
from deepmatrix.store import arrays
from deepmatrix.store.arrays import Values
from deepmatrix.store.reported.conformance import CaseOutcome, SuiteCase, SuiteData
from harness.formats import FORMATS
from harness.record import CONFORM, SUITE, SUITE_ANSWERS, SUITE_ARRAYS, SUITE_MODELS, SUITE_PLACE

#: A cell in which more cases than this kill their process cannot be tried.
MOST_CRASHES = 50

#: Bytes of the file with the number of the case that is being answered.
LONGEST_PLACE = 20

BASELINES = DATA / "conformance"

#: The format whose standard has a suite of tests.
SUITE_FORMAT = next(entry.name for entry in FORMATS.values() if entry.suite)

Ending = Literal["pass", "wrong", "error", "unsupported", "crash"]


CellId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,200}$")]


class Outcome(BaseModel):
    """How a case ended, and why where it did not pass.

    *kind*: what failures of one kind have in common: the type of the error, what of an answer is
    wrong, or how the process ended. Baselines have none.
    """

    model_config = ConfigDict(frozen=True)

    ending: Ending
    kind: Line = ""
    reason: Line = ""


class Conformity(BaseModel):
    """The outcome of a suite in a cell: how many cases passed, which failed, which were skipped."""

    model_config = ConfigDict(frozen=True)

    cell: CellId
    suite: Remark
    versions: Facts
    passed: Count
    failed: dict[Id, Outcome] = Field(max_length=100_000)
    skipped: dict[Id, Remark] = Field(max_length=100_000)

    def counted(self, ending: Ending) -> int:
        """Return how many cases have this ending."""
        if ending == "pass":
            return self.passed
        return sum(1 for outcome in self.failed.values() if outcome.ending == ending)


_CONFORMITY = TypeAdapter(Conformity)


@dataclass(frozen=True, kw_only=True)
class Change:
    """The difference from a baseline: cases that fail only now, and that failed only then."""

    worse: Mapping[str, Outcome]
    better: Sequence[str]


def change(conformity: Conformity, baseline: Conformity) -> Change:
    """Compare with a baseline; a case that still fails, with another reason, is not a change."""
    return Change(
        worse={
            name: outcome
            for name, outcome in conformity.failed.items()
            if name not in baseline.failed
        },
        better=sorted(set(baseline.failed) - set(conformity.failed) - set(conformity.skipped)),
    )


def baseline_path(cell_id: str) -> Path:
    """Return the file of a cell's baseline."""
    return BASELINES / f"{cell_id}.json"


def path_in(run: Path, cell_id: str) -> Path:
    """Return the file of a cell's outcome in a run."""
    return run / "conformance" / f"{cell_id}.json"


def save(conformity: Conformity, path: Path) -> None:
    """Write the outcome of a suite in a cell."""
    write_text(path, conformity.model_dump_json(indent=1) + "\n")


def load_all(run: Path) -> list[Conformity]:
    """Return the outcomes of all cells of a run, empty if it tried no suite."""
    return [
        read_json(path, _CONFORMITY) for path in sorted(path_in(run, "x").parent.glob("*.json"))
    ]


def baseline(cell_id: str) -> Conformity | None:
    """Return a cell's baseline, None if it has none. Raises RecordError if it is unreadable."""
    path = baseline_path(cell_id)
    return read_json(path, _CONFORMITY) if is_there(path) else None


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A suite that the format's inspector made: its cases, and their files below a folder."""

    name: str
    data: SuiteData
    folder: Path

    @property
    def runnable(self) -> dict[int, SuiteCase]:
        """The cases that can be run, by number."""
        return {number: case for number, case in enumerate(self.data.cases) if not case.skipped}


def make_suite(attempts: Attempts, inspector: Cell, format_name: str, folder: Path) -> Suite:
    """Make a suite in a cell, into an empty folder.

    Raises EngineError where the cell cannot make it.
    """
    name = FORMATS[format_name].suite
    with attempts.one_off(inspector, name, (SUITE,), lambda _: {"suite": {"name": name}}) as ended:
        data = ended.output.suite() if ended.output and ended.status == "ok" else None
        if data is None:
            raise EngineError(f"{inspector.id} cannot make the suite {name}: {ended.cause}")
        for file_name in (SUITE_MODELS, SUITE_ARRAYS):
            target = folder / file_name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(ended.control / file_name, target)
    return Suite(name=name, data=data, folder=folder)


@dataclass
class Trial:
    """A suite in one cell: run until every case has an outcome, in new processes after a crash."""

    attempts: Attempts
    cell: Cell
    suite: Suite
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def conformity(self) -> Conformity:
        """Run all cases. Raises EngineError if the cell cannot run them."""
        while pending := [number for number in self.suite.runnable if number not in self.outcomes]:
            self._run_cases(pending)
            if not any(number in self.outcomes for number in pending):
                raise EngineError(f"{self.cell.id} answers without the outcome of any case")
            crashes = sum(1 for outcome in self.outcomes.values() if outcome.ending == "crash")
            if crashes > MOST_CRASHES:
                raise EngineError(f"{self.cell.id}: more than {MOST_CRASHES} cases kill it")
        cases = self.suite.data.cases
        failed = {
            cases[number].name: outcome
            for number, outcome in sorted(self.outcomes.items())
            if outcome.ending != "pass"
        }
        return Conformity(
            cell=self.cell.id,
            suite=self.suite.data.version,
            versions=self.versions,
            passed=len(self.outcomes) - len(failed),
            failed=failed,
            skipped={case.name: case.skipped for case in cases if case.skipped},
        )

    def _run_cases(self, numbers: Sequence[int]) -> None:
        def fill(control: Path) -> dict[str, Any]:
            copy_tree(self.suite.folder, control, exist_ok=True)
            cases = [
                {"number": number, **self.suite.runnable[number].model_dump()} for number in numbers
            ]
            return {"suite": {"name": self.suite.name, "cases": cases}}

        with self.attempts.one_off(self.cell, self.suite.name, (CONFORM,), fill) as ended:
            answered = ended.output.conformed() if ended.output and ended.status == "ok" else None
            if answered is None:
                self._blame(ended.control, numbers, ended.status, ended.cause or ended.status)
                return
            if ended.output and ended.output.environment:
                self.versions = ended.output.environment.versions
            self._judge(answered.cases, ended.control)

    def _blame(self, control: Path, numbers: Sequence[int], status: str, cause: str) -> None:
        """Record a crash of the case that was running when the process died."""
        try:
            content = read_bytes(control / SUITE_PLACE, largest=LONGEST_PLACE)
        except Damaged:
            content = b""
        written = {str(number).encode(): number for number in numbers}
        if content not in written:
            raise EngineError(f"{self.cell.id} died before its first case: {cause}")
        self.outcomes[written[content]] = Outcome(ending="crash", kind=status, reason=cause)

    def _judge(self, ended_cases: Mapping[str, CaseOutcome], control: Path) -> None:
        try:
            answers = arrays.read_all(control / SUITE_ANSWERS, arrays.ANY)
            truths = arrays.read_all(self.suite.folder / SUITE_ARRAYS, arrays.ANY)
        except arrays.Unreadable as error:
            raise EngineError(f"{self.cell.id}: {error}") from None
        for number, case in self.suite.runnable.items():
            ended = ended_cases.get(str(number))
            if ended is None:
                continue
            names = [f"{number}/out/{index}" for index in range(case.outputs)]
            if missing := [name for name in names if name not in truths]:
                raise EngineError(f"the suite {self.suite.name} has no array {missing[0]}")
            expected = [truths[name] for name in names]
            actual = [answers.get(f"{number}/{index}") for index in range(ended.outputs)]
            self.outcomes[number] = _outcome(case, ended, actual, expected)


def _outcome(
    case: SuiteCase,
    ended: CaseOutcome,
    actual: Sequence[Values | None],
    expected: Sequence[Values],
) -> Outcome:
    if ended.status != "ok":
        ending: Ending = "unsupported" if ended.status == "unsupported" else "error"
        if ended.error is None:
            return Outcome(ending=ending)
        return Outcome(ending=ending, kind=ended.error.type, reason=ended.error.line)
    if len(actual) != len(expected):
        reason = f"{len(actual)} outputs, {len(expected)} are expected"
        return Outcome(ending="wrong", kind="number of outputs", reason=reason)
    pairs = zip(actual, expected, strict=True)
    differences = [
        difference for answer, truth in pairs if (difference := _difference(answer, truth, case))
    ]
    if not differences:
        return Outcome(ending="pass")
    reason = "; ".join(reason for _, reason in differences)
    return Outcome(ending="wrong", kind=differences[0][0], reason=reason)


def _difference(answer: Values | None, truth: Values, case: SuiteCase) -> tuple[str, str] | None:
    """Return what differs beyond the case's own tolerances, and how; None if nothing does."""
    if answer is None:
        return "missing", "an answer is missing"
    if answer.shape != truth.shape:
        return "shape", f"the shape {answer.shape}, not {truth.shape}"
    if answer.dtype.kind != truth.dtype.kind or (
        truth.dtype.kind not in "US" and answer.dtype != truth.dtype
    ):
        return "dtype", f"the dtype {answer.dtype}, not {truth.dtype}"
    if truth.dtype.kind in "USb":
        wrong = int((answer != truth).sum())
    else:
        close = np.isclose(answer, truth, rtol=case.rtol, atol=case.atol, equal_nan=True)
        wrong = int((~close).sum())
    return ("values", f"{wrong} of {truth.size} values differ") if wrong else None


def try_all(
    opened: OpenRun, folder: Path, on_result: Callable[[Conformity], None]
) -> dict[str, str]:
    """Try the ONNX suite in a run's cells, one after the other; the first of them makes it.

    *folder* is an empty one for the suite; *on_result* is called with the outcome of each cell.
    Returns, by cell, why the others could not be tried.

    Raises:
        EngineError: the suite cannot be made, or the engine went away.
        Cancelled: the user interrupted it.
    """
    cells = opened.run.manifest.plan.cells
    inspector = cells[0]
    not_ready = {
        cell.id: opened.run.prepared()[cell.id].error or ""
        for cell in cells
        if cell.id not in opened.ready
    }
    if inspector.id in not_ready:
        raise EngineError(f"{inspector.id} is not ready: {not_ready[inspector.id]}")
    suite = make_suite(opened.attempts, inspector, SUITE_FORMAT, folder)
    broken = {}
    for cell in cells:
        if cell.serves and cell.id in opened.ready:
            try:
                on_result(Trial(opened.attempts, cell, suite).conformity())
            except EngineError as error:
                broken[cell.id] = error.message
    return {**not_ready, **broken}
