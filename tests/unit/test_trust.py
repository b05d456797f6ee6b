"""Models that are programs: who runs them, and what holds them."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepmatrix.cli import main
from deepmatrix.planning.cells import all_cells, code_differences
from harness.formats import FORMATS
from tests.unit.examples import MATRIX, new_run, planned

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


# Runs of others: what they start, and where ------------------------------------------------------

#: What a stranger may write into the plan of a run, to have code of his started.
OTHER_CODE = {
    "environment": {"LD_PRELOAD": "/runs/one/given/x.so"},
    "emulated_environment": {"LD_PRELOAD": "/runs/one/given/x.so"},
    "compile_cache": {"LD_PRELOAD": "/runs/one/given/x.so"},
    "adapter": "given.x",
    "command": ["/runs/one/given/x"],
    "options": {"provider": "/runs/one/given/x.so"},
}


def strange_run(folder: Path, **changes: Any) -> None:
    """Store a run whose cell has some keys of its system changed."""
    new_run(folder, planned("torch-debian12-amd64-cpu"))
    path = folder / "one" / "plan.json"
    document = json.loads(path.read_text())
    document["plan"]["cells"][0]["system"].update(changes)
    path.write_text(json.dumps(document))


def resume(folder: Path, *arguments: str) -> int:
    return main.main(["matrix", "--resume", "one", "--runs", str(folder), *arguments])


@pytest.mark.parametrize("key", OTHER_CODE)
@pytest.mark.parametrize("engine", ["here", "venv"])
def test_a_run_that_starts_other_code_than_the_matrix_file_is_not_resumed_outside_a_container(
    key: str, engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strange_run(tmp_path, **{key: OTHER_CODE[key]})
    assert resume(tmp_path, "--engine", engine) == 2
    bench = ["bench", "torch-*", "--run", "one", "--runs", str(tmp_path), "--engine", engine]
    assert main.main(bench) == 2
    for error in capsys.readouterr().err.split("error: ")[1:]:
        lines = error.splitlines()
        assert lines[0].startswith("one starts other code than ")
        assert lines[1].startswith(f"torch: {key} is ")
        assert lines[2] == f"the engine {engine} has no containers to hold it"
        assert "--trust" in lines[3]
    assert {path.name for path in (tmp_path / "one").iterdir()} == {"plan.json"}


def test_a_run_of_ones_own_starts_what_the_matrix_file_says() -> None:
    isas = [(name, isa) for name, isa in MATRIX.isas.items() if isa.environment]
    cells = list(all_cells(MATRIX))
    limited = [cell.kept_to(name, isa) for name, isa in isas for cell in cells]
    assert isas
    assert [line for cell in (*cells, *limited) for line in code_differences(cell, MATRIX)] == []


def test_what_the_matrix_file_has_no_name_for_is_other_code() -> None:
    cell = next(all_cells(MATRIX))
    assert list(code_differences(replace(cell, name="x"), MATRIX)) == [
        "x: the matrix file has no such system"
    ]
    assert list(code_differences(replace(cell, isa="x"), MATRIX)) == [
        "x: the matrix file has no such instruction set"
    ]


@pytest.mark.parametrize("began_on", ["here", "venv", "docker:tcp://192.0.2.1:2375", "docker"])
def test_a_run_does_not_choose_an_engine_in_place_of_the_one_that_is_named(
    began_on: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    strange_run(tmp_path)
    engines = tmp_path / "one" / "engines"
    engines.mkdir()
    (engines / "x.json").write_text(json.dumps({"engine": began_on}))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    assert resume(tmp_path) == 3
    assert (
        f"no container engine answers at DOCKER_HOST (unix://{tmp_path}" in capsys.readouterr().err
    )
    assert not (tmp_path / "one" / "records").exists()
