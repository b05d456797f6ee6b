"""Pythons of this machine that images are made with."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from deepmatrix.config import matrix_file
from deepmatrix.config.families import FAMILIES
from deepmatrix.config.sections import Base
from deepmatrix.images import bases, build, interpreters
from deepmatrix.images.interpreters import LIBRARIES, Interpreter, MissingInterpreters
from deepmatrix.images.recipes import Recipe, recipe_for
from deepmatrix.machine.packages import indexes
from deepmatrix.planning.cells import Capabilities, all_cells
from deepmatrix.workloads import networks

ROOT = Path(__file__).resolve().parents[2]
MATRIX = matrix_file.load(ROOT / "matrix.yaml", networks=networks.NETWORKS)
OWN = ".".join(map(str, sys.version_info[:2]))


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    interpreters._find.cache_clear()


def base(python: str, folder: str | None = None) -> Base:
    return Base(python=python, image="python", suite="bookworm", interpreter=folder)


def cntk(kind: bases.Kind, interpreter: Interpreter | None) -> Recipe:
    cell = next(
        candidate for candidate in all_cells(MATRIX) if candidate.id == "cntk-python36-amd64-cpu"
    )
    return replace(recipe_for(cell, MATRIX, kind), interpreter=interpreter)


def test_the_named_folder_is_used() -> None:
    interpreter = interpreters.find_interpreter(base(OWN, sys.base_prefix))
    assert interpreter is not None
    assert interpreter.folder == Path(sys.base_prefix)
    assert interpreter.version.startswith(f"{OWN}.")


@pytest.mark.parametrize("version", ["2.4", "99.1"])
def test_a_missing_python_is_not_found(version: str) -> None:
    assert interpreters.find_interpreter(base(version)) is None


def test_a_folder_with_another_python_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python9.9").symlink_to(sys.executable)
    assert interpreters.find_interpreter(base("9.9", str(tmp_path))) is None


def test_without_a_registry_and_a_python_the_base_is_lacking_and_its_cells_do_not_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(interpreters, "find_interpreter", lambda _: None)
    monkeypatch.setenv("DEEPMATRIX_BASES", "debian")
    lacking = MissingInterpreters(matrix=MATRIX, environment={})
    assert set(lacking) == {"python36", "python37"}
    assert "'interpreter' of python36 in matrix.yaml" in lacking["python36"]
    able = Capabilities(engine="docker", native=frozenset({"amd64"}), lacking=lacking)
    cells = {cell.id: cell for cell in all_cells(MATRIX)}
    assert able.refusal(cells["cntk-python36-amd64-cpu"]) == lacking["python36"]
    assert able.refusal(cells["torch-debian12-amd64-cpu"]) is None


def test_with_a_registry_no_python_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreters, "find_interpreter", lambda _: None)
    monkeypatch.setenv("DEEPMATRIX_BASES", "registry")
    assert MissingInterpreters(matrix=MATRIX, environment={}) == {}


def test_a_tag_changes_with_the_version_of_the_python() -> None:
    recipe = cntk("debian", Interpreter(version="3.6.15", folder=Path("/one")))
    moved = cntk("debian", Interpreter(version="3.6.15", folder=Path("/two")))
    older_recipe = cntk("debian", Interpreter(version="3.6.9", folder=Path("/one")))
    assert recipe.digest() == moved.digest()
    assert recipe.digest() != older_recipe.digest()


def targets(recipe: Recipe, tmp_path: Path) -> dict[str, dict[str, dict[str, str]]]:
    roots = {root: tmp_path / root.target for root in recipe.all_roots("amd64")}
    workshop = build.Workshop(
        folder=tmp_path, sources=indexes.Sources(), architecture="amd64", roots=roots
    )
    bake_targets: dict[str, dict[str, dict[str, str]]] = build.bake_file([recipe], workshop)[
        "target"
    ]
    return bake_targets


def test_wheels_for_an_overlaid_python_are_installed_by_another_base(tmp_path: Path) -> None:
    recipe = cntk("debian", Interpreter(version="3.6.15", folder=tmp_path / "python"))
    bake_targets = targets(recipe, tmp_path)
    contexts = bake_targets[recipe.cell.id]["contexts"]
    assert contexts["interpreter"] == str(tmp_path / "python")
    assert contexts["base"] == "target:root-python36-mpi-amd64"
    assert contexts["packages"] == "target:packages-cntk-python36-amd64-cpu"
    installing = bake_targets["packages-cntk-python36-amd64-cpu"]
    assert installing["contexts"]["build"] == "target:root-debian12-build-amd64"
    assert installing["args"]["PYTHON_VERSION"] == "3.6"
    root = recipe.roots("amd64")["base"]
    assert set(LIBRARIES) <= set(root.packages)
    assert "python3" not in root.packages


def test_with_a_registry_its_base_is_the_official_image_and_nothing_is_put_onto_it(
    tmp_path: Path,
) -> None:
    recipe = cntk("registry", None)
    bake_targets = targets(recipe, tmp_path)
    folder = Path(bake_targets[recipe.cell.id]["contexts"]["interpreter"])
    assert list(folder.iterdir()) == []
    root = bake_targets["root-python36-mpi-amd64"]
    assert root["args"]["IMAGE"] == "docker.io/library/python:3.6-slim-bullseye"
    assert "libopenmpi3" in root["args"]["PACKAGES"]
    assert not set(LIBRARIES) & set(root["args"]["PACKAGES"].split())


def test_every_overlaid_family_is_linked_with_wheels() -> None:
    for family in FAMILIES.values():
        assert family.linked or not family.overlaid
