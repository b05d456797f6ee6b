"""Programs that try one part of the C++ runners, built with a sanitizer."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parents[2] / "harness" / "runtimes" / "cpp"
COMPILER = shutil.which("g++") or shutil.which("clang++")
OPTIONS = ("-std=c++20", "-Wall", "-Wextra", "-fsanitize=undefined", "-fno-sanitize-recover")

needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no C++ compiler")


def build(name: str, sources: list[str], folder: Path) -> Path:
    """Return the program of ``NAME.cpp`` beside this file, with some sources of the runners."""
    files = [*(SOURCES / source for source in sources), Path(__file__).with_name(f"{name}.cpp")]
    command = [str(COMPILER), *OPTIONS, f"-I{SOURCES}", *map(str, files), "-o", str(folder / name)]
    subprocess.run(command, check=True)
    return folder / name
