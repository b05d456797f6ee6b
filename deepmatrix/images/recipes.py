"""Recipes: everything that determines a cell's image, and the image's name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from deepmatrix.config.families import FAMILIES, Family, Part
from deepmatrix.config.matrix import Matrix
from deepmatrix.images import bases, interpreters, pins
from deepmatrix.images.bases import Root
from deepmatrix.images.interpreters import Interpreter
from deepmatrix.paths import DOCKER, HARNESS
from deepmatrix.planning.cells import Cell

#: The first part of every image's name.
REPOSITORY = "deepmatrix"

#: Labels of the OCI: the hash of what an image is made from, and those that name its base.
REVISION = "org.opencontainers.image.revision"
BASE_NAME, BASE_DIGEST = (
    "org.opencontainers.image.base.name",
    "org.opencontainers.image.base.digest",
)

#: The label with Debian's packages of an image's root, as apt writes them.
DEBIAN_LABEL = f"{REPOSITORY}.debian"

#: Where a family's Dockerfile expects the wheels that only the host has.
WHEELS = "/wheels"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How the image of one cell is made.

    *image_digest* is what the registry means by the base's *image* now. The recipe's own digest
    does not contain it: when the registry's image is renewed, the cell's is not made again.
    """

    cell: Cell
    platform: str
    wheels: str
    base_name: str
    image: str
    suite: str
    kind: bases.Kind
    image_digest: str = ""
    installer: Recipe | None = None
    interpreter: Interpreter | None = None

    @property
    def folder(self) -> Path:
        """The folder of the image's family."""
        return DOCKER / self.family.folder

    @property
    def reference(self) -> str:
        """Name and tag of the image."""
        return f"{REPOSITORY}/{self.cell.id}:{self.digest()}"

    @property
    def family(self) -> Family:
        """What the image's family is built from."""
        return FAMILIES[self.cell.family]

    @property
    def packaged(self) -> Recipe | None:
        """The recipe of the image whose wheels it is linked with."""
        if not self.family.linked:
            return None
        cell = self.cell.with_system(family="wheels")
        return replace(self.installer or self, cell=cell)

    @property
    def packages_stage(self) -> str:
        """The stage of docker/wheels that its packages are from: with their headers, or without.

        Libraries for a GPU may compile at run time; that has not been tried without headers.
        """
        return "installed" if self.family.compiles or self.cell.device == "cuda" else "packages"

    @property
    def target(self) -> str:
        """Docker's name of the target's architecture."""
        return self.platform.split("/")[1]

    def arguments(self) -> dict[str, str]:
        """Return the Dockerfile's arguments."""
        own: dict[str, str] = {}
        if self.family.wheels:
            own |= {
                "PINS": self.cell.pinned,
                "WHEELS": self.wheels,
                "PACKAGES": self.packages_stage,
            }
        if self.family.wheels or self.family.overlaid:
            own |= {"PYTHON_VERSION": self.cell.python}
        if self.family.sources:
            own |= {"HARNESS": _digest(self._sources())[:16]}
        if self.family.runtime:
            own |= {"RUNTIME": self.family.runtime}
        return {**own, "SOURCE_DATE_EPOCH": "0"}  # the same content has the same digest

    def roots(self, build_architecture: str) -> dict[str, Root]:
        """Return the roots to be made, by their names in the Dockerfile.

        Where the base comes from a registry, only roots that need more packages have to be made.
        """
        return {
            context: self._root(part, build_architecture)
            for context, part in self.family.roots.items()
            if self.kind == "debian" or not part.stock
        }

    def all_roots(self, build_architecture: str) -> list[Root]:
        """Return its roots, and those of the image whose wheels it is linked with."""
        wheels_roots = self.packaged.all_roots(build_architecture) if self.packaged else []
        return [*self.roots(build_architecture).values(), *wheels_roots]

    def base(self) -> str:
        """Name the base of the image."""
        if self.kind == "registry":
            return self.image
        root = self._main_root(self.target)
        own = f" python:{self.interpreter.version}" if self.interpreter else ""
        return f"debian:{self.suite}:{root.digest()}{own}"

    def digest(self) -> str:
        """Return 12 hex digits of the content: files, base, arguments."""
        files = [path for path in self.folder.glob("*") if path.is_file()]
        if self.family.wheels:
            files += [pins.path(pins.TOOLS), pins.path(self.cell.pinned)]
        settings = json.dumps([self.arguments(), self.base(), self.platform])
        if self.packaged:
            settings += self.packages_stage + self.packaged.digest()
        return hashlib.sha256((_digest(files) + settings).encode()).hexdigest()[:12]

    def _sources(self) -> list[Path]:
        return [path for path in self.sources.rglob("*") if path.is_file()]

    @property
    def sources(self) -> Path:
        """The folder of the harness that is compiled."""
        return HARNESS / self.family.sources

    def labels(self, build_architecture: str) -> dict[str, str]:
        """Return the image's OCI labels, and one with the packages of the root it is made from."""
        name = "org.opencontainers.image"
        resolved = {BASE_DIGEST: self.image_digest} if self.image_digest else {}
        return resolved | {
            f"{name}.title": f"{REPOSITORY} {self.cell.id}",
            f"{name}.version": pins.version(self.cell) or "unknown",
            REVISION: self.digest(),
            BASE_NAME: self.base(),
            DEBIAN_LABEL: " ".join(self._main_root(build_architecture).debian()),
        }

    @property
    def pulled(self) -> str:
        """The base's image by its digest, where that is known."""
        if not self.image_digest or "@" in self.image:
            return self.image
        return f"{self.image}@{self.image_digest}"

    def _main_root(self, build_architecture: str) -> Root:
        """Return the root of the image, or the one that its files are copied from."""
        parts = self.family.roots
        return self._root(parts["base" if "base" in parts else "build"], build_architecture)

    def _root(self, part: Part, build_architecture: str) -> Root:
        architecture = build_architecture if part.native else self.target
        packages = part.packages_for(self.target, architecture)
        if self.interpreter:
            packages += interpreters.LIBRARIES
        # Packages that name an architecture are built for the target's, which may be a foreign one.
        foreign = self.target if any(":" in package for package in packages) else ""
        return Root(
            name=f"{self.base_name}-{part.name}",
            suite=self.suite,
            architecture=architecture,
            foreign=foreign if foreign != architecture else "",
            packages=packages,
            image=self.pulled if self.kind == "registry" else "",
        )


def _digest(files: Iterable[Path]) -> str:
    """Return hex digits of the names and the contents of files."""
    content = hashlib.sha256()
    for path in sorted(files):
        content.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return content.hexdigest()


def recipe_for(
    cell: Cell, matrix: Matrix, kind: bases.Kind, digests: Mapping[str, str] = MappingProxyType({})
) -> Recipe:
    """Return the recipe of a cell's image, on bases of a kind; *digests* are those of images."""
    return _recipe_on(cell, matrix, kind, cell.base, digests)


def _recipe_on(
    cell: Cell, matrix: Matrix, kind: bases.Kind, name: str, digests: Mapping[str, str]
) -> Recipe:
    base, architecture = matrix.bases[name], matrix.architectures[cell.architecture]
    return Recipe(
        cell=cell,
        platform=architecture.platform,
        wheels=architecture.wheels or "",
        base_name=name,
        image=base.image,
        suite=base.suite,
        kind=kind,
        image_digest=digests.get(base.image, ""),
        installer=_recipe_on(cell, matrix, kind, base.installer, digests)
        if base.installer
        else None,
        interpreter=interpreters.find_interpreter(base)
        if base.installer and kind == "debian"
        else None,
    )
