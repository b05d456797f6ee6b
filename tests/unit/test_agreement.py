"""Exit code, comment, tests and annotations of a review agree, whatever is compared and fails."""

from __future__ import annotations

import contextlib
import io
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from deepmatrix.cli import main
from deepmatrix.comparison import limits
from deepmatrix.comparison.accepted import compare_accepted
from deepmatrix.comparison.changes import ABSENT, Comparison
from deepmatrix.comparison.comparing import compare_results
from deepmatrix.comparison.verdicts import RANKS, WORDS, WORST, key_of, worst_outcomes
from deepmatrix.results import remarks
from deepmatrix.results.expressiveness.rows import IdiomRow
from deepmatrix.results.rows import Results, TrainingRow
from tests.unit import verifications
from tests.unit.test_reports import follows_junit

OPENVINO = "openvino_default-debian13-arm64-cpu"
CELLS = ("onnxruntime-debian12-amd64-cpu", OPENVINO, verifications.INSPECTOR)


@dataclass(frozen=True, kw_only=True)
class Reviewed:
    """What `review` left: its exit code, comment, annotations, and the tests that failed."""

    code: int
    comment: str
    annotations: list[str]
    failed: set[tuple[str, str]]
    reasons: list[str]
    skipped: list[str]

    @property
    def is_red(self) -> bool:
        """Whether it failed, as all its parts have to say alike."""
        signs = {
            self.code == 1,
            "### deepmatrix: ✗" in self.comment,
            bool(self.annotations),
            bool(self.failed),
        }
        assert len(signs) == 1, self
        return signs.pop()


def review(
    runs: Sequence[Results], comparison: Comparison | None, lost: Sequence[str] = ()
) -> Reviewed:
    """Review some runs with the command."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as out:
        paths = {name: Path(folder) / name for name in ("comment.md", "junit.xml", "c.json")}
        words = ["--annotations", "--comment", str(paths["comment.md"])]
        words += ["--junit", str(paths["junit.xml"]), *(f"--lost={name}" for name in lost)]
        if comparison:
            paths["c.json"].write_text(comparison.model_dump_json())
            words += ["--comparison", str(paths["c.json"])]
        for number, results in enumerate(runs):
            path = Path(folder) / f"{number}.json"
            path.write_text(results.model_dump_json())
            words.append(str(path))
        code = main.main(["review", *words])
        comment = paths["comment.md"].read_text()
        root = follows_junit(paths["junit.xml"].read_text())
    assert code in (0, 1)
    return Reviewed(
        code=code,
        comment=comment,
        annotations=[line for line in out.getvalue().splitlines() if line.startswith("::error ")],
        failed=set(_failed(root)),
        reasons=[element.get("message", "") for element in root.iter("failure")],
        skipped=[element.get("message", "") for element in root.iter("skipped")],
    )


def _failed(root: ET.Element) -> Iterator[tuple[str, str]]:
    """Yield each failed test by its suite and cell."""
    for suite in root:
        name = suite.get("name", "")
        for case in suite.iter("testcase"):
            if case.find("failure") is not None:
                cell = case.get("name" if name == "cells" else "classname", "")
                yield name, cell.rpartition(".")[2]


def run_of(
    rows: dict[str, dict[str, Any]],
    cells: dict[str, dict[str, Any]] | None = None,
    training: Sequence[TrainingRow] = (),
    idioms: Sequence[IdiomRow] = (),
) -> Results:
    """Return results of rows and cells with some fields of their own, by cell, and all problems."""
    results = verifications.results(*CELLS)
    portability = tuple(
        row.model_copy(update=rows[row.consumer])
        for row in results.portability
        if row.consumer in rows
    )
    changed = tuple(row.model_copy(update=(cells or {}).get(row.cell, {})) for row in results.cells)
    return results.model_copy(
        update={
            "cells": changed,
            "portability": portability,
            "training": tuple(training),
            "idioms": tuple(idioms),
            "problems": tuple(remarks.problems(changed, training, portability)),
        }
    )


def compare(
    base: Results, heads: Sequence[Results], fail_on: str, *, accepted: bool = False
) -> Comparison:
    """Return what `compare --fail-on` says of some runs, of several against accepted verdicts."""
    wanted = limits.parse(fail_on) if fail_on else ()
    growth = limits.growth_of(wanted)
    if accepted or len(heads) != 1:
        known = worst_outcomes(base)
        return limits.judge(compare_accepted(known, heads, ("base", "head"), growth), wanted)
    return limits.judge(compare_results(base, heads[0], ("base", "head"), wanted), wanted)


def drift(error: float) -> dict[str, Any]:
    return {"verdict": "drift", "error": error, "tolerance": 1e-3, "reason": "too far"}


MATCH = {"verdict": "match", "error": 1e-9, "reason": "", "cause": None}


def test_a_drift_below_the_limit_is_no_failed_test_and_one_above_it_is() -> None:
    base, head = (run_of({OPENVINO: drift(error)}) for error in (0.01, 0.03))
    accepting = review([head], compare(base, [head], "drift:10x"))
    assert not accepting.is_red
    assert "○ models/resnet50/model.onnx: 0 of 1 consumer matches, 1 drifts" in accepting.comment
    assert review([head], compare(base, [head], "drift:2x")).failed == {
        ("portability", OPENVINO),
        ("run", "run"),
    }


def test_a_new_failure_that_no_limit_names_is_not_red_anywhere() -> None:
    base, head = run_of({OPENVINO: MATCH}), run_of({OPENVINO: drift(0.03)})
    reviewed = review([head], compare(base, [head], "drift:10x"))
    assert not reviewed.is_red
    assert "✗" not in reviewed.comment


def test_what_breaks_changed_is_a_failed_test_also_where_it_became_better() -> None:
    worse, better = run_of({OPENVINO: drift(0.03)}), run_of({OPENVINO: MATCH})
    for base, head, limit in ((worse, better, "changed"), (better, worse, "new-failure,changed")):
        reviewed = review([head], compare(base, [head], limit))
        assert reviewed.is_red
        assert reviewed.failed == {("portability", OPENVINO), ("run", "run")}
        assert len(reviewed.annotations) == 1


def test_of_several_runs_each_that_broke_the_limit_has_a_failed_test() -> None:
    rows = ({OPENVINO: MATCH}, {OPENVINO: drift(0.03)}, {OPENVINO: drift(0.01)})
    heads = [run_of(row) for row in rows]
    reviewed = review(heads, compare(heads[0], heads, "new-failure"))
    assert reviewed.is_red
    broken = [line for line in reviewed.comment.splitlines() if line.startswith("- resnet50 on")]
    (line,) = broken  # of one cause
    assert line.count(f"`{OPENVINO}`") == 2
    assert "the largest error is 3.0e-02" in line
    assert reviewed.skipped == []


def test_only_what_the_baseline_has_is_accepted() -> None:
    damaged = {"status": "failed", "reason": "inspect: it is truncated", "failed": 1}
    head = run_of({OPENVINO: drift(0.03)}, {CELLS[0]: damaged})
    same = review([head], compare(head, [head], "new-failure"))
    assert set(same.skipped) == {"accepted: drift: too far", "failed: inspect: it is truncated"}
    new = review([head], compare(run_of({OPENVINO: MATCH}), [head], "changed"))
    assert "it breaks no limit: drift: too far" in new.skipped


def test_a_verdict_that_was_not_compared_fails_as_it_does_without_a_comparison() -> None:
    row = TrainingRow(
        cell=CELLS[0], workload="net", emulated=False, status="error", accuracy_wanted=0.9
    )
    other = run_of({CELLS[0]: MATCH, OPENVINO: MATCH})
    run = run_of({CELLS[0]: MATCH, OPENVINO: drift(0.03)}, training=[row])
    reviewed = review([run], compare(other, [other], "new-failure"))
    assert reviewed.is_red
    assert reviewed.failed == review([run], None).failed
    assert f"not compared: resnet50 on {OPENVINO}: drift: too far" in reviewed.reasons
    assert "the error is 3.0e-02" in reviewed.comment


def test_the_evaluator_that_judges_is_no_failed_test_with_a_comparison_or_without() -> None:
    results = run_of({verifications.INSPECTOR: drift(0.03), OPENVINO: MATCH})
    for comparison in (None, compare(results, [results], "new-failure")):
        reviewed = review([results], comparison)
        assert not reviewed.is_red
        assert reviewed.skipped == ["it judges the model, and is no consumer: drift: too far"]


def test_a_cell_fails_with_its_verdicts_and_whenever_it_was_not_built() -> None:
    failed = {"status": "crashed", "reason": "signal 11", "failed": 1}
    rows = {OPENVINO: {"verdict": "error", "error": None, "reason": "crashed"}}
    crashed = run_of(rows, {OPENVINO: failed})
    assert ("cells", OPENVINO) in review([crashed], None).failed
    accepting = review([crashed], compare(crashed, [crashed], "new-failure,drift"))
    assert not accepting.is_red
    assert set(accepting.skipped) == {"accepted: error: crashed", "crashed: signal 11"}
    rows = {OPENVINO: {"verdict": "not-run", "error": None}, CELLS[0]: MATCH}
    unbuilt = run_of(rows, {OPENVINO: {"status": "build-failed", "reason": "no", "jobs": 0}})
    for comparison in (None, compare(unbuilt, [unbuilt], "new-failure,drift")):
        reviewed = review([unbuilt], comparison)
        assert reviewed.is_red
        assert reviewed.failed == {("cells", OPENVINO), ("run", "run")}


def test_a_training_that_failed_before_too_is_accepted_as_a_verdict_is() -> None:
    row = TrainingRow(
        cell=CELLS[0], workload="net", emulated=False, status="error", accuracy_wanted=0.9
    )
    results = run_of({CELLS[0]: MATCH}, training=[row])
    assert review([results], None).failed == {("training", CELLS[0]), ("run", "run")}
    assert not review([results], compare(results, [results], "new-failure,drift")).is_red


ROWS = st.dictionaries(
    st.sampled_from(CELLS),
    st.fixed_dictionaries(
        {
            "verdict": st.sampled_from(WORDS["serving"]),
            "error": st.sampled_from([None, 0.0, 0.01, 0.03, 0.2, float("inf"), float("nan")]),
            "tolerance": st.just(1e-3),
            "reason": st.sampled_from(["", "too far"]),
            "message": st.just(""),
            "cause": st.none(),
            "expected_failure": st.sampled_from(["", "", "known"]),
            "judges": st.sampled_from([False, False, True]),
        }
    ),
)
OWN = {
    kind: st.lists(
        st.tuples(st.sampled_from(CELLS), st.sampled_from(WORDS[kind]), st.booleans()),
        max_size=2,
        unique_by=lambda entry: entry[0],
    )
    for kind in ("training", "idiom")
}
CELL_FIELDS = st.dictionaries(
    st.sampled_from(CELLS),
    st.sampled_from(
        [
            {"status": "crashed", "failed": 1},
            {"status": "build-failed", "reason": "no wheel", "jobs": 0},
            {"status": "not-run", "jobs": 0},
            {"missing": 2},
        ]
    ),
)
LIMITS = ("new-failure", "changed", "drift", "drift:10x", "slower", "larger")


@st.composite
def runs(draw: st.DrawFn) -> Results:
    """Draw results: verdicts, trainings, idioms, cells, budgets, models that are not served."""
    common = {"workload": "net", "emulated": False}
    own = [
        [
            {"cell": cell, "status": status, "expected_failure": "known" * known, **common}
            for cell, status, known in draw(OWN[kind])
        ]
        for kind in OWN
    ]
    results = run_of(
        draw(ROWS),
        draw(CELL_FIELDS),
        [TrainingRow(accuracy_wanted=0.9, **fields) for fields in own[0]],
        [IdiomRow(**fields) for fields in own[1]],
    )
    over = draw(st.sampled_from([(), (), (), ("p99 is over the budget",)]))
    unserved = draw(st.sampled_from([(), (), (), ("vit: the model is not served",)]))
    problems = (*results.problems, *over, *unserved)
    return results.model_copy(update={"problems": problems, "over_budget": over})


@settings(max_examples=150, deadline=None)
@given(
    base=runs(),
    heads=st.lists(runs(), min_size=1, max_size=3),
    fail_on=st.lists(st.sampled_from(LIMITS), unique=True).map(",".join),
    lost=st.sampled_from([[], [], [], ["amd64-1"]]),
    accepted=st.booleans(),
)
def test_exit_code_comment_tests_and_annotations_agree_whatever_is_compared(
    base: Results, heads: list[Results], fail_on: str, lost: list[str], accepted: bool
) -> None:
    comparison = compare(base, heads, fail_on, accepted=accepted)
    alone, reviewed = review(heads, None, lost), review(heads, comparison, lost)
    others = [line for head in heads for line in head.problems if "not " in line or "over" in line]
    assert alone.is_red == bool(lost or any(head.problems for head in heads))
    assert reviewed.is_red or not (comparison.broken or lost)
    changes = (*comparison.failures, *comparison.changes, *comparison.drifts)
    suites = {"serving": "portability", "training": "training"}
    broken = {
        (suites[change.kind], change.cell)
        for change in changes
        if change.breaks and change.kind in suites and change.head != ABSENT
    }
    assert {entry for entry in reviewed.failed if entry[0] in suites.values()} == broken
    assert reviewed.is_red == bool(comparison.broken or others or lost)
    known = worst_outcomes(base)
    acceptable = [
        status
        for head in heads
        for row, status in (
            *((row, row.verdict) for row in head.portability if not row.judges),
            *((row, row.status) for row in head.training),
        )
        if (before := known.get(key_of(row))) and before.rank >= RANKS.get(status, WORST) > 0
    ]
    told = [line.split(": ")[1] for line in reviewed.skipped if line.startswith("accepted: ")]
    assert not Counter(told) - Counter(acceptable)


@settings(max_examples=100, deadline=None)
@given(base=runs(), head=runs(), others=st.lists(runs(), min_size=1, max_size=2))
def test_what_was_not_compared_fails_in_all_parts_alike(
    base: Results, head: Results, others: list[Results]
) -> None:
    comparison = compare(base, [head], "new-failure,drift")
    reviewed = review(others, comparison)
    told = (*comparison.accepted, *comparison.changes, *comparison.drifts, *comparison.failures)
    known = {(change.key, change.head) for change in told}
    uncompared = {
        ("portability", row.consumer)
        for run in others
        for row in run.portability
        if remarks.row_problem(row) in run.problems and (key_of(row), row.verdict) not in known
    }
    assert uncompared <= reviewed.failed
    assert reviewed.is_red or not comparison.broken
