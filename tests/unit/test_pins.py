"""Pins follow from requirements, hold hashes and no addresses, and say what changed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deepmatrix.config import matrix_file
from deepmatrix.config.families import FAMILIES
from deepmatrix.images import pins
from deepmatrix.machine import processes
from deepmatrix.machine.packages import indexes
from deepmatrix.planning.cells import Cell, all_cells
from deepmatrix.workloads import networks

ROOT = Path(__file__).resolve().parents[2]
MATRIX = matrix_file.load(ROOT / "matrix.yaml", networks=networks.NETWORKS)
CELLS = [
    cell
    for cell in all_cells(MATRIX)
    if not MATRIX.exclusion(cell.id) and FAMILIES[cell.family].pinned
]


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.id)
def test_every_cell_of_wheels_has_pins(cell: Cell) -> None:
    assert pins.path(cell.pinned).exists()
    assert pins.requirements(cell).exists()
    assert pins.version(cell) is not None


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.id)
def test_pins_keep_every_version_that_the_requirements_name(cell: Cell) -> None:
    locked = dict(indexes.hashes_by_project(pins.path(cell.pinned).read_text()).keys())
    machine = "aarch64" if cell.architecture == "arm64" else "x86_64"
    for line in pins.requirements(cell).read_text().splitlines():
        if match := re.match(
            r"([\w-]+)(?:\[[\w,-]+\])?==([\w.+]+)(?:.*platform_machine == \"(\w+)\")?", line
        ):
            name, version, only_on = match.groups()
            if only_on in (None, machine):
                assert locked[name] == version


@pytest.mark.parametrize("name", ["ncnn", "torch_edge"])
def test_an_excluded_project_is_not_pinned(name: str) -> None:
    excluded = (pins.FOLDER / "requirements" / f"{name}-cpu.excludes").read_text().splitlines()
    for path in (pins.FOLDER / "pins").glob(f"{name}-*.txt"):
        assert not {project for project, _ in indexes.hashes_by_project(path.read_text())} & {
            *excluded
        }


@pytest.mark.parametrize("path", sorted((pins.FOLDER / "pins").glob("*.txt")), ids=lambda p: p.stem)
def test_pins_hold_a_hash_for_every_project_and_no_address(path: Path) -> None:
    text = path.read_text()
    assert "://" not in text
    assert all(indexes.hashes_by_project(text).values())


def test_every_pins_file_belongs_to_a_cell() -> None:
    names_of_pins = {path.stem for path in (pins.FOLDER / "pins").glob("*.txt")}
    assert names_of_pins == {cell.pinned for cell in CELLS} | {pins.TOOLS}


def test_the_version_of_a_cuda_cell_is_that_of_its_cuda_wheel() -> None:
    cell = next(cell for cell in CELLS if cell.id == "onnxruntime-debian12-amd64-cuda")
    locked = dict(indexes.hashes_by_project(pins.path(cell.pinned).read_text()).keys())
    assert pins.version(cell) == locked["onnxruntime-gpu"]


@pytest.mark.parametrize("backend", ["jax", "tensorflow", "torch"])
def test_keras_is_on_the_versions_of_the_backend_that_it_is_compared_with(backend: str) -> None:
    mine = [cell for cell in CELLS if cell.name == f"keras_{backend}"]
    assert mine
    for cell in mine:
        assert cell.system.environment["KERAS_BACKEND"] == backend
        locked, alone = (
            dict(indexes.hashes_by_project(pins.path(name).read_text()).keys())
            for name in (cell.pinned, cell.id.replace(cell.name, backend))
        )
        assert locked[backend] == alone[backend]
        assert locked["numpy"] == alone["numpy"]


BEFORE = (
    "numpy==2.4.5 \\\n    --hash=sha256:"
    + "a" * 64
    + "\nsix==1.17.0 \\\n    --hash=sha256:"
    + "b" * 64
)


def test_differences_are_named_by_project() -> None:
    after = BEFORE.replace("2.4.5", "2.4.6").replace("six==1.17.0", "wrapt==2.0")
    assert pins.differences(BEFORE, after) == (
        "numpy 2.4.5 -> 2.4.6",
        "six 1.17.0 removed",
        "wrapt 2.0 added",
    )
    assert pins.differences(BEFORE, BEFORE) == ()
    assert pins.differences(BEFORE, BEFORE.replace("a" * 64, "c" * 64)) == ("hashes",)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A family's folder with requirements for its tools only, and a uv that always agrees."""
    (tmp_path / "requirements").mkdir()
    (tmp_path / "pins").mkdir()
    (tmp_path / "requirements/tools.in").write_text("uv==1.0\n")
    monkeypatch.setattr(pins, "FOLDER", tmp_path)

    def uv(command: list[str], **_: object) -> str:
        Path(command[command.index("--output-file") + 1]).write_text(BEFORE)
        return ""

    monkeypatch.setattr(processes, "run", uv)
    return tmp_path


def test_a_check_reports_stale_pins_and_writes_nothing(folder: Path) -> None:
    (change,) = pins.pin([], MATRIX.architectures, check=True)
    assert change.lines == ("numpy 2.4.5 added", "six 1.17.0 added")
    assert list((folder / "pins").iterdir()) == []


def test_pinning_twice_changes_nothing_the_second_time(folder: Path) -> None:
    (first,) = pins.pin([], MATRIX.architectures)
    (second,) = pins.pin([], MATRIX.architectures)
    assert first.lines
    assert second.lines == ()
    assert [path.name for path in (folder / "pins").iterdir()] == ["tools.txt"]


def test_a_failed_lock_is_an_error_and_leaves_the_old_pins(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: list[str], **__: object) -> str:
        raise processes.CommandFailed("no such wheel", code=1)

    (folder / "pins/tools.txt").write_text("old")
    monkeypatch.setattr(processes, "run", refuse)
    (change,) = pins.pin([], MATRIX.architectures)
    assert change.error == "no such wheel"
    assert (folder / "pins/tools.txt").read_text() == "old"
