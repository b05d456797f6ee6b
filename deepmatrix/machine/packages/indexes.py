"""Where this machine gets its Python packages: the configuration of pip and uv.

uv does not read pip's configuration. This module reads both and writes them for uv: as environment
variables on this machine, and as a configuration file inside an image build. There, one folder
with the wheels that the build needs replaces the folders of this machine.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
import ssl
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from deepmatrix.machine import folders
from deepmatrix.machine.packages.settings import read_settings

#: An index that lacks the pinned version must not hide another that has it. The pins' hashes, not
#: the order of the indexes, determine the file.
STRATEGY = "unsafe-best-match"


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Indexes and folders of packages, and the certificates to trust. Addresses are URLs or paths.

    ``index`` replaces PyPI; ``indexes`` are searched beside it; ``links`` are folders or pages of
    files; ``insecure`` are hosts whose certificate is not checked.
    """

    index: str | None = None
    indexes: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    insecure: tuple[str, ...] = ()
    no_index: bool = False
    certificates: Path | None = None

    def environment(self) -> dict[str, str]:
        """Return the environment variables for uv on this machine."""
        variables = {
            "UV_DEFAULT_INDEX": self.index or "",
            "UV_INDEX": " ".join(self.indexes),
            "UV_FIND_LINKS": ",".join(self.links),
            "UV_INSECURE_HOST": " ".join(self.insecure),
            "UV_NO_INDEX": "1" if self.no_index else "",
            "SSL_CERT_FILE": str(self.certificates or ""),
        }
        return {"UV_INDEX_STRATEGY": STRATEGY} | {
            key: text for key, text in variables.items() if text
        }

    def shared(self) -> Sources:
        """Return the same without local indexes beside the main one.

        A local index holds only some files of a version: pins made with it would lack the hashes
        of the other files.
        """
        return dataclasses.replace(self, indexes=tuple(filter(_remote, self.indexes)))

    def uv_file(self, folder: str) -> str:
        """Return a ``uv.toml`` for a build that finds this machine's own wheels in *folder*."""
        lines = [
            f"index-strategy = {json.dumps(STRATEGY)}",
            f"find-links = {json.dumps([folder, *filter(_remote, self.links)])}",
            f"extra-index-url = {json.dumps([*filter(_remote, self.indexes)])}",
            f"allow-insecure-host = {json.dumps([*self.insecure])}",
        ]
        if self.index and _remote(self.index):
            lines.append(f"index-url = {json.dumps(self.index)}")
        elif self.index or self.no_index:
            lines.append("no-index = true")
        return "\n".join(lines) + "\n"

    def pip_file(self, folder: str) -> str:
        """Return a ``pip.conf`` with the same settings for pip."""
        lines = ["[global]", f"find-links = {' '.join([folder, *filter(_remote, self.links)])}"]
        if self.index and _remote(self.index):
            lines.append(f"index-url = {self.index}")
        elif self.index or self.no_index:
            lines.append("no-index = true")
        if remote := [*filter(_remote, self.indexes)]:
            lines.append(f"extra-index-url = {' '.join(remote)}")
        if self.insecure:
            lines.append(f"trusted-host = {' '.join(self.insecure)}")
        return "\n".join(lines) + "\n"

    def stage(self, pins: str, folder: Path) -> None:
        """Copy into *folder* each wheel of this machine's own folders whose hash is in *pins*."""
        wanted = hashes_by_project(pins)
        for wheel in self._wheels({name for name, _ in wanted}):
            name, version = wheel.name.split("-")[:2]
            hashes = wanted.get((normalized(name), urllib.parse.unquote(version)), frozenset())
            if hashes and not (folder / wheel.name).exists() and _sha256(wheel) in hashes:
                _link(wheel, folder / wheel.name)

    def _wheels(self, names: set[str]) -> Iterator[Path]:
        """Yield the wheels of *names* in local folders and local indexes."""
        for links in filter(None, map(_local, self.links)):
            yield from (path for path in links.glob("*.whl") if project_of(path) in names)
        for index in filter(None, map(_local, (self.index or "", *self.indexes))):
            for page in (index / name / "index.html" for name in sorted(names)):
                if page.exists():
                    yield from _linked(page)


def configured_sources(environment: Mapping[str, str] = os.environ) -> Sources:
    """Read pip's configuration files and the environment variables of pip and uv.

    uv's variables override pip's, and pip's variables its files, as in the tools themselves.
    """
    settings = _pip_settings(environment)

    def value(uv: tuple[str, ...], pip: str) -> str:
        return next((environment[key] for key in uv if environment.get(key)), "") or settings.get(
            pip, ""
        )

    return Sources(
        index=value(("UV_DEFAULT_INDEX", "UV_INDEX_URL"), "index-url") or None,
        indexes=tuple(
            # uv accepts NAME=URL.
            re.sub(r"^[\w.-]+=(?=\w+:)", "", index)
            for index in value(("UV_INDEX", "UV_EXTRA_INDEX_URL"), "extra-index-url").split()
        ),
        links=tuple(re.split(r"[,\s]+", links))
        if (links := value(("UV_FIND_LINKS",), "find-links").strip())
        else (),
        insecure=tuple(value(("UV_INSECURE_HOST",), "trusted-host").split()),
        no_index=value(("UV_NO_INDEX",), "no-index").lower() in {"1", "true", "yes", "on"},
        certificates=_certificates(environment, settings.get("cert")),
    )


def hashes_by_project(pins: str) -> dict[tuple[str, str], frozenset[str]]:
    """Return the sha256 hashes of a lock file by (normalised name, version)."""
    hashes: dict[tuple[str, str], frozenset[str]] = {}
    for block in re.split(r"\n(?=\S)", pins):
        if match := re.match(r"([\w.-]+)==([^\s;\\]+)", block):
            key = (normalized(match[1]), match[2])
            hashes[key] = frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", block))
    return hashes


def normalized(name: str) -> str:
    """Normalise a project's name as indexes do."""
    return re.sub(r"[-_.]+", "-", name).lower()


def project_of(wheel: Path) -> str:
    """Return the normalised project name of a wheel's file name."""
    return normalized(wheel.name.split("-")[0])


def _pip_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return pip's options by long name, files first, environment over them."""
    import configparser  # noqa: PLC0415 - slow, and needed only where a package is looked for

    parser = configparser.RawConfigParser()
    settings: dict[str, str] = {}
    for file in _pip_files(environment):
        parser.clear()
        try:
            parser.read_string(read_settings(file))
        except configparser.Error:
            continue  # pip itself refuses the file, with a better message
        for section in ("global", "install"):
            if parser.has_section(section):
                settings |= dict(parser.items(section))
    return settings | {
        key.removeprefix("PIP_").replace("_", "-").lower(): text
        for key, text in environment.items()
        if key.startswith("PIP_") and text
    }


def _pip_files(environment: Mapping[str, str]) -> list[Path]:
    """Return where pip's configuration may stand, weakest first."""
    named = environment.get("PIP_CONFIG_FILE", "")
    if named == os.devnull:
        return []
    home = folders.home(environment)
    own = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    if sys.platform == "win32":
        files = [
            Path(environment.get(key, "")) / "pip/pip.ini" for key in ("PROGRAMDATA", "APPDATA")
        ]
        site = "pip.ini"
    elif sys.platform == "darwin":
        libraries = [Path("/Library/Application Support"), home / "Library/Application Support"]
        files = [*(folder / "pip/pip.conf" for folder in libraries), home / ".config/pip/pip.conf"]
        site = "pip.conf"
    else:
        shared = (environment.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
        files = [Path(folder) / "pip/pip.conf" for folder in reversed(shared)]
        files += [Path("/etc/pip.conf"), home / ".pip/pip.conf", own / "pip/pip.conf"]
        site = "pip.conf"
    return [*files, Path(sys.prefix) / site, *([Path(named)] if named else [])]


def _certificates(environment: Mapping[str, str], pip: str | None) -> Path | None:
    named = [environment.get("SSL_CERT_FILE"), environment.get("REQUESTS_CA_BUNDLE"), pip]
    candidates = [Path(path_) for path_ in (*named, ssl.get_default_verify_paths().cafile) if path_]
    return next((path for path in candidates if path.is_file()), None)


def _local(address: str) -> Path | None:
    """Return the folder that an address names on this machine, or None."""
    if address.startswith("file:"):
        return Path(urllib.request.url2pathname(urllib.parse.urlparse(address).path))
    return None if not address or "://" in address else Path(address)


def _remote(address: str) -> bool:
    return _local(address) is None


def _linked(page: Path) -> Iterator[Path]:
    """Yield the wheels that a page of a local index links to."""
    for reference in re.findall(r'href="([^"#]+)', page.read_text("utf-8")):
        path = (page.parent / urllib.parse.unquote(reference)).resolve()
        if path.suffix == ".whl" and path.is_file():
            yield path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)
