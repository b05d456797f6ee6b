"""The walk through results on a terminal: run, cell, artifact, record."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from deepmatrix.cli.main import main
from deepmatrix.conformance import suite
from deepmatrix.drawing import escaping
from deepmatrix.drawing.counted import COUNTED_SIGNS
from deepmatrix.drawing.sparks import parts, sparkline
from deepmatrix.drawing.verdicts import SIGNS
from deepmatrix.errors import ArgumentError
from deepmatrix.invocation import command_line
from deepmatrix.models import budgets
from deepmatrix.models.budgets import Budgets
from deepmatrix.reports import walk
from deepmatrix.results import remarks
from deepmatrix.results.counting import EXPECTED
from deepmatrix.results.rows import Results
from tests.unit import verifications
from tests.unit.pages import HOSTILE, drifting, empty, hostile, idle, interrupted
from tests.unit.test_conformance import conformity
from tests.unit.test_results import whole

DRIFTING = "openvino_default-debian13-arm64-cpu"


def screen(results: Results, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    walk.show_run(console, results)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_name_without_room_is_cut_in_its_middle() -> None:
    ids = {row.consumer for row in drifting().portability}
    names = [line.split()[0] for line in screen(drifting(), 40).splitlines() if "…" in line]
    assert names
    for name in names:
        begin, _, end = name.partition("…")
        assert any(
            cell.startswith(begin) and cell.endswith(end) and len(name) < len(cell) for cell in ids
        )


@pytest.mark.parametrize("width", [40, 50, 60, 80])
def test_names_that_are_cut_still_differ(width: int) -> None:
    _, map_of_cells, _ = screen(drifting(), width).split("\n\n")
    lines = map_of_cells.splitlines()
    ids = {row.consumer for row in drifting().portability}
    alike = 1 if width == 40 else 0  # node and node_wine differ by less than there is room for
    assert len({line.split()[0] for line in lines}) + alike == len(lines) == len(ids)
    assert all(len(line) <= width for line in lines)


def test_a_match_that_proves_little_is_told_and_warnings_are_counted() -> None:
    results = drifting()
    row = next(row for row in results.portability if row.verdict == "match" and row.outputs)
    caution = "all values overflow in the model's own precision"
    output = row.outputs[0].model_copy(update={"caution": caution})
    doubtful = row.model_copy(update={"outputs": (output,)})
    results = results.model_copy(update={"portability": (doubtful,), "warnings": ("a", "b")})
    assert "! 2 warnings in report.md" in screen(results)
    console = Console(file=io.StringIO(), width=80)
    cell = next(cell for cell in results.cells if cell.cell == row.consumer)
    walk.show_cell(console, results, cell)
    assert f"proves little: {caution}" in " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]


def test_the_command_that_shows_a_fault_again_is_one_line(tmp_path: Path) -> None:
    row = next(row for row in drifting().portability if row.cause)
    assert row.cause
    console = Console(file=io.StringIO(), width=40)
    walk.show_verdict(console, tmp_path, row, [])
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert f"→ see it again: {row.cause.reproduce}" in lines


def test_each_cell_has_a_line_with_the_sign_of_its_verdict() -> None:
    lines = screen(drifting(), 120).splitlines()
    for row in drifting().portability:
        line = next(line for line in lines if line.startswith(row.consumer))
        assert line.removeprefix(row.consumer).split()[0] == SIGNS[row.verdict]


def test_what_has_not_run_yet_is_told_once_and_hides_no_other_problem() -> None:
    results = interrupted(drifting())
    other = "the budget of memory is exceeded"
    results = results.model_copy(update={"problems": (*results.problems, other)})
    assert len(results.problems) > walk.MOST_PROBLEMS
    text = " ".join(screen(results, 200).split())
    assert other in text
    assert text.count("the job has not run") == 0
    assert text.count("Finish with --resume") == 1
    assert "✗ not finished; 1 problem not as expected" in text


def test_a_run_in_which_nothing_is_wrong_but_unfinished_has_no_problem() -> None:
    text = " ".join(screen(interrupted(drifting()), 200).split())
    assert "✗ not finished" in text
    assert "problem" not in text


def test_a_cell_whose_turn_has_not_come_is_not_among_those_that_did_not_run() -> None:
    results = interrupted(idle())
    waiting = next(row.consumer for row in results.portability if row.pending)
    cells = tuple(
        row.model_copy(update={"status": "not-run", "reason": "no job has run"})
        if row.cell == waiting
        else row
        for row in results.cells
    )
    text = screen(results.model_copy(update={"cells": cells}), 200)
    assert "no job has run" not in text
    assert "2 cells did not run: the engine has no NVIDIA runtime" in text


def test_jobs_that_nobody_counted_are_not_none_of_no_cell() -> None:
    results = interrupted(drifting())
    cells = tuple(row.model_copy(update={"missing": 0}) for row in results.cells)
    text = screen(results.model_copy(update={"cells": cells}), 200)
    assert "0 jobs" not in text
    assert "Finish with --resume" in text


@pytest.mark.parametrize("problems", [(), ("'nosuch*' matches no cell",)])
def test_a_run_without_cells_says_that_nothing_ran_and_why(problems: tuple[str, ...]) -> None:
    text = screen(empty(*problems), 200)
    assert "✗ nothing ran" in text
    assert "as expected" not in text
    assert all(problem in text for problem in problems)


def test_a_run_without_anything_pending_asks_for_no_resumption() -> None:
    assert "--resume" not in screen(drifting())


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_map_is_no_wider_than_the_console(width: int) -> None:
    assert max(map(len, screen(drifting(), width).splitlines())) <= width


def test_a_cut_name_of_a_cell_keeps_its_begin_and_its_end() -> None:
    names = [line.split()[0] for line in screen(drifting(), 60).splitlines() if "…" in line]
    assert names
    assert all(re.fullmatch(r"(onnx|open).*….*-a(md|rm)64-cpu", name) for name in names)


def test_a_run_without_verdicts_has_no_map() -> None:
    text = screen(drifting().model_copy(update={"portability": ()}))
    assert "A column is an artifact" not in text


def test_the_legend_explains_every_sign() -> None:
    text = " ".join(screen(drifting()).split())
    for verdict, sign in SIGNS.items():
        assert f"{sign} {verdict}" in text


def test_signs_are_told_apart_in_ascii_too() -> None:
    signs = [*COUNTED_SIGNS.values()]
    assert len({escaping.encodable(sign, "ascii") for sign in signs}) == len(signs)


def expecting(results: Results) -> Results:
    """Return results in which the drift of a cell is an expected failure."""
    rows = tuple(
        row.model_copy(update={"expected_failure": "a known fault"})
        if row.consumer == DRIFTING
        else row
        for row in results.portability
    )
    return results.model_copy(update={"portability": rows})


def test_an_expected_failure_is_told_apart_without_colour(tmp_path: Path) -> None:
    results = expecting(drifting())
    text = screen(results)
    line = next(line for line in text.splitlines() if line.startswith(DRIFTING))
    assert line.removeprefix(DRIFTING).split()[0] == COUNTED_SIGNS[EXPECTED]
    assert f"{COUNTED_SIGNS[EXPECTED]} expected failure" in " ".join(text.split())
    console = Console(file=io.StringIO(), width=80)
    walk.show_verdict(console, tmp_path, walk.find_verdict(results, DRIFTING, "resnet50"), [])
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "~ drift (expected failure)" in shown
    assert "expected: a known fault" in shown


def test_of_more_artifacts_than_there_is_room_for_the_worst_is_shown() -> None:
    good = drifting()
    rows = tuple(
        row.model_copy(update={"artifact": f"a{number}"})
        for number in range(300)
        for row in good.portability
        if row.consumer == DRIFTING or number
    )
    text = screen(good.model_copy(update={"portability": rows}))
    line = next(line for line in text.splitlines() if line.startswith(DRIFTING))
    assert set(line.removeprefix(DRIFTING).split()) == {"≠" * len(line.split()[1])}
    assert "the worst of" in text
    assert "A column is an artifact" not in text


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_moves_no_cursor(name: str) -> None:
    text = screen(hostile(name))
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_a_part_of_a_name_is_enough_where_only_one_has_it() -> None:
    results = drifting()
    assert walk.find_cell(results, "web").cell == "onnxruntime-web-debian13-amd64-cpu"
    assert walk.find_verdict(results, DRIFTING, "resnet").verdict == "drift"
    with pytest.raises(ArgumentError, match="names 6 cells"):
        walk.find_cell(results, "onnxruntime")
    with pytest.raises(ArgumentError, match="no cell 'nothing'"):
        walk.find_cell(results, "nothing")


def test_a_name_that_is_not_there_has_the_command_that_lists_what_is() -> None:
    results = drifting()
    with pytest.raises(ArgumentError) as cell:
        walk.find_cell(results, "nothing")
    assert command_line("show", "RUN") in str(cell.value.hint)
    with pytest.raises(ArgumentError) as artifact:
        walk.find_verdict(results, DRIFTING, "nothing")
    assert command_line("show", "RUN", DRIFTING) in str(artifact.value.hint)
    with pytest.raises(ArgumentError, match=r"names \d+ cells: .*, …$"):
        walk.find_cell(results, "-")


def test_a_part_of_a_name_means_the_cell_that_ran() -> None:
    results = drifting()
    name = "onnxruntime-cpp-debian13-arm64-cpu"
    skipped = results.cells[0].model_copy(update={"cell": name, "jobs": 0, "status": "skipped"})
    results = results.model_copy(update={"cells": (*results.cells, skipped)})
    assert walk.find_cell(results, "cpp").cell == "onnxruntime-cpp-debian13-amd64-cpu"
    assert walk.find_cell(results, name).cell == name
    assert walk.find_cell(results, "cpp-debian13-arm64").cell == name


def test_a_verdict_shows_its_cause_and_the_command_that_shows_it_again(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=400)
    row = walk.find_verdict(drifting(), DRIFTING, "resnet50")
    walk.show_verdict(console, tmp_path, row, [[1e-3, 2e-3]])
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert verifications.CAUSE.text in text
    assert verifications.CAUSE.reproduce in text
    assert text.splitlines()[-1] == "emulated"  # and no time
    walk.show_verdict(console, tmp_path, row.model_copy(update={"emulated": False}), [[1e-3, 2e-3]])
    assert "round 0: 2.00 ms  ▁█" in console.file.getvalue()  # type: ignore[attr-defined]


def test_the_command_walks_from_the_run_to_the_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = whole(tmp_path)
    record = next(record for record in run.records() if record.wave == "consume")
    for further in ((), (record.cell,), (record.cell, record.subject)):
        assert main(["show", "--runs", str(tmp_path), run.id, *further]) == 0
    shown = capsys.readouterr().out
    assert f"records/{record.cell}/{record.subject}/r0.json" in shown


@pytest.mark.parametrize("name", ["results.json", "report.html"])
def test_a_file_of_a_run_means_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    run = whole(tmp_path)
    (run.path / name).touch()
    assert main(["show", "--runs", str(tmp_path), str(run.path / name)]) == 0
    assert f"{run.id}: " in capsys.readouterr().out


def test_a_part_of_the_name_of_a_run_is_enough_where_no_other_has_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("20260102-fast", "20260103-fast"):
        whole(tmp_path, name)
    assert main(["show", "--runs", str(tmp_path), "0103"]) == 0
    assert "20260103-fast: " in capsys.readouterr().out
    for several in ("fast", "103"):
        assert main(["show", "--runs", str(tmp_path), several]) == 2
        assert "runs there: 20260102-fast, 20260103-fast" in capsys.readouterr().err


def test_the_folder_of_all_runs_is_no_run_and_names_those_in_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = whole(tmp_path)
    assert main(["show", str(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert f"{tmp_path} is the folder of runs, not one of them" in message
    assert f"runs there: {run.id}" in message


def test_the_command_walks_from_the_run_to_the_record_of_a_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = whole(tmp_path)
    record = next(record for record in run.records() if record.wave == "produce")
    assert main(["show", "--runs", str(tmp_path), run.id, record.cell, record.workload]) == 0
    shown = capsys.readouterr().out
    assert f"{record.workload} trained on {record.cell}" in shown
    assert str(run.path / "records" / record.cell / record.subject / "r0.json") in shown


def test_a_cell_that_did_not_run_has_no_figures() -> None:
    results = drifting()
    cell = results.cells[0].model_copy(
        update={"status": "not-run", "reason": "the engine has no NVIDIA runtime", "jobs": 0}
    )
    cell = cell.model_copy(
        update={"version": "", "image_bytes": None, "peak_memory_bytes": None, "work_s": 0.0}
    )
    console = Console(file=io.StringIO(), width=80)
    nothing = results.model_copy(update={"portability": (), "training": ()})
    walk.show_cell(console, nothing, cell)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines == [f"{cell.cell}: not-run: the engine has no NVIDIA runtime"]


def test_a_run_of_a_suite_shows_its_outcomes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = whole(tmp_path)
    outcomes = conformity({"test_a": "no kernel for it"})
    suite.save(outcomes, suite.path_in(run.path, outcomes.cell))
    assert main(["show", "--runs", str(tmp_path), run.id]) == 0
    shown = capsys.readouterr().out
    assert "no kernel for it" in shown
    assert "all as expected" not in shown


def test_a_run_that_breaks_its_budgets_is_not_as_expected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = whole(tmp_path)
    budgets.save(Budgets(p99_s=1e-9), run)
    assert main(["show", "--runs", str(tmp_path), run.id]) == 0
    shown = capsys.readouterr().out
    assert "all as expected" not in shown
    assert "is over the budget of" in shown


def test_the_first_screen_has_the_cause_of_what_is_wrong() -> None:
    lines = " ".join(screen(drifting()).split())
    assert f"{DRIFTING}: drift: {verifications.CAUSE.text}" in lines


def test_the_first_screen_says_how_many_cells_did_not_run_and_why() -> None:
    lines = screen(idle()).splitlines()
    assert "2 cells did not run: the engine has no NVIDIA runtime" in lines
    assert "1 cell did not run: excluded by --native" in lines


def test_what_is_worst_comes_first_however_many_models_are_unsupported() -> None:
    results = drifting()
    wrong = next(row for row in results.portability if row.cause)
    unsupported = tuple(
        wrong.model_copy(
            update={"artifact": f"a--{number}--onnx", "model": str(number), "cause": None}
            | {"verdict": "unsupported", "reason": "it knows no such operator"}
        )
        for number in range(walk.MOST_PROBLEMS + 2)
    )
    rows = (*unsupported, wrong)
    problems = (*map(remarks.row_problem, rows), "the budget of memory is exceeded")
    results = results.model_copy(update={"portability": rows, "problems": problems})
    lines = screen(results, 400).splitlines()
    assert verifications.CAUSE.text in lines[1]
    assert "the budget of memory is exceeded" in lines[2]
    assert "it knows no such operator" in lines[3]


def test_a_very_long_problem_leaves_room_for_the_map() -> None:
    results = drifting().model_copy(update={"problems": ("no kernel for it " * 500,)})
    lines = screen(results).splitlines()
    assert next(at for at, line in enumerate(lines) if line.startswith(DRIFTING)) < 24


def test_a_record_that_was_retried_is_listed_and_has_no_samples(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = whole(tmp_path)
    record = next(record for record in run.records() if record.wave == "consume")
    path = run.path / "records" / record.cell / record.subject / "r0.json"
    (path.parent / "r0.retried1.json").write_bytes(path.read_bytes())
    assert main(["show", "--runs", str(tmp_path), run.id, record.cell, record.subject]) == 0
    shown = capsys.readouterr().out
    assert "r0.retried1.json" in shown
    assert shown.count("round 0:") == 1


def test_a_verdict_needs_no_record_of_another_cell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = whole(tmp_path)
    record, *others = [record for record in run.records() if record.wave == "consume"]
    read = [one.key for one in run.records_of(record.cell, record.subject)]
    assert read == [one.key for one in (record, *others) if one.key[:2] == record.key[:2]]
    path = run.path / "records" / record.cell / record.subject / "r0.json"
    path.write_text("torn")
    assert main(["show", "--runs", str(tmp_path), run.id, record.cell, record.subject]) == 0
    assert "r0.json" in capsys.readouterr().out


def test_a_sparkline_is_as_high_as_its_numbers_and_has_a_gap_for_none() -> None:
    assert sparkline([1.0, 10.0, None, 100.0], 10) == "▁▅ █"
    assert sparkline([1.0, 1.0], 10) == "▁▁"
    assert sparkline([10.0], 10, (1.0, 100.0)) == "▅"
    assert sparkline([None, 0.0], 10) == "  "


def test_many_values_are_grouped_by_neighbours() -> None:
    assert [list(part) for part in parts([1, 2, 3, 4, 5], 3)] == [[1, 2], [3, 4], [5]]
