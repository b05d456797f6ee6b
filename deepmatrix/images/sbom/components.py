"""Components of an image: what a package manager's own file says of one package, checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import JsonValue, StringConstraints, TypeAdapter, ValidationError

from deepmatrix.boundary.bounds import FewFixed, Remark
from deepmatrix.boundary.files import Damaged, describe
from deepmatrix.images import debian
from deepmatrix.images.sbom.fields import Paragraph, first, paragraphs

#: Ecosystems, by their names in package URLs.
Ecosystem = Literal["deb", "pypi", "npm", "generic"]

#: The most licences of one package that are listed, and the characters of one.
MOST_LICENCES, LONGEST_LICENCE = 50, 400

#: Without spaces and control characters, as every ecosystem has it.
Word = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,400}$")]

HINT = "the image is damaged: remove it and build it again"


@dataclass(frozen=True, kw_only=True)
class Component:
    """A package. *source*: Debian's source package, where it has another name.

    *version* is empty where nothing in the image says it.
    """

    ecosystem: Ecosystem
    name: Word
    version: Word | Literal[""]
    architecture: Word | Literal[""] = ""
    source: Word | Literal[""] = ""
    licences: FewFixed[Remark] = ()


_COMPONENT = TypeAdapter(Component)
_PACKAGE_JSON = TypeAdapter(dict[str, JsonValue])


def debian_installed(path: str, content: bytes) -> Iterator[Component]:
    """Yield the packages of dpkg's list that are unpacked or installed. Raises Damaged."""
    for paragraph in paragraphs(_text(content)):
        status = first(paragraph, "status").split()
        # A list of one package, as in images without dpkg, has no status.
        if status and status[-1] in ("not-installed", "config-files"):
            continue
        yield _checked(
            path,
            ecosystem="deb",
            name=first(paragraph, "package"),
            version=first(paragraph, "version"),
            architecture=first(paragraph, "architecture"),
            source=first(paragraph, "source").partition(" ")[0],
        )


def debian_recorded(package: debian.Package) -> Component:
    """Return a package that was recorded when the image's root was made."""
    return Component(
        ecosystem="deb",
        name=package.name,
        version=package.version,
        architecture=package.architecture,
    )


def debian_unknown(path: str, name: str) -> Component:
    """Return a package of which only the licence is there. Raises Damaged."""
    return _checked(path, ecosystem="deb", name=name, version="")


def debian_licences(content: bytes) -> tuple[str, ...]:
    """Return the short names in a copyright file of Debian's format; none of another's."""
    described = list(paragraphs(_text(content)))
    if not described or not first(described[0], "format"):
        return ()
    return _licences(sorted({first(paragraph, "license") for paragraph in described}))


def with_licences(component: Component, licences: tuple[str, ...]) -> Component:
    """Return the same package with its licences."""
    return _checked(component.name, **{**vars(component), "licences": licences})


def python_installed(path: str, content: bytes) -> Component:
    """Return a Python package by its METADATA. Raises Damaged."""
    metadata: Paragraph = next(paragraphs(_text(content)), {})
    return _checked(
        path,
        ecosystem="pypi",
        name=first(metadata, "name"),
        version=first(metadata, "version"),
        licences=_python_licences(metadata),
    )


def _python_licences(metadata: Paragraph) -> tuple[str, ...]:
    """Return what it declares: an expression of SPDX, else classifiers, else a short text."""
    classifiers = [
        text.rpartition(" :: ")[2]
        for text in metadata.get("classifier", [])
        if text.startswith("License ::") and text != "License :: OSI Approved"
    ]
    expression = first(metadata, "license-expression")
    return _licences([expression] if expression else classifiers or [first(metadata, "license")])


def npm_installed(path: str, content: bytes) -> Component:
    """Return a package of npm by its package.json. Raises Damaged."""
    try:
        described: Mapping[str, Any] = _PACKAGE_JSON.validate_json(content)
    except ValidationError as error:
        raise Damaged(path, describe(error), hint=HINT) from None
    licence = described.get("license")
    name = licence.get("type") if isinstance(licence, dict) else licence
    return _checked(
        path,
        ecosystem="npm",
        name=described.get("name", ""),
        version=described.get("version", ""),
        licences=_licences([name] if isinstance(name, str) else []),
    )


def python_itself(path: str, content: bytes) -> Component:
    """Return a Python that is no package, by its header with the version. Raises Damaged."""
    version = re.search(r'^#define PY_VERSION\s+"([^"]*)"', _text(content), re.MULTILINE)
    licences = ("PSF-2.0",)
    return _checked(
        path,
        ecosystem="generic",
        name="cpython",
        version=version[1] if version else "",
        licences=licences,
    )


def _checked(path: str, **fields: object) -> Component:
    try:
        return _COMPONENT.validate_python(fields)
    except ValidationError as error:
        raise Damaged(path, describe(error), hint=HINT) from None


def _licences(names: list[str]) -> tuple[str, ...]:
    short = [name.strip() for name in names if 0 < len(name.strip()) <= LONGEST_LICENCE]
    return tuple(short[:MOST_LICENCES])


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")
