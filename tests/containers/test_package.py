"""The installed package, away from any checkout, in an empty home folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from deepmatrix.paths import ROOT

pytestmark = pytest.mark.engine

MODEL = ROOT / "tests" / "models" / "lstm_seqlens.onnx"

Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """Build the wheel, install it; return a function that runs the program in a folder."""
    folder = tmp_path_factory.mktemp("package")
    _run("uv", "build", "--quiet", "--wheel", "--out-dir", str(folder), str(ROOT))
    _run("uv", "venv", "--quiet", str(folder / "venv"))
    (wheel,) = folder.glob("*.whl")
    _run("uv", "pip", "install", "--quiet", "--python", str(folder / "venv"), str(wheel))
    home = folder / "home"
    home.mkdir()
    hidden = {"XDG_CACHE_HOME", "PYTHONPATH", "VIRTUAL_ENV"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}

    def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [folder / "venv" / "bin" / "deepmatrix", *arguments],
            cwd=cwd,
            env={**environment, "HOME": str(home)},
            capture_output=True,
            check=False,
            text=True,
        )

    return run


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=300)


def test_it_verifies_a_model_where_the_user_is(program: Program, tmp_path: Path) -> None:
    shutil.copyfile(MODEL, tmp_path / "lstm.onnx")
    ended = program("verify", "lstm.onnx", "--only", "onnxruntime-debian12-amd64-cpu", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    (results,) = tmp_path.glob("runs/*/results.json")
    (row,) = json.loads(results.read_text("utf-8"))["portability"]
    assert (row["consumer"], row["verdict"]) == ("onnxruntime-debian12-amd64-cpu", "match")


def test_its_hints_name_its_own_commands(program: Program, tmp_path: Path) -> None:
    ended = program("verify", cwd=tmp_path)
    assert ended.returncode == 2
    assert "name a file: deepmatrix verify model.onnx" in ended.stderr


def test_it_has_no_command_that_changes_a_repository(program: Program, tmp_path: Path) -> None:
    ended = program("reference", cwd=tmp_path)
    assert ended.returncode == 2
    assert "no command 'reference'" in ended.stderr
