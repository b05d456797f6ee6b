"""A whole verification in this interpreter: by the ONNX standard's evaluator, with no container."""

from __future__ import annotations

import errno
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from deepmatrix.cli import main
from deepmatrix.diagnosis import explain
from deepmatrix.models import files
from tests import planted

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="no cell of the evaluator has this Python"
)

CELL = "onnx-debian12-amd64-cpu"
X = np.random.default_rng(1).standard_normal((2, 8, 12, 12)).astype(np.float32)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "net" / "model.onnx"
    path.parent.mkdir()
    onnx.save(planted.model(), path)
    np.savez(path.with_name("x.npz"), x=X)
    return path


def verify(folder: Path, *arguments: str) -> int:
    runs = ["--runs", str(folder / "runs"), "--name", "one"]
    return main.main(["verify", *arguments, "--engine", "here", "--only", CELL, *runs])


def test_a_model_is_verified_and_the_error_of_every_node_is_stored(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = ["--inputs", str(model.with_name("x.npz"))]
    assert verify(tmp_path, str(model), *inputs, "--explain", "all") == 0
    screen = capsys.readouterr().out
    assert f"{CELL} (the standard's evaluator)" in screen
    assert "Errors along the graph" in screen
    path = tmp_path / "runs" / "one" / "nodes" / f"net--on--{CELL}.json"
    nodes = json.loads(path.read_text())["nodes"]
    assert len(nodes) == len(planted.model().graph.node)
    assert all(0 <= node["error"] <= node["tolerance"] for node in nodes)
    assert max(node["error"] for node in nodes) > 0
    data = json.loads((path.parents[1] / "model-explorer" / path.name).read_text())
    assert set(data["results"]) == {node[name] for node in nodes for name in ("node", "tensor")}
    resumed = ["--engine", "here", "--runs", str(tmp_path / "runs")]
    assert main.main(["verify", "--resume", *resumed]) == 0


@pytest.mark.parametrize("name", ["copy_models", "keep_arrays"])
def test_no_run_is_there_without_the_models_and_inputs_that_it_was_made_for(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def fill_the_disk(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, name, fill_the_disk)
    assert verify(tmp_path, str(model), "--inputs", str(model.with_name("x.npz"))) == 3
    assert list((tmp_path / "runs").iterdir()) == []


@pytest.mark.parametrize("seconds", [30.0, 0.0])
def test_the_error_of_every_node_of_a_drift_is_stored_within_a_time(
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
) -> None:
    monkeypatch.setattr(explain, "NODES_S", seconds)
    reference = tmp_path / "y.npz"
    wrong = {"y": np.full((2, 8), 3.0, np.float32), "add5": np.ones((2, 8, 12, 12), np.float32)}
    np.savez(reference, **wrong)
    files = ["--inputs", str(model.with_name("x.npz")), "--reference", str(reference)]
    assert verify(tmp_path, str(model), *files) == 0, "the evaluator is what is wrong"
    path = tmp_path / "runs" / "one" / "nodes" / f"net--on--{CELL}.json"
    stored = json.loads(path.read_text())
    count = len(planted.model().graph.node)
    assert len(stored["nodes"]) == (count if seconds else 0)
    assert ("--explain all" in stored["note"]) == (not seconds)
    assert ("measure it with --explain all" in capsys.readouterr().out) == (not seconds)
    resumed = ["--engine", "here", "--runs", str(tmp_path / "runs"), "--explain", "all"]
    assert main.main(["verify", "--resume", *resumed]) == 0
    assert len(json.loads(path.read_text())["nodes"]) == count


def test_a_reference_of_a_wrong_shape_serves_nothing(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = tmp_path / "y.npz"
    inner = np.ones((2, 8, 12, 12), np.float32)
    np.savez(reference, y=np.ones((2, 9), np.float32), add5=inner)
    files = ["--inputs", str(model.with_name("x.npz")), "--reference", str(reference)]
    assert verify(tmp_path, str(model), *files) == 2
    error = capsys.readouterr().err.splitlines()[0]
    assert str(reference) in error
    assert "the reference of output 'y' has the shape (2, 9); the model gives (2, 8)" in error
    assert not (tmp_path / "runs" / "one").exists()


def test_inputs_that_are_refused_leave_no_run_behind(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    narrow = tmp_path / "x.npz"
    np.savez(narrow, x=X[:, :3])
    assert verify(tmp_path, str(model), "--inputs", str(narrow)) == 2
    assert "the input x has the shape (2, 3, 12, 12)" in capsys.readouterr().err
    assert not (tmp_path / "runs" / "one").exists()


def test_a_reference_of_wrong_values_is_blamed_itself_with_its_largest_difference(
    model: Path, tmp_path: Path
) -> None:
    names = [value.name for value in onnx.load(model).graph.output]
    right = ReferenceEvaluator(str(model)).run(names, {"x": X})
    wrong = dict(zip(names, right, strict=True))
    wrong[names[0]] = wrong[names[0]].copy()
    wrong[names[0]].ravel()[3] += 9
    reference = tmp_path / "y.npz"
    np.savez(reference, **wrong)
    files = ["--inputs", str(model.with_name("x.npz")), "--reference", str(reference)]
    verify(tmp_path, str(model), *files)
    results = json.loads((tmp_path / "runs" / "one" / "results.json").read_text())
    (row,) = results["portability"]
    assert row["cause"]["kind"] == "reference"
    place = ", ".join(map(str, np.unravel_index(3, wrong[names[0]].shape)))
    begin = f"the reference differs from the evaluation and from every runtime: output {names[0]}"
    assert row["cause"]["text"].startswith(begin)
    assert f"the largest difference is at [{place}]" in row["cause"]["text"]


def test_the_evaluator_answers_in_the_process_that_inspects(model: Path, tmp_path: Path) -> None:
    inputs = ["--inputs", str(model.with_name("x.npz"))]
    assert verify(tmp_path, str(model), *inputs, "--explain", "none") == 0
    run = tmp_path / "runs" / "one"
    assert [path.name for path in (run / "logs").iterdir()] == [f"{CELL}--net--r0.log"]
    results = json.loads((run / "results.json").read_text())
    (row,) = results["portability"]
    assert (row["consumer"], row["verdict"]) == (CELL, "match")
    assert 0 < row["error"] <= row["producer_error"]
    assert results["problems"] == []


def test_what_the_evaluator_cannot_answer_is_an_error_of_its_own(tmp_path: Path) -> None:
    node = onnx.helper.make_node("Frob", ["x"], ["y"], domain="com.my")
    x, y = (onnx.helper.make_tensor_value_info(name, 1, [2]) for name in "xy")
    opsets = [onnx.helper.make_opsetid("com.my", 1)]
    graph = onnx.helper.make_graph([node], "frob", [x], [y])
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets), tmp_path / "frob.onnx")
    verify(tmp_path, str(tmp_path / "frob.onnx"))
    results = json.loads((tmp_path / "runs" / "one" / "results.json").read_text())
    (row,) = results["portability"]
    assert row["verdict"] == "error"
    assert "Frob" in row["reason"]


def sums(folder: Path, name: str, *inputs: str) -> Path:
    """Store a model that adds its inputs."""
    values = [onnx.helper.make_tensor_value_info(text, 1, [2]) for text in (*inputs, "y")]
    node = onnx.helper.make_node("Sum", list(inputs), ["y"])
    graph = onnx.helper.make_graph([node], name, values[:-1], values[-1:])
    opset = [onnx.helper.make_opsetid("", 17)]
    path = folder / f"{name}.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


@pytest.mark.parametrize("names", [["one", "two"], ["three", "two"]])
def test_models_with_other_inputs_are_told_to_have_runs_of_their_own(
    names: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    declared = {"one": ["x"], "two": ["a", "b"], "three": ["a", "b", "c"]}
    paths = [str(sums(tmp_path, name, *declared[name])) for name in names]
    np.savez(tmp_path / "x.npz", x=np.ones(2, np.float32))
    inputs = ["--inputs", str(tmp_path / "x.npz")]
    code = verify(tmp_path, *paths, *inputs, "--explain", "none")
    captured = capsys.readouterr()
    screen = " ".join((captured.err if "three" in names else captured.out).split())
    assert code == (2 if "three" in names else 1)
    assert "got the inputs x; it has a, b" in screen
    assert "the models of one command share their inputs" in screen
    assert "verify models with other inputs in runs of their own" in screen


def test_a_single_model_with_wrong_inputs_is_not_told_of_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "x.npz", x=np.ones(2, np.float32))
    path = sums(tmp_path, "two", "a", "b")
    assert verify(tmp_path, str(path), "--inputs", str(tmp_path / "x.npz")) == 2
    error = capsys.readouterr().err
    assert "got the inputs x; it has a, b" in error
    assert "every model" not in error


def test_an_array_of_another_name_is_taken_for_the_only_input_and_that_is_said(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, is_said in (("imgae", True), ("x", False), ("arr_0", False)):
        np.savez(tmp_path / "given.npz", **{name: X})
        assert verify(tmp_path / name, str(model), "--inputs", str(tmp_path / "given.npz")) == 0
        caution = f"--inputs: the array '{name}' is taken for the only input, 'x'"
        assert (caution in capsys.readouterr().out) is is_said


def test_a_single_output_may_be_given_as_one_array(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add = sums(tmp_path, "add.onnx", "a", "b")
    np.savez(tmp_path / "x.npz", a=np.ones(2, np.float32), b=np.ones(2, np.float32))
    np.save(tmp_path / "right.npy", np.full(2, 2, np.float32))
    files = ["--inputs", str(tmp_path / "x.npz"), "--reference"]
    assert verify(tmp_path, str(add), *files, str(tmp_path / "right.npy")) == 0
    assert "gold, the right values: your --reference" in capsys.readouterr().out
    (tmp_path / "text.txt").write_text("2 2")
    assert verify(tmp_path / "again", str(add), *files, str(tmp_path / "text.txt")) == 2
    message = capsys.readouterr().err
    assert "give an .npz of the right outputs, made with numpy.savez" in message
    assert "an .npy will do" in message
