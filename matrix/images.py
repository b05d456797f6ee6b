"""Images: one a cell, all that are missing in one call of ``docker buildx bake``.

A cell's image is tagged with a hash of everything it is made from, so an image that exists is
the right one and is not built again. The bake file is generated; its targets are the cells' ids.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from matrix import bases, packages, pins, processes
from matrix.bases import BUILD_PACKAGES, RUN_PACKAGES, Bake, Root
from matrix.builds import Watch
from matrix.config import Matrix
from matrix.engines import Prepared, Progress
from matrix.plan import Cell

DOCKER = Path(__file__).resolve().parents[1] / "docker"

#: The first part of every image's name.
REPOSITORY = "deepmatrix"

#: Predefined build arguments, which reach neither the history nor the layers.
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides what a cell's image is."""

    cell: Cell
    platform: str
    wheels: str
    image: str
    suite: str
    kind: bases.Kind

    @property
    def folder(self) -> Path:
        """The folder of the image's family."""
        return DOCKER / self.cell.family

    @property
    def reference(self) -> str:
        """Name and tag of the image."""
        return f"{REPOSITORY}/{self.cell.id}:{self.digest()}"

    def arguments(self) -> dict[str, str]:
        """Return the Dockerfile's arguments."""
        return {
            "PINS": self.cell.id,
            "PYTHON_VERSION": self.cell.python,
            "WHEELS": self.wheels,
            "SOURCE_DATE_EPOCH": "0",
        }

    def root(self, architecture: str, wanted: tuple[str, ...]) -> Root:
        """Return the Debian root that stands for the base on an architecture."""
        return Root(
            name=self.cell.base,
            suite=self.suite,
            architecture=architecture,
            packages=wanted,
        )

    def base(self) -> str:
        """Say what the image stands on."""
        if self.kind == "registry":
            return self.image
        return f"debian:{self.suite}:{self.root(self.platform.split('/')[1], RUN_PACKAGES).digest()}"

    def digest(self) -> str:
        """Return 12 hex digits of the content: files, base, arguments."""
        content = hashlib.sha256()
        for path in (
            self.folder / "Dockerfile",
            self.folder / "install.sh",
            pins.path(pins.TOOLS),
            pins.path(self.cell.id),
        ):
            content.update(hashlib.sha256(path.read_bytes()).digest())
        content.update(json.dumps([self.arguments(), self.base(), self.platform]).encode())
        return content.hexdigest()[:12]

    def labels(self) -> dict[str, str]:
        """Return the image's OCI labels."""
        name = "org.opencontainers.image"
        return {
            f"{name}.title": f"{REPOSITORY} {self.cell.id}",
            f"{name}.version": pins.version(self.cell) or "unknown",
            f"{name}.revision": self.digest(),
            f"{name}.base.name": self.base(),
        }


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What a build needs of this machine: a folder for passing things, and its package sources."""

    folder: Path
    sources: packages.Sources
    build_architecture: str

    def secrets(self) -> list[str]:
        """Write the secrets of the builds; return them in bake's words."""
        texts = {
            "uv.toml": self.sources.uv_file("/wheels"),
            "pip.conf": self.sources.pip_file("/wheels"),
            "certificates": self.sources.certificates.read_text("utf-8")
            if self.sources.certificates
            else "",
        }
        for name, text in texts.items():
            (self.folder / name).write_text(text, "utf-8")
        return [f"id={name},src={self.folder / name}" for name in texts]

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
    progress: Progress = lambda cell_id, text: None,
) -> dict[str, Prepared]:
    """Make sure that every cell has its image, building those that are missing.

    *environment* names the engine (``DOCKER_HOST`` or ``DOCKER_CONTEXT``); the builder's words
    are appended to *log*. A cell whose image cannot be built is returned with its error.

    Raises EngineError when nothing can be built at all.
    """
    recipes = [recipe(cell, matrix, environment) for cell in cells if pins.path(cell.id).exists()]
    found = sizes([one.reference for one in recipes], environment)
    done = {
        one.cell.id: Prepared(
            cell_id=one.cell.id, reference=one.reference, size_bytes=found[one.reference]
        )
        for one in recipes
        if one.reference in found
    }
    done |= {
        cell.id: Prepared(
            cell_id=cell.id, reference="", error="it has no pins: run `nox -s pins`"
        )
        for cell in cells
        if not pins.path(cell.id).exists()
    }
    if missing := [one for one in recipes if one.cell.id not in done]:
        done |= _build(missing, environment, log, progress)
    return {cell.id: done[cell.id] for cell in cells}


def recipe(cell: Cell, matrix: Matrix, environment: Mapping[str, str]) -> Recipe:
    """Return how the image of a cell is made, on the engine that *environment* names."""
    base, architecture = matrix.bases[cell.base], matrix.architectures[cell.architecture]
    return Recipe(
        cell=cell,
        platform=architecture.platform,
        wheels=architecture.wheels,
        image=base.image,
        suite=base.suite,
        kind=bases.kind(base.image, environment),
    )


def sizes(references: Sequence[str], environment: Mapping[str, str]) -> dict[str, int]:
    """Return the bytes of those images that the engine has."""
    listing = ["docker", "image", "ls", "--filter", f"reference={REPOSITORY}/*"]
    known = processes.run(
        [*listing, "--format", "{{.Repository}}:{{.Tag}}"], environment=environment
    ).split()
    wanted = [one for one in references if one in set(known)]
    if not wanted:
        return {}
    answer = processes.run(["docker", "image", "inspect", *wanted], environment=environment)
    return dict(zip(wanted, (one["Size"] for one in json.loads(answer)), strict=True))


def bake_file(recipes: Sequence[Recipe], workshop: Workshop) -> dict[str, Any]:
    """Return the bake file that builds *recipes*, as JSON; make the roots that it needs."""
    targets: dict[str, Bake] = {}
    secrets = workshop.secrets()
    proxies = {name: os.environ[name] for name in PROXIES if name in os.environ}
    for one in recipes:
        targets[one.cell.id] = {
            "context": str(one.folder),
            "dockerfile": "Dockerfile",
            "target": one.cell.device,
            "platforms": [one.platform],
            "tags": [one.reference],
            "args": one.arguments() | proxies,
            "labels": one.labels(),
            "secret": secrets,
            "output": ["type=docker"],
            "contexts": {
                "wheels": workshop.wheels(one.cell.id),
                "toolwheels": workshop.wheels(pins.TOOLS),
                **_bases(one, workshop, targets),
            },
        }
    return {"group": {"default": {"targets": [one.cell.id for one in recipes]}}, "target": targets}


def _bases(one: Recipe, workshop: Workshop, targets: dict[str, Bake]) -> dict[str, str]:
    """Return the contexts ``build`` and ``base``, adding the targets that make them."""
    if one.kind == "registry":
        return dict.fromkeys(("build", "base"), f"docker-image://{one.image}")
    roots = {
        "build": one.root(workshop.build_architecture, BUILD_PACKAGES),
        "base": one.root(one.platform.removeprefix("linux/"), RUN_PACKAGES),
    }
    for root in roots.values():
        if root.target not in targets:
            targets[root.target] = root.bake(root.make())
    return {context: f"target:{root.target}" for context, root in roots.items()}


def _build(
    recipes: Sequence[Recipe],
    environment: Mapping[str, str],
    log: Path,
    progress: Progress,
) -> dict[str, Prepared]:
    """Build images; while some fail, build the others again without them.

    The builder cancels everything at the first failure, but keeps the steps that were done.
    """
    done: dict[str, Prepared] = {}
    with TemporaryDirectory(prefix="deepmatrix-") as temporary:
        workshop = Workshop(
            folder=Path(temporary),
            sources=packages.configured(),
            build_architecture=_server_architecture(environment),
        )
        left = list(recipes)
        while left:
            watch = Watch([one.cell.id for one in left], progress)
            failure = _bake(left, workshop, watch, environment, log)
            found = sizes([one.reference for one in left], environment)
            for one in left:
                if one.reference in found:
                    done[one.cell.id] = Prepared(
                        cell_id=one.cell.id,
                        reference=one.reference,
                        size_bytes=found[one.reference],
                        build_s=watch.seconds(one.cell.id),
                        built=True,
                    )
            errors = watch.errors() if failure else {}
            if failure and not errors:
                errors = {one.cell.id: failure for one in left if one.cell.id not in done}
            for one in left:
                if one.cell.id in errors and one.cell.id not in done:
                    done[one.cell.id] = Prepared(
                        cell_id=one.cell.id, reference=one.reference, error=errors[one.cell.id]
                    )
            left = [one for one in left if one.cell.id not in done]
    return done


def _bake(
    recipes: Sequence[Recipe],
    workshop: Workshop,
    watch: Watch,
    environment: Mapping[str, str],
    log: Path,
) -> str:
    """Run one bake; return why it failed, or nothing."""
    file = workshop.folder / "bake.json"
    file.write_text(json.dumps(bake_file(recipes, workshop), indent=2))
    command = ["docker", "buildx", "bake", "--file", str(file), "--progress", "rawjson"]
    try:
        processes.stream(
            command,
            log=log,
            on_line=watch.line,
            environment={**environment, "BUILDX_BUILDER": _builder(environment)},
            hint="set up an engine with buildx by `nox -s engine`",
        )
    except processes.CommandFailed as error:
        if error.code is None:
            raise
        return watch.last or error.message
    return ""


def _builder(environment: Mapping[str, str]) -> str:
    """Return the builder that is the engine itself: it bears its context's name."""
    return processes.run(["docker", "context", "show"], environment=environment).strip()


def _server_architecture(environment: Mapping[str, str]) -> str:
    return processes.run(
        ["docker", "version", "--format", "{{.Server.Arch}}"], environment=environment
    ).strip()
