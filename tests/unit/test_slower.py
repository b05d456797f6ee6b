"""A run says what became slower since the last one beside it that did the same."""

from __future__ import annotations

import contextlib
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from deepmatrix.cli import main
from deepmatrix.cli.reporting import report
from deepmatrix.errors import CellFailed
from deepmatrix.reports import html
from deepmatrix.reports.tables import result_tables
from deepmatrix.results.rows import Results
from deepmatrix.store.runs import Run
from tests.unit.test_compare import ONNXRUNTIME, PLAN, rounds_run


def reported(folder: Path, name: str, seed: int, **changes: float) -> Results:
    """Return the results of a run that is made and reported."""
    path = rounds_run(folder, name, seed, **changes)
    report([Run.open(path)], Console(file=io.StringIO()))
    return Results.model_validate_json((path / "results.json").read_text())


def test_the_first_run_is_slower_than_none(tmp_path: Path) -> None:
    first = reported(tmp_path, "one", 1)
    assert (first.earlier, first.slower) == ("", ())
    assert "no time is longer" not in (tmp_path / "one" / "report.html").read_text()


def test_a_slower_run_names_the_last_one_and_what_grew(tmp_path: Path) -> None:
    reported(tmp_path, "one", 1)
    reported(tmp_path, "two", 2)
    slow = reported(tmp_path, "three", 3, slower=1.5)
    assert slow.earlier == "two"
    assert {row.cell for row in slow.slower} == {ONNXRUNTIME}
    assert all(row.low <= row.ratio <= row.high for row in slow.slower)
    assert all(1.4 < row.ratio < 1.6 for row in slow.slower)
    (table,) = (table for table in result_tables(slow) if table.title == "Slower than in two")
    assert re.search(r"compare (-- )?two three", table.note)
    page = (tmp_path / "three" / "report.html").read_text()
    first_screen = page[page.index("<main") : page.index('id="map"')]
    assert "Slower than in two" in first_screen
    assert ONNXRUNTIME in first_screen
    assert re.search(r"1\s+cell is slower than before", page[: page.index("<main")])
    assert '<a href="#slower">' in page


def test_the_screen_has_what_became_slower(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reported(tmp_path, "one", 1)
    slow = rounds_run(tmp_path, "two", 2, slower=1.5)
    for command in ("merge", "show"):
        assert main.main([command, str(slow), "--runs", str(tmp_path)]) == 0
        assert re.search(r"Slower than in one\n", capsys.readouterr().out), command


def test_a_slower_time_leads_to_its_record(tmp_path: Path) -> None:
    reported(tmp_path, "one", 1)
    (row,) = reported(tmp_path, "two", 2, slower=1.5).slower
    assert (tmp_path / "two" / row.record).is_file()
    page = (tmp_path / "two" / "report.html").read_text()
    part = page[page.index('id="slower"') : page.index('id="map"')]
    assert f'href="{row.record}"' in part


def test_a_mean_leads_to_a_record_of_what_is_in_it(tmp_path: Path) -> None:
    reported(tmp_path, "one", 1)
    (row,) = reported(tmp_path, "two", 2, slower=1.03).slower
    assert row.time == "mean of 8 inferences"
    inferred = json.loads((tmp_path / "two" / row.record).read_text())
    assert inferred["cell"] == ONNXRUNTIME
    assert "batches" in inferred["output"]["records"][-1]["data"]


def test_a_cell_that_is_slower_on_two_machines_is_counted_once(tmp_path: Path) -> None:
    for name, seed, slower in (("one", 1, 1.0), ("two", 2, 2.5)):
        path = rounds_run(tmp_path, name, seed, slower, plan=replace(PLAN, rounds_native=6))
        for record in path.glob("records/*/*/r?.json"):
            document = json.loads(record.read_text())
            document["machine"] = ("first", "second")[int(record.stem[1:]) % 2]
            record.write_text(json.dumps(document))
        with contextlib.suppress(CellFailed):  # the first step is compared with gold in no round
            report([Run.open(path)], Console(file=io.StringIO()))
    slow = Results.model_validate_json((tmp_path / "two" / "results.json").read_text())
    places = {f"{ONNXRUNTIME} on {machine}" for machine in ("first", "second")}
    (table,) = (table for table in result_tables(slow) if table.title == "Slower than in one")
    assert {row.texts[0] for row in table.rows} == places
    ratios = [row.ratio for row in slow.slower]
    assert ratios == sorted(ratios, reverse=True)
    page = (tmp_path / "two" / "report.html").read_text()
    assert re.search(r"[^,] 1\s+cell is slower than before", page[: page.index("<main")])


def test_what_is_slower_beside_a_problem_is_no_objection_to_it(tmp_path: Path) -> None:
    reported(tmp_path, "one", 1)
    slow = reported(tmp_path, "two", 2, slower=1.5).model_copy(update={"problems": ("a", "b")})
    page = html.run_page(slow, html.Evidence())
    assert "2 problems not as expected; 1 cell is slower" in re.sub(r"\s+", " ", page)


def test_a_run_of_a_few_cells_in_between_does_not_hide_the_others(tmp_path: Path) -> None:
    reported(tmp_path, "one", 1)
    few = replace(PLAN, cells=tuple(cell for cell in PLAN.cells if cell.id != ONNXRUNTIME))
    report([Run.open(rounds_run(tmp_path, "two", 2, plan=few))], Console(file=io.StringIO()))
    slow = reported(tmp_path, "three", 3, slower=1.5)
    assert slow.earlier == "one"
    assert {row.cell for row in slow.slower} == {ONNXRUNTIME}


def test_a_run_of_another_machine_in_between_is_passed_over(tmp_path: Path) -> None:
    reported(tmp_path, "one", 1)
    other = rounds_run(tmp_path, "two", 2)
    for path in (other / "records").rglob("*.json"):
        document = json.loads(path.read_text())
        document["output"]["environment"]["processor"] = "Another(R) Processor"
        path.write_text(json.dumps(document))
    report([Run.open(other)], Console(file=io.StringIO()))
    slow = reported(tmp_path, "three", 3, slower=1.5)
    assert slow.earlier == "one"
    assert {row.cell for row in slow.slower} == {ONNXRUNTIME}


def test_equal_and_faster_runs_are_slower_than_none(tmp_path: Path) -> None:
    reported(tmp_path, "one", 1, slower=1.5)
    assert reported(tmp_path, "two", 2, slower=1.5).slower == ()
    assert reported(tmp_path, "three", 3).slower == ()
    page = (tmp_path / "three" / "report.html").read_text()
    assert "no time is longer beyond chance than in two" in page[: page.index("<nav")]


def test_a_run_that_is_reported_again_is_compared_with_the_one_before_it(tmp_path: Path) -> None:
    reported(tmp_path, "one", 1)
    slow = rounds_run(tmp_path, "two", 2, slower=1.5)
    reported(tmp_path, "three", 3)
    report([Run.open(slow)], Console(file=io.StringIO()))
    results = Results.model_validate_json((slow / "results.json").read_text())
    assert results.earlier == "one"
    assert results.slower


@pytest.mark.parametrize("name", ["results.json", "plan.json"])
@pytest.mark.parametrize("text", ["", "{}", "[", '{"schema_version": 0, "version": "0.0.1"}'])
def test_a_run_beside_it_that_cannot_be_read_is_passed_over(
    tmp_path: Path, name: str, text: str
) -> None:
    reported(tmp_path, "one", 1)
    reported(tmp_path, "two", 2)
    (tmp_path / "two" / name).write_text(text)
    slow = reported(tmp_path, "three", 3, slower=1.5)
    assert slow.earlier == "one"
    assert slow.slower


def test_a_run_of_another_preset_is_no_measure(tmp_path: Path) -> None:
    reported(tmp_path, "one", 1)
    path = tmp_path / "one" / "plan.json"
    document = json.loads(path.read_text())
    document["plan"]["preset"] = "another"
    path.write_text(json.dumps(document))
    assert reported(tmp_path, "two", 2, slower=1.5).slower == ()


def test_nothing_is_said_of_times_that_another_machine_took(tmp_path: Path) -> None:
    reported(tmp_path, "one", 1)
    path = rounds_run(tmp_path, "two", 2, slower=1.5)
    for record in path.glob("records/*/*/r?.json"):
        document = json.loads(record.read_text())
        document["output"]["environment"]["processor"] = "another one"
        record.write_text(json.dumps(document))
    report([Run.open(path)], Console(file=io.StringIO()))
    page = (path / "report.html").read_text()
    assert "no time is longer" not in page
    assert "Slower than in" not in page
