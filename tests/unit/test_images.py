"""Recipes, bake files, package sources and the builder's stream, without an engine."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deepmatrix.config import matrix_file
from deepmatrix.config.families import FAMILIES
from deepmatrix.errors import ArgumentError, EngineError
from deepmatrix.images import bases, build, debian, inspection, recipes
from deepmatrix.images.progress import Watch
from deepmatrix.images.recipes import Recipe, recipe_for
from deepmatrix.machine import processes
from deepmatrix.machine.packages import indexes, npm
from deepmatrix.planning.cells import Cell, all_cells
from deepmatrix.workloads import networks

ROOT = Path(__file__).resolve().parents[2]
MATRIX = matrix_file.load(ROOT / "matrix.yaml", networks=networks.NETWORKS)


def cell(cell_id: str) -> Cell:
    return next(cell for cell in all_cells(MATRIX) if cell.id == cell_id)


AMD = recipe_for(cell("onnxruntime-debian12-amd64-cpu"), MATRIX, "debian")
ARM = recipe_for(cell("onnxruntime-debian13-arm64-cpu"), MATRIX, "debian")
CUDA = recipe_for(cell("onnxruntime-debian12-amd64-cuda"), MATRIX, "registry")


# Recipes --------------------------------------------------------------------------------------


def test_a_reference_names_the_cell_and_hashes_its_content() -> None:
    name, tag = AMD.reference.split(":")
    assert name == "deepmatrix/onnxruntime-debian12-amd64-cpu"
    assert len(tag) == 12
    assert AMD.reference == recipe_for(AMD.cell, MATRIX, "debian").reference


@pytest.mark.parametrize(
    "change",
    [{"kind": "registry"}, {"suite": "sid"}, {"wheels": "x86_64-manylinux_2_28"}],
    ids=lambda change: next(iter(change)),
)
def test_a_tag_changes_with_every_input_of_the_image(change: dict[str, str]) -> None:
    assert replace(AMD, **change).digest() != AMD.digest()


def test_a_tag_ignores_the_image_of_an_unused_registry() -> None:
    assert replace(AMD, image="other").digest() == AMD.digest()


def test_labels_describe_the_image_without_a_timestamp() -> None:
    labels = {key.rpartition("image.")[2]: text for key, text in AMD.labels("amd64").items()}
    assert labels["title"] == "deepmatrix onnxruntime-debian12-amd64-cpu"
    assert labels["version"].startswith("1.")
    assert labels["revision"] == AMD.digest()
    assert "created" not in labels


# Bake files -----------------------------------------------------------------------------------


def bake_file(tmp_path: Path, *recipes: Recipe) -> dict[str, object]:
    roots = {root for recipe in recipes for root in recipe.roots("amd64").values()}
    for root in roots:
        (tmp_path / root.target).mkdir()
    workshop = build.Workshop(
        folder=tmp_path,
        sources=indexes.Sources(index="https://user:secret@mirror.example/simple"),
        architecture="amd64",
        roots={root: tmp_path / root.target for root in roots},
    )
    return build.bake_file(recipes, workshop)


def test_a_foreign_image_is_built_by_this_machine_and_copied_into_its_own_base(
    tmp_path: Path,
) -> None:
    target = bake_file(tmp_path, ARM)["target"]
    contexts = target[ARM.cell.id]["contexts"]
    assert contexts["build"] == "target:root-debian13-build-amd64"
    assert contexts["base"] == "target:root-debian13-run-arm64"
    assert target["root-debian13-build-amd64"]["platforms"] == ["linux/amd64"]
    assert target["root-debian13-run-arm64"]["platforms"] == ["linux/arm64"]


def test_with_a_registry_both_bases_are_the_official_image(tmp_path: Path) -> None:
    target = bake_file(tmp_path, CUDA)["target"]
    assert list(target) == [CUDA.cell.id]
    assert target[CUDA.cell.id]["target"] == "cuda"
    assert {target[CUDA.cell.id]["contexts"][name] for name in ("base", "build")} == {
        "docker-image://docker.io/library/python:3.11-slim-bookworm"
    }


def test_only_cells_are_default_targets_and_roots_are_shared(tmp_path: Path) -> None:
    tensorflow = recipe_for(cell("tensorflow-debian12-amd64-cpu"), MATRIX, "debian")
    file = bake_file(tmp_path, AMD, tensorflow)
    assert file["group"]["default"]["targets"] == [AMD.cell.id, tensorflow.cell.id]
    assert len(file["target"]) == 4


def test_the_mirrors_password_is_in_a_secret_and_not_in_the_bake_file(tmp_path: Path) -> None:
    assert "secret@" not in json.dumps(bake_file(tmp_path, AMD))
    assert "secret@" in (tmp_path / "uv.toml").read_text()
    assert "secret@" in (tmp_path / "pip.conf").read_text()


@pytest.mark.skipif(shutil.which("docker") is None, reason="needs docker's command line")
def test_buildx_accepts_the_bake_file(tmp_path: Path) -> None:
    file = tmp_path / "bake.json"
    file.write_text(json.dumps(bake_file(tmp_path, AMD, ARM, CUDA)))
    try:
        processes.run(["docker", "buildx", "version"])
    except processes.CommandFailed:
        pytest.skip("needs buildx")
    read = json.loads(processes.run(["docker", "buildx", "bake", "--file", str(file), "--print"]))
    assert {AMD.cell.id, ARM.cell.id, CUDA.cell.id} <= read["target"].keys()
    assert read["target"][ARM.cell.id]["tags"] == [ARM.reference]
    assert len(read["target"][ARM.cell.id]["secret"]) == 3


def test_every_family_has_its_dockerfile_and_every_dockerfile_its_family() -> None:
    folders = {path.parent.name for path in (ROOT / "docker").glob("*/Dockerfile")} - {"base"}
    assert folders == {family.folder for family in FAMILIES.values()}


def test_a_toolbox_holds_packages_of_both_architectures(tmp_path: Path) -> None:
    recipe = recipe_for(cell("onnxruntime-cpp-debian13-s390x-cpu"), MATRIX, "debian")
    (root,) = recipe.roots("amd64").values()
    assert (root.architecture, root.foreign) == ("amd64", "s390x")
    assert {"g++-14-s390x-linux-gnu", "libonnxruntime-dev:s390x"} <= set(root.packages)
    target = bake_file(tmp_path, recipe)["target"][recipe.cell.id]
    assert target["secret"] == []
    assert target["platforms"] == ["linux/s390x"]


def test_a_runner_is_linked_with_the_packages_of_its_python_cell(tmp_path: Path) -> None:
    python = recipe_for(cell("torch-debian12-amd64-cpu"), MATRIX, "debian")
    runner = recipe_for(cell("libtorch-cpp-debian12-amd64-cpu"), MATRIX, "debian")
    targets = bake_file(tmp_path, python, runner)["target"]
    target = targets[runner.cell.id]
    assert target["contexts"]["packages"] == "target:installed-torch-debian12-amd64-cpu"
    packages_target, python_target = (
        targets["installed-torch-debian12-amd64-cpu"],
        targets[python.cell.id],
    )
    assert packages_target["target"] == "installed"  # with the headers
    for same in ("context", "args", "contexts", "secret"):  # so the builder makes it once
        assert packages_target[same] == python_target[same]
    assert target["args"]["RUNTIME"] == "libtorch"
    assert target["secret"] == []


@pytest.mark.parametrize(
    ("cell_id", "stage"),
    [
        ("torch-debian12-amd64-cpu", "packages"),
        ("torch-debian12-amd64-cuda", "installed"),
        ("torch_edge-debian12-amd64-cpu", "installed"),
        ("torch_compiled-debian12-amd64-cpu", "installed"),
        ("pytensor-debian13-amd64-cpu", "installed"),
    ],
)
def test_only_cells_that_compile_have_the_headers_of_their_packages(
    cell_id: str, stage: str
) -> None:
    assert recipe_for(cell(cell_id), MATRIX, "debian").arguments()["PACKAGES"] == stage


@pytest.mark.parametrize(
    ("cell_id", "stage"),
    [
        ("tensorflow1-python37-amd64-cpu", "packages"),
        ("tensorflow-c-debian12-amd64-cpu", "installed"),
    ],
)
def test_what_copies_packages_gets_them_without_headers_and_what_links_with_them(
    tmp_path: Path, cell_id: str, stage: str
) -> None:
    recipe = recipe_for(cell(cell_id), MATRIX, "registry")
    workshop = build.Workshop(
        folder=tmp_path,
        sources=indexes.Sources(),
        architecture="amd64",
        roots=dict.fromkeys(recipe.all_roots("amd64"), tmp_path),
    )
    targets = build.bake_file([recipe], workshop)["target"]
    name = targets[recipe.cell.id]["contexts"]["packages"].removeprefix("target:")
    assert targets[name]["target"] == stage


def test_a_runner_changes_with_the_wheels_that_it_is_linked_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = recipe_for(cell("libtorch-cpp-debian12-amd64-cpu"), MATRIX, "debian")
    before = runner.digest()
    shutil.copytree(recipes.DOCKER, tmp_path / "docker")
    (tmp_path / "docker" / "wheels" / "install.sh").write_text("true")
    monkeypatch.setattr(recipes, "DOCKER", tmp_path / "docker")
    assert runner.digest() != before


@pytest.mark.parametrize(
    ("architecture", "compiler"), [("amd64", "g++-12"), ("arm64", "g++-12-aarch64-linux-gnu")]
)
def test_only_a_compiler_for_another_architecture_is_named_after_it(
    architecture: str, compiler: str
) -> None:
    recipe = recipe_for(cell(f"tensorflow-c-debian12-{architecture}-cpu"), MATRIX, "debian")
    assert compiler in recipe.roots("amd64")["build"].packages


def test_with_a_registry_a_root_is_the_official_image_and_its_packages(tmp_path: Path) -> None:
    recipe = recipe_for(cell("onnxruntime-node-debian13-arm64-cpu"), MATRIX, "registry")
    target = bake_file(tmp_path, recipe)["target"]
    base = target["root-debian13-node-arm64"]
    assert base["args"]["IMAGE"] == MATRIX.bases["debian13"].image
    assert "nodejs" in base["args"]["PACKAGES"].split()


def test_the_code_of_a_compiled_runner_is_part_of_its_images_tag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = recipe_for(cell("onnxruntime-cpp-debian13-amd64-cpu"), MATRIX, "debian")
    before = runner.digest()
    shutil.copytree(ROOT / "harness" / "runtimes" / "cpp", tmp_path / "runtimes" / "cpp")
    (tmp_path / "runtimes" / "cpp" / "main.cpp").write_text("int main() {}")
    monkeypatch.setattr(recipes, "HARNESS", tmp_path)
    assert runner.digest() != before


def test_npm_gets_the_users_registry_but_no_path_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / ".npmrc").write_text(
        "registry=https://one.example/\ncafile=/etc/ca.pem\ncache = /x\n"
        "//one.example/:_authToken=t\n"
    )
    environment = {"HOME": str(tmp_path), "npm_config_registry": "https://two.example/"}
    assert npm.build_npmrc(environment).splitlines() == [
        "registry=https://one.example/",
        "//one.example/:_authToken=t",
        "registry=https://two.example/",
    ]
    assert npm.build_npmrc({"HOME": str(tmp_path / "nobody")}) == ""


def test_package_managers_files_that_are_not_utf_8_are_named(tmp_path: Path) -> None:
    (tmp_path / ".npmrc").write_bytes(b"; caf\xe9\n")
    (tmp_path / "pip.conf").write_bytes(b"# caf\xe9\n")
    environment = {"HOME": str(tmp_path), "PIP_CONFIG_FILE": str(tmp_path / "pip.conf")}
    with pytest.raises(ArgumentError, match=r"\.npmrc is not UTF-8"):
        npm.build_npmrc(environment)
    with pytest.raises(ArgumentError, match=r"pip\.conf is not UTF-8"):
        indexes.configured_sources(environment)
    unusable = {"HOME": "/", "PIP_CONFIG_FILE": f"/{'x' * 300}", "NPM_CONFIG_USERCONFIG": "/dev"}
    indexes.configured_sources(unusable)
    assert npm.build_npmrc(unusable) == ""


@pytest.mark.parametrize(("fails", "built"), [(0, True), (2, True), (3, False)])
def test_a_race_inside_the_builder_is_retried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: int, built: bool
) -> None:
    calls = []

    def stream(command: list[str], *, on_line: Callable[[str], None], **_: object) -> None:
        calls.append(command)
        if len(calls) <= fails:
            on_line("ERROR: failed to solve: failed to get edge: inconsistent graph state")
            raise processes.CommandFailed("docker ended with 1", code=1)

    workshop = build.Workshop(
        folder=tmp_path,
        sources=indexes.Sources(),
        architecture="amd64",
        roots=dict.fromkeys(AMD.roots("amd64").values(), tmp_path),
    )
    monkeypatch.setattr(inspection, "ask", lambda *_: "default")
    monkeypatch.setattr(processes, "stream", stream)
    image = inspection.Image(size_bytes=1, id=f"sha256:{'0' * 64}", base="", debian=())
    images = {AMD.reference: image} if built else {}
    monkeypatch.setattr(inspection, "images", lambda *_: images)
    prepared = build._bake([AMD], workshop, {}, tmp_path / "log", lambda *_: None)[AMD.cell.id]
    assert (prepared.error is None) == built
    assert len(calls) == min(fails + 1, build.TRIES)


# Bases ----------------------------------------------------------------------------------------


def test_the_kind_of_bases_can_be_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPMATRIX_BASES", "registry")
    assert bases.base_kind("any", {}) == "registry"
    monkeypatch.setenv("DEEPMATRIX_BASES", "alpine")
    with pytest.raises(ArgumentError, match="DEEPMATRIX_BASES is 'alpine'") as raised:
        bases.base_kind("any", {})
    assert raised.value.hint == "set it to 'registry' or 'debian', or not at all"


@pytest.mark.parametrize(("answers", "kind"), [(True, "registry"), (False, "debian")])
def test_the_registry_is_asked_once(
    answers: bool, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = []

    def ask(command: list[str], **_: object) -> str:
        questions.append(command)
        if not answers:
            raise processes.CommandFailed("no such host", code=1)
        return MANIFEST

    monkeypatch.delenv("DEEPMATRIX_BASES", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(processes, "run", ask)
    assert [bases.base_kind("python:3", {}) for _ in range(2)] == [kind, kind]
    assert bases.base_digest("python:3", {}) == (DIGEST if answers else "")
    assert len(questions) == 1


MANIFEST = '{"schemaVersion": 2,\n "manifests": []}'
DIGEST = f"sha256:{hashlib.sha256(MANIFEST.encode()).hexdigest()}"


def test_a_base_of_a_registry_is_pulled_by_its_digest_and_its_label_has_it(tmp_path: Path) -> None:
    image = MATRIX.bases["debian12"].image
    resolved = recipe_for(CUDA.cell, MATRIX, "registry", {image: DIGEST})
    target = bake_file(tmp_path, resolved)["target"][CUDA.cell.id]
    assert target["contexts"]["base"] == f"docker-image://{image}@{DIGEST}"
    assert target["labels"]["org.opencontainers.image.base.digest"] == DIGEST
    assert target["labels"]["org.opencontainers.image.base.name"] == image


def test_a_renewed_base_makes_no_image_anew_and_one_pinned_in_the_matrix_does() -> None:
    assert replace(CUDA, image_digest=DIGEST).digest() == CUDA.digest()
    pinned = replace(CUDA, image=f"{CUDA.image}@{DIGEST}", image_digest=DIGEST)
    assert pinned.digest() != CUDA.digest()
    assert pinned.pulled == f"{CUDA.image}@{DIGEST}"


def test_the_packages_of_a_debian_root_are_recorded_and_come_back_from_the_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    root = AMD.roots("amd64")["base"]
    (tmp_path / "deepmatrix/roots" / f"{root.target}-{root.digest()}").mkdir(parents=True)
    assert AMD.labels("amd64")["deepmatrix.debian"] == ""
    listed = "libc6_2.36-9+deb12u14_amd64.deb\npartial\nbase-passwd_1%3a3.6.1_all.deb\n"
    (root._folder() / bases.PACKAGES).write_text(listed)
    label = AMD.labels("amd64")["deepmatrix.debian"]
    assert label == "base-passwd:all=1:3.6.1 libc6:amd64=2.36-9+deb12u14"
    assert debian.of_label(f"{label} \x1b[31m ../x:y=1") == tuple(label.split())
    assert debian.read(label.split()[0]) == ("base-passwd", "all", "1:3.6.1")


@pytest.mark.parametrize("labels", [None, {}, {"deepmatrix.debian": "libc6:amd64=1"}])
def test_an_image_is_described_by_its_labels_where_it_has_any(
    labels: dict[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([f"{AMD.reference}\n", json.dumps([5, "0" * 64, labels]) + "\n"])
    monkeypatch.setattr(processes, "run", lambda *_, **__: next(answers))
    image = inspection.images([AMD.reference, "deepmatrix/gone:1"], {})[AMD.reference]
    assert (image.size_bytes, image.id) == (5, f"sha256:{'0' * 64}")
    assert image.debian == (("libc6:amd64=1",) if labels else ())


@pytest.mark.parametrize(
    "line", ["null", '["big", "id", {}]', "[5, null, {}]", '[5, "id", []]', "["]
)
def test_what_no_engine_says_of_an_image_is_one_clear_error(
    line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([f"{AMD.reference}\n", f"{line}\n"])
    monkeypatch.setattr(processes, "run", lambda *_, **__: next(answers))
    message = f"what the engine says of {AMD.reference} is not understood: "
    with pytest.raises(EngineError, match=message):
        inspection.images([AMD.reference], {})


def test_a_missing_mmdebstrap_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(processes.CommandFailed, match="cannot start mmdebstrap") as raised:
        AMD.roots("amd64")["base"].make_filesystem()
    assert "nox -s engine" in raised.value.hint


def test_a_root_that_fails_leaves_nothing_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(command: list[str], **_: object) -> str:
        (Path(next(argument for argument in command if argument.endswith(".tar")))).write_text(
            "half"
        )
        raise processes.CommandFailed("the mirror is gone", code=1)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(processes, "run", fail)
    monkeypatch.setattr(bases, "_mirrors", lambda _: [])
    root = AMD.roots("amd64")["base"]
    with pytest.raises(processes.CommandFailed):
        root.make_filesystem()
    assert not root.is_cached()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def release(tar: Path, codename: str) -> None:
    """Write a root of which nothing is there but the name of its suite."""
    text = f'NAME="Debian"\nVERSION_CODENAME={codename}\n'.encode()
    with tarfile.open(tar, "w") as archive:
        member = tarfile.TarInfo("./usr/lib/os-release")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))


@pytest.mark.parametrize(
    ("fits", "tried", "succeeds"),
    [
        ({"bookworm bookworm-security", "bookworm", "stable"}, 1, True),
        ({"bookworm", "stable"}, 2, True),
        ({"stable"}, 3, True),
        (set(), 3, False),
    ],
)
def test_an_inconsistent_mirror_is_used_with_fewer_sources(
    fits: set[str], tried: int, succeeds: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def unpack(command: list[str], **_: object) -> str:
        (tar,) = (at for at, word in enumerate(command) if word.endswith(".tar"))
        calls.append(" ".join(command[tar + 1 :]))
        if calls[-1] not in fits:
            raise processes.CommandFailed("x", code=1, output="I: so\nE: a.deb  404  Not Found")
        release(Path(command[tar]), "bookworm")
        Path(command[tar]).with_name(bases.PACKAGES).touch()
        return ""

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(processes, "run", unpack)
    monkeypatch.setattr(bases, "_mirrors", lambda suite: [suite, f"{suite}-security"])
    root = AMD.roots("amd64")["base"]
    if succeeds:
        root.make_filesystem()
    else:
        with pytest.raises(EngineError, match=r"the Debian mirror is inconsistent: E: a\.deb  404"):
            root.make_filesystem()
    assert len(calls) == tried
    assert root.is_cached() == succeeds


def test_the_current_suite_does_not_replace_an_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unpack(command: list[str], **_: object) -> str:
        if "bookworm" in command:
            raise processes.CommandFailed("x", code=1, output="Mirror sync in progress?")
        release(Path(next(word for word in command if word.endswith(".tar"))), "trixie")
        return ""

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(processes, "run", unpack)
    monkeypatch.setattr(bases, "_mirrors", lambda suite: [suite])
    root = AMD.roots("amd64")["base"]
    with pytest.raises(EngineError, match="mirror is inconsistent"):
        root.make_filesystem()
    assert not root.is_cached()


# Package sources ------------------------------------------------------------------------------


def configured(tmp_path: Path, text: str = "", **environment: str) -> indexes.Sources:
    file = tmp_path / "pip.conf"
    file.write_text(text)
    return indexes.configured_sources(
        {"PIP_CONFIG_FILE": str(file), "HOME": str(tmp_path), **environment}
    )


def test_uv_gets_pips_configuration(tmp_path: Path) -> None:
    sources = configured(
        tmp_path,
        "[global]\nindex-url = https://mirror.example/simple\nfind-links =\n    /a\n    /b\n"
        "[install]\ntrusted-host = mirror.example\n",
    )
    environment = sources.environment()
    assert environment["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert environment["UV_FIND_LINKS"] == "/a,/b"
    assert environment["UV_INSECURE_HOST"] == "mirror.example"


def test_variables_override_files_and_uvs_override_pips(tmp_path: Path) -> None:
    file = "[global]\nindex-url = https://file.example\n"
    pip = {"PIP_INDEX_URL": "https://pip.example"}
    assert configured(tmp_path, file, **pip).index == "https://pip.example"
    variables = {**pip, "UV_DEFAULT_INDEX": "https://uv.example"}
    assert configured(tmp_path, file, **variables).index == "https://uv.example"


def test_a_named_index_of_uv_is_reduced_to_its_address(tmp_path: Path) -> None:
    sources = configured(tmp_path, UV_INDEX="cpu=https://one.example https://two.example")
    assert sources.indexes == ("https://one.example", "https://two.example")


def test_in_a_build_one_folder_replaces_this_machines_folders() -> None:
    sources = indexes.Sources(
        index="https://mirror.example", indexes=("file:///srv/simple",), links=("/srv/wheels",)
    )
    for text in (sources.uv_file("/wheels"), sources.pip_file("/wheels")):
        assert "/srv" not in text
        assert "/wheels" in text
        assert "https://mirror.example" in text


def test_without_a_remote_index_nothing_is_fetched_from_elsewhere() -> None:
    assert "no-index = true" in indexes.Sources(index="file:///srv/simple").uv_file("/wheels")


def wheel(folder: Path, name: str, content: bytes) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def test_only_wheels_that_the_pins_name_by_hash_are_staged(tmp_path: Path) -> None:
    links, index, staged = tmp_path / "links", tmp_path / "simple", tmp_path / "staged"
    right = wheel(links, "Some_Thing-1.0+cpu-py3-none-any.whl", b"right")
    wheel(links, "some_thing-2.0-py3-none-any.whl", b"another version")
    wheel(links, "other-1.0-py3-none-any.whl", b"another project")
    wheel(links, "six-1.0-py3-none-any.whl", b"another content")
    linked = wheel(tmp_path / "files", "wrapt-3.0-py3-none-any.whl", b"linked")
    (index / "wrapt").mkdir(parents=True)
    (index / "wrapt/index.html").write_text('<a href="../../files/wrapt-3.0-py3-none-any.whl#x">')
    staged.mkdir()
    locked = (
        f"some-thing==1.0+cpu \\\n    --hash=sha256:{right}\n"
        f"six==1.0 \\\n    --hash=sha256:{'0' * 64}\n"
        f"wrapt==3.0 ; python_version > '3' \\\n    --hash=sha256:{linked}\n"
    )
    sources = indexes.Sources(links=(str(links),), indexes=(index.as_uri(),))
    sources.stage(locked, staged)
    assert sorted(path.name for path in staged.iterdir()) == [
        "Some_Thing-1.0+cpu-py3-none-any.whl",
        "wrapt-3.0-py3-none-any.whl",
    ]


# The builder's stream -------------------------------------------------------------------------


def step(name: str, digest: str = "d", **fields: object) -> dict[str, object]:
    return {"digest": digest, "name": name, "started": "2026-01-01T00:00:00.123456789Z", **fields}


def watch(*statuses: object, indent: int | None = None) -> tuple[Watch, list[str], str]:
    messages: list[str] = []
    log = io.StringIO()
    build_watch = Watch(
        ["one", "two"], lambda target, text: messages.append(f"{target}: {text}"), log
    )
    for status in statuses:
        for line in json.dumps(status, indent=indent).splitlines():
            build_watch.line(line)
    return build_watch, messages, log.getvalue()


def text(words: str, digest: str = "d") -> dict[str, object]:
    return {"logs": [{"vertex": digest, "data": base64.b64encode(words.encode()).decode()}]}


@pytest.mark.parametrize("indent", [None, 2], ids=["a line each", "over many lines"])
def test_a_targets_time_runs_from_its_first_step_to_its_last(indent: int | None) -> None:
    build_watch, messages, _ = watch(
        {"vertexes": [step("[one packages 1/2] COPY a b")]},
        {"vertexes": [step("[one packages 1/2] COPY a b", completed="2026-01-01T00:00:02Z")]},
        {"vertexes": [step("[one] exporting to image", completed="2026-01-01T00:00:05.123456Z")]},
        indent=indent,
    )
    assert build_watch.seconds("one") == pytest.approx(5.0)
    assert build_watch.seconds("two") is None
    assert messages == ["one: packages 1/2 COPY a b"]


def test_steps_that_were_cached_take_no_time() -> None:
    build_watch, _, _ = watch(
        {"vertexes": [step("[one a 1/2] RUN x", cached=True, completed="2026-01-01T00:00:02Z")]}
    )
    assert build_watch.seconds("one") is None


def test_a_failure_is_one_line_of_the_failed_target_only() -> None:
    build_watch, _, log = watch(
        text("Resolved 3 packages\nerr"),
        text("or: no wheel\n  cause: wrong Python\n"),
        {
            "vertexes": [
                step("[one packages 3/3] RUN sh", error="exit code: 1"),
                step("[two packages 3/3] RUN sh", "e", error="context canceled"),
            ]
        },
    )
    assert build_watch.errors() == {
        "one": "error: no wheel cause: wrong Python (step packages 3/3)"
    }
    assert "Resolved 3 packages" in log


def test_the_clients_own_error_is_remembered() -> None:
    build_watch, _, _ = watch()
    build_watch.line("ERROR: cannot connect")
    assert build_watch.last == "ERROR: cannot connect"
    assert build_watch.errors() == {}


# Scripts --------------------------------------------------------------------------------------


def test_a_finished_root_holds_nothing_of_this_machine(tmp_path: Path) -> None:
    for name, content in {
        "usr/share/base-passwd/passwd.master": "root:x:0:0",
        "usr/share/base-passwd/group.master": "root:x:0:",
        "usr/share/ca-certificates/one.crt": "CERTIFICATE",
        "usr/share/doc/python3/copyright": "free",
        "usr/share/doc/python3/changelog": "long",
        "etc/apt/sources.list": "deb https://user:secret@mirror.example/debian",
        "etc/hostname": "mine",
        "etc/resolv.conf": "nameserver",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    subprocess.run([bases.FOLDER / "finish.sh", str(tmp_path)], check=True)
    assert {
        str(p.relative_to(tmp_path)): p.read_text() for p in tmp_path.rglob("*") if p.is_file()
    } == {
        "usr/share/base-passwd/passwd.master": "root:x:0:0",
        "usr/share/base-passwd/group.master": "root:x:0:",
        "usr/share/ca-certificates/one.crt": "CERTIFICATE",
        "usr/share/doc/python3/copyright": "free",
        "etc/apt/sources.list": "",
        "etc/passwd": "root:x:0:0",
        "etc/group": "root:x:0:",
        "etc/ssl/certs/ca-certificates.crt": "CERTIFICATE",
    }


@pytest.mark.parametrize(
    ("name", "runtime", "compiles"), [("cpp", "onnxruntime", True), ("node", "node", False)]
)
def test_a_wine_image_is_made_from_one_folder(
    tmp_path: Path, name: str, runtime: str, compiles: bool
) -> None:
    recipe = recipe_for(cell(f"onnxruntime-{name}_wine-debian13-amd64-cpu"), MATRIX, "debian")
    target = bake_file(tmp_path, recipe)["target"][recipe.cell.id]
    assert target["context"].endswith("/docker/wine")
    assert target["args"]["RUNTIME"] == runtime
    assert target["contexts"]["base"] == "target:root-debian13-wine-amd64"
    assert ("sources" in target["contexts"]) == compiles
    assert ("HARNESS" in target["args"]) == compiles
