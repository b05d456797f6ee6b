"""Why a model is refused, as the C++ runner finds it: no byte of a file is trusted."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.graphs import onnx_refusals
from tests.inside import cpp_programs

pytestmark = cpp_programs.needs_compiler


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a program that prints why a model is refused."""
    return cpp_programs.build(
        "refusal_print", ["onnxruntime/refusals.cpp"], tmp_path_factory.mktemp("program")
    )


def explain(program: Path, folder: Path, content: bytes, ir: int = 9, opset: int = 21) -> str:
    (folder / "model.onnx").write_bytes(content)
    command = [str(program), str(folder / "model.onnx"), str(ir), str(opset), "MatMul"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("ir", "opset", "operator", "why"),
    [
        (14, 17, ("", "MatMul"), "IR version 14; supported up to 9"),
        (8, 28, ("", "MatMul"), "opset 28; supported up to 21"),
        (8, 17, ("", "MatMul"), ""),
        (8, 17, ("", "Frob"), "it does not know the operator Frob"),
        (8, 17, ("com.my", "Frob"), "it does not know the operator com.my.Frob"),
    ],
)
def test_the_runner_says_why_a_model_is_refused(
    program: Path, tmp_path: Path, ir: int, opset: int, operator: tuple[str, str], why: str
) -> None:
    domain, _ = operator
    opsets = {domain: 1} if domain else {}
    model = onnx_refusals.one_node(ir, opset, operator, opsets)
    assert explain(program, tmp_path, model) == why


def test_a_number_that_no_version_has_ends_the_search(program: Path, tmp_path: Path) -> None:
    model = onnx_refusals.one_node(8, 17)[2:]
    huge = b"\x08" + b"\xff" * 8 + b"\x7f" + model
    why = f"IR version {2**63 - 1}; supported up to 9"
    assert explain(program, tmp_path, huge) == why


def test_a_torn_model_is_not_explained(program: Path, tmp_path: Path) -> None:
    model = onnx_refusals.one_node(8, 17, ("", "Frob"))
    for cut in range(len(model) - 10):
        assert "operator" not in explain(program, tmp_path, model[:cut])
