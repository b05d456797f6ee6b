"""Images in a registry, without one: names, listed digests, what is pulled, what is said of it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from deepmatrix.boundary.files import Damaged
from deepmatrix.cli import main
from deepmatrix.cli.display import Display
from deepmatrix.cli.own_models import projects
from deepmatrix.config import matrix_file
from deepmatrix.config.sections import Images
from deepmatrix.errors import ArgumentError, ConfigError, EngineError
from deepmatrix.images.prepared import Prepared
from deepmatrix.images.recipes import recipe_for
from deepmatrix.images.registry import digests, pulling
from deepmatrix.images.registry.pulling import NotPulled, Step, Wanted
from deepmatrix.paths import ROOT
from deepmatrix.planning.cells import all_cells
from deepmatrix.reports.tables import cells as tables
from deepmatrix.results import merging
from deepmatrix.workloads import networks
from tests.unit.test_results import PLAN, whole

TEXT = (ROOT / "matrix.yaml").read_text("utf-8")
MATRIX = matrix_file.load(ROOT / "matrix.yaml", networks=networks.NETWORKS)
IDS = [f"onnxruntime-cpp-debian13-{name}-cpu" for name in ("amd64", "arm64", "arm", "s390x")]
RECIPES = [recipe_for(cell, MATRIX, "debian") for cell in all_cells(MATRIX) if cell.id in IDS]
REGISTRY = "registry.example.org/team"
DIGESTS = [f"sha256:{digit * 64}" for digit in "0123"]

NAMES = {
    "localhost": True,
    "127.0.0.1:5000": True,
    "[::1]:5000/a": True,
    "build:5000": True,
    "ghcr.io/me/deep-matrix_images.x": True,
    "r.io:65535": True,
    "r.io:65536": False,
    "r.io:0": False,
    "-r.io": False,
    "r-.io:5000": False,
    "r.-io": False,
    "team": False,  # for Docker a path on Docker Hub
    "https://ghcr.io/me": False,
    "ghcr.io/Me": False,
    "ghcr.io/": False,
    "ghcr.io:http/me": False,
    "ghcr.io/me:latest": False,
    "ghcr.io/me@sha256:00": False,
    "ghcr.io/me x": False,
    "": False,
}


def with_images(folder: Path, images: str) -> Path:
    path = folder / "matrix.yaml"
    path.write_text(f"{TEXT}\nimages: {images}\n", "utf-8")
    (folder / "expected-failures.yaml").write_bytes((ROOT / "expected-failures.yaml").read_bytes())
    return path


@pytest.mark.parametrize("name", NAMES)
def test_a_registry_is_a_host_and_a_path(tmp_path: Path, name: str) -> None:
    path = with_images(tmp_path, json.dumps({"registry": name}))
    if NAMES[name]:
        images = matrix_file.load(path).images
        assert images == Images(registry=name, digests=str(tmp_path / "image-digests.json"))
        assert main.parse(["image", "x", f"--push={name}"]).push == name
        return
    line = len(TEXT.splitlines()) + 2
    with pytest.raises(ConfigError, match=f"matrix.yaml:{line}:22: '.*' is not valid here; write"):
        matrix_file.load(path)
    with pytest.raises(ArgumentError, match=r"names no registry|the value is empty"):
        main.parse(["image", "x", f"--push={name}"])


def test_a_project_names_its_own_registry(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"")
    path = tmp_path / "deepmatrix.yaml"
    text = "version: 1\nimages: {registry: %s, digests: ours.json}\nmodels:\n- model: net.onnx\n"
    path.write_text(text % REGISTRY, "utf-8")
    (tmp_path / "ours.json").write_text("{}", "utf-8")
    document = projects.load(path, MATRIX)
    given = main.parse(["verify"])
    ((_, options),) = projects.options_by_entry(given, document, tmp_path)
    overridden = MATRIX.overridden((), options.images)
    assert overridden.images == Images(registry=REGISTRY, digests=str(tmp_path / "ours.json"))
    assert MATRIX.overridden((), given.images).images is None
    path.write_text(text % "https://x.org", "utf-8")
    with pytest.raises(ConfigError, match=r"deepmatrix.yaml:2:20: 'https://x.org' is not valid"):
        projects.load(path, MATRIX)


def test_digests_are_added_to_their_file(tmp_path: Path) -> None:
    path = tmp_path / "image-digests.json"
    assert digests.read(path) == {}
    digests.add(path, "deepmatrix/b:1", DIGESTS[0])
    digests.add(path, "deepmatrix/a:1", DIGESTS[1])
    digests.add(path, "deepmatrix/b:1", DIGESTS[2])
    assert digests.read(path) == {"deepmatrix/a:1": DIGESTS[1], "deepmatrix/b:1": DIGESTS[2]}
    assert json.loads(path.read_text("utf-8")) == {"a:1": DIGESTS[1], "b:1": DIGESTS[2]}


@pytest.mark.parametrize("text", ["", "[]", '{"a:1": "latest"}', '{"a:1": "sha256:00"}'])
def test_a_damaged_file_of_digests_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "image-digests.json"
    path.write_text(text, "utf-8")
    with pytest.raises(Damaged, match=r"image-digests.json") as raised:
        digests.read(path)
    assert raised.value.hint == "restore it, or remove it and push the images again"


def test_nothing_is_pulled_without_the_file_of_digests_and_each_cell_says_so(
    tmp_path: Path,
) -> None:
    images = Images(registry=REGISTRY, digests=str(tmp_path / "image-digets.json"))
    pulled = pulling.pull_listed(RECIPES, images, lambda *_: None, lambda *_: None)
    assert not pulled.sources
    assert pulled.reasons.keys() == {recipe.cell.id for recipe in RECIPES}
    assert {*pulled.reasons.values()} == {
        f"{images.digests} is not there; `image --push` writes it"
    }


def test_only_what_is_listed_is_pulled_and_by_its_digest(tmp_path: Path) -> None:
    images = Images(registry=REGISTRY, digests=str(tmp_path / "image-digests.json"))
    for recipe, digest in zip(RECIPES[:2], DIGESTS, strict=False):
        digests.add(Path(images.digests), recipe.reference, digest)
    asked: list[Wanted] = []

    def pull(wanted: Wanted, step: Step) -> None:
        step("pulling")
        asked.append(wanted)

    steps: list[tuple[str, str]] = []
    pulled = pulling.pull_listed(RECIPES, images, pull, lambda *step: steps.append(step))
    for recipe, digest, wanted in zip(RECIPES[:2], DIGESTS, asked, strict=False):
        assert wanted.source == f"{REGISTRY}/{recipe.cell.id}@{digest}"
        assert (
            wanted.reference == recipe.reference == f"deepmatrix/{recipe.cell.id}:{wanted.revision}"
        )
        assert wanted.platform == recipe.platform
        assert pulled.sources[recipe.cell.id] == wanted.source
        assert (recipe.cell.id, "pulling") in steps
    assert len(asked) == len(pulled.sources) == 2
    assert pulled.reasons == {}
    assert pulling.pull_listed(RECIPES, None, pull, lambda *_: None) == pulling.Pulled()


def test_a_registry_that_fails_is_not_asked_again(tmp_path: Path) -> None:
    images = Images(registry=REGISTRY, digests=str(tmp_path / "image-digests.json"))
    for recipe, digest in zip(RECIPES, DIGESTS, strict=True):
        digests.add(Path(images.digests), recipe.reference, digest)
    asked: list[str] = []

    def pull(wanted: Wanted, _: Step) -> None:
        asked.append(wanted.reference)
        if len(asked) == 1:
            raise NotPulled("it is not there")
        if len(asked) == 3:
            raise EngineError("connection refused")

    pulled = pulling.pull_listed(RECIPES, images, pull, lambda *_: None)
    first, second, third, last = (recipe.cell.id for recipe in RECIPES)
    assert len(asked) == 3
    assert [*pulled.sources] == [second]
    assert pulled.reasons == {
        first: "it is not there",
        third: "connection refused",
        last: "connection refused",
    }


def test_a_run_says_what_was_pulled_and_what_was_not(tmp_path: Path) -> None:
    run = whole(tmp_path)
    first, second, *_ = PLAN.cells
    source = f"{REGISTRY}/{first.id}@{DIGESTS[0]}"
    refused = "connection refused"
    images = [
        Prepared(cell_id=first.id, reference="one", size_bytes=10**7, pulled=source),
        Prepared(cell_id=second.id, reference="two", built=True, build_s=9.0, not_pulled=refused),
    ]
    run.save_prepared({image.cell_id: image for image in images})
    # It is cached when the run goes on.
    run.save_prepared({first.id: Prepared(cell_id=first.id, reference="one")})
    results = merging.merge([run])
    rows = {row.cell: row for row in results.cells}
    assert (rows[first.id].pulled, rows[first.id].not_pulled) == (source, "")
    assert (rows[second.id].pulled, rows[second.id].not_pulled) == ("", refused)
    assert f"{second.id}: its image was built, and not pulled: {refused}" in results.warnings
    table = tables.cells(results)
    texts = {row.texts[0]: row.texts for row in table.rows}
    assert "pulled" in texts[first.id]

    display = Display(console := Console(file=io.StringIO(), width=200))
    for image in images:
        display.prepared(image.cell_id, image)
    display.pushed(first.id, source)
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        f"✓ {first.id} pulled: 10 MB from {REGISTRY}",
        f"! {second.id} was not pulled: {refused}",
        f"✓ {second.id} built: – in 9.00 s",
        f"✓ {first.id} pushed: {source}",
    ]
