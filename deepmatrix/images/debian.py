"""Debian's packages: the notation of apt, ``libc6:amd64=2.36-9``, and where it is read from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote

from deepmatrix.boundary.bounds import one_line

#: Names, architectures and versions as Debian's policy has them.
NAME, ARCHITECTURE = r"[a-z0-9][a-z0-9+.-]{0,199}", "[a-z0-9][a-z0-9-]{0,99}"
VERSION = "[A-Za-z0-9.+:~-]{1,200}"

_ARCHIVE = re.compile(f"({NAME})_({VERSION})_({ARCHITECTURE})[.]deb")
_WRITTEN = re.compile(f"({NAME}):({ARCHITECTURE})=({VERSION})")

#: Packages of an image: Debian has ten times as many.
MOST = 10_000


class Package(NamedTuple):
    """One package, as it is installed."""

    name: str
    architecture: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}:{self.architecture}={self.version}"


def of_archives(names: Iterable[str]) -> tuple[str, ...]:
    """Return the packages of files such as ``libc6_2.36-9_amd64.deb``, as apt writes them."""
    matches = (_ARCHIVE.fullmatch(unquote(name)) for name in names)
    return tuple(sorted(str(Package(m[1], m[3], m[2])) for m in matches if m))


def of_label(text: str) -> tuple[str, ...]:
    """Return the packages of an image's label. What is none of apt's notation is left out."""
    words = one_line(text).split()[:MOST]
    return tuple(word for word in words if _WRITTEN.fullmatch(word))


def read(written: str) -> Package:
    """Return the package that apt writes so. Raises ValueError."""
    match = _WRITTEN.fullmatch(written)
    if match is None:
        raise ValueError(f"{written!r} is no package as apt writes it")
    return Package(*match.groups())
