"""One decoder with a cache generates the same tokens on every runtime, and faults are found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepmatrix.cli import main
from tests import generating

#: Python, C++, Node, a page, another library, the standard's evaluator, and an emulated machine.
CELLS = (
    "onnxruntime-debian12-amd64-cpu",
    "onnxruntime-cpp-debian13-amd64-cpu",
    "onnxruntime-node-debian13-amd64-cpu",
    "onnxruntime-web-debian13-amd64-cpu",
    "openvino-debian12-amd64-cpu",
    "onnx-debian12-amd64-cpu",
    "onnxruntime-debian13-arm64-cpu",
    "onnxruntime-cpp-debian13-arm64-cpu",
)

EVALUATOR = "onnx-debian12-amd64-cpu"

pytestmark = pytest.mark.usefixtures("docker_engine")


def verify(folder: Path, cells: tuple[str, ...], **fault: Any) -> dict[str, dict[str, Any]]:
    """Verify the decoder on some cells; return, by cell, what it generated and its verdict."""
    (folder / "decoder").mkdir()
    model = generating.save(folder / "decoder", **fault)
    np.savez(folder / "in.npz", **generating.example())
    only = [word for cell in cells for word in ("--only", cell)]
    options = ["--inputs", str(folder / "in.npz"), "--explain", "none", "--name", "one"]
    main.main(["verify", str(model), *only, *options, "--runs", str(folder / "runs")])
    results = json.loads((folder / "runs" / "one" / "results.json").read_text())
    rows = {row["cell"]: row for row in results["generation"]}
    verdicts = {row["consumer"]: row for row in results["portability"]}
    return {cell: {**rows.get(cell, {}), **verdicts[cell]} for cell in verdicts}


def test_every_runtime_generates_the_same_tokens(tmp_path: Path) -> None:
    rows = verify(tmp_path, CELLS)
    assert set(rows) == set(CELLS)
    size = 2 * generating.LAYERS * generating.WIDTH * 4
    tokens = len(generating.PROMPT) + generating.STEPS - 1
    for cell, row in rows.items():
        assert (row["verdict"], row["equal"], row["cache_bytes"]) == (
            "match",
            generating.STEPS,
            size * tokens,
        ), (cell, row["reason"])
        is_timed = "-arm64-" not in cell and cell != EVALUATOR
        assert (row["decode_tokens_per_s"] is not None) == is_timed, cell
        assert (row["prefill_tokens_per_s"] is not None) == is_timed, cell


@pytest.mark.parametrize(
    ("fault", "equal"),
    [
        ({"reads_cache": False}, 1),
        ({"expected": [*generating.right_tokens()[:7], 15, *generating.right_tokens()[8:]]}, 7),
    ],
)
def test_a_cache_that_is_not_read_and_a_wrong_token_are_drifts(
    tmp_path: Path, fault: dict[str, Any], equal: int
) -> None:
    cells = (EVALUATOR, "onnxruntime-debian12-amd64-cpu", "onnxruntime-cpp-debian13-amd64-cpu")
    rows = verify(tmp_path, cells, **fault)
    for cell, row in rows.items():
        assert (row["verdict"], row["equal"]) == ("drift", equal), cell
        assert row["reason"].startswith(f"token {equal + 1} of {generating.STEPS} is ")
