"""Programs for Windows under Wine answer as those for Linux do."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from matrix import cli
from tests import planted


@pytest.mark.usefixtures("docker_engine")
def test_a_model_answers_the_same_under_wine(tmp_path: Path) -> None:
    onnx.save(planted.model(), tmp_path / "good.onnx")
    cells = "onnxruntime-*_wine-debian13-amd64-cpu"
    runs = tmp_path / "runs"
    code = cli.main(["verify", str(tmp_path / "good.onnx"), "--only", cells, "--runs", str(runs)])
    assert code == 0
    (run,) = runs.iterdir()
    rows = json.loads((run / "results.json").read_text(encoding="utf-8"))["portability"]
    assert sorted((row["consumer"], row["verdict"]) for row in rows) == [
        ("onnxruntime-cpp_wine-debian13-amd64-cpu", "match"),
        ("onnxruntime-node_wine-debian13-amd64-cpu", "match"),
    ]
    records = run.glob("records/onnxruntime-cpp_wine-*/*/r0.json")
    (said,) = [json.loads(path.read_text(encoding="utf-8")) for path in records]
    assert said["output"]["environment"]["libc"].startswith("wine ")
