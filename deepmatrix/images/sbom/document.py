"""The document: a bill of materials in the format CycloneDX 1.6, as JSON."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cyclonedx.contrib.license.exceptions import InvalidSpdxLicenseException
from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component as Listed
from cyclonedx.model.component import ComponentType
from cyclonedx.model.license import License, LicenseAcknowledgement
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from deepmatrix import __version__
from deepmatrix.config.families import FAMILIES
from deepmatrix.images import pins
from deepmatrix.images.prepared import Prepared
from deepmatrix.images.sbom.components import Component
from deepmatrix.images.sbom.contents import Contents
from deepmatrix.machine.packages import indexes
from deepmatrix.paths import DOCKER
from deepmatrix.planning.cells import Cell

#: Names of properties.
LOCKED, UNKNOWN = "deepmatrix:locked", "deepmatrix:version"
BASE, REFERENCE = "deepmatrix:base", "deepmatrix:reference"

_DECLARED = LicenseAcknowledgement.DECLARED


@dataclass(frozen=True, kw_only=True)
class Locks:
    """The hashes of the lock files that an image was made with, by name and version.

    *wheels*: sha256, several where a version has several files. *npm*: sha512.
    """

    wheels: Mapping[tuple[str, str], frozenset[str]]
    npm: Mapping[tuple[str, str], str]


def locks_of(cell: Cell) -> Locks:
    """Return the locks of a cell's image."""
    family = FAMILIES[cell.family]
    wheels = pins.path(cell.pinned).read_text("utf-8") if family.pinned else ""
    lock = DOCKER / family.folder / "package-lock.json"
    return Locks(
        wheels=indexes.hashes_by_project(wheels), npm=npm_hashes(lock) if family.npm else {}
    )


def npm_hashes(lock: Path) -> dict[tuple[str, str], str]:
    """Return the sha512 of a lock file's packages in hex digits, by name and version."""
    listed = json.loads(lock.read_text("utf-8"))["packages"]
    hashes = {}
    for path, package in listed.items():
        algorithm, _, encoded = package.get("integrity", "").partition("-")
        if algorithm == "sha512":
            name = path.rpartition("node_modules/")[2]
            hashes[name, package["version"]] = binascii.hexlify(base64.b64decode(encoded)).decode()
    return hashes


def render(cell: Cell, image: Prepared, contents: Contents) -> str:
    """Return the bill of materials of a cell's image, as JSON."""
    locks = locks_of(cell)
    root = Listed(
        type=ComponentType.CONTAINER,
        name=image.reference.partition(":")[0],
        version=image.image_id,
        bom_ref=f"image:{image.image_id}",
        properties=[
            Property(name=REFERENCE, value=image.reference),
            Property(name=BASE, value=image.base or "unknown"),
        ],
    )
    components = [*contents.installed, *_copied(cell)]
    listed = [
        *(_listed(component, contents.system, locks) for component in components),
        *_without_package(cell, contents.system),
    ]
    by_reference = {component.bom_ref.value: component for component in listed}
    bom = Bom(components=by_reference.values(), metadata=BomMetaData(component=root))
    bom.metadata.tools.components.add(_program(f"deepmatrix@{__version__}", "deepmatrix"))
    bom.register_dependency(root, by_reference.values())
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def _copied(cell: Cell) -> Iterator[Component]:
    """Yield the package whose libraries were copied into the image without its metadata."""
    family = FAMILIES[cell.family]
    if family.linked and not family.overlaid:
        names = {name for name, _ in locks_of(cell).wheels}
        name = cell.distribution if cell.distribution in names else f"{cell.distribution}-gpu"
        yield Component(ecosystem="pypi", name=name, version=pins.version(cell) or "")


def _without_package(cell: Cell, system: str) -> Iterator[Listed]:
    """Yield the operating system, and our own program where the image has one."""
    if system:
        name, _, version = system.partition("-")
        kind = ComponentType.OPERATING_SYSTEM
        yield Listed(type=kind, name=name, version=version, bom_ref=f"system:{system}")
    if FAMILIES[cell.family].sources:
        yield _program("deepmatrix:runner", "deepmatrix-runner")


def _program(reference: str, name: str) -> Listed:
    return Listed(
        type=ComponentType.APPLICATION,
        name=name,
        version=__version__,
        bom_ref=reference,
        licenses=[LicenseFactory().make_with_id("Apache-2.0")],
    )


def _listed(component: Component, system: str, locks: Locks) -> Listed:
    address = _address(component, system)
    group, _, name = component.name.rpartition("/")
    sha256, sha512 = _locked(component, locks)
    hashes = [HashType(alg=HashAlgorithm.SHA_512, content=sha512)] if sha512 else []
    if len(sha256) == 1:
        hashes.append(HashType(alg=HashAlgorithm.SHA_256, content=sha256[0]))
    # Which of a version's files was installed, its metadata does not say.
    files = f"by the hash of one of {len(sha256)} files"
    properties = [Property(name=LOCKED, value=files)] if len(sha256) > 1 else []
    if not component.version:
        properties.append(Property(name=UNKNOWN, value="unknown"))
    return Listed(
        type=ComponentType.LIBRARY,
        name=name,
        group=group or None,
        version=component.version or None,
        purl=address,
        bom_ref=str(address),
        licenses=list(_licences(component.licences)),
        hashes=hashes,
        properties=properties,
    )


def _locked(component: Component, locks: Locks) -> tuple[list[str], str]:
    """Return the sha256 of the files that the lock allows for a package, and its sha512."""
    wheels: frozenset[str] = frozenset()
    if component.ecosystem == "pypi":
        project = indexes.normalized(component.name)
        wheels = locks.wheels.get((project, component.version), wheels)
    npm = component.ecosystem == "npm"
    return sorted(wheels), locks.npm.get((component.name, component.version), "") if npm else ""


def _address(component: Component, system: str) -> PackageURL:
    """Return the package URL, as its specification has it for each ecosystem."""
    group, _, name = component.name.rpartition("/")
    qualifiers: dict[str, str] = {}
    if component.ecosystem == "deb":
        group = "debian"
        texts = {"arch": component.architecture, "distro": system, "upstream": component.source}
        qualifiers = {key: text for key, text in texts.items() if text}
    if component.ecosystem == "pypi":
        name = indexes.normalized(component.name)
    return PackageURL(
        type=component.ecosystem,
        namespace=group or None,
        name=name,
        version=component.version or None,
        qualifiers=qualifiers,
    )


def _licences(names: tuple[str, ...]) -> Iterator[License]:
    """Yield licences: one may be an expression of SPDX, several are identifiers or names."""
    factory = LicenseFactory()
    for name in names:
        if len(names) == 1:
            yield factory.make_from_string(name, license_acknowledgement=_DECLARED)
            continue
        try:
            yield factory.make_with_id(name, acknowledgement=_DECLARED)
        except InvalidSpdxLicenseException:
            yield factory.make_with_name(name, acknowledgement=_DECLARED)
