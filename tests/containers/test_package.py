"""The installed package, away from any checkout, in an empty home folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deepmatrix.machine import processes
from deepmatrix.paths import ROOT

pytestmark = pytest.mark.engine

MODEL = ROOT / "tests" / "models" / "lstm_seqlens.onnx"

#: The line that says how many consumers match.
VERDICTS = re.compile(r"^lstm\.onnx: .*\bmatch", re.MULTILINE)

Program = Callable[..., subprocess.CompletedProcess[str]]


#: What a user without Docker waits for the first verdict, with nothing cached. Seconds.
FIRST_VERDICT_S = 60.0


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    _run("uv", "build", "--quiet", "--wheel", "--out-dir", str(folder), str(ROOT))
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Program:
    """Install the wheel; return a function that runs the program in a folder."""
    folder = tmp_path_factory.mktemp("package")
    _run("uv", "venv", "--quiet", str(folder / "venv"))
    _run("uv", "pip", "install", "--quiet", "--python", str(folder / "venv"), str(wheel))
    home = folder / "home"
    home.mkdir()
    environment = _environment()

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


def _environment() -> dict[str, str]:
    """Return the variables of this process, but for those that say where something is kept."""
    hidden = {"XDG_CACHE_HOME", "PYTHONPATH", "VIRTUAL_ENV", "UV_CACHE_DIR"}
    return {name: value for name, value in os.environ.items() if name not in hidden}


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


def test_without_an_engine_and_a_cache_the_first_verdict_comes_within_a_minute(
    wheel: Path, tmp_path: Path
) -> None:
    (tmp_path / "home").mkdir()
    shutil.copyfile(MODEL, tmp_path / "lstm.onnx")
    command = ["uvx", "--from", str(wheel), "deepmatrix", "verify", "lstm.onnx"]
    nowhere = {"HOME": str(tmp_path / "home"), "DOCKER_HOST": "unix:///nowhere/docker.sock"}
    log = tmp_path / "log"
    began = time.monotonic()
    with log.open("wb") as output:
        process = processes.start(
            [*command, "--engine", "venv"],
            environment={**_environment(), **nowhere},
            inherit=False,
            cwd=tmp_path,
            output=output,
        )
    pause = threading.Event()
    try:
        while not (judged := VERDICTS.search(log.read_text("utf-8"))) and process.poll() is None:
            pause.wait(0.1)
        waited_s = time.monotonic() - began
        process.wait(300)
    finally:
        processes.end(process)
    assert judged, log.read_text("utf-8")
    assert waited_s < FIRST_VERDICT_S
    (results,) = tmp_path.glob("runs/*/results.json")
    rows = json.loads(results.read_text("utf-8"))["portability"]
    verdicts = {row["consumer"]: row["verdict"] for row in rows}
    assert verdicts["onnxruntime-debian12-amd64-cpu"] == "match"
