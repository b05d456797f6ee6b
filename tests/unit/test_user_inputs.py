"""A user's own inputs: files, folders and functions become arrays by name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deepmatrix.cli import main
from deepmatrix.errors import ArgumentError
from deepmatrix.models import inputs

MODULE = """
import numpy as np
def make(): return {"x": np.arange(3.0), "ids": [1, 2]}
def number(): return 3
def fails(): raise ValueError("no tone")
def objects(): return {"x": object()}
def nothing(): return {}
def ends(): raise SystemExit(0)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_arrays.py").write_text(MODULE, encoding="utf-8")
    return tmp_path


def test_a_file_of_one_array_is_the_input_that_it_is_named_like(folder: Path) -> None:
    np.save(folder / "x.npy", np.ones(2))
    np.save(folder / "ids.npy", np.arange(3))
    expected = {"x": [1, 1], "ids": [0, 1, 2]}
    for sources in (["x.npy", "ids.npy"], ["."]):
        read = inputs.read(sources)
        assert {name: list(array) for name, array in read.items()} == expected


def test_sets_of_inputs_are_joined_along_the_first_axis(folder: Path) -> None:
    for number in range(3):
        np.savez(folder / f"{number}.npz", x=np.full((2, 4), number), y=np.full((1,), number))
    read = inputs.read(["."])
    assert read["x"].shape == (6, 4)
    assert list(read["y"]) == [0, 1, 2]


def test_a_function_is_called_in_the_current_folder(folder: Path) -> None:
    read = inputs.read(["own_arrays:make"])
    assert list(read["x"]) == [0, 1, 2]
    assert list(read["ids"]) == [1, 2]
    assert str(folder) not in read


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("own_arrays:number", "TypeError: number() returned a int, not a dict of arrays"),
        ("own_arrays:fails", "ValueError: no tone"),
        ("own_arrays:objects", "ValueError: Object arrays cannot be saved"),
        ("own_arrays:nothing", "it returned no array"),
        ("own_arrays:ends", "it returned no array"),
        ("own_arrays:maker", "AttributeError: module 'own_arrays' has no attribute 'maker'"),
        ("no_arrays:make", "ModuleNotFoundError: No module named 'no_arrays'"),
        ("gone.npz", "gone.npz is missing"),
        ("empty", "there is no .npz and no .npy in it"),
        ("mixed", "it has .npz and .npy files"),
        ("photo.jpg", "File is not a zip file"),
    ],
)
def test_a_source_that_gives_nothing_is_named_with_its_reason(
    folder: Path, source: str, message: str
) -> None:
    (folder / "empty").mkdir()
    (folder / "mixed").mkdir()
    np.save(folder / "mixed" / "x.npy", np.ones(2))
    np.savez(folder / "mixed" / "x.npz", x=np.ones(2))
    (folder / "photo.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ArgumentError) as raised:
        inputs.read([source])
    assert str(raised.value).startswith(f"--inputs {source}: ")
    assert message in str(raised.value)


def test_sets_that_do_not_fit_are_refused(folder: Path) -> None:
    np.savez(folder / "a.npz", x=np.ones((1, 4)), y=np.ones(1))
    np.savez(folder / "b.npz", x=np.ones((1, 5)), y=np.ones(1))
    np.savez(folder / "c.npz", x=np.ones((1, 4)))
    with pytest.raises(ArgumentError, match=r"b.npz: x is float64 of the shape \(1, 5\)"):
        inputs.read(["a.npz", "b.npz"])
    with pytest.raises(ArgumentError, match=r"c.npz: it shares the input 'x' with a.npz"):
        inputs.read(["a.npz", "c.npz"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--shape", "x=1,3"],
            "argument --shape: 'x=1,3' is not a valid shape; write it like x=1x3x224",
        ),
        (["--shape", "1x3"], "argument --shape: '1x3' is not a valid shape"),
        (
            ["--range", "x=5:1"],
            "argument --range: 'x=5:1' is not a valid range; write it like x=0:255",
        ),
        (["--range", "x=nan:1"], "argument --range: 'x=nan:1' is not a valid range"),
        (["--shape", "x=2", "--inputs", "x.npy"], "--shape and --range are for sample inputs"),
        (["--shapes", "x=2"], "no option '--shapes'; did you mean '--shape'?"),
    ],
)
def test_wrong_options_of_inputs_are_exit_code_2(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    (folder / "m.onnx").write_bytes(b"\x08\x08")
    np.save(folder / "x.npy", np.ones(2))
    assert main.main(["verify", "m.onnx", *options, "--runs", str(folder / "runs")]) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")


@pytest.mark.parametrize("is_safe", ["", "1"])
def test_a_function_is_found_in_the_current_folder_and_finds_what_python_does(
    tmp_path: Path, is_safe: str
) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "helper.py").write_text("VALUE = 7.0\n")
    (tmp_path / "makers.py").write_text("import helper\ndef make(): return {'x': helper.VALUE}\n")
    command = [sys.executable, str(inputs.PROGRAM), "makers", "make", "x.npz"]
    path = {"PYTHONPATH": str(tmp_path / "library"), "PYTHONSAFEPATH": is_safe}
    subprocess.run(command, check=True, cwd=tmp_path, env={**os.environ, **path})
    with np.load(tmp_path / "x.npz") as file:
        assert file["x"] == 7


def test_a_function_may_return_sequences_maps_and_nothing(tmp_path: Path) -> None:
    (tmp_path / "makers.py").write_text(
        "import numpy as np\n"
        "def make():\n"
        "    rows = [np.zeros((1, 2), 'float32'), np.ones((2, 2), 'float32')]\n"
        "    return {'s': rows, 'm': {4: 0.5}, 'o': None, 'x': [1.0, 2.0]}\n"
    )
    command = [sys.executable, str(inputs.PROGRAM), "makers", "make", str(tmp_path / "x.npz")]
    subprocess.run(command, check=True, cwd=tmp_path)
    with np.load(tmp_path / "x.npz") as file:
        shapes = {name: file[name].shape for name in file.files}
    assert shapes == {"s.0": (1, 2), "s.1": (2, 2), "m.keys": (1,), "m.values": (1,), "x": (2,)}
