"""Planted faults, each traced to its node by a real run in containers."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from ruamel.yaml import YAML

from deepmatrix.cli import main
from deepmatrix.engines.docker.engine import DockerEngine
from deepmatrix.machine import processes
from tests import planted

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.usefixtures("docker_engine")


@pytest.fixture
def verified(tmp_path: Path) -> Any:
    """Verify models on some cells; return the exit code, the causes, and all that was found."""

    def verify(*arguments: str, only: str, matrix: Path = ROOT / "matrix.yaml") -> Any:
        runs = tmp_path / "runs"
        code = main.main(
            ["verify", *arguments, "--only", only, "--runs", str(runs), "--file", str(matrix)]
        )
        (run,) = (path.parent for path in runs.glob("*/plan.json"))
        causes = [json.loads(path.read_text()) for path in run.glob("causes/*/cause.json")]
        results_path = run / "results.json"
        return (
            code,
            causes,
            json.loads(results_path.read_text()) if results_path.is_file() else None,
        )

    return verify


def saved(folder: Path, name: str, **fault: Any) -> str:
    onnx.save(planted.model(**fault), folder / f"{name}.onnx")
    return str(folder / f"{name}.onnx")


def other_matrix(folder: Path, change: Any) -> Path:
    yaml = YAML()
    document = yaml.load((ROOT / "matrix.yaml").read_text(encoding="utf-8"))
    change(document)
    with (folder / "matrix.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(document, file)
    named = document["expected_failures_file"]
    shutil.copyfile(ROOT / named, folder / named)
    return folder / "matrix.yaml"


NATIVE = "onnxruntime-debian12-amd64-cpu"

#: Of processors on which OpenVINO computes in bfloat16 unless it is told otherwise.
BFLOAT16_FLAGS = r"\bamx_bf16\b|\bavx512_bf16\b"


@pytest.mark.parametrize("fault", [{"weight": 1.001}, {"shifted": True}], ids=["weight", "padding"])
def test_a_model_that_is_not_the_same_is_traced_to_its_node(
    verified: Any, tmp_path: Path, fault: dict[str, Any]
) -> None:
    good, bad = saved(tmp_path, "good"), saved(tmp_path, "bad", **fault)
    code, causes, results = verified(good, bad, "--same", only=NATIVE)
    assert code == 1
    assert [(cause["kind"], cause["node"]) for cause in causes] == [("file", "conv10")]
    (measured,) = results["nodes"]
    assert (measured["model"], measured["note"]) == ("bad", "")
    assert measured["count"] == len(planted.model().graph.node)


@pytest.mark.parametrize(
    ("models", "problem"),
    [
        (
            "whole part",
            "{first} has 2 outputs (y, add5), the model has 1 output (y): it does not give 'add5'",
        ),
        (
            "part whole",
            "{first} has 1 output (y), the model has 2 outputs (y, add5): it also gives 'add5'",
        ),
    ],
)
def test_an_output_that_one_of_two_models_lacks_is_named_and_that_model_is_not_served(
    verified: Any, tmp_path: Path, models: str, problem: str
) -> None:
    names = models.split()
    paths = [saved(tmp_path, name, dropped=name == "part") for name in names]
    code, _, results = verified(*paths, "--same", only=NATIVE)
    assert code == 1
    verdicts = {row["model"]: row["verdict"] for row in results["portability"]}
    assert verdicts == {names[0]: "match", names[1]: "not-run"}
    assert results["problems"] == [
        f"{names[1]}: the model is not served: {problem.format(first=paths[0])}"
    ]


def test_a_runtime_that_overflows_as_the_model_says_is_right_and_the_node_is_named(
    verified: Any, tmp_path: Path
) -> None:
    code, causes, results = verified(saved(tmp_path, "hot", overflow=True), only=NATIVE)
    assert (code, causes) == (0, [])
    (warning,) = [text for text in results["warnings"] if "overflows" in text and "node" in text]
    assert "float32 overflows at node 'exploded'" in warning


def test_a_runtime_that_answers_in_bfloat16_unasked_is_caught_at_its_first_node(
    verified: Any, tmp_path: Path
) -> None:
    def undeclared(document: Any) -> None:
        del document["runtimes"]["openvino_default"]["precision"]

    if not re.search(BFLOAT16_FLAGS, Path("/proc/cpuinfo").read_text()):
        pytest.skip("OpenVINO computes in float32 on this processor")
    matrix = other_matrix(tmp_path, undeclared)
    cell = "openvino_default-debian12-amd64-cpu"
    code, causes, results = verified(saved(tmp_path, "good"), only=cell, matrix=matrix)
    assert code == 1
    assert [(cause["kind"], cause["node"]) for cause in causes] == [("runtime", "conv0")]
    (measured,) = results["nodes"]
    assert any(node["error"] > node["tolerance"] for node in measured["largest"])


def test_a_choice_between_values_that_rounding_makes_equal_accuses_no_node(
    verified: Any, tmp_path: Path
) -> None:
    if not re.search(BFLOAT16_FLAGS, Path("/proc/cpuinfo").read_text()):
        pytest.skip("OpenVINO computes in float32 on this processor")
    value = onnx.helper.make_tensor_value_info
    nodes = [
        onnx.helper.make_node("MatMul", ["x", "w"], ["logits"], name="product"),
        onnx.helper.make_node("ArgMax", ["logits"], ["y"], name="best", axis=1),
    ]
    weights = onnx.numpy_helper.from_array(np.eye(8, dtype=np.float32), "w")
    graph = onnx.helper.make_graph(
        nodes, "tie", [value("x", 1, [1, 8])], [value("y", 7, [1, 1])], [weights]
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "m.onnx")
    x = np.float32([[1.001, 1.002, 0, 0, 0, 0, 0, 0]])  # both are 1 in bfloat16
    np.savez(tmp_path / "in.npz", x=x)
    inputs = ["--inputs", str(tmp_path / "in.npz")]
    code, causes, _ = verified(
        str(tmp_path / "m.onnx"), *inputs, only="openvino_default-debian12-amd64-cpu"
    )
    (cause,) = causes
    assert (code, cause["kind"], cause["node"]) == (1, "fusion", "best")
    assert cause["text"].startswith("bfloat16 rounds too much before ArgMax 'best'")
    assert cause["text"].endswith("none is wrong")


#: Under QEMU's default ARM64 processor the products of this one are wrong, and of others are not.
MISCOMPILED = "numpy==2.5.5"


def with_another_numpy(engine: DockerEngine, folder: Path, reference: str) -> str:
    """Return an image like an ARM64 one of Debian 13, but for its numpy."""
    platform = ["--python-platform", "aarch64-manylinux_2_36", "--python-version", "3.13"]
    where = ["--only-binary", ":all:", "--no-deps", "--target", str(folder / "packages")]
    processes.run(["uv", "pip", "install", "--quiet", *platform, *where, MISCOMPILED])
    text = f"FROM {reference}\nCOPY packages /other\nENV PYTHONPATH=/other:/packages\n"
    (folder / "Dockerfile").write_text(text, encoding="utf-8")
    tag = "deepmatrix/miscompiled:test"
    build = ["docker", "build", "--quiet", "--platform", "linux/arm64", "--tag", tag, str(folder)]
    processes.run(build, environment=engine.endpoint.environment())
    return tag


def test_an_emulator_that_multiplies_wrongly_is_caught_before_it_answers(
    verified: Any, tmp_path: Path, docker_engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgotten(document: Any) -> None:
        del document["architectures"]["arm64"]["emulation"]

    if "arm64" in docker_engine.capabilities().native:
        pytest.skip("arm64 is not emulated here")
    cell = "onnx-debian13-arm64-cpu"
    prepare = DockerEngine.prepare

    def prepared(self: DockerEngine, cells: Any, progress: Any) -> Any:
        results = prepare(self, cells, progress)
        if cell in results:
            self.references[cell] = with_another_numpy(self, tmp_path, self.references[cell])
        return results

    monkeypatch.setattr(DockerEngine, "prepare", prepared)
    matrix = other_matrix(tmp_path, forgotten)
    code, _, report = verified(saved(tmp_path, "good"), only=cell, matrix=matrix)
    assert code == 1
    (row,) = report["portability"]
    assert row["verdict"] == "error"
    assert "product is wrong" in row["reason"]
