"""Bases: an operating-system root with one Python, from a registry or from Debian's packages.

Where a registry answers, a base is the official image. Where none does, it is a Debian root
that mmdebstrap unpacks on this machine, for any architecture, executing nothing of it. Set
``DEEPMATRIX_BASES=registry`` or ``DEEPMATRIX_BASES=debian`` to force one of the two.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import tarfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from pydantic import TypeAdapter

from deepmatrix.boundary.bounds import ImageDigest, Line, Moment
from deepmatrix.boundary.files import Damaged, read_bytes, read_json
from deepmatrix.boundary.writing import write_text
from deepmatrix.config.families import DEBIAN_NAMES
from deepmatrix.errors import ArgumentError, EngineError
from deepmatrix.images import debian
from deepmatrix.invocation import command_line
from deepmatrix.machine import folders, processes
from deepmatrix.machine.packages import apt
from deepmatrix.paths import DOCKER

FOLDER = DOCKER / "base"

Kind = Literal["registry", "debian"]
KINDS: dict[str, Kind] = {"registry": "registry", "debian": "debian"}

#: How long it is remembered whether the registry answers, and how long to wait for its answer.
REMEMBERED_S = 3600.0
PROBE_S = 8.0

#: apt's messages about a mirror whose files do not fit each other: it is being synchronised, or it
#: no longer has all of a suite for every architecture.
INCONSISTENT = ("404  Not Found", "Mirror sync in progress", "is expired (invalid since")

#: The file beside a root with Debian's packages in it, and where they lie while it is made.
PACKAGES, ARCHIVES = "packages.txt", "/var/cache/apt/archives"

#: What Debian also calls its current suite; a mirror may have the two at different times.
STABLE = "stable"

Bake = dict[str, Any]
"""A target of a bake file, as it is in the JSON."""


@dataclass(frozen=True, kw_only=True)
class Root:
    """A root to be made: a suite, an architecture, and its packages.

    *foreign* is a second architecture, some of whose packages it holds. *image* is the base image
    where a registry answers; empty where the root is made from Debian's packages alone.
    """

    name: str
    suite: str
    architecture: str
    packages: tuple[str, ...]
    foreign: str = ""
    image: str = ""

    @property
    def target(self) -> str:
        """Its name in a bake file."""
        return "-".join(filter(None, ("root", self.name, self.architecture, self.foreign)))

    def digest(self) -> str:
        """Return 12 hex digits that change with everything it is made from, except the mirror."""
        recipe = (FOLDER / "finish.sh").read_bytes() + (FOLDER / "Dockerfile").read_bytes()
        text = " ".join((self.suite, self.architecture, self.foreign, *self.packages))
        return hashlib.sha256(recipe + text.encode()).hexdigest()[:12]

    def bake(self, folder: Path) -> Bake:
        """Return its bake target, from the folder that `make` returned."""
        if self.image:
            return self._on_image()
        return {
            "context": str(folder),
            "dockerfile": str(FOLDER / "Dockerfile"),
            "platforms": [f"linux/{self.architecture}"],
            # Some versions of buildx store it in the engine in any case, so it gets a name.
            "tags": [f"deepmatrix/{self.target}:{self.digest()}"],
            "output": ["type=docker"],
            "args": {"SOURCE_DATE_EPOCH": "0"},
        }

    def _on_image(self) -> Bake:
        return {
            "context": str(FOLDER),
            "dockerfile": "packages.Dockerfile",
            "platforms": [f"linux/{self.architecture}"],
            "args": {
                "IMAGE": self.image,
                "FOREIGN": debian_name(self.foreign),
                "PACKAGES": " ".join(self.packages),
                "SOURCE_DATE_EPOCH": "0",
            },
            "output": ["type=cacheonly"],
        }

    def is_cached(self) -> bool:
        """Say whether it is cached, or is an image that needs no making here."""
        return bool(self.image) or (self._folder() / "rootfs.tar").exists()

    def make_filesystem(self) -> Path:
        """Return the folder that holds its ``rootfs.tar``, making it if it is not cached.

        Raises EngineError when mmdebstrap is missing or fails.
        """
        folder = self._folder()
        if self.is_cached():
            return folder
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder) as temporary:
            tar = Path(temporary) / "rootfs.tar"
            self._make(tar)
            tar.with_name(PACKAGES).replace(folder / PACKAGES)
            tar.replace(folder / "rootfs.tar")
        return folder

    def debian(self) -> tuple[str, ...]:
        """Return Debian's packages in it as apt writes them; none where that is not recorded."""
        try:
            return debian.of_archives(read_bytes(self._folder() / PACKAGES).decode().split())
        except (Damaged, UnicodeDecodeError):
            return ()

    def _make(self, tar: Path) -> None:
        """Make it from all sources of its suite; where these are inconsistent, from fewer."""
        first_error: processes.CommandFailed | None = None
        for suite, sources in _views(self.suite):
            try:
                self._unpack(tar, suite, sources)
            except processes.CommandFailed as error:
                if not any(symptom in error.output for symptom in INCONSISTENT):
                    raise
                first_error = first_error or error
            else:
                if suite == self.suite or _codename(tar) == self.suite:
                    return
        if first_error:
            raise EngineError(
                f"the Debian mirror is inconsistent: {_mirror_symptom(first_error.output)}",
                hint="try again later, name another mirror in this machine's apt sources, "
                "or use a registry: DEEPMATRIX_BASES=registry",
            )

    def _unpack(self, tar: Path, suite: str, sources: list[str]) -> None:
        architectures = filter(None, (self.architecture, self.foreign))
        processes.run(
            [
                "mmdebstrap",
                "--variant=extract",
                f"--architectures={','.join(map(debian_name, architectures))}",
                f"--include={','.join(self.packages)}",
                f'--extract-hook={FOLDER / "finish.sh"} "$1"',
                # Nothing in it says which versions these are: nothing was installed.
                f'--extract-hook=ls "$1{ARCHIVES}" >"$1/{PACKAGES}"',
                f"--extract-hook=download /{PACKAGES} {shlex.quote(str(tar.with_name(PACKAGES)))}",
                f'--extract-hook=rm "$1/{PACKAGES}"',
                suite,
                str(tar),
                *sources,
            ],
            environment={"SOURCE_DATE_EPOCH": "0"},
            hint=f"install mmdebstrap with `{command_line('engine')}`, "
            "or use a registry: DEEPMATRIX_BASES=registry",
        )

    def _folder(self) -> Path:
        return folders.cache() / "roots" / f"{self.target}-{self.digest()}"


def debian_name(architecture: str) -> str:
    """Return Debian's name of one of Docker's architectures."""
    return DEBIAN_NAMES.get(architecture, architecture)


def base_kind(image: str, environment: Mapping[str, str]) -> Kind:
    """Say whether *image* comes from its registry or a Debian root takes its place.

    *environment* names the engine. The registry's answer is remembered for an hour.
    """
    if kind := _forced_kind():
        return kind
    return "registry" if base_digest(image, environment) else "debian"


def _forced_kind() -> Kind | None:
    forced = os.environ.get("DEEPMATRIX_BASES", "")
    if forced and forced not in KINDS:
        raise ArgumentError(
            f"DEEPMATRIX_BASES is '{forced}', from which no base image can be made",
            hint="set it to 'registry' or 'debian', or not at all",
        )
    return KINDS.get(forced)


def base_digest(image: str, environment: Mapping[str, str]) -> str:
    """Return what the name of an image means in its registry now: ``sha256:``, 64 hex digits.

    Empty where no registry answers. The answer is remembered for an hour.
    """
    memory = folders.cache() / "registry.json"
    answers = _read(memory)
    asked_at, digest = answers.get(image, (0.0, ""))
    if not 0 <= time.time() - asked_at < REMEMBERED_S:
        digest = _ask_registry(image, environment)
        write_text(memory, json.dumps({**answers, image: (time.time(), digest)}))
    return digest


def _ask_registry(image: str, environment: Mapping[str, str]) -> str:
    """Return the digest of an image's manifest, or of its list of manifests."""
    try:
        manifest = processes.run(
            ["docker", "buildx", "imagetools", "inspect", "--raw", image],
            environment=environment,
            timeout_s=PROBE_S,
        )
    except EngineError:
        return ""
    return f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}"


#: By image, when its registry was asked, and the digest that it answered, if it did.
_ANSWERS = TypeAdapter(dict[Line, tuple[Moment, ImageDigest | Literal[""]]])


def _read(memory: Path) -> dict[str, tuple[float, str]]:
    """Return what registries answered before; nothing where that file is missing or damaged."""
    try:
        return read_json(memory, _ANSWERS)
    except Damaged:
        return {}


def _views(suite: str) -> Iterator[tuple[str, list[str]]]:
    """Yield suites with their sources, to be tried in turn.

    First all sources; then the suite as it was released; then the current suite, under its name
    "stable", which helps where it is this suite.
    """
    sources = _mirrors(suite)
    yield suite, sources
    if sources:
        yield suite, sources[:1]
        yield STABLE, _mirrors(STABLE)[:1]


def _codename(tar: Path) -> str:
    """Return the suite of a root, from its own ``os-release``."""
    with tarfile.open(tar) as archive:
        for member in archive:
            if member.name.endswith("usr/lib/os-release") and (text := archive.extractfile(member)):
                match = re.search(r"^VERSION_CODENAME=(\w+)$", text.read().decode(), re.MULTILINE)
                return match[1] if match else ""
    return ""


def _mirror_symptom(output: str) -> str:
    """Return the first line of apt's output that says what is inconsistent."""
    lines = [line.strip() for line in output.splitlines()]
    return next(line for line in lines if any(symptom in line for symptom in INCONSISTENT))


def _mirrors(suite: str) -> list[str]:
    """Return the apt sources of *suite* at the mirrors that this machine itself uses.

    Empty where this machine is not a Debian one: mmdebstrap then knows where Debian is.
    """
    try:
        mirrors = apt.mirrors()
    except EngineError:
        return []
    if "Debian" not in mirrors:
        return []
    sources = [
        f"deb {mirrors['Debian']} {suite} main",
        f"deb {mirrors['Debian']} {suite}-updates main",
    ]
    if "Debian-Security" in mirrors:
        sources.append(f"deb {mirrors['Debian-Security']} {suite}-security main")
    return sources
