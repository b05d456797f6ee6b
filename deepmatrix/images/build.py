"""Images: one a cell, all that are missing in one call of ``docker buildx bake``.

A cell's image is tagged with a hash of everything it is made from, so an image that exists is
the right one and is not built again. The bake file is generated; its targets are the cells' ids.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from deepmatrix.config.families import FAMILIES
from deepmatrix.config.matrix import Matrix
from deepmatrix.images import bases, pins
from deepmatrix.images.bases import Bake, Root
from deepmatrix.images.prepared import Prepared, Progress
from deepmatrix.images.progress import Watch
from deepmatrix.images.recipes import REPOSITORY, WHEELS, Recipe, recipe
from deepmatrix.machine import npm, packages, processes
from deepmatrix.planning.cells import Cell

#: Predefined build arguments, which reach neither the history nor the layers.
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")

#: What BuildKit says of a race of its own between targets that share steps. Asked again, it goes on
#: from the steps that were done.
RACE = "inconsistent graph state"
TRIES = 3

HINT = "set up an engine with `nox -s engine`"


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What a build needs of this machine.

    ``folder`` is where things are put for the builder; ``roots`` are the folders of the Debian
    roots by target, made before.
    """

    folder: Path
    sources: packages.Sources
    architecture: str
    roots: dict[Root, Path]

    def secrets(self) -> dict[str, str]:
        """Write the secrets of the builds; return each in bake's words, by its name."""
        certificates = self.sources.certificates
        texts = {
            "uv.toml": self.sources.uv_file(WHEELS),
            "pip.conf": self.sources.pip_file(WHEELS),
            "certificates": certificates.read_text("utf-8") if certificates else "",
            "npmrc": npm.configured(),
        }
        for name, text in texts.items():
            (self.folder / name).write_text(text, "utf-8")
        return {name: f"id={name},src={self.folder / name}" for name in texts}

    def interpreter(self, one: Recipe) -> str:
        """Return a folder with this machine's Python for a recipe; empty where its base has one."""
        empty = self.folder / "no-interpreter"
        empty.mkdir(exist_ok=True)
        return str(one.interpreter.folder if one.interpreter else empty)

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
) -> dict[str, Prepared]:
    """Make sure that every cell has its image, building those that are missing.

    *environment* names the engine (``DOCKER_HOST`` or ``DOCKER_CONTEXT``); *log* takes what the
    builder said, the last time that it was needed. A cell that cannot be built has an error.

    Raises EngineError when nothing can be built at all.
    """
    pinned = [
        cell
        for cell in cells
        if not FAMILIES[cell.family].pinned or pins.path(cell.pinned).exists()
    ]
    recipes = [
        recipe(cell, matrix, bases.kind(matrix.bases[cell.base].image, environment))
        for cell in pinned
    ]
    found = sizes([one.reference for one in recipes], environment)
    done = {
        one.cell.id: Prepared(
            cell_id=one.cell.id, reference=one.reference, size_bytes=found[one.reference]
        )
        for one in recipes
        if one.reference in found
    }
    if missing := [one for one in recipes if one.cell.id not in done]:
        log.write_text("", "utf-8")
        done |= _build(missing, environment, log, progress)
    unpinned = "it has no pins: run `nox -s pins`"
    return {
        cell.id: done.get(cell.id) or Prepared(cell_id=cell.id, reference="", error=unpinned)
        for cell in cells
    }


def sizes(references: Sequence[str], environment: Mapping[str, str]) -> dict[str, int]:
    """Return the bytes of those images that the engine has."""
    listing = ["docker", "image", "ls", "--filter", f"reference={REPOSITORY}/*"]
    listing += ["--format", "{{.Repository}}:{{.Tag}}"]
    known = set(processes.run(listing, environment=environment, hint=HINT).split())
    wanted = [one for one in references if one in known]
    if not wanted:
        return {}
    answer = processes.run(["docker", "image", "inspect", *wanted], environment=environment)
    return dict(zip(wanted, (one["Size"] for one in json.loads(answer)), strict=True))


def bake_file(recipes: Sequence[Recipe], workshop: Workshop) -> dict[str, Any]:
    """Return the bake file that builds *recipes*, as JSON."""
    secrets = workshop.secrets()
    targets: dict[str, Bake] = {}
    for one in recipes:
        roots = {root.target: root for root in one.all_roots(workshop.architecture)}
        targets |= {name: root.bake(workshop.roots[root]) for name, root in roots.items()}
        target = _target(one, workshop, secrets) | {
            "target": one.cell.device,
            "tags": [one.reference],
            "labels": one.labels(),
            "output": ["type=docker"],
        }
        if one.packaged:
            name = f"packages-{one.cell.pinned}"
            made = _target(one.packaged, workshop, secrets)
            targets[name] = made | {"target": "packages", "output": ["type=cacheonly"]}
            target["contexts"]["packages"] = f"target:{name}"
        targets[one.cell.id] = target
    return {"group": {"default": {"targets": [one.cell.id for one in recipes]}}, "target": targets}


def _target(one: Recipe, workshop: Workshop, secrets: Mapping[str, str]) -> Bake:
    """Return what a recipe's folder is built with; what comes out is not said yet."""
    proxies = {name: os.environ[name] for name in PROXIES if name in os.environ}
    contexts = dict.fromkeys(one.family.roots, f"docker-image://{one.image}")
    roots = one.roots(workshop.architecture)
    contexts |= {name: f"target:{root.target}" for name, root in roots.items()}
    if one.family.wheels:
        contexts["wheels"] = workshop.wheels(one.cell.pinned)
        contexts["toolwheels"] = workshop.wheels(pins.TOOLS)
    if one.family.overlaid:
        contexts["interpreter"] = workshop.interpreter(one)
    if one.family.sources:
        contexts["sources"] = str(one.sources)
    return {
        "context": str(one.folder),
        "dockerfile": "Dockerfile",
        "platforms": [one.platform],
        "args": one.arguments() | proxies,
        "secret": [secrets[name] for name in one.family.secrets()],
        "contexts": contexts,
    }


def _build(
    recipes: Sequence[Recipe], environment: Mapping[str, str], log: Path, progress: Progress
) -> dict[str, Prepared]:
    """Build images; while some fail, build the others without them.

    The builder stops everything at the first failure, but keeps the steps that were done.
    """
    processes.run(["docker", "buildx", "version"], environment=environment, hint=HINT)
    architecture = _ask(["docker", "version", "--format", "{{.Server.Arch}}"], environment)
    roots, done = _roots(recipes, architecture, progress)
    with TemporaryDirectory(prefix="deepmatrix-") as temporary:
        workshop = Workshop(
            folder=Path(temporary),
            sources=packages.configured(),
            architecture=architecture,
            roots=roots,
        )
        left = [one for one in recipes if one.cell.id not in done]
        while left:
            done |= _bake(left, workshop, environment, log, progress)
            left = [one for one in left if one.cell.id not in done]
    return done


def _roots(
    recipes: Sequence[Recipe], architecture: str, progress: Progress
) -> tuple[dict[Root, Path], dict[str, Prepared]]:
    """Make the Debian roots of *recipes*; return their folders, and the cells that lack theirs."""
    users: dict[Root, list[Recipe]] = {}
    for one in recipes:
        for root in one.all_roots(architecture):
            users.setdefault(root, []).append(one)

    def make(root: Root) -> Path | str:
        for one in users[root] if not root.made() else ():
            progress(one.cell.id, f"making a Debian root: {root.suite}, {root.architecture}")
        try:
            return root.make()
        except processes.CommandFailed as error:
            if error.code is None:  # there is no mmdebstrap: no root can be made
                raise
            return error.output.splitlines()[-1] if error.output else error.message

    with ThreadPoolExecutor(2) as pool:  # half of the time it waits for the mirror
        made = dict(zip(users, pool.map(make, users), strict=True))
    failed = {
        one.cell.id: _failed(one, f"its Debian root cannot be made: {answer}")
        for root, answer in made.items()
        if isinstance(answer, str)
        for one in users[root]
    }
    return {root: answer for root, answer in made.items() if isinstance(answer, Path)}, failed


def _bake(
    recipes: Sequence[Recipe],
    workshop: Workshop,
    environment: Mapping[str, str],
    log: Path,
    progress: Progress,
) -> dict[str, Prepared]:
    """Run one bake; return the cells that it finished and those that failed by themselves.

    At least one cell is returned: where no step failed but the whole call did, all of them.
    """
    file = workshop.folder / "bake.json"
    file.write_text(json.dumps(bake_file(recipes, workshop), indent=2), "utf-8")
    # The builder that is the engine itself bears its context's name.
    builder = _ask(["docker", "context", "show"], environment)
    errors: dict[str, str] = {}
    with log.open("a", encoding="utf-8") as said:
        watch = Watch([one.cell.id for one in recipes], progress, said)
        for _ in range(TRIES):
            whole = _call(file, {**environment, "BUILDX_BUILDER": builder}, watch)
            if RACE not in whole:
                break
        if whole:
            errors = watch.errors() or {one.cell.id: whole for one in recipes}
    found = sizes([one.reference for one in recipes], environment)
    failed = {
        one.cell.id: _failed(one, errors[one.cell.id]) for one in recipes if one.cell.id in errors
    }
    done = {
        one.cell.id: Prepared(
            cell_id=one.cell.id,
            reference=one.reference,
            size_bytes=found[one.reference],
            build_s=watch.seconds(one.cell.id),
            built=True,
        )
        for one in recipes
        if one.reference in found
    }
    return failed | done


def _call(file: Path, environment: Mapping[str, str], watch: Watch) -> str:
    """Call bake once; return its error, or nothing."""
    watch.last = ""
    try:
        processes.stream(
            ["docker", "buildx", "bake", "--file", str(file), "--progress", "rawjson"],
            on_line=watch.line,
            environment=environment,
            hint=HINT,
        )
    except processes.CommandFailed as error:
        return watch.last or error.message
    return ""


def _failed(one: Recipe, error: str) -> Prepared:
    return Prepared(cell_id=one.cell.id, reference=one.reference, error=error)


def _ask(command: Sequence[str], environment: Mapping[str, str]) -> str:
    return processes.run(command, environment=environment, hint=HINT).strip()
