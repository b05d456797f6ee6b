"""Interpreters: Pythons of this machine that go into images, where no registry has one.

Some systems need a Python that no Debian has any more. With a registry it comes in an official
image; without, from a folder of this machine: the one that ``matrix.yaml`` names, that of PATH's
``pythonX.Y``, or one of pyenv's.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from deepmatrix.config.matrix import Matrix
from deepmatrix.config.sections import Base
from deepmatrix.errors import EngineError
from deepmatrix.images import bases
from deepmatrix.machine import folders, processes

#: Debian's packages of the libraries that Python's own modules are linked to.
LIBRARIES = (
    "libbz2-1.0",
    "libcrypt1",
    "libexpat1",
    "libffi8",
    "liblzma5",
    "libncursesw6",
    "libnsl2",
    "libreadline8",
    "libsqlite3-0",
    "libssl3",
    "zlib1g",
)

REPORT_VERSION = "import platform, sys; print(platform.python_version()); print(sys.base_prefix)"


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """A Python of this machine: its version in full and the folder of its bin and lib."""

    version: str
    folder: Path


def find_interpreter(base: Base) -> Interpreter | None:
    """Return this machine's Python for a base, or None."""
    return _find(base.python, base.interpreter)


@dataclass(frozen=True, kw_only=True, eq=False)
class MissingInterpreters(Mapping[str, str]):
    """The bases that need a Python that is nowhere available, each with what to do.

    A base is looked at when it is asked for: to try the Pythons of a machine takes up to a second,
    and most runs have no such base. *environment* names the engine, whose registry is tried where
    this machine has no such Python.
    """

    matrix: Matrix
    environment: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        base = self.matrix.bases[name]
        if not self._is_missing(base):
            raise KeyError(name)
        return (
            f"no registry and no Python {base.python} on this machine: "
            f"put one on PATH, or name its folder as 'interpreter' of {name} in matrix.yaml"
        )

    def __iter__(self) -> Iterator[str]:
        return (name for name, base in self.matrix.bases.items() if self._is_missing(base))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _is_missing(self, base: Base) -> bool:
        if not base.installer or find_interpreter(base):
            return False
        return bases.base_kind(base.image, self.environment) == "debian"


@functools.cache
def _find(version: str, folder_in_matrix: str | None) -> Interpreter | None:
    for program in _programs(version, folder_in_matrix):
        try:
            full, folder = processes.run([str(program), "-I", "-c", REPORT_VERSION]).splitlines()
        except EngineError:  # a shim of pyenv's for a Python that is not selected
            continue
        if full.startswith(f"{version}."):
            return Interpreter(version=full, folder=Path(folder))
    return None


def _programs(version: str, folder_in_matrix: str | None) -> Iterator[Path]:
    name = f"python{version}"
    if folder_in_matrix:
        yield Path(folder_in_matrix) / "bin" / name
        return
    if on_path := shutil.which(name):
        yield Path(on_path)
    pyenv = Path(os.environ.get("PYENV_ROOT") or folders.home() / ".pyenv")
    yield from sorted(pyenv.glob(f"versions/{version}.*/bin/{name}"), reverse=True)
