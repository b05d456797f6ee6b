"""The images themselves: what is in them, what is not, and how building them goes wrong."""

from __future__ import annotations

import io
import json
import re
import secrets
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from deepmatrix.config.matrix import Matrix
from deepmatrix.engines.docker.engine import DockerEngine
from deepmatrix.images import build, inspection, pins, recipes
from deepmatrix.images.prepared import Prepared
from deepmatrix.images.sbom import contents, document
from deepmatrix.machine import processes
from deepmatrix.machine.packages import indexes
from deepmatrix.planning.cells import Cell, all_cells
from deepmatrix.planning.selection import match_globs

SMALL = "onnxruntime-debian12-amd64-cpu"
FOREIGN = "onnxruntime-debian13-arm64-cpu"
AARCH64 = 183  # e_machine of an ELF file


@pytest.fixture(scope="session")
def cells(matrix: Matrix) -> dict[str, Cell]:
    """The CPU cells of the smoke preset: the images that a run needs anyway."""
    globs = matrix.presets["smoke"].cells
    cells_by_id = {cell.id: cell for cell in all_cells(matrix) if cell.device == "cpu"}
    return {
        cell_id: cells_by_id[cell_id]
        for cell_id in match_globs(cells_by_id, globs)
        if not matrix.exclusion(cell_id)
    }


@pytest.fixture(scope="session")
def prepared(docker_engine: DockerEngine, cells: dict[str, Cell]) -> dict[str, Prepared]:
    """Their images."""
    results = docker_engine.prepare(list(cells.values()), lambda *_: None)
    assert {result.error for result in results.values()} == {None}
    return results


@pytest.fixture(scope="session")
def environment(docker_engine: DockerEngine) -> dict[str, str]:
    """What names the engine to docker's command line."""
    return docker_engine.endpoint.environment()


@pytest.fixture(scope="session")
def described(
    prepared: dict[str, Prepared], environment: dict[str, str]
) -> dict[str, dict[str, object]]:
    """What the engine says of each image, its history with it."""
    descriptions = {}
    for cell_id, result in prepared.items():
        inspect = ["docker", "image", "inspect", result.reference]
        (description,) = json.loads(processes.run(inspect, environment=environment))
        history = ["docker", "history", "--no-trunc", "--format", "{{json .}}", result.reference]
        descriptions[cell_id] = description | {
            "History": processes.run(history, environment=environment)
        }
    return descriptions


@pytest.fixture(scope="session")
def layers(
    prepared: dict[str, Prepared],
    environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, dict[str, bytes]]:
    """The files of the two small images, all layers, by path; only the small ones' content."""
    files_by_cell = {}
    for cell_id in (SMALL, FOREIGN):
        file = tmp_path_factory.mktemp("saved") / "image.tar"
        save = ["docker", "save", "--output", str(file), prepared[cell_id].reference]
        processes.run(save, environment=environment)
        files_by_cell[cell_id] = dict(files_of(file))
        file.unlink()
    return files_by_cell


def files_of(saved: Path) -> Iterator[tuple[str, bytes]]:
    """Yield path and first 64 KiB of every file in every layer of a saved image."""
    with tarfile.open(saved) as image:
        (manifest,) = json.load(image.extractfile("manifest.json"))
        for name in manifest["Layers"]:
            with tarfile.open(fileobj=io.BytesIO(image.extractfile(name).read())) as layer:
                for member in layer:
                    content = layer.extractfile(member).read(1 << 16) if member.isfile() else b""
                    yield member.name.removeprefix("./"), content


def test_no_image_runs_as_root(described: dict[str, dict[str, object]]) -> None:
    assert {description["Config"]["User"] for description in described.values()} == {"65532:65532"}


def test_every_image_says_what_it_is(
    described: dict[str, dict[str, object]], cells: dict[str, Cell], prepared: dict[str, Prepared]
) -> None:
    for cell_id, image in described.items():
        labels = image["Config"]["Labels"]
        assert labels["org.opencontainers.image.title"] == f"deepmatrix {cell_id}"
        assert labels["org.opencontainers.image.version"] == pins.version(cells[cell_id])
        revision = prepared[cell_id].reference.split(":")[1]
        assert labels["org.opencontainers.image.revision"] == revision
        assert image["Architecture"] == cells[cell_id].architecture
        assert image["Size"] == prepared[cell_id].size_bytes


def test_a_run_records_which_image_it_was_and_what_from(
    described: dict[str, dict[str, object]], prepared: dict[str, Prepared]
) -> None:
    for cell_id, image in described.items():
        assert prepared[cell_id].image_id == image["Id"]
        name = image["Config"]["Labels"]["org.opencontainers.image.base.name"]
        assert prepared[cell_id].base.partition("@")[0] == name


@pytest.mark.parametrize("cell_id", [SMALL, FOREIGN])
def test_the_bill_of_an_image_lists_its_wheels_and_the_packages_of_debian(
    cell_id: str,
    docker_engine: DockerEngine,
    cells: dict[str, Cell],
    prepared: dict[str, Prepared],
) -> None:
    image = prepared[cell_id]
    files = docker_engine.read_files(image.reference, contents.is_wanted)
    text = document.render(cells[cell_id], image, contents.read(files, image.debian))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    listed = {component["bom-ref"]: component for component in json.loads(text)["components"]}
    locked = indexes.hashes_by_project(pins.path(cell_id).read_text("utf-8"))
    wheels = {f"pkg:pypi/{name}@{version}" for name, version in locked}
    assert {reference for reference in listed if reference.startswith("pkg:pypi/")} == wheels
    of_debian = {listed[reference]["name"] for reference in listed if "pkg:deb/" in reference}
    assert {"libc6", "libstdc++6", "bash"} <= of_debian


def test_no_history_names_a_package_index(
    described: dict[str, dict[str, object]],
) -> None:
    sources = indexes.configured_sources()
    addresses = [*filter(None, [sources.index, *sources.indexes, *sources.links])]
    history = "".join(
        json.dumps(image["Config"]) + str(image["History"]) for image in described.values()
    )
    assert [address for address in addresses if address in history] == []


@pytest.mark.parametrize("cell_id", [SMALL, FOREIGN])
def test_no_layer_holds_secrets_or_build_tools(
    cell_id: str,
    layers: dict[str, dict[str, bytes]],
    described: dict[str, dict[str, object]],
) -> None:
    files = layers[cell_id]
    names = {Path(path).name for path in files}
    assert not names & {"pip.conf", "uv.toml", "certificates", "pins.txt", "tools.txt", "uv"}
    assert not [path for path in files if path.startswith(("root/.cache", "run/secrets", "wheels"))]
    assert not {"usr/bin/gcc", "usr/bin/make", "usr/bin/apt-get"} & files.keys()
    if described[cell_id]["Config"]["Labels"]["org.opencontainers.image.base.name"].startswith(
        "debian:"
    ):
        assert not [path for path in files if "/pip/" in path or "/ensurepip/_bundled" in path]
        assert "ca-certificates.crt" not in names
        assert files["etc/apt/sources.list"] == b""


@pytest.mark.parametrize("cell_id", [SMALL, FOREIGN])
def test_headers_are_left_out_and_licences_stay(
    cell_id: str, layers: dict[str, dict[str, bytes]]
) -> None:
    headers = [path for path in layers[cell_id] if path.endswith((".h", ".hpp"))]
    assert [path for path in headers if re.match("packages/.*/include/", path)] == []
    assert "packages/numpy/_core/include/numpy/random/LICENSE.txt" in layers[cell_id]


def test_packages_that_cells_share_are_layers_of_their_own_and_stored_once(
    described: dict[str, dict[str, object]],
) -> None:
    for base in ("debian12-amd64-cpu", "debian13-arm64-cpu"):
        lists = {
            cell_id.partition("-")[0]: image["RootFS"]["Layers"]
            for cell_id, image in described.items()
            if cell_id.endswith(base)
        }
        with_numpy, with_onnxruntime, with_onnx = 3, 4, 5  # the root, and what lies on it
        assert len({tuple(layers[:with_numpy]) for layers in lists.values()}) == 1
        assert lists["jax"][:with_onnxruntime] == lists["onnxruntime"][:with_onnxruntime]
        assert lists["torch"][:with_onnx] == lists["tensorflow"][:with_onnx]


def test_every_module_has_its_bytecode(layers: dict[str, dict[str, bytes]]) -> None:
    assert "packages/numpy/__pycache__/__init__.cpython-311.pyc" in layers[SMALL]
    assert "packages/numpy/__pycache__/__init__.cpython-313.pyc" in layers[FOREIGN]
    for cell_id, version in ((SMALL, "311"), (FOREIGN, "313")):
        standard = f"/python3.{version[1:]}/__pycache__/typing.cpython-{version}.pyc"
        assert any(name.endswith(standard) for name in layers[cell_id])


def test_a_foreign_image_holds_the_other_machines_code(layers: dict[str, dict[str, bytes]]) -> None:
    machines = {
        int.from_bytes(content[18:20], "little")
        for path, content in layers[FOREIGN].items()
        if path.endswith(".so") and content.startswith(b"\x7fELF")
    }
    assert machines == {AARCH64}


PROBE = """
import getpass, importlib.util, json, os, sys
import onnxruntime
print(json.dumps({"uid": os.getuid(), "user": getpass.getuser(), "python": sys.version_info[:2],
    "from": onnxruntime.__file__, "pip": importlib.util.find_spec("pip") is not None,
    "version": onnxruntime.__version__}))
"""


def test_the_framework_imports_without_network_on_a_read_only_root(
    prepared: dict[str, Prepared],
    environment: dict[str, str],
    described: dict[str, dict[str, object]],
    cells: dict[str, Cell],
) -> None:
    run = ["docker", "run", "--rm", "--read-only", "--network=none", "--cap-drop=ALL"]
    answer = json.loads(
        processes.run([*run, prepared[SMALL].reference, "-c", PROBE], environment=environment)
    )
    base = described[SMALL]["Config"]["Labels"]["org.opencontainers.image.base.name"]
    assert answer == {
        "uid": 65532,
        "user": "cell",
        "python": [3, 11],
        "from": "/packages/onnxruntime/__init__.py",
        "pip": not base.startswith("debian:"),  # official images bring their own
        "version": pins.version(cells[SMALL]),
    }


def test_cached_images_are_not_rebuilt(
    docker_engine: DockerEngine,
    cells: dict[str, Cell],
    prepared: dict[str, Prepared],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("it was built again")

    monkeypatch.setattr(processes, "stream", refuse)
    second_results = docker_engine.prepare(list(cells.values()), lambda *_: None)
    assert {cell_id: result.reference for cell_id, result in second_results.items()} == {
        cell_id: result.reference for cell_id, result in prepared.items()
    }
    assert not any(result.built for result in second_results.values())


# Builds that go wrong ---------------------------------------------------------------------------


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepared: dict[str, Prepared]) -> Path:
    """A copy of the image family, to break, on bases that are there already."""
    assert prepared
    folder = tmp_path / "wheels"
    shutil.copytree(pins.FOLDER, folder)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(pins, "FOLDER", folder)
    monkeypatch.setattr(recipes, "DOCKER", tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return folder


def of_project(locked: str, name: str) -> str:
    """Return the lines of a lock file that belong to one project."""
    project_lines: list[str] = []
    inside = False
    for line in locked.splitlines(keepends=True):
        inside = line.startswith(f"{name}==") if not line.startswith(" ") else inside
        project_lines += [line] if inside else []
    return "".join(project_lines)


def test_a_cell_that_cannot_be_built_does_not_hide_the_others(
    family: Path,
    docker_engine: DockerEngine,
    cells: dict[str, Cell],
    matrix: Matrix,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    good, bad = cells[SMALL], cells[FOREIGN]
    packaging = of_project((family / "pins" / f"{SMALL}.txt").read_text(), "packaging")
    (family / "pins" / f"{good.id}.txt").write_text(packaging)
    (family / "pins" / f"{bad.id}.txt").write_text(
        "packaging==26.3 --hash=sha256:" + "0" * 64 + "\n"
    )
    results = build.prepare(
        [bad, good],
        matrix,
        environment=environment,
        log=tmp_path / "build.log",
        progress=lambda *_: None,
        pull=docker_engine.pull,
    )
    try:
        assert results[good.id].built
        assert results[good.id].error is None
        assert "hash" in results[bad.id].error.lower()
        assert "\n" not in results[bad.id].error
        assert "installed 3/3" in (tmp_path / "build.log").read_text()
    finally:
        processes.run(["docker", "rmi", results[good.id].reference], environment=environment)


def test_an_interrupted_build_leaves_no_image_and_no_file(
    family: Path,
    docker_engine: DockerEngine,
    cells: dict[str, Cell],
    matrix: Matrix,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    with (family / "install.sh").open("a") as script:
        # Never built before, not even by a run of this test that was killed in the middle.
        script.write(f"sleep 600 # {secrets.token_hex(8)}\n")
    (recipe,) = build.recipes_for([cells[SMALL]], matrix, environment)

    def interrupt(_: str, step: str) -> None:
        if step.startswith("installed 3/3"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build.prepare(
            [recipe.cell],
            matrix,
            environment=environment,
            log=tmp_path / "build.log",
            progress=interrupt,
            pull=docker_engine.pull,
        )
    assert inspection.images([recipe.reference], environment) == {}
    assert list((tmp_path / "temporary").iterdir()) == []
