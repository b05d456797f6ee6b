"""The arrays of the C++ runner: equal to numpy's, and no header of a file is trusted."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.inside import cpp_programs

pytestmark = cpp_programs.needs_compiler

DTYPES = ["bool", "float16", "float32", "float64", "int8", "int16", "int32", "int64"]
DTYPES += ["uint8", "uint16", "uint32", "uint64", "U4"]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a program that copies an array."""
    return cpp_programs.build(
        "npy_copy",
        ["npy.cpp", "array.cpp", "dtype.cpp", "files.cpp"],
        tmp_path_factory.mktemp("program"),
    )


def copy(program: Path, source: Path, target: Path) -> tuple[int, str]:
    """Return the program's exit code and its output."""
    ended = subprocess.run(
        [str(program), str(source), str(target)], capture_output=True, text=True, check=False
    )
    return ended.returncode, ended.stdout


def npy(header: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    """Return a file with any header."""
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header.encode() + data


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (0, 4), (2, 1, 3, 1)])
def test_an_array_goes_through_unchanged(
    program: Path, tmp_path: Path, dtype: str, shape: tuple[int, ...]
) -> None:
    array = (np.random.default_rng(1).random(shape) * 300 - 20).astype("int64").astype(dtype)
    np.save(tmp_path / "in.npy", array)
    assert copy(program, tmp_path / "in.npy", tmp_path / "out.npy") == (0, "")
    assert (tmp_path / "out.npy").read_bytes() == (tmp_path / "in.npy").read_bytes()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04" + bytes(60),
        b"\x93NUMPY\x01\x00\xff\xff{",
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", bytes(4), b"\x02\x00"),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", bytes(8)),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", bytes(8)),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }"),
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2305843009213693952,), }"),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }"),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", bytes(4)),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1," * 65 + "), }", bytes(4)),
        npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2), }", bytes(16)),
        npy("{'descr': '<f4', 'fortran_order': 0, 'shape': (1,), }", bytes(4)),
        npy("{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", bytes(4)),
        npy("{'descr': '|b1', 'fortran_order': False, 'shape': (1,), }", b"\x02"),
        npy("{'descr': '<f4', 'descr': '<f4', 'shape': (1,), }", bytes(4)),
        npy("{'descr': '<f4', 'fortran_order': False, }", bytes(4)),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}", bytes(4)),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} + 1", bytes(4)),
        npy("{'descr': '<f4", bytes(4)),
        npy("", bytes(4)),
    ],
)
def test_a_file_that_is_not_what_it_says_is_refused(
    program: Path, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "in.npy").write_bytes(content)
    code, output = copy(program, tmp_path / "in.npy", tmp_path / "out.npy")
    assert (code, output.partition(":")[0]) == (1, "BadArray")
    assert not (tmp_path / "out.npy").exists()


def test_a_missing_file_and_a_folder_are_refused(program: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "none.npy", tmp_path):
        assert copy(program, path, tmp_path / "out.npy")[0] == 1


@pytest.mark.parametrize("dtype", ["S3", "complex64", "M8[s]"])
def test_a_type_that_the_runtime_lacks_is_unsupported(
    program: Path, tmp_path: Path, dtype: str
) -> None:
    np.save(tmp_path / "in.npy", np.zeros(2, dtype))
    code, output = copy(program, tmp_path / "in.npy", tmp_path / "out.npy")
    assert (code, output.partition(":")[0]) == (1, "Unsupported")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_told_from_a_folder_that_cannot_be_written(
    program: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "in.npy", np.zeros(2))
    (tmp_path / "full.npy.part").symlink_to("/dev/full")
    code, output = copy(program, tmp_path / "in.npy", tmp_path / "full.npy")
    assert (code, output.rpartition(": ")[2]) == (75, "No space left on device\n")
    code, output = copy(program, tmp_path / "in.npy", tmp_path / "none" / "out.npy")
    assert (code, output.partition(":")[0]) == (1, "CannotWrite")
    assert output.endswith(": No such file or directory\n")
