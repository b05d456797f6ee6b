"""Recipes: everything that decides what a cell's image is, and the name that follows from it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from matrix import bases, pins
from matrix.bases import BUILD_PACKAGES, RUN_PACKAGES, Root
from matrix.config import Matrix
from matrix.plan import Cell

DOCKER = Path(__file__).resolve().parents[1] / "docker"

#: The first part of every image's name.
REPOSITORY = "deepmatrix"

#: Where a family's Dockerfile expects the wheels that only the host has.
WHEELS = "/wheels"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How the image of one cell is made."""

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
            "PINS": self.cell.pinned,
            "PYTHON_VERSION": self.cell.python,
            "WHEELS": self.wheels,
            "SOURCE_DATE_EPOCH": "0",  # the same content has the same digest
        }

    def roots(self, build_architecture: str) -> dict[str, Root]:
        """Return the Debian roots that stand for the base, by the Dockerfile's names for them.

        Empty where the base comes from a registry.
        """
        if self.kind == "registry":
            return {}
        return {
            "build": self._root(build_architecture, BUILD_PACKAGES),
            "base": self._root(self.platform.removeprefix("linux/"), RUN_PACKAGES),
        }

    def base(self) -> str:
        """Say what the image stands on."""
        if self.kind == "registry":
            return self.image
        root = self._root(self.platform.removeprefix("linux/"), RUN_PACKAGES)
        return f"debian:{self.suite}:{root.digest()}"

    def digest(self) -> str:
        """Return 12 hex digits of the content: files, base, arguments."""
        content = hashlib.sha256()
        for path in (
            self.folder / "Dockerfile",
            self.folder / "install.sh",
            self.folder / "bytecode.py",
            pins.path(pins.TOOLS),
            pins.path(self.cell.pinned),
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

    def _root(self, architecture: str, wanted: tuple[str, ...]) -> Root:
        return Root(
            name=self.cell.base, suite=self.suite, architecture=architecture, packages=wanted
        )


def recipe(cell: Cell, matrix: Matrix, kind: bases.Kind) -> Recipe:
    """Return how the image of a cell is made, on bases of a kind."""
    base, architecture = matrix.bases[cell.base], matrix.architectures[cell.architecture]
    return Recipe(
        cell=cell,
        platform=architecture.platform,
        wheels=architecture.wheels or "",
        image=base.image,
        suite=base.suite,
        kind=kind,
    )
