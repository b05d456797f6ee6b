"""Which files of an image say what is installed in it, and what they say together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from deepmatrix.images import debian
from deepmatrix.images.sbom import components
from deepmatrix.images.sbom.components import Component

#: What of Debian's own packages is below ``usr`` is in Debian's list already.
_OWN = r"(?!usr/(?!local/))(?:[^/]+/)*"

_STATUS: Final = re.compile(r"var/lib/dpkg/status(?:\.d/[^/]+)?")
_NOTICE: Final = re.compile(r"usr/share/doc/([^/]+)(/copyright)?")
_METADATA: Final = re.compile(rf"{_OWN}[^/]+\.dist-info/METADATA")
_NPM: Final = re.compile(rf"{_OWN}node_modules/(?:@[^/]+/)?[^/]+/package\.json")
_PYTHON: Final = re.compile(r"usr/local/include/python3[^/]*/patchlevel\.h")
_RELEASE: Final = "usr/lib/os-release"

#: In ``usr/share/doc`` it stands for the image's own program.
OURS: Final = "deepmatrix"


class Entry(NamedTuple):
    """A file of an image, or a link, which has no content."""

    path: str
    content: bytes
    link: str = ""


class Contents(NamedTuple):
    """What is installed in an image. *system*: that of its os-release, ``debian-12``, or empty."""

    installed: tuple[Component, ...]
    system: str


def is_wanted(path: str) -> bool:
    """Say whether a file says what is installed. The path is relative to the image's root."""
    kinds = (_STATUS, _NOTICE, _METADATA, _NPM, _PYTHON)
    return path == _RELEASE or any(kind.fullmatch(path) for kind in kinds)


def read(entries: Iterable[Entry], recorded: Sequence[str]) -> Contents:
    """Return what an image's files say; *recorded* are the packages of its Debian root.

    A root that was only unpacked has no list of its packages, and an image may hold a part of
    them. Each that is there has its licence there.

    Raises:
        Damaged: a file is not as its package manager writes it.
    """
    installed: list[Component] = []
    notices: dict[str, Entry] = {}
    system = ""
    for entry in entries:
        if notice := _NOTICE.fullmatch(entry.path):
            if entry.link or notice[2]:
                notices[notice[1]] = entry
        elif entry.path == _RELEASE:
            system = _system(entry.content)
        else:
            installed += _of_file(entry)
    if not any(component.ecosystem == "deb" for component in installed):
        installed += _of_notices(notices, recorded)
    licensed = [_licensed(component, notices) for component in installed]
    by_text = {repr(component): component for component in licensed}
    return Contents(tuple(by_text[text] for text in sorted(by_text)), system)


def _of_file(entry: Entry) -> Iterator[Component]:
    if _STATUS.fullmatch(entry.path):
        yield from components.debian_installed(entry.path, entry.content)
    elif _METADATA.fullmatch(entry.path):
        yield components.python_installed(entry.path, entry.content)
    elif _NPM.fullmatch(entry.path):
        yield components.npm_installed(entry.path, entry.content)
    elif _PYTHON.fullmatch(entry.path):
        yield components.python_itself(entry.path, entry.content)


def _of_notices(notices: dict[str, Entry], recorded: Sequence[str]) -> Iterator[Component]:
    """Yield the recorded packages that are there, and those that are there and not recorded."""
    packages = [debian.read(written) for written in recorded]
    yield from (
        components.debian_recorded(package) for package in packages if package.name in notices
    )
    known = {package.name for package in packages}
    for name in sorted(notices.keys() - known - {OURS}):
        yield components.debian_unknown(notices[name].path, name)


def _licensed(component: Component, notices: dict[str, Entry]) -> Component:
    """Return a package of Debian with the licences of its notice; it may be another package's."""
    if component.ecosystem != "deb" or component.name not in notices:
        return component
    notice = notices[component.name]
    if notice.link:
        target = notice.link.removesuffix("/copyright").rpartition("/")[2]
        notice = notices.get(target, notice)
    return components.with_licences(component, components.debian_licences(notice.content))


def _system(content: bytes) -> str:
    """Return the name and the number of a release, from its os-release."""
    fields = dict(
        line.partition("=")[::2] for line in content.decode("utf-8", "replace").splitlines()
    )
    words = [fields.get(name, "").strip('"') for name in ("ID", "VERSION_ID")]
    return "-".join(words) if all(re.fullmatch(r"[a-z0-9._]{1,40}", word) for word in words) else ""
