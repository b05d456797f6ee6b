"""Tests of adapters that need what they adapt, in the cell that has it.

They are too large for the environment of the tests.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from deepmatrix.config.matrix import Matrix
from deepmatrix.engines.docker.engine import DockerEngine
from deepmatrix.machine import processes
from deepmatrix.planning.cells import all_cells
from tests.containers.conftest import ROOT

#: What pytest is made of: it is all Python, and of no version of it.
PYTEST = ("_pytest", "iniconfig", "packaging", "pluggy", "py.py", "pygments", "pytest")

PLACE = "/tmp/adapters"


def gather(folder: Path, tests: Sequence[str]) -> None:
    """Put the harness, files of tests, and pytest into a new folder."""
    shutil.copytree(ROOT / "harness", folder / "harness")
    for test in tests:
        shutil.copy(ROOT / "tests" / "unit" / test, folder)
    packages = Path(pytest.__file__).parents[1]
    for name in PYTEST:
        copy = shutil.copytree if (packages / name).is_dir() else shutil.copy
        copy(packages / name, folder / name)


@pytest.mark.parametrize(
    ("name", "tests"),
    [
        ("torch", ["test_torch_programs.py", "test_torch_with_past.py"]),
        ("torch_compiled", ["test_torch_compiled.py"]),
        ("tensorflow", ["test_tensorflow_programs.py"]),
        ("keras_jax", ["test_keras_backends.py"]),
        ("flax", ["test_flax_modules.py"]),
        ("paddle", ["test_paddle_layers.py"]),
    ],
)
def test_an_adapter_passes_its_own_tests_in_its_cell(
    name: str, tests: list[str], docker_engine: DockerEngine, matrix: Matrix, tmp_path: Path
) -> None:
    (native,) = docker_engine.capabilities().native
    cell = next(cell for cell in all_cells(matrix) if cell.id == f"{name}-debian12-{native}-cpu")
    image = docker_engine.prepare([cell], lambda *_: None)[cell.id]
    gather(tmp_path / "adapters", tests)
    environment = docker_engine.endpoint.environment()

    def docker(*arguments: str) -> str:
        return processes.run(["docker", *arguments], environment=environment).strip()

    options = ("--network=none", f"--workdir={PLACE}", "-e", f"PYTHONPATH=/packages:{PLACE}")
    command = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", *tests)
    container = docker("create", *options, image.reference, *command)
    try:
        docker("cp", str(tmp_path / "adapters"), f"{container}:{Path(PLACE).parent}")
        shown = docker("start", "--attach", container)
    finally:
        docker("rm", "--force", container)
    assert " passed" in shown
    assert "skipped" not in shown
