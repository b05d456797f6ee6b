"""Images: one a cell; all missing ones are pulled, or built by one call of ``docker buildx bake``.

An image's tag is a hash of everything it is made from: an image with that tag is cached and is
not built again. One that cannot be pulled, for whatever reason, is built. The bake file is
generated; its targets are the cells' ids.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deepmatrix.config.families import FAMILIES
from deepmatrix.config.matrix import Matrix
from deepmatrix.images import bases, inspection, pins, scratch
from deepmatrix.images.bases import Bake, Root
from deepmatrix.images.inspection import HINT, Image
from deepmatrix.images.prepared import Prepared, Progress
from deepmatrix.images.progress import Watch
from deepmatrix.images.recipes import WHEELS, Recipe, recipe_for
from deepmatrix.images.registry.pulling import Pull, pull_listed
from deepmatrix.invocation import command_line
from deepmatrix.machine import processes
from deepmatrix.machine.packages import indexes, npm
from deepmatrix.planning.cells import Cell

#: Predefined build arguments, which reach neither the history nor the layers.
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")

#: BuildKit's error for a race of its own between targets that share steps. A retry goes on from the
#: finished steps. The error has no code, so its text is read, and only to try again.
RACE = "inconsistent graph state"
TRIES = 3


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What a build needs of this machine.

    ``folder`` holds files for the builder; ``roots`` are the folders of the Debian roots, made
    before.
    """

    folder: Path
    sources: indexes.Sources
    architecture: str
    roots: dict[Root, Path]

    def secrets(self) -> dict[str, str]:
        """Write the secrets of the builds; return each as bake writes it, by its name."""
        certificates = self.sources.certificates
        texts = {
            "uv.toml": self.sources.uv_file(WHEELS),
            "pip.conf": self.sources.pip_file(WHEELS),
            "npmrc": npm.build_npmrc(),
        }
        contents = {name: text.encode() for name, text in texts.items()}
        contents["certificates"] = certificates.read_bytes() if certificates else b""
        for name, content in contents.items():
            (self.folder / name).write_bytes(content)
        return {name: f"id={name},src={self.folder / name}" for name in contents}

    def interpreter(self, recipe: Recipe) -> str:
        """Return a folder with this machine's Python for a recipe; empty where its base has one."""
        empty = self.folder / "no-interpreter"
        empty.mkdir(exist_ok=True)
        return str(recipe.interpreter.folder if recipe.interpreter else empty)

    def context(self, recipe: Recipe) -> str:
        """Return the folder that an image is built from: its family's, and the pins of a trial."""
        own = pins.path(recipe.cell.pinned)
        if not recipe.family.wheels or own.is_relative_to(recipe.folder):
            return str(recipe.folder)
        folder = self.folder / "contexts" / recipe.cell.pinned
        (folder / "pins").mkdir(parents=True, exist_ok=True)
        for path in recipe.folder.iterdir():
            if path.is_file():
                shutil.copyfile(path, folder / path.name)
        for path in (pins.path(pins.TOOLS), own):
            shutil.copyfile(path, folder / "pins" / path.name)
        return str(folder)

    def wheels(self, name: str) -> str:
        """Return a folder with the wheels that only this machine has for one list of pins."""
        folder = self.folder / "wheels" / name
        if not folder.exists():
            folder.mkdir(parents=True)
            self.sources.stage(pins.path(name).read_text("utf-8"), folder)
        return str(folder)


def prepare(
    cells: Sequence[Cell],
    matrix: Matrix,
    *,
    environment: Mapping[str, str],
    log: Path,
    progress: Progress,
    pull: Pull,
) -> dict[str, Prepared]:
    """Make sure that every cell has its image, pulling or building those that are missing.

    *environment* names the engine (``DOCKER_HOST`` or ``DOCKER_CONTEXT``); *log* gets the
    builder's output of this call, if anything is built. A cell that cannot be built has an error.

    Raises EngineError when nothing can be built at all.
    """
    pinned = [
        cell
        for cell in cells
        if not FAMILIES[cell.family].pinned or pins.path(cell.pinned).exists()
    ]
    recipes = recipes_for(pinned, matrix, environment)
    prepared = _present(recipes, environment)
    pulled = pull_listed(_without(prepared, recipes), matrix.images, pull, progress)
    arrived = [recipe for recipe in recipes if recipe.cell.id in pulled.sources]
    for cell_id, image in _present(arrived, environment).items():
        prepared[cell_id] = replace(image, pulled=pulled.sources[cell_id])
    if missing := _without(prepared, recipes):
        for recipe in missing:
            progress(recipe.cell.id, "its image is missing and is built")
        log.write_text("", "utf-8")
        for cell_id, image in _build(missing, environment, log, progress).items():
            prepared[cell_id] = replace(image, not_pulled=pulled.reasons.get(cell_id, ""))
    unpinned = f"it has no pins: run `{command_line('pins')}`"
    return {
        cell.id: prepared.get(cell.id) or Prepared(cell_id=cell.id, reference="", error=unpinned)
        for cell in cells
    }


def _present(recipes: Sequence[Recipe], environment: Mapping[str, str]) -> dict[str, Prepared]:
    """Return the images that the engine has, by cell."""
    present = inspection.images([recipe.reference for recipe in recipes], environment)
    return {
        recipe.cell.id: _prepared(recipe, present[recipe.reference])
        for recipe in recipes
        if recipe.reference in present
    }


def _without(prepared: Mapping[str, Prepared], recipes: Sequence[Recipe]) -> list[Recipe]:
    return [recipe for recipe in recipes if recipe.cell.id not in prepared]


def recipes_for(
    cells: Sequence[Cell], matrix: Matrix, environment: Mapping[str, str]
) -> list[Recipe]:
    """Return the recipes of cells' images, on bases of registries where these answer."""
    recipes = []
    for cell in cells:
        base = matrix.bases[cell.base]
        kind = bases.base_kind(base.image, environment)
        images = [base.image, *([matrix.bases[base.installer].image] if base.installer else [])]
        digests = {image: bases.base_digest(image, environment) for image in images}
        recipes.append(recipe_for(cell, matrix, kind, digests if kind == "registry" else {}))
    return recipes


def bake_file(recipes: Sequence[Recipe], workshop: Workshop) -> dict[str, Any]:
    """Return the bake file that builds *recipes*, as JSON."""
    secrets = workshop.secrets()
    targets: dict[str, Bake] = {}
    for recipe in recipes:
        roots = {root.target: root for root in recipe.all_roots(workshop.architecture)}
        targets |= {name: root.bake(workshop.roots[root]) for name, root in roots.items()}
        target = _target(recipe, workshop, secrets) | {
            "target": recipe.cell.device,
            "tags": [recipe.reference],
            "labels": recipe.labels(workshop.architecture),
            "output": ["type=docker"],
        }
        if recipe.packaged:
            name = f"{recipe.packages_stage}-{recipe.cell.pinned}"
            packages_target = _target(recipe.packaged, workshop, secrets)
            targets[name] = packages_target | {
                "target": recipe.packages_stage,
                "output": ["type=cacheonly"],
            }
            target["contexts"]["packages"] = f"target:{name}"
        targets[recipe.cell.id] = target
    return {
        "group": {"default": {"targets": [recipe.cell.id for recipe in recipes]}},
        "target": targets,
    }


def _target(recipe: Recipe, workshop: Workshop, secrets: Mapping[str, str]) -> Bake:
    """Return the inputs of a recipe's build; the caller adds its output."""
    proxies = {name: os.environ[name] for name in PROXIES if name in os.environ}
    contexts = dict.fromkeys(recipe.family.roots, f"docker-image://{recipe.pulled}")
    roots = recipe.roots(workshop.architecture)
    contexts |= {name: f"target:{root.target}" for name, root in roots.items()}
    if recipe.family.wheels:
        contexts["wheels"] = workshop.wheels(recipe.cell.pinned)
        contexts["toolwheels"] = workshop.wheels(pins.TOOLS)
    if recipe.family.overlaid:
        contexts["interpreter"] = workshop.interpreter(recipe)
    if recipe.family.sources:
        contexts["sources"] = str(recipe.sources)
    return {
        "context": workshop.context(recipe),
        "dockerfile": "Dockerfile",
        "platforms": [recipe.platform],
        "args": recipe.arguments() | proxies,
        "secret": [secrets[name] for name in recipe.family.secrets()],
        "contexts": contexts,
    }


def _build(
    recipes: Sequence[Recipe], environment: Mapping[str, str], log: Path, progress: Progress
) -> dict[str, Prepared]:
    """Build images; while some fail, build the others without them.

    The builder stops everything at the first failure, but caches the finished steps.
    """
    inspection.ask(["docker", "buildx", "version"], environment)
    architecture = inspection.ask(
        ["docker", "version", "--format", "{{.Server.Arch}}"], environment
    ).strip()
    roots, prepared = _roots(recipes, architecture, progress)
    with scratch.build_folder() as folder:
        workshop = Workshop(
            folder=folder,
            sources=indexes.configured_sources(),
            architecture=architecture,
            roots=roots,
        )
        pending = _without(prepared, recipes)
        while pending:
            prepared |= _bake(pending, workshop, environment, log, progress)
            pending = _without(prepared, pending)
    return prepared


def _roots(
    recipes: Sequence[Recipe], architecture: str, progress: Progress
) -> tuple[dict[Root, Path], dict[str, Prepared]]:
    """Make the Debian roots of *recipes*; return their folders, and the cells that lack theirs."""
    users: dict[Root, list[Recipe]] = {}
    for recipe in recipes:
        for root in recipe.all_roots(architecture):
            users.setdefault(root, []).append(recipe)

    def make_root(root: Root) -> Path | str:
        for recipe in users[root] if not root.is_cached() else ():
            progress(recipe.cell.id, f"making a Debian root: {root.suite}, {root.architecture}")
        try:
            return root.make_filesystem()
        except processes.CommandFailed as error:
            if error.code is None:  # there is no mmdebstrap: no root can be made
                raise
            return error.output.splitlines()[-1] if error.output else error.message

    with ThreadPoolExecutor(2) as pool:  # each waits for the mirror half of its time
        results = dict(zip(users, pool.map(make_root, users), strict=True))
    failed = {
        recipe.cell.id: _failed(recipe, f"its Debian root cannot be made: {result}")
        for root, result in results.items()
        if isinstance(result, str)
        for recipe in users[root]
    }
    return {root: result for root, result in results.items() if isinstance(result, Path)}, failed


def _bake(
    recipes: Sequence[Recipe],
    workshop: Workshop,
    environment: Mapping[str, str],
    log: Path,
    progress: Progress,
) -> dict[str, Prepared]:
    """Run one bake; return the cells that it finished and those that failed by themselves.

    At least one cell is returned: if the call failed without a failed step, every cell.
    """
    file = workshop.folder / "bake.json"
    file.write_text(json.dumps(bake_file(recipes, workshop), indent=2), "utf-8")
    # The builder that is the engine itself bears its context's name.
    builder = inspection.ask(["docker", "context", "show"], environment).strip()
    errors: dict[str, str] = {}
    with log.open("a", encoding="utf-8") as log_file:
        watch = Watch([recipe.cell.id for recipe in recipes], progress, log_file)
        for _ in range(TRIES):
            call_error = _call(file, {**environment, "BUILDX_BUILDER": builder}, watch)
            if RACE not in call_error:
                break
        if call_error:
            errors = watch.errors() or {recipe.cell.id: call_error for recipe in recipes}
    present = _present(recipes, environment)
    failed = {
        recipe.cell.id: _failed(recipe, errors[recipe.cell.id])
        for recipe in recipes
        if recipe.cell.id in errors
    }
    prepared = {
        cell_id: replace(image, build_s=watch.seconds(cell_id), built=True)
        for cell_id, image in present.items()
    }
    return failed | prepared


def _call(file: Path, environment: Mapping[str, str], watch: Watch) -> str:
    """Call bake once; return its error, or nothing."""
    watch.last = ""
    try:
        processes.stream(
            ["docker", "buildx", "bake", "--file", str(file), "--progress", "rawjson"],
            on_line=watch.line,
            environment={**environment, **scratch.builder_environment()},
            hint=HINT,
        )
    except processes.CommandFailed as error:
        return watch.last or error.message
    return ""


def _prepared(recipe: Recipe, image: Image) -> Prepared:
    return Prepared(
        cell_id=recipe.cell.id,
        reference=recipe.reference,
        size_bytes=image.size_bytes,
        image_id=image.id,
        base=image.base,
        debian=image.debian,
    )


def _failed(recipe: Recipe, error: str) -> Prepared:
    return Prepared(cell_id=recipe.cell.id, reference=recipe.reference, error=error)
