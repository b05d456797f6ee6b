"""A language model of torch with past: served by every kind of runtime, and continued greedily."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

from deepmatrix.engines.docker.engine import DockerEngine
from deepmatrix.results.rows import Results
from harness.formats import GENERATION
from tests.containers.test_causes import other_matrix
from tests.containers.test_matrix import finish

TORCH = "torch-debian12-amd64-cpu"
CELLS = (
    TORCH,
    "onnxruntime-debian12-amd64-cpu",
    "openvino-debian12-amd64-cpu",
    "onnx-debian12-amd64-cpu",
)
ONNX, PROGRAM = (f"{TORCH}--decoder-tiny--{name}-with-past" for name in ("onnx", "torch-export"))


@pytest.fixture(scope="module")
def run(docker_engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    del docker_engine
    folder = tmp_path_factory.mktemp("past")

    def one(document: Any) -> None:
        del document["presets"]["tiny"]["phases"]  # the usual ones: it exports
        document["presets"]["tiny"]["workloads"] = ["decoder-tiny"]

    file = other_matrix(folder, one)
    code = finish(folder, "--file", str(file), "--preset", "tiny", "--name", "past", *CELLS)
    assert code == 0, (folder / "log").read_text()[-5000:]
    return folder / "past"


def test_a_step_after_others_matches_gold_on_each(run: Path) -> None:
    results = Results.model_validate_json((run / "results.json").read_text())
    verdicts = {
        (row.consumer, row.artifact): row.verdict
        for row in results.portability
        if row.artifact in (ONNX, PROGRAM)
    }
    assert verdicts == {
        (TORCH, PROGRAM): "match",
        **{(cell, ONNX): "match" for cell in CELLS[1:]},
    }
    generated = {(row.cell, row.artifact): (row.equal, row.fault) for row in results.generation}
    assert generated == dict.fromkeys(verdicts, (12, ""))
    assert results.quantised == ()


Answer = Callable[[Mapping[str, np.ndarray]], list[np.ndarray]]


def by_onnxruntime(model: Path) -> Answer:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(None, dict(inputs))


def by_evaluator(model: Path) -> Answer:
    evaluator = ReferenceEvaluator(onnx.load(model))
    return lambda inputs: evaluator.run(None, dict(inputs))


def by_openvino(model: Path) -> Answer:
    openvino = pytest.importorskip("openvino")
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda inputs: list(compiled(dict(inputs)).to_tuple())


@pytest.mark.parametrize("by", [by_onnxruntime, by_evaluator, by_openvino])
def test_the_same_graph_reads_a_prompt_and_goes_on_from_it(
    by: Callable[[Path], Answer], run: Path
) -> None:
    folder = run / "artifacts" / ONNX / "model"
    generation = json.loads((folder / GENERATION).read_text())
    answer = by(folder / "model.onnx")
    fed, generated = generation["prompt"], []
    past = {name: np.zeros(shape, np.float32) for name, shape in generation["shapes"].items()}
    for _ in range(generation["steps"]):
        logits, *presents = answer({generation["tokens"]: np.array([fed]), **past})
        assert logits.shape == (1, len(fed), 256)
        past = dict(zip(generation["cache"], presents, strict=True))
        fed = [int(logits[0, -1].argmax())]
        generated += fed
    assert generated == generation["expected"]
    assert len(generation["prompt"]) + len(generated) == 16
