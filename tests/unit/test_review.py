"""What several runs say of a change: the comment is one screen, and names what is worst."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from deepmatrix import reports
from deepmatrix.cli import main
from deepmatrix.comparison import limits
from deepmatrix.comparison.changes import Comparison, SizeChange
from deepmatrix.comparison.comparing import compare_results
from deepmatrix.drawing import escaping
from deepmatrix.reports.annotations import MOST
from deepmatrix.reports.comment import MARKER
from deepmatrix.reports.markdown import LONGEST
from deepmatrix.reports.review import Review
from deepmatrix.results import remarks
from deepmatrix.results.rows import Results
from tests.unit import verifications
from tests.unit.test_reports import follows_junit

DRIFTED = "openvino_default-debian13-arm64-cpu"
WEB = "onnxruntime-web-debian13-amd64-cpu"
BUDGET = "openvino on resnet50: p99 9.1 ms is over the budget of 5.0 ms"


def run_of(
    *consumers: str, over_budget: Sequence[str] = (), unserved: Sequence[str] = ()
) -> Results:
    """Return the results of some consumers with all that is a problem of them."""
    results = verifications.results(*consumers)
    problems = [
        remarks.row_problem(judged) for judged in results.portability if remarks.is_problem(judged)
    ]
    return results.model_copy(
        update={
            "problems": (*problems, *over_budget, *unserved),
            "over_budget": tuple(over_budget),
        }
    )


def matching(results: Results) -> Results:
    """Return results of which every verdict is a match."""
    better = {"verdict": "match", "error": 1e-9, "reason": "", "cause": None}
    rows = tuple(row.model_copy(update=better) for row in results.portability)
    return results.model_copy(update={"portability": rows, "problems": ()})


def compared(base: Results, head: Results, fail_on: str, **changes: Any) -> Comparison:
    """Return what `compare --fail-on` concludes, with some more changes."""
    wanted = limits.parse(fail_on)
    comparison = compare_results(base, head, ("base", "head"), wanted)
    return limits.judge(comparison.model_copy(update=changes), wanted)


def test_a_run_that_is_as_expected_is_a_line_a_model() -> None:
    review = Review(runs=(run_of("onnxruntime-debian12-amd64-cpu"),))
    assert reports.comment_page(review, "https://example.org/7") == (
        f"{MARKER}\n"
        "### deepmatrix: ✓ as expected\n\n"
        "- ✓ models/resnet50/model.onnx: 1 of 1 consumer matches\n\n"
        "[All tables, logs and causes](https://example.org/7)\n"
    )
    assert reports.annotation_lines(review) == []


def test_what_is_wrong_is_named_with_its_first_wrong_node_and_broken_budgets() -> None:
    unserved = "vit: the model is not served: it cannot be read"
    review = Review(runs=(run_of(DRIFTED, WEB, over_budget=[BUDGET], unserved=[unserved]),))
    page = reports.comment_page(review)
    assert "### deepmatrix: ✗ 4 problems" in page
    assert (
        f"- resnet50 on `{DRIFTED}`: drift, first wrong node `layer4.2.conv3`, also alone: "
        "the error is 6.1e-02, the tolerance 2.0e-02\n"
    ) in page
    assert f"resnet50 on `{WEB}`: unsupported: " in page
    assert "**Broken budgets**" in page
    assert "p99 9.1 ms is over the budget of 5.0 ms" in page
    assert "**Not served**\n\n- vit: the model is not served" in page


def test_a_verdict_that_its_error_does_not_explain_is_told_by_its_reason() -> None:
    run = run_of(DRIFTED)
    small = {"error": 1.6e-7, "tolerance": 3.3e-6, "cause": None, "reason": "nothing decides: y"}
    for verdict, error in (("not-run", 1.6e-7), ("not-run", 0.1), ("drift", 1.6e-7)):
        (row,) = run.portability
        row = row.model_copy(update={**small, "verdict": verdict, "error": error})
        problems = (remarks.row_problem(row),)
        told = run.model_copy(update={"portability": (row,), "problems": problems})
        page = reports.comment_page(Review(runs=(told,)))
        assert f"- resnet50 on `{DRIFTED}`: {verdict}: nothing decides: y\n" in page


def test_runs_of_one_model_are_counted_together_and_named_where_they_ran() -> None:
    venv = {"venv-1": {"engine": "venv", "system": "Windows-11-10.0"}}
    windows = run_of(DRIFTED).model_copy(update={"engines": venv})
    review = Review(runs=(run_of("onnxruntime-debian12-amd64-cpu"), windows))
    page = reports.comment_page(review)
    assert "models/resnet50/model.onnx: 1 of 2 consumers matches, 1 drifts" in page
    assert f"`{DRIFTED}` (venv on Windows): drift" in page


def test_however_much_is_wrong_the_comment_is_one_screen_and_the_summary_fits() -> None:
    lines = [f"{BUDGET} {'x' * 900} {number}" for number in range(5000)]
    run = run_of(over_budget=lines, unserved=[f"m{number}: not served" for number in range(900)])
    review = Review(runs=(run, run))
    page = reports.comment_page(review)
    assert len(page.splitlines()) <= 40
    assert "- and 4995 more" in page
    assert len(page) < 60_000
    assert len(reports.summary_page(review).encode()) <= LONGEST + 100
    assert len(reports.annotation_lines(review)) == MOST


def test_the_worst_is_annotated_first_at_the_file_of_its_model() -> None:
    lines = reports.annotation_lines(Review(runs=(run_of(DRIFTED, over_budget=[BUDGET]),)))
    assert lines[0].startswith(
        f"::error file=models/resnet50/model.onnx,title=resnet50%3A drift on {DRIFTED}::Conv "
    )
    assert lines[1] == f"::error title=broken budget::{BUDGET}"


def test_with_a_comparison_only_what_is_worse_is_wrong() -> None:
    head = run_of(DRIFTED, "onnxruntime-debian12-amd64-cpu")
    same = compare_results(head, head, ("base", "head"))
    review = Review(runs=(head,), comparison=same)
    assert review.failures == ()
    page = reports.comment_page(review)
    assert "### deepmatrix: ✓ as expected" in page
    assert "**Against base:** ✓ nothing changed" in page
    assert "**Wrong**" not in page


def test_a_drift_that_a_comparison_accepts_is_no_red_test(tmp_path: Path) -> None:
    head = run_of(DRIFTED, WEB)
    base = matching(run_of(WEB))
    base = head.model_copy(update={"portability": (head.portability[0], *base.portability)})
    comparisons = {
        "same": compared(head, head, "new-failure,drift"),
        "worse": compared(base, head, "new-failure,drift"),
    }
    paths = {name: tmp_path / f"{name}.json" for name in ("head", *comparisons)}
    paths["head"].write_text(head.model_dump_json())
    for name, comparison in comparisons.items():
        paths[name].write_text(comparison.model_dump_json())
    file = tmp_path / "junit.xml"
    for words, code, red in (
        ([], 1, {DRIFTED, WEB, "run"}),
        (["--comparison", str(paths["same"])], 0, set()),
        (["--comparison", str(paths["worse"])], 1, {WEB, "run"}),
    ):
        assert main.main(["review", str(paths["head"]), *words, "--junit", str(file)]) == code
        root = follows_junit(file.read_text("utf-8"))
        cases = [case for case in root.iter("testcase") if case.find("failure") is not None]
        assert {case.get("classname") for case in cases} == red
        accepted = {
            case.get("classname")
            for case in root.iter("testcase")
            if (skipped := case.find("skipped")) is not None
            and (skipped.get("message") or "").startswith("accepted: ")
        }
        assert accepted == ({DRIFTED, WEB} - red if words else set())


def test_a_broken_limit_and_a_broken_budget_fail_beside_each_other() -> None:
    run = run_of(DRIFTED, over_budget=[BUDGET])
    review = Review(runs=(run,), comparison=compared(matching(run), run, "new-failure"))
    (broken, budget) = review.failures
    assert broken.startswith(f"new failure: resnet50 on {DRIFTED}: match, now drift: ")
    assert budget == BUDGET
    page = reports.comment_page(review)
    assert "**Against base:** ✗ 1 limit broken: 1 new failure" in page
    assert "first wrong node `layer4.2.conv3`" in page


def test_a_model_that_is_not_served_fails_beside_a_comparison_that_is_fine() -> None:
    run = run_of("onnxruntime-debian12-amd64-cpu")
    unserved = "vit: the model is not served: it cannot be read"
    head = run_of("onnxruntime-debian12-amd64-cpu", unserved=[unserved])
    same = compare_results(run, head, ("base", "head"))
    assert Review(runs=(head,), comparison=same).failures == (unserved,)


def test_what_a_comment_says_of_a_model_is_no_markup() -> None:
    hostile = "<img src=x> [a](https://example.org) *b* @team"
    review = Review(runs=(run_of(unserved=[f"{hostile} vit"]),), lost=(f"{hostile} job",))
    page = reports.comment_page(review)
    assert escaping.markdown(f"{hostile} job") in page
    assert escaping.markdown(f"{hostile} vit") in page
    assert hostile not in page


def test_a_consumer_that_drifts_like_another_names_the_one_that_was_searched() -> None:
    run = run_of(DRIFTED)
    (row,) = run.portability
    assert row.cause
    cause = row.cause.model_copy(update={"as_on": WEB})
    run = run.model_copy(update={"portability": (row.model_copy(update={"cause": cause}),)})
    page = reports.comment_page(Review(runs=(run,)))
    assert f"first wrong node `layer4.2.conv3`, as on `{WEB}`: the error is" in page


def test_a_fault_is_told_once_for_all_cells_with_what_to_do() -> None:
    cells = [f"openvino-debian{number}-amd64-cpu" for number in (10, 11, 12, 13, 14)]
    (row,) = run_of(DRIFTED).portability
    assert row.cause
    wrong = {"kind": "reference", "node": "", "text": "the reference differs; check --reference"}
    rows = [
        row.model_copy(
            update={
                "consumer": name,
                "cause": row.cause.model_copy(update={**wrong, "as_on": name and cells[0]}),
            }
        )
        for name in cells
    ]
    run = run_of(DRIFTED)
    cell = next(each for each in run.cells if each.cell == DRIFTED)
    run = run.model_copy(
        update={
            "cells": tuple(cell.model_copy(update={"cell": name}) for name in cells),
            "portability": tuple(rows),
            "problems": tuple(map(remarks.row_problem, rows)),
        }
    )
    review = Review(runs=(run,))
    page = reports.comment_page(review)
    assert page.count("check --reference") == 1
    assert f"on `{cells[0]}`, `{cells[1]}`, `{cells[2]}` and 2 other cells: drift" in page
    assert "first wrong node" not in page
    (annotation,) = reports.annotation_lines(review)
    assert f"{cells[0]} and 4 other cells" in annotation
    failures = ET.fromstring(reports.review_document(review)).iterfind(".//failure")
    causes = [failure.text for failure in failures if failure.text]
    assert len(causes) == len(cells)
    assert all("check --reference\nsee it again: nox -s" in cause for cause in causes)


def test_the_tests_of_several_runs_have_names_that_tell_them_apart() -> None:
    runs = [run_of(DRIFTED).model_copy(update={"run": name}) for name in ("linux", "windows")]
    tests = ET.fromstring(reports.review_document(Review(runs=tuple(runs)))).iter("testcase")
    names = [(test.get("classname"), test.get("name")) for test in tests]
    assert len(set(names)) == len(names)
    assert (f"linux.{DRIFTED}", "resnet50") in names
    (alone,) = ET.fromstring(reports.review_document(Review(runs=(runs[0],)))).iterfind(
        ".//testsuite[@name='portability']/testcase"
    )
    assert alone.get("classname") == DRIFTED


def test_a_node_of_the_judge_is_not_called_wrong() -> None:
    run = run_of(DRIFTED)
    (row,) = run.portability
    assert row.cause
    cause = row.cause.model_copy(update={"kind": "opaque", "text": "float32 rounds too much"})
    run = run.model_copy(update={"portability": (row.model_copy(update={"cause": cause}),)})
    page = reports.comment_page(Review(runs=(run,)))
    assert "first wrong node" not in page
    assert "drift: float32 rounds too much: the error is" in page


def test_what_breaks_a_limit_is_annotated_once_and_what_is_lost_first() -> None:
    size = SizeChange(quantity="image", cell=WEB, base=100, head=200)
    run, base = run_of(DRIFTED), matching(run_of(DRIFTED, WEB))
    comparison = compared(base, run, "new-failure,larger", sizes=(size,))
    review = Review(runs=(run,), comparison=comparison, lost=("amd64-1",))
    job, consumer, wrong, larger = reports.annotation_lines(review)
    assert job == "::error title=lost::amd64-1"
    assert (
        consumer
        == f"::error title=broken limit::new failure: resnet50 on {WEB}: match, now "
        + ("absent: the later run does not have it")
    )
    assert wrong.startswith("::error file=models/resnet50/model.onnx,title=resnet50%3A drift on ")
    assert larger.startswith(f"::error title=broken limit::larger: {WEB}, image: ")


def test_the_command_reviews_results_files_and_writes_the_pages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = run_of("onnxruntime-debian12-amd64-cpu"), run_of(DRIFTED)
    for name, results in (("good", good), ("bad", bad)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(results.model_dump_json())
    comment, summary = str(tmp_path / "c.md"), str(tmp_path / "s.md")
    words = ["--comment", comment, "--summary", summary, "--annotations"]
    words += ["--link", "https://example.org/run"]
    assert main.main(["review", str(tmp_path / "good"), *words]) == 0
    assert main.main(["review", str(tmp_path / "good"), str(tmp_path / "bad"), *words]) == 1
    assert "::error file=" in capsys.readouterr().out
    assert "(https://example.org/run)" in Path(comment).read_text()
    assert Path(summary).read_text().startswith(Path(comment).read_text())


def test_a_run_that_is_not_there_may_be_made_by_either_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["review", "nope", "--runs", str(tmp_path)]) == 2
    hint = "hint: make one with `nox -s verify -- MODEL` or `nox -s matrix`\n"
    assert capsys.readouterr().err.endswith(hint)


@pytest.mark.parametrize("link", ["javascript:alert(1)", "https://x.y/)[a](b", "http://a b"])
def test_a_link_that_is_no_address_is_refused(
    link: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["review", "run", "--link", link]) == 2
    assert "is not the address of a page" in capsys.readouterr().err


@pytest.mark.parametrize("version", [0, 1, 3])
def test_a_file_that_is_no_comparison_says_what_writes_one(
    version: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of(WEB)
    later = compared(run, run, "changed").model_copy(update={"schema_version": version})
    (tmp_path / "results.json").write_text(run.model_dump_json())
    (tmp_path / "other.json").write_text((later if version else run).model_dump_json())
    words = ["review", str(tmp_path), "--comparison", str(tmp_path / "other.json")]
    assert main.main(words) == 2
    error = capsys.readouterr().err
    fault = f"a comparison of schema {version};" if version else "no comparison"
    assert f"{tmp_path}/other.json: {fault}" in error
    assert error.endswith("hint: name the file that `compare --json FILE` of this version wrote\n")


def test_an_engine_that_a_file_tells_nothing_of_has_no_place() -> None:
    results = run_of(DRIFTED)
    (entry,) = Review(runs=(results.model_copy(update={"engines": {"docker": {}}}),)).wrong
    assert entry.place == ""


def test_what_is_wrong_stands_worst_first_whatever_the_order_of_its_rows() -> None:
    results = run_of()
    drifted = next(row for row in results.portability if row.consumer == DRIFTED)
    updates = [{"error": 0.03}, {"error": 0.9}, {"verdict": "error", "error": None}, {"error": 0.1}]
    rows = [
        drifted.model_copy(update={**update, "consumer": f"{DRIFTED}-{number}"})
        for number, update in enumerate(updates)
    ]
    for ordered in (rows, rows[::-1]):
        problems = tuple(map(remarks.row_problem, ordered))
        update = {"portability": tuple(ordered), "problems": problems}
        wrong = Review(runs=(results.model_copy(update=update),)).wrong
        assert [entry.judged.consumer[-1] for entry in wrong] == ["2", "1", "3", "0"]


def test_a_model_outside_the_checkout_is_annotated_without_a_file(tmp_path: Path) -> None:
    results = run_of(DRIFTED)
    (model,) = results.models
    outside = model.model_copy(update={"source": str(tmp_path / "model.onnx")})
    moved = results.model_copy(update={"models": (outside,)})
    (line,) = reports.annotation_lines(Review(runs=(moved,)))
    assert line.startswith(f"::error title=resnet50%3A drift on {DRIFTED}::Conv ")
