"""Who is wrong, the judge or a runtime: each is found, and named, by a real run."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from deepmatrix.cli import main
from deepmatrix.engines.docker.engine import DockerEngine

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "tests" / "models"
EVALUATOR = "onnx-debian12-amd64-cpu"
CELLS = (EVALUATOR, "onnxruntime-debian12-amd64-cpu", "openvino-debian12-amd64-cpu")

#: A wrong definition of an operator that the standard's tests have proven.
WRONG_RELU = """

class Relu(Operator):
    def _run(self, x):
        return (x * 1.5,)


OPERATORS.append(Relu)
"""

pytestmark = pytest.mark.usefixtures("docker_engine")


def verify(models: Sequence[Path], runs: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """Verify models on the evaluator and two libraries; return the exit code and the results."""
    only = [word for cell in CELLS for word in ("--only", cell)]
    code = main.main(["verify", *map(str, models), *only, "--runs", str(runs), *options])
    (run,) = (path.parent for path in runs.glob("*/plan.json"))
    document: dict[str, Any] = json.loads((run / "results.json").read_text())
    return code, document


def prove(harness: Path, module: str) -> None:
    """Let a copy of the harness take a changed module for the one that was proven."""
    program = "import sys; from harness.graphs.operators import fingerprints as f; "
    program += "print(f.fingerprint(sys.argv[1]))"
    command = [sys.executable, "-c", program, module]
    fingerprint = subprocess.run(
        command, cwd=harness.parent, check=True, capture_output=True, text=True
    ).stdout.strip()
    table = harness / "graphs" / "proven.json"
    document = json.loads(table.read_text())
    document["fingerprints"][module] = fingerprint
    table.write_text(json.dumps(document))


def small_model(path: Path) -> Path:
    random = np.random.default_rng(3)
    weights = [
        numpy_helper.from_array(random.standard_normal(shape).astype(np.float32), name)
        for name, shape in (("a", (6, 8)), ("b", (8, 3)))
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["hidden"], name="first"),
        helper.make_node("Relu", ["hidden"], ["active"], name="relu"),
        helper.make_node("MatMul", ["active", "b"], ["y"], name="second"),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "small", [value("x", 1, [4, 6])], [value("y", 1, [4, 3])], weights
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )
    return path


def test_a_wrong_judge_accuses_no_runtime_and_its_node_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = tmp_path / "harness"
    shutil.copytree(ROOT / "harness", harness)
    module = "harness.graphs.operators.selection"
    source = tmp_path / (module.replace(".", "/") + ".py")
    source.write_text(source.read_text() + WRONG_RELU)
    prove(harness, module)
    monkeypatch.setitem(DockerEngine.__init__.__kwdefaults__, "harness", harness)
    code, results = verify([small_model(tmp_path / "m.onnx")], tmp_path / "runs")
    rows = {row["consumer"]: row for row in results["portability"]}
    assert code == 0
    assert {rows[cell]["verdict"] for cell in CELLS if cell != EVALUATOR} == {"match"}
    cause = rows[EVALUATOR]["cause"]
    assert (cause["kind"], cause["node"]) == ("evaluator", "relu")


def test_a_wrong_runtime_is_accused_beside_large_values_that_are_undefined(tmp_path: Path) -> None:
    """OpenVINO's Softmax of opset 11 is wrong; the cast of 1e12 to 32 bits is undefined."""
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Softmax", ["x"], ["shares"], name="softmax"),
        helper.make_node("Cast", ["large"], ["integer"], name="cast", to=onnx.TensorProto.INT32),
        helper.make_node("Cast", ["integer"], ["float"], name="back", to=onnx.TensorProto.FLOAT),
        helper.make_node("Concat", ["shares", "float"], ["y"], name="join", axis=2),
    ]
    inputs = [value("x", 1, [2, 3, 4]), value("large", 1, [2, 3, 1])]
    graph = helper.make_graph(nodes, "undefined", inputs, [value("y", 1, [2, 3, 5])])
    opset = [helper.make_opsetid("", 11)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=7), tmp_path / "m.onnx")
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    np.savez(tmp_path / "in.npz", x=x, large=np.full((2, 3, 1), 1e12, np.float32))
    _, results = verify(
        [tmp_path / "m.onnx"], tmp_path / "runs", "--inputs", str(tmp_path / "in.npz")
    )
    rows = {row["consumer"]: row for row in results["portability"]}
    assert rows["onnxruntime-debian12-amd64-cpu"]["verdict"] == "match"
    wrong = rows["openvino-debian12-amd64-cpu"]
    assert (wrong["verdict"], wrong["cause"]["node"]) == ("drift", "softmax")


def test_a_wrong_runtime_is_accused_and_its_node_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command of the README, with the answer that it shows."""
    monkeypatch.chdir(ROOT)
    runs = tmp_path / "runs"
    code = main.main(
        ["verify", "tests/models/softmax11.onnx", "--native", "--name", "run", "--runs", str(runs)]
    )
    results = json.loads((runs / "run" / "results.json").read_text())
    rows = {row["consumer"]: row for row in results["portability"]}
    assert code == 1
    assert {cell: row["verdict"] for cell, row in rows.items()} == {
        "openvino-debian12-amd64-cpu": "drift",
        "openvino_default-debian12-amd64-cpu": "drift",
        "onnxruntime-cpp-debian13-amd64-cpu": "match",
        "onnxruntime-debian12-amd64-cpu": "match",
        "onnxruntime-node-debian13-amd64-cpu": "match",
        "onnxruntime-web-debian13-amd64-cpu": "match",
        EVALUATOR: "match",
    }
    cause = rows["openvino-debian12-amd64-cpu"]["cause"]
    assert (cause["kind"], cause["node"]) == ("runtime", "softmax")
    again = shlex.split(cause["reproduce"])
    assert again[:4] == ["nox", "-s", "verify", "--"]
    assert main.main(["verify", *again[4:], "--runs", str(tmp_path / "again")]) == 1


#: What is right of the models after public bug reports, on ONNX Runtime and on OpenVINO.
RIGHT = {
    "batch_reshape": ("match", "match"),
    "cast_saturate": ("match", "match"),
    "contrib_optimised": ("match", "match"),
    "fp16_overflow": ("match", "match"),
    "gridsample16": ("match", "match"),
    "int8_qdq": ("match", "match"),
    "ir_new": ("match", "match"),
    "lstm_seqlens": ("match", "match"),
    "random_vae": ("match", "match"),
    "skl_zipmap": ("match", "unsupported"),
    "skl_zipmap_int": ("match", "unsupported"),
    "softmax11": ("match", "drift"),
}


def test_models_after_bug_reports_have_their_right_verdicts(tmp_path: Path) -> None:
    """A file that is a Git LFS pointer is among them; the others are served."""
    paths = [MODELS / f"{name}.onnx" for name in (*RIGHT, "lfs_pointer")]
    code, results = verify(paths, tmp_path / "runs", "--explain", "none")
    assert code == 1
    verdicts = {(row["model"], row["consumer"]): row["verdict"] for row in results["portability"]}
    _, onnxruntime, openvino = CELLS
    judged = {
        name: (verdicts.get((name, onnxruntime)), verdicts.get((name, openvino))) for name in RIGHT
    }
    assert judged == RIGHT
    assert any("lfs_pointer.onnx is a Git LFS pointer" in line for line in results["problems"])


def test_a_runtime_that_drops_nan_is_accused_and_one_that_keeps_it_is_not(tmp_path: Path) -> None:
    given = str(MODELS / "nan_clip_in.npz")
    _, results = verify(
        [MODELS / "nan_clip.onnx"], tmp_path / "runs", "--inputs", given, "--explain", "none"
    )
    rows = {row["consumer"]: row["verdict"] for row in results["portability"]}
    assert [rows[cell] for cell in CELLS[1:]] == ["match", "error"]
