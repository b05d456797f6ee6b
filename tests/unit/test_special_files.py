"""What stands in the place of a file, and its name, is no reason to wait, to die or be mute."""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from deepmatrix.boundary.bounds import one_line
from deepmatrix.boundary.files import Damaged
from deepmatrix.cli import reporting
from deepmatrix.cli.looking import history as history_command
from deepmatrix.comparison.history import lines as history
from deepmatrix.config import matrix_file
from deepmatrix.errors import CellFailed, DeepmatrixError
from deepmatrix.execution.sessions.lanes import Lane
from deepmatrix.execution.tasks import TaskMaker
from deepmatrix.machine import locks
from deepmatrix.models import inputs
from deepmatrix.models.formats import format_of
from deepmatrix.planning.subjects import Import
from deepmatrix.reports import markdown
from deepmatrix.results import merging
from deepmatrix.results.rows import Results
from deepmatrix.store import arrays, truths
from deepmatrix.store.runs import Run, latest
from deepmatrix.workloads import inputs as workload_inputs
from tests.unit.examples import DOCKER, artifact
from tests.unit.test_doors import put
from tests.unit.test_results import whole


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return whole(tmp_path)


def reported(run: Run) -> tuple[Results, str]:
    """Report a run in which something is not as expected; return its results, and what is shown."""
    screen = io.StringIO()
    with pytest.raises(CellFailed):
        reporting.report([Run.open(run.path)], Console(file=screen, width=1000))
    return Results.model_validate_json((run.path / "results.json").read_bytes()), screen.getvalue()


def lock_of_run(path: Path) -> None:
    with Run(path=path.parent).locked():
        pass


def lock_of_history(path: Path) -> None:
    with locks.lock(path):
        pass


READERS: dict[str, Callable[[Path], object]] = {
    "lock": lock_of_run,
    ".history.ndjson.lock": lock_of_history,
    "history.ndjson": history.read,
    "matrix.yaml": matrix_file.load,
    "x.npz": lambda path: inputs.read([str(path)]),
    "x.npy": lambda path: inputs.read([str(path)]),
    "folder/x.npy": lambda path: inputs.read([str(path.parent)]),
    "reference.npz": inputs.read_reference,
    "model.onnx": format_of,
    "README.md": lambda path: markdown.insert(path, lambda _: ""),
    "artifact/gold.npz": lambda path: truths.read(path.parent),
}


@pytest.mark.parametrize("kind", ["pipe", "folder"])
@pytest.mark.parametrize("name", READERS)
def test_a_pipe_or_a_folder_in_place_of_a_file_is_one_clear_error(
    tmp_path: Path, name: str, kind: str
) -> None:
    if name.startswith("artifact/"):
        artifact(tmp_path / "artifact", [[1.0]], [[1.0]])
    if (name, kind) in (("x.npz", "folder"), ("x.npy", "folder"), ("model.onnx", "folder")):
        return  # a folder of inputs, and one of a SavedModel, are what people may name
    path = put(tmp_path / name, kind)
    with pytest.raises(DeepmatrixError) as caught:
        READERS[name](path)
    assert caught.value.exit_code == 2
    assert path.name in caught.value.message or str(path.parent) in caught.value.message


@pytest.mark.parametrize("name", ["one/budgets.json", "history.ndjson", ".history.ndjson.lock"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_a_file_beside_the_records_that_cannot_be_used_is_named_and_all_else_is_reported(
    run: Run, name: str, kind: str
) -> None:
    before = merging.merge([run])
    if (name, kind) == ("one/budgets.json", "link"):
        return  # a run with a link in it is not opened at all
    path = put(run.path.parent / name, kind)
    results, screen = reported(run)
    (problem,) = set(results.problems) - set(before.problems)
    assert problem.startswith(f"{path}: ")
    assert str(path) in screen
    assert results.cells == before.cells


def test_a_lock_of_the_history_that_is_held_is_said_and_given_up_and_all_else_is_reported(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert locks.PATIENCE_S == 60
    monkeypatch.setattr(locks, "PATIENCE_S", 1.5)
    before = merging.merge([run])
    path = run.path.parent / ".history.ndjson.lock"
    with locks.lock(path):
        results, screen = reported(run)
    (problem,) = set(results.problems) - set(before.problems)
    assert problem.startswith(f"{path}: another process has held this lock for 1.5 s; end that")
    assert f"waiting for another process that adds to {path.parent}/history.ndjson\n" in screen
    assert results.cells == before.cells


@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_what_is_no_plain_file_in_place_of_a_plan_is_no_run(run: Run, kind: str) -> None:
    path = put(run.path.parent / "zz" / "plan.json", kind)
    if kind == "link":
        shutil.copyfile(run.path / "plan.json", path.resolve())
    later = time.time() + 1000
    os.utime(path, (later, later))
    assert latest(run.path.parent) == run


def test_a_history_that_is_not_utf_8_keeps_its_lines_and_gets_those_of_the_run(run: Run) -> None:
    path = run.path.parent / history.FILE
    results = merging.merge([run])
    for _ in range(2):  # the second time the lines of the run are replaced
        path.write_bytes(b"\xff\xfe{\n" + path.read_bytes() if path.is_file() else b"\xff\xfe{\n")
        history.append(run.path.parent, results)
        first, *added = path.read_bytes().splitlines()
        assert first == b"\xff\xfe{"
    assert len(added) == len(list(history.measurements(results))) + 1  # the second damaged line


def test_a_line_that_was_not_finished_does_not_spoil_the_next_run(run: Run) -> None:
    path = run.path.parent / history.FILE
    path.write_bytes(b'{"run": "torn')
    history.append(run.path.parent, merging.merge([run]))
    first, *added = path.read_bytes().split(b"\n")
    assert first == b'{"run": "torn'
    path.write_bytes(b"\n".join(added))
    assert {line.run for line in history.read(path)} == {"one"}


def test_a_line_of_the_history_ends_where_the_line_ends_and_nowhere_else(run: Run) -> None:
    results = merging.merge([run])
    rows = [
        row.model_copy(update={"environment": {"processor": "Xeon\u2028Evil\x85\x1c\u202e"}})
        for row in results.cells
    ]
    results = results.model_copy(update={"cells": tuple(rows)})
    for _ in range(3):
        history.append(run.path.parent, results)
        lines = history.read(run.path.parent / history.FILE)
        assert len(lines) == len(list(history.measurements(results)))


@pytest.mark.parametrize(
    "character", "\u2028\u2029\x0b\x0c\x1c\x1e\x85\u202a\u202e\u2066\u2069\u200f"
)
def test_a_text_of_one_line_has_no_end_of_a_line_and_turns_no_direction(character: str) -> None:
    assert one_line(f"a{character}b") == "a b"


def test_a_damaged_record_that_nobody_planned_is_named_and_the_others_are_merged(run: Run) -> None:
    before = merging.merge([run])
    for name in (b"c0", b"\xff\xfe"):
        folder = Path(os.fsdecode(os.fsencode(run.path / "records") + b"/" + name)) / "s"
        folder.mkdir(parents=True)
        (folder / "r0.json").write_text("{}")
    results, _ = reported(run)
    problems = set(results.problems) - set(before.problems)
    assert sorted(problem.split(": ")[0] for problem in problems) == [
        f"{run.path}/records/\\udcff\\udcfe/s/r0.json",
        f"{run.path}/records/c0/s/r0.json",
    ]
    assert results.cells == before.cells


@pytest.mark.parametrize("folder", ["builds", "engines"])
@pytest.mark.parametrize("content", ["{", '{"engine": "docker"}'])
def test_a_file_of_a_run_whose_name_is_not_utf_8_is_named_and_left_out(
    run: Run, folder: str, content: str
) -> None:
    before = merging.merge([run])
    path = run.path / folder / os.fsdecode(b"\xff.json")
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    results, screen = reported(run)
    (problem,) = set(results.problems) - set(before.problems)
    assert problem.startswith(f"{run.path}/{folder}/\\udcff.json: ")
    assert "\\udcff.json" in screen
    assert results.engines == before.engines


def test_a_model_whose_path_is_not_utf_8_is_planned_with_it_escaped(run: Run) -> None:
    model = Import(name="m", format="onnx", file="model.onnx", cell=run.manifest.plan.cells[0].id)
    plan = run.manifest.plan
    planned = type(plan)(**{**vars(plan), "imports": (model,), "workloads": ()})
    planned = planned.with_sources({"m": os.fsdecode(b"/models/\xffm.onnx")})
    created = Run.create(run.path.parent, planned, run.manifest.matrix, version="0.1.0", name="two")
    document = json.loads((created.path / "plan.json").read_bytes())
    assert document["plan"]["imports"][0]["source"] == "/models/\\udcffm.onnx"


def test_an_input_whose_file_has_a_name_that_is_not_utf_8_is_kept(tmp_path: Path) -> None:
    np.save(tmp_path / os.fsdecode(b"\xff.npy"), np.ones(3))
    assert list(inputs.read([str(tmp_path)])) == ["\\udcff"]


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_arrays_are_read_from_plain_files_alone(tmp_path: Path, kind: str) -> None:
    path = put(tmp_path / "x.npz", kind)
    with pytest.raises(arrays.Unreadable, match=r"x\.npz: .*no plain file"):
        arrays.read_all(path)


def test_a_history_as_parquet_goes_to_a_file_and_never_to_a_folder(run: Run) -> None:
    history.append(run.path.parent, merging.merge([run]))
    options = argparse.Namespace(runs=run.path.parent, series="*", parquet=run.path)
    with pytest.raises(IsADirectoryError, match="a folder is in its place"):
        history_command.run(options)
    target = run.path.parent / "it's; here.parquet"
    history_command.run(argparse.Namespace(**{**vars(options), "parquet": target}))
    assert target.read_bytes().startswith(b"PAR1")


@pytest.mark.parametrize(
    "content", [b"PK\3\4\xff", b"", workload_inputs.npz_bytes({"x": np.ones(1)})]
)
def test_a_damaged_order_of_batches_is_named_before_a_job_is_done(
    run: Run, tmp_path: Path, content: bytes
) -> None:
    job = next(run.manifest.plan.jobs("produce"))
    (cell,) = [cell for cell in run.manifest.plan.cells if cell.id == job.cell]
    names = workload_inputs.files(run.inputs, job.workload)
    for path in names.values():
        path.write_bytes(content)
    maker = TaskMaker(run=run, capabilities=DOCKER, emulated=False, lane=Lane((0,), 1 << 30))
    control = tmp_path / "control"
    control.mkdir()
    with pytest.raises(Damaged) as caught:
        maker.contents(job, cell, control)
    assert caught.value.path == names["order.npz"]
