"""The signature of a SavedModel, as the C++ runner reads it: no byte of a file is trusted."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.inside import cpp_programs

pytestmark = cpp_programs.needs_compiler


def field(number: int, content: bytes | str | int) -> bytes:
    """Return a field of a protocol buffer."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    data = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def signature(name: str, inputs: dict[str, str], outputs: dict[str, str]) -> bytes:
    """Return an entry of ``signature_def`` of a MetaGraphDef."""
    maps = b"".join(
        field(number, field(1, key) + field(2, field(1, tensor) + field(2, 1)))
        for number, tensors in ((1, inputs), (2, outputs))
        for key, tensor in tensors.items()
    )
    return field(5, field(1, name) + field(2, maps + field(3, "tensorflow/serving/predict")))


SERVING = signature("serving_default", {"x": "in_x:0", "a": "in_a:0"}, {"y": "Call:1"})
OTHER = signature("__saved_model_init_op", {}, {"op": "NoOp"})


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a program that prints a signature."""
    return cpp_programs.build(
        "signature_print", ["tensorflow/signature.cpp"], tmp_path_factory.mktemp("program")
    )


def read(program: Path, folder: Path, content: bytes) -> str:
    (folder / "graph.pb").write_bytes(content)
    command = [str(program), str(folder / "graph.pb")]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def test_the_default_signature_is_found_among_everything_else(
    program: Path, tmp_path: Path
) -> None:
    around = field(1, "meta") + varint(9 << 3 | 1) + bytes(8) + varint(9 << 3 | 5) + bytes(4)
    output = read(program, tmp_path, around + field(7, 300) + OTHER + SERVING + field(2, "graph"))
    assert output == "a=in_a:0 x=in_x:0 -> y=Call:1"


@pytest.mark.parametrize("content", [b"", OTHER])
def test_without_a_default_signature_a_model_is_unsupported(
    program: Path, tmp_path: Path, content: bytes
) -> None:
    assert read(program, tmp_path, content).startswith("Unsupported: ")


@pytest.mark.parametrize(
    "content",
    [
        b"\xff",
        b"\xff" * 20,
        b"\x2a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",  # longer than all memory
        b"\x0b",  # a group, which nobody writes any more
        *(SERVING[:cut] for cut in range(1, len(SERVING))),
    ],
)
def test_what_is_torn_is_refused(program: Path, tmp_path: Path, content: bytes) -> None:
    assert read(program, tmp_path, content).partition(":")[0] == "BadModel"
