"""The history: a line a measurement, which other programs read, and whose changes are found."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import duckdb
import jsonschema
import numpy as np
import pandas
import pytest

from deepmatrix.cli import main
from deepmatrix.comparison.history import lines as history
from deepmatrix.comparison.history.changepoints import change_points
from deepmatrix.comparison.history.lines import Measurement
from deepmatrix.comparison.history.series import series
from deepmatrix.errors import RecordError
from deepmatrix.paths import ROOT, SCHEMAS
from deepmatrix.reports import html
from deepmatrix.reports.tables import history as table
from deepmatrix.results import merging
from tests.unit.pages import Page
from tests.unit.test_results import whole

ONNXRUNTIME = "onnxruntime-debian12-amd64-cpu"
PAGE = (ROOT / "docs" / "compare.md").read_text("utf-8")


def measured(run: int, value: float, **changes: Any) -> Measurement:
    fields = {
        "run": f"run{run}",
        "created": f"2026-01-{run + 1:02}T00:00:00+00:00",
        "version": "0.1.0",
        "series": "cell/model/inference/1",
        "cell": "cell",
        "subject": "model",
        "quantity": "inference",
        "batch": 1,
        "unit": "s",
        "value": value,
        "machine": "a processor",
    }
    return Measurement.model_validate({**fields, **changes})


def write(folder: Path, *lines: Measurement) -> Path:
    path = folder / history.FILE
    path.write_text("".join(f"{line.model_dump_json()}\n" for line in lines), "utf-8")
    return path


def stepped(*levels: tuple[int, float], noise: float = 0.02) -> list[float]:
    random = np.random.default_rng(0)
    values = [level for count, level in levels for _ in range(count)]
    return [value * float(np.exp(noise * random.standard_normal())) for value in values]


def test_every_run_adds_a_line_a_measurement(tmp_path: Path) -> None:
    results = merging.merge([whole(tmp_path)])
    history.append(tmp_path, results)
    lines = history.read(tmp_path / history.FILE)
    assert len({line.series for line in lines}) == len(lines)
    times = [line for line in lines if line.quantity == "inference"]
    assert len(times) == sum(not row.emulated for row in results.inference)
    assert all(line.low <= line.value <= line.high for line in times)  # type: ignore[operator]
    verdicts = {line.verdict for line in lines if line.quantity == "error"}
    assert verdicts == {"match"}
    schema = json.loads((SCHEMAS / "history.schema.json").read_text("utf-8"))
    for text in (tmp_path / history.FILE).read_text("utf-8").splitlines():
        jsonschema.validate(json.loads(text), schema)


def test_a_run_that_is_merged_again_replaces_its_lines(tmp_path: Path) -> None:
    results = merging.merge([whole(tmp_path)])
    history.append(tmp_path, results)
    history.append(tmp_path, results.model_copy(update={"run": "another"}))
    before = history.read(tmp_path / history.FILE)
    history.append(tmp_path, results.model_copy(update={"portability": ()}))
    after = history.read(tmp_path / history.FILE)
    assert {line.run for line in after} == {"one", "another"}
    assert len(before) - len(after) == sum(not row.judges for row in results.portability)


def test_merging_a_run_writes_the_history_beside_it(tmp_path: Path) -> None:
    whole(tmp_path)
    assert main.main(["merge", "one", "--runs", str(tmp_path)]) == 0
    assert main.main(["merge", "one", "--runs", str(tmp_path)]) == 0
    lines = history.read(tmp_path / history.FILE)
    assert {line.run for line in lines} == {"one"}
    assert len({line.series for line in lines}) == len(lines)


def test_sizes_of_two_kinds_of_engine_are_no_series() -> None:
    image = {"series": "cell/image", "quantity": "image", "unit": "bytes"}
    lines = [measured(run, 3e8, engine="docker", **image) for run in range(3)]
    lines += [measured(run, 2e8, engine="venv", **image) for run in range(3, 5)]
    (shown,) = series(lines)
    assert [point.engine for point in shown.points] == ["venv", "venv"]
    assert shown.left_out == 3
    (others,) = series([measured(run, 2e8, machine=f"{run}", **image) for run in range(3)])
    assert len(others.points) == 3, "a size is the same on all machines"


def test_times_with_checked_work_beside_them_are_no_series_with_others(tmp_path: Path) -> None:
    results = merging.merge([whole(tmp_path)])
    history.append(tmp_path, results)
    history.append(tmp_path, results.model_copy(update={"run": "another", "beside": True}))
    shown = series(history.read(tmp_path / history.FILE))
    left_out = {(each.points[-1].unit, each.left_out, each.points[0].run) for each in shown}
    assert {("s", 1, "another"), ("1", 0, "one")} <= left_out
    assert {count for unit, count, _ in left_out if unit != "s"} == {0}


@pytest.mark.parametrize(
    ("levels", "points"),
    [
        ([(20, 1.0)], []),
        ([(10, 1.0), (10, 1.1)], [10]),
        ([(8, 1.0), (8, 1.5), (8, 1.0)], [8, 16]),
        ([(2, 1.0), (2, 2.0)], [2]),
        ([(3, 1.0)], []),
    ],
)
def test_change_points_are_where_the_level_changes(
    levels: list[tuple[int, float]], points: list[int]
) -> None:
    assert change_points(stepped(*levels)) == points


def test_exact_numbers_have_change_points_too() -> None:
    assert change_points([100.0] * 5 + [120.0] * 5) == [5]
    assert change_points([100.0] * 10) == []


def test_noise_alone_has_few_change_points() -> None:
    random = np.random.default_rng(3)
    runs = np.exp(0.03 * random.standard_normal((100, 20)))
    assert sum(bool(change_points(values.tolist())) for values in runs) <= 5


def test_a_series_of_thousands_of_runs_has_its_change_points() -> None:
    assert change_points(stepped((2000, 1.0), (2000, 1.5))) == [2000]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.0] * 6 + [1e-3] * 6, "0.0e+00, then 1.0e-03 (over 10,000×)"),
        ([1e-3] * 6 + [0.0] * 6, "1.0e-03, then 0.0e+00 (0×)"),
        ([0.0] * 12, ""),
    ],
)
def test_errors_of_zero_have_change_points(values: list[float], text: str) -> None:
    lines = [
        measured(run, error, quantity="error", unit="1", series="cell/model/error")
        for run, error in enumerate(values)
    ]
    (one_series,) = series(lines)
    assert [text in line for line in table.changes(one_series)] == [True] * bool(text)
    assert len(one_series.levels) == 1 + bool(text)
    (row,) = table.table([one_series]).rows
    assert not text or row.texts[3] in text
    assert html.history_page([one_series])


def test_times_of_another_machine_are_another_series() -> None:
    lines = [measured(run, 1.0, machine="old" if run < 3 else "new") for run in range(8)]
    (one_series,) = series(lines)
    assert len(one_series.points) == 5
    assert one_series.left_out == 3


def test_a_series_is_plotted_with_its_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    values = stepped((12, 0.0012), (8, 0.0015))
    write(tmp_path, *(measured(run, value) for run, value in enumerate(values)))
    assert main.main(["history", "cell/*", "--runs", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines()[:18])) <= 80
    assert shown.count("●") >= 10
    (line,) = [line for line in shown.splitlines() if "run run12" in line]
    assert re.search(r"1\.2\d ms, then 1\.[45]\d ms \(1\.2\d+×", line)


def test_a_change_from_next_to_nothing_is_a_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, *(measured(run, 1.0 if run > 4 else 5e-324) for run in range(10)))
    assert main.main(["history", "--runs", str(tmp_path)]) == 0
    assert "over 10,000×" in capsys.readouterr().out


def test_many_series_are_listed_the_largest_change_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = []
    for number in range(6):
        for run in range(10):
            level = 1.0 + number / 10 * (run > 4)
            lines.append(measured(run, level, series=f"cell/model{number}/inference/1"))
    write(tmp_path, *lines)
    assert main.main(["history", "--runs", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    names = re.findall(r"model\d", shown)
    assert names == [f"model{number}" for number in (5, 4, 3, 2, 1, 0)]
    assert "1.500×" in shown


def test_a_page_draws_each_series_with_its_levels_and_its_change(tmp_path: Path) -> None:
    values = stepped((12, 0.0012), (8, 0.0015))
    lines = [measured(run, value) for run, value in enumerate(values)]
    lines += [measured(run, 5.0, series="cell/<b>/image", unit="bytes") for run in range(3)]
    write(tmp_path, *lines)
    target = tmp_path / "history.html"
    words = ["history", "--runs", str(tmp_path), "--html", str(target)]
    assert main.main(words) == 0
    page = Page(target.read_text("utf-8"))
    assert "History 1 of 2 series changed" in page.text
    assert len(page.named("circle")) == 23
    paths = [path.get("class") for path in page.named("path")]
    assert (paths.count("level"), paths.count("change")) == (3, 1)
    assert "run run12: " in page.text
    assert "cell/<b>/image" in page.text
    places = [float(dot["cy"]) for dot in page.named("circle")]
    assert min(places[:12]) > max(places[12:20]), "slower runs stand higher"
    assert min(places) > 0
    assert max(places) < 160
    assert main.main(["history", "cell/model/*", *words[1:]]) == 0
    assert "History 1 of 1 series changed" in Page(target.read_text("utf-8")).text


@pytest.mark.parametrize("values", [[0.0, 0.0], [5e-324, 1e30], [1e30] * 3, [1.0]])
def test_a_page_draws_whatever_a_history_may_hold(values: list[float]) -> None:
    lines = [measured(run, value, unit="1") for run, value in enumerate(values)]
    page = Page(html.history_page(series(lines)))
    places = [float(dot["cy"]) for dot in page.named("circle")]
    assert len(places) == len(values)
    assert all(0 <= place <= 160 for place in places)


def test_wrong_arguments_and_files_say_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["history", "--runs", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: no history: ")
    (tmp_path / history.FILE).touch()
    assert main.main(["history", "--runs", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: no measurements yet: ")
    path = write(tmp_path, measured(0, 1.0))
    assert main.main(["history", "cel/*", "--runs", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: 'cel/*' matches no series")
    write(tmp_path, *(measured(0, 1.0, series=f"cell/{number:02}") for number in range(12)))
    assert main.main(["history", "x*", "--runs", str(tmp_path)]) == 2
    error, _, head, *names, more = capsys.readouterr().err.splitlines()
    assert error == "error: 'x*' matches no series"
    assert [line.strip() for line in (head, *names[:2])] == ["there are:", "cell/00", "cell/01"]
    assert (len(names), more.strip()) == (10, "and 2 more")
    write(tmp_path, measured(0, 1.0))
    path.write_text(path.read_text("utf-8") + "{torn\n", "utf-8")
    with pytest.raises(RecordError, match=rf"{history.FILE}:2: the line is damaged"):
        history.read(path)


def blocks(language: str) -> list[str]:
    """Return the pieces of a language that the page shows about the history."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the history of a real shape in ``runs/``, which is current."""
    folder = tmp_path / "runs"
    results = merging.merge([whole(folder)])
    history.append(folder, results)
    history.append(folder, results.model_copy(update={"run": "two", "created": "2027-01-01"}))
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.mark.usefixtures("runs")
def test_the_commands_of_duckdb_in_the_documents_read_the_history() -> None:
    assert len(blocks("sql")) >= 2
    for command in blocks("sql"):
        assert duckdb.sql(command).fetchall()


@pytest.mark.usefixtures("runs")
def test_the_commands_of_pandas_in_the_documents_read_the_history() -> None:
    (program,) = blocks("python")
    names: dict[str, Any] = {}
    exec(compile(program, "docs/compare.md", "exec"), names)
    assert isinstance(names["table"], pandas.DataFrame)
    assert set(names["table"].columns) == {"one", "two"}
    assert len(names["table"]) > 5


def test_parquet_holds_the_same(runs: Path, tmp_path: Path) -> None:
    target = tmp_path / "history.parquet"
    assert main.main(["history", "--runs", str(runs), "--parquet", str(target)]) == 0
    rows = duckdb.sql(f"SELECT series, run, value FROM '{target}' ORDER BY ALL").fetchall()
    lines = (json.loads(line) for line in (runs / history.FILE).read_text().splitlines())
    expected = [(line["series"], line["run"], line["value"]) for line in lines]
    assert sorted(expected) == sorted(rows)


def test_parquet_without_duckdb_says_what_to_install(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    arguments = ["history", "--runs", str(runs), "--parquet", str(tmp_path / "x.parquet")]
    assert main.main(arguments) == 2
    assert capsys.readouterr().err.startswith("error: --parquet needs the package duckdb")
