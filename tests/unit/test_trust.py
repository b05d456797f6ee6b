"""Models that are programs: who runs them, and what holds them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from deepmatrix.cli import main
from harness.formats import FORMATS

HERE = ["--engine", "here"]


@pytest.fixture
def saved_model(tmp_path: Path) -> Path:
    path = tmp_path / "net"
    path.mkdir()
    (path / "saved_model.pb").write_bytes(b"\x08\x01\x12\x00")
    return path


def verify(folder: Path, *arguments: str) -> int:
    return main.main(["verify", *arguments, "--runs", str(folder / "runs"), "--name", "one"])


def test_a_program_is_not_run_outside_a_container(
    saved_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(tmp_path, str(saved_model), *HERE) == 2
    error = capsys.readouterr().err
    assert f"{saved_model} is a program: its operators, which can read and write" in error
    assert "the engine here has no containers to hold it" in error
    assert "nox -s engine" in error
    assert "--trust" in error
    assert not (tmp_path / "runs").exists()


def test_a_program_that_is_trusted_is_run(
    saved_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verify(tmp_path, str(saved_model), *HERE, "--trust")
    assert "is a program" not in capsys.readouterr().err
    assert (tmp_path / "runs" / "one" / "plan.json").is_file()


def test_resuming_asks_for_trust_again(
    saved_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verify(tmp_path, str(saved_model), *HERE, "--trust")
    runs = ["--runs", str(tmp_path / "runs")]
    capsys.readouterr()
    assert main.main(["verify", "--resume", "one", *HERE, *runs]) == 2
    assert "is a program" in capsys.readouterr().err
    bench = ["bench", "tensorflow-*", "--run", str(tmp_path / "runs" / "one"), *HERE]
    assert main.main(bench) == 2
    assert "is a program" in capsys.readouterr().err


def test_a_torchscript_by_another_name_is_a_program_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "weights.onnx"
    with zipfile.ZipFile(model, "w") as archive:
        archive.writestr("net/code/__torch__.py", "")
        archive.writestr("net/constants.pkl", "")
    np.savez(tmp_path / "x.npz", x=np.ones((1, 2), np.float32))
    assert verify(tmp_path, str(model), "--inputs", str(tmp_path / "x.npz"), *HERE) == 2
    assert f"{model} is a program: its functions" in capsys.readouterr().err


def test_every_format_of_a_framework_that_runs_code_says_so() -> None:
    programs = {name for name, entry in FORMATS.items() if entry.program}
    inspected = {"torch", "tensorflow"}
    assert programs == {name for name, entry in FORMATS.items() if entry.inspector in inspected}
