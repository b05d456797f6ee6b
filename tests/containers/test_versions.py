"""Two versions of a package, installed and measured in turn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deepmatrix.cli import main
from deepmatrix.paths import ROOT

pytestmark = pytest.mark.engine

CELL = "onnxruntime-debian12-amd64-cpu"
VERSIONS = ("1.31.0", "1.32.0")


def test_two_versions_of_onnxruntime_serve_a_model_in_turn(tmp_path: Path) -> None:
    model = ROOT / "tests" / "models" / "softmax11.onnx"
    pair = [word for version in VERSIONS for word in ("--with", f"onnxruntime=={version}")]
    where = ["--only", CELL, "--engine", "venv", "--runs", str(tmp_path / "runs")]
    written = ["--json", str(tmp_path / "comparison.json"), "--fail-on", "new-failure"]
    assert main.main(["compare", str(model), *pair, "--rounds", "3", *where, *written]) == 0
    comparison = json.loads((tmp_path / "comparison.json").read_text("utf-8"))
    names = tuple(comparison[side]["name"] for side in ("base", "head"))
    assert names == tuple(f"onnxruntime=={version}" for version in VERSIONS)
    assert comparison["compared"] == comparison["unchanged"] == 1, "its verdict with both"
    assert {time["quantity"] for time in comparison["times"]} == {"first inference", "inference"}
    for time in comparison["times"]:
        assert (time["cell"], time["rounds"]) == (CELL, [3, 3])
        assert time["low"] <= time["ratio"] <= time["high"]
    (size,) = [size for size in comparison["sizes"] if size["quantity"] == "image"]
    assert size["base"] != size["head"], "two versions are two environments"
