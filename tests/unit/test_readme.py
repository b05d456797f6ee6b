"""Each page gets the newest run of what it shows now, or is left as it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deepmatrix import reports
from deepmatrix.boundary.writing import write_text
from deepmatrix.cli import main
from deepmatrix.cli.maintenance import readme
from deepmatrix.conformance import suite
from deepmatrix.conformance.suite import Conformity
from deepmatrix.invocation import command_line
from deepmatrix.paths import ROOT
from deepmatrix.planning.matrix_plan import plan_matrix
from deepmatrix.planning.model_plan import plan_models
from deepmatrix.planning.plan import Plan
from deepmatrix.planning.selection import Selection
from deepmatrix.planning.suite_plan import plan_suite
from deepmatrix.reports import markdown
from deepmatrix.results.merging import merge
from deepmatrix.store.runs import Run
from tests.unit.examples import DOCKER, MATRIX, new_run, record
from tests.unit.test_results import PLAN, all_jobs, write_gold

#: What each preset selects here. The last of these cells is skipped: it needs another device.
CELLS = (
    "torch-debian12-amd64-cpu",
    "onnxruntime-debian12-amd64-cpu",
    "torch-debian12-amd64-cuda",
)
SMALL = MATRIX.model_copy(
    update={
        "presets": {
            name: MATRIX.presets["default"].model_copy(
                update={"cells": CELLS, "without": (), "workloads": ("digits-conv",)}
            )
            for name in ("default", "small", "tiny")
        }
    }
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the runs."""
    return tmp_path / "runs"


def matrix_plan(preset: str, *globs: str) -> Plan:
    return plan_matrix(SMALL, Selection(preset=preset, include=globs), DOCKER, seed=0)


def start(parent: Path, name: str, plan: Plan) -> Run:
    """Begin a run, all of whose jobs have ended, and which has no report yet."""
    run = new_run(parent, plan, name, SMALL)
    write_gold(run)
    for job in all_jobs(plan):
        run.save(job, record(job, run=name))
    return run


def finish(parent: Path, name: str, plan: Plan) -> None:
    run = start(parent, name, plan)
    reports.write(run, merge([run]))


def verify(parent: Path, name: str) -> None:
    """Make a verification of a model whose jobs have no records."""
    infer = SMALL.presets["default"].infer
    models = [("net", "onnx", "model.onnx")]
    plan = plan_models(SMALL, models, Selection(), DOCKER, seed=0, infer=infer)
    run = new_run(parent, plan, name, SMALL)
    reports.write(run, merge([run]))


def conform(parent: Path, name: str, *globs: str) -> None:
    plan = plan_suite(MATRIX, suite.SUITE_FORMAT, Selection(include=globs), DOCKER)
    run = new_run(parent, plan, name)
    for cell in plan.cells:
        if cell.serves:
            conformity = Conformity(
                cell=cell.id, suite="onnx 1", versions={}, passed=1, failed={}, skipped={}
            )
            suite.save(conformity, suite.path_in(run.path, cell.id))
    write_text(run.path / "report.md", "# Conformance\n")


def page_of(path: Path, kind: str = "", preset: str = "", tables: str = "") -> Path:
    """Write a page for a report, which has one of a kind and a preset now."""
    title = f"### {kind} `old`\n" if kind else ""
    footer = f"<sub>preset `{preset}`, seed 0</sub>" if preset else ""
    mark = f"<!-- report{tables and f': {tables}'} -->"
    path.write_text(f"# Page\n\n{mark}\n\n{title}\n{footer}\n\n<!-- /report -->\n", "utf-8")
    return path


def titles(*pages: Path) -> list[str]:
    """Return the kinds and runs that pages show."""
    heading = re.compile(r"^### (\w+ `\w+`)$", re.MULTILINE)
    return [" ".join(heading.findall(page.read_text("utf-8"))) for page in pages]


def filled(folder: Path, *pages: Path, options: tuple[str, ...] = ()) -> int:
    return main.main(["readme", *map(str, pages), "--runs", str(folder), *options])


def test_each_page_gets_the_newest_finished_run_of_its_preset(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(folder, "small1", matrix_plan("small"))
    start(folder, "small2", matrix_plan("small"))
    finish(folder, "tiny1", matrix_plan("tiny"))
    pages = [
        page_of(tmp_path / f"{preset}.md", "Matrix", preset) for preset in ("small", "tiny", "gone")
    ]
    assert filled(folder, *pages) == 0
    assert titles(*pages) == ["Matrix `small1`", "Matrix `tiny1`", "Matrix `old`"]
    assert capsys.readouterr().out.splitlines() == [
        f"{pages[0]}: the tables of small1",
        f"{pages[1]}: the tables of tiny1",
        f"{pages[2]}: left as it is: {folder} has no finished run of matrix with all cells of gone",
    ]


def test_a_page_gets_no_run_of_another_command(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(folder, "m1", matrix_plan("default"))
    conform(folder, "c1")
    verify(folder, "v1")
    kinds = ("Matrix", "Verification", "Conformance")
    pages = [page_of(tmp_path / f"{kind}.md", kind, "default") for kind in kinds]
    pages += [page_of(tmp_path / "unnamed.md", "Conformance")]
    assert filled(folder, *pages) == 0
    shown = ["Matrix `m1`", "Verification `old`", "Conformance `c1`", "Conformance `c1`"]
    assert titles(*pages) == shown
    of_models = capsys.readouterr().out.splitlines()[1]
    assert of_models.endswith("left as it is: its models are of no preset; name its run with --run")


def test_a_run_without_a_cell_of_its_preset_replaces_no_page(folder: Path, tmp_path: Path) -> None:
    finish(folder, "whole", matrix_plan("small"))
    finish(folder, "part", matrix_plan("small", CELLS[0]))
    conform(folder, "tried")
    conform(folder, "alone", "openvino-debian12-*")
    tests = plan_suite(MATRIX, suite.SUITE_FORMAT, Selection(), DOCKER)
    runtimes = [*tests.cells[1:], *(skipped.cell for skipped in tests.skipped)]
    conform(folder, "runtimes", *(cell.id for cell in runtimes))  # its inspector only makes it
    pages = [
        page_of(tmp_path / "matrix.md", "Matrix", "small"),
        page_of(tmp_path / "conformance.md", "Conformance"),
    ]
    assert filled(folder, *pages) == 0
    assert titles(*pages) == ["Matrix `whole`", "Conformance `tried`"]


def test_a_run_that_is_not_finished_replaces_no_page(folder: Path, tmp_path: Path) -> None:
    """Merging writes a report of any run, and a cell that broke has no outcome."""
    finish(folder, "whole", matrix_plan("small"))
    conform(folder, "tried")
    unfinished = new_run(folder, matrix_plan("small"), "unfinished", SMALL)
    reports.write(unfinished, merge([unfinished]))
    conform(folder, "broken")
    next(suite.path_in(folder / "broken", "x").parent.glob("*.json")).unlink()
    pages = [
        page_of(tmp_path / "matrix.md", "Matrix", "small"),
        page_of(tmp_path / "conformance.md", "Conformance"),
    ]
    assert filled(folder, *pages) == 0
    assert titles(*pages) == ["Matrix `whole`", "Conformance `tried`"]


def test_a_run_that_is_named_is_taken_whatever_it_has(folder: Path, tmp_path: Path) -> None:
    finish(folder, "whole", matrix_plan("small"))
    finish(folder, "part", matrix_plan("small", CELLS[0]))
    pages = [
        page_of(tmp_path / "matrix.md", "Matrix", "small"),
        page_of(tmp_path / "models.md", "Verification", "default"),
        page_of(tmp_path / "fresh.md"),
    ]
    assert filled(folder, *pages, options=("--run", "part")) == 0
    assert titles(*pages) == ["Matrix `part`"] * 3


def test_a_page_that_cannot_be_filled_keeps_all_as_they_are(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(folder, "m1", matrix_plan("small"))
    pages = [
        page_of(tmp_path / "first.md", "Matrix", "small"),
        page_of(tmp_path / "second.md", "Matrix", "small", tables="Causes"),
    ]
    assert filled(folder, *pages) == 2
    assert capsys.readouterr().err.startswith("error: there is no table 'Causes'")
    assert titles(*pages) == ["Matrix `old`", "Matrix `old`"]


def test_a_run_without_results_changes_no_page(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new_run(folder, PLAN)
    page = page_of(tmp_path / "page.md")
    before = page.read_text("utf-8")
    assert filled(folder, page) == 2
    assert capsys.readouterr().err.startswith("error: no cell of one ran")
    assert page.read_text("utf-8") == before


@pytest.mark.parametrize("command", ["claims", "evaluation"])
@pytest.mark.parametrize("beside", [(), ("Matrix", "small")])
def test_a_page_that_another_command_fills_names_it(
    command: str,
    beside: tuple[str, ...],
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    finish(folder, "m1", matrix_plan("small"))
    page = page_of(tmp_path / "page.md")
    title = next(title for title, name in readme.FILLED_BY.items() if name == command)
    markdown.insert(page, lambda _: reports.tables_page(title, []))
    before = page.read_text("utf-8")
    pages = [page_of(tmp_path / "matrix.md", *beside)] if beside else []
    assert filled(folder, page, *pages) == 0
    line = f"{page}: left as it is: `{command_line(command)}` fills it"
    assert capsys.readouterr().out.splitlines()[0] == line
    assert page.read_text("utf-8") == before


def test_a_page_that_names_a_preset_gets_no_run_of_another(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(folder, "tiny1", matrix_plan("tiny"))
    page = page_of(tmp_path / "page.md", "Matrix", "small")
    assert filled(folder, page) == 0
    assert titles(page) == ["Matrix `old`"]
    assert "left as it is" in capsys.readouterr().out


def test_a_page_without_a_report_gets_the_newest_run_where_it_is_alone(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(folder, "small1", matrix_plan("small"))
    finish(folder, "part", matrix_plan("tiny", CELLS[0]))
    pages = [page_of(tmp_path / "first.md"), page_of(tmp_path / "second.md")]
    assert filled(folder, *pages) == 0
    lines = capsys.readouterr().out.splitlines()
    reason = "left as it is: it names no preset; name its run with --run"
    assert lines == [f"{page}: {reason}" for page in pages]
    assert titles(*pages) == ["", ""]
    assert filled(folder, pages[0]) == 0
    assert titles(*pages) == ["Matrix `part`", ""]


def test_a_report_that_names_no_preset_is_not_replaced(folder: Path, tmp_path: Path) -> None:
    finish(folder, "small1", matrix_plan("small"))
    page = page_of(tmp_path / "cut.md", "Matrix")  # as where it was too long for its last line
    assert filled(folder, page) == 0
    assert titles(page) == ["Matrix `old`"]


def test_a_run_without_its_preset_in_its_matrix_file_is_passed_over(
    folder: Path, tmp_path: Path
) -> None:
    finish(folder, "small1", matrix_plan("small"))
    lacking = SMALL.model_copy(update={"presets": {"tiny": SMALL.presets["tiny"]}})
    run = Run.create(folder, matrix_plan("small"), lacking, version="1", name="small2")
    write_text(run.path / "report.md", "")
    page = page_of(tmp_path / "page.md", "Matrix", "small")
    assert filled(folder, page) == 0
    assert titles(page) == ["Matrix `small1`"]


def test_every_page_here_says_what_fills_it() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs" / "results").glob("*.md"))]
    shown = {page.name: markdown.shown_in(page) for page in pages}
    titles_here = {report.title for report in shown.values() if report.title}
    assert titles_here == {*readme.KINDS, *readme.FILLED_BY, "Verification"}
    unnamed = {
        name
        for name, report in shown.items()
        if report.title and report.title not in readme.FILLED_BY and not report.preset
    }
    assert unnamed == {"conformance.md"}
