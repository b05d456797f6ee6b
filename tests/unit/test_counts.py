"""Counts of verdicts are the same wherever they stand; the evaluator is in none of them."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from deepmatrix import reports
from deepmatrix.drawing.escaping import markdown as escape
from deepmatrix.reports import markdown
from deepmatrix.reports.review import Review
from deepmatrix.reports.tables.own_models import headlines, overview
from deepmatrix.results import remarks
from deepmatrix.results.rows import Results
from tests.unit import verifications
from tests.unit.pages import page_of

DRIFTED = "openvino_default-debian13-arm64-cpu"
NATIVE = "onnxruntime-debian12-amd64-cpu"


def screen(results: Results, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, no_color=True)
    reports.show(console, results)
    return console.file.getvalue()  # type: ignore[attr-defined]


def with_problems(results: Results) -> Results:
    wrong = filter(remarks.is_problem, results.portability)
    return results.model_copy(update={"problems": tuple(map(remarks.row_problem, wrong))})


def test_the_page_the_screen_and_the_reports_count_the_same_consumers() -> None:
    results = with_problems(verifications.results())
    headline, _ = headlines.headline(results, results.models[0])
    assert "7 of 10 consumers match" in headline
    assert headline in " ".join(screen(results, 160).split())
    assert escape(headline) in markdown.document(results)
    assert escape(headline) in reports.summary_page(Review(runs=(results,)))
    page = page_of(results).text
    assert headline in page
    assert set(re.findall(r"✓ (\d+) match", page)) == {"7"}


def test_an_expected_failure_is_counted_as_such_and_is_no_failure() -> None:
    results = verifications.results(NATIVE, DRIFTED)
    rows = [
        row.model_copy(update={"expected_failure": "it is known" * (row.consumer == DRIFTED)})
        for row in results.portability
    ]
    results = results.model_copy(update={"portability": tuple(rows)})
    line, mood = headlines.headline(results, results.models[0])
    assert line.endswith("1 of 2 consumers matches, 1 fails as expected")
    assert mood == "good"
    assert "~ 1 expected failure" in page_of(results).text


@pytest.mark.parametrize("width", [80, 120])
def test_several_models_have_a_line_each_with_a_sign_for_each_consumer(width: int) -> None:
    results = verifications.two_models(NATIVE, DRIFTED)
    lines = screen(results, width).strip().splitlines()
    assert lines[0] == "1 of 2 models match on all consumers"
    assert [line.split() for line in lines[2:6] if "─" not in line] == [
        ["model", "1", "2"],
        ["resnet50", "✓", "≠"],
        ["vit", "✓", "✓"],
    ]
    legend = " ".join("".join(f"{line} " for line in lines[6:12]).split())
    assert f"1: {NATIVE}. 2: {DRIFTED} (emulated). ✓ match, ≠ drift" in legend


def test_the_report_begins_with_the_verdicts_of_all_models() -> None:
    page = markdown.document(with_problems(verifications.two_models(NATIVE, DRIFTED)))
    tables = re.findall(r"^## (.*)", page, re.MULTILINE)
    assert tables[0] == "Verdicts of all models"
    assert f"| model | {NATIVE} | {escape(DRIFTED)} (emulated) |" in page
    assert "| resnet50 | ✓ match | ≠ drift |\n| vit | ✓ match | ✓ match |" in page
    assert "1 of 2 models match on all consumers." in page
    assert page.index("## Verdicts of all models") < page.index("not as expected")


def test_one_model_has_no_table_of_models() -> None:
    assert not overview.verdicts(verifications.results()).rows


def test_a_broken_budget_stands_in_the_headline() -> None:
    run = verifications.results("onnxruntime-debian12-amd64-cpu", verifications.INSPECTOR)
    broken = run.model_copy(update={"over_budget": ("resnet50: error 1 is over the budget",)})
    assert headlines.headline(run, run.models[0]) == (
        f"{verifications.MODEL.source}: 1 of 1 consumer matches",
        "good",
    )
    text, mood = headlines.headline(broken, broken.models[0])
    assert (text.rpartition("; ")[2], mood) == ("1 over budget", "bad")
    several = verifications.two_models().model_copy(update={"over_budget": broken.over_budget})
    assert overview.line(several)[0].endswith("; 1 over budget")
    assert "over budget" not in headlines.headline(several, several.models[0])[0]
