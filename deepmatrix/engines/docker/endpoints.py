"""Where a Docker engine may answer: DOCKER_HOST, contexts, known sockets. Asks none of them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import ParseResult, urlparse

from docker.auth import load_config
from docker.errors import DockerException
from docker.utils.config import find_config_file
from pydantic import BaseModel, Field, TypeAdapter

from deepmatrix.boundary.bounds import Line, one_line, path_text
from deepmatrix.boundary.files import Damaged, Read, read_json
from deepmatrix.config.documents import did_you_mean
from deepmatrix.errors import ArgumentError, EngineError
from deepmatrix.machine.folders import home

#: Where `nox -s engine` puts the private engine's socket.
PRIVATE = "unix:///run/deepmatrix/docker.sock"

SCHEMES = ("unix", "npipe", "tcp", "http", "https", "ssh")


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where an engine may answer, the origin of that address, and the certificates to use.

    ``tls`` is a folder with ``ca.pem``, ``cert.pem`` and ``key.pem``; ``explicit`` means that
    the user named it: no other engine is tried in its place.
    """

    url: str
    origin: str
    context: str | None = None
    tls: Path | None = None
    verify: bool = True
    explicit: bool = False

    def environment(self) -> dict[str, str]:
        """Return the variables that make Docker's command line use the same engine."""
        if self.context:
            return {"DOCKER_CONTEXT": self.context, "DOCKER_HOST": ""}
        return {"DOCKER_HOST": self.url, "DOCKER_CONTEXT": ""}


def endpoint_named(text: str, environment: Mapping[str, str] = os.environ) -> Endpoint:
    """Return the endpoint that a URL or the name of a context names.

    Raises:
        ArgumentError: no such context, or not a URL of an engine.
    """
    if "://" not in text:
        return _context(text, environment, origin=f"context '{text}'", explicit=True)
    _check(text)
    return Endpoint(url=text, origin=text, tls=_tls(text, environment), explicit=True)


def candidates(environment: Mapping[str, str] = os.environ) -> Iterator[Endpoint]:
    """Yield where an engine may answer, best first.

    If the user's environment names one, it is the only one.

    Raises:
        ArgumentError: the environment names a context that does not exist, or no URL.
    """
    if host := environment.get("DOCKER_HOST"):
        _check(host)
        yield Endpoint(url=host, origin="DOCKER_HOST", tls=_tls(host, environment), explicit=True)
        return
    named_by = "DOCKER_CONTEXT" if environment.get("DOCKER_CONTEXT") else "the current context"
    current = environment.get("DOCKER_CONTEXT") or _configured(environment)
    if current and current != "default":
        origin = f"{named_by} '{current}'"
        yield _context(current, environment, origin=origin, explicit=True)
        return
    for socket in _default_sockets(environment):
        yield Endpoint(url=f"unix://{socket}", origin="the default socket")
    if sys.platform == "win32":
        yield Endpoint(url="npipe:////./pipe/docker_engine", origin="the default pipe")
    if _exists(PRIVATE):
        yield Endpoint(url=PRIVATE, origin="the private engine")
    for socket in _podman_sockets(environment):
        yield Endpoint(url=f"unix://{socket}", origin="Podman's socket")


def _check(url: str) -> None:
    """Raise ArgumentError for what is no address here; its message repeats no password."""
    try:
        parts = urlparse(url)
        problem = _problem_of(parts)
    except ValueError as error:
        problem = str(error)
    if problem:
        shown = re.sub(r":(?!//).*@", ":***@", url)
        raise ArgumentError(
            f"'{shown}' is not an address of an engine: {problem}",
            hint="write unix:///PATH, ssh://USER@HOST or tcp://HOST:PORT",
        )


def _problem_of(parts: ParseResult) -> str:
    if parts.scheme not in SCHEMES:
        return f"no scheme of {', '.join(SCHEMES)}"
    if parts.scheme == "npipe" and sys.platform != "win32":
        return "pipes are for Windows"
    if parts.password:
        return "a password is kept in records and seen by others: use a key of ssh or certificates"
    _ = parts.port  # checked on access
    return ""


def _context(name: str, environment: Mapping[str, str], *, origin: str, explicit: bool) -> Endpoint:
    if name == "default":
        sockets = list(_default_sockets(environment)) or [Path("/var/run/docker.sock")]
        return Endpoint(url=f"unix://{sockets[0]}", origin=origin, explicit=explicit)
    store = _folder(environment) / "contexts"
    # The folder of a context is named by the hash of its name.
    digest = hashlib.sha256(name.encode()).hexdigest()
    path = store / "meta" / digest / "meta.json"
    endpoint = _read(path, _META).docker if path.is_file() else _Endpoint()
    if not endpoint.host:
        known = _known_contexts(store)
        raise ArgumentError(
            f"no Docker context '{name}'{did_you_mean(name, ['default', *known])}",
            hint="`docker context ls` lists them",
        )
    _check(endpoint.host)
    tls = store / "tls" / digest / "docker"
    return Endpoint(
        url=endpoint.host,
        origin=origin,
        context=name,
        tls=tls if tls.is_dir() else None,
        verify=not endpoint.skip_verify,
        explicit=explicit,
    )


def _tls(url: str, environment: Mapping[str, str]) -> Path | None:
    """Return the folder of certificates that Docker's own variables name, for a TCP address."""
    if urlparse(url).scheme not in ("tcp", "https") or not environment.get("DOCKER_TLS_VERIFY"):
        return None
    folder = Path(environment.get("DOCKER_CERT_PATH") or _folder(environment))
    if not (folder / "cert.pem").is_file():
        raise EngineError(
            f"DOCKER_TLS_VERIFY is set, and {folder} has no cert.pem",
            hint="set DOCKER_CERT_PATH to the folder with ca.pem, cert.pem and key.pem",
        )
    return folder


def _configured(environment: Mapping[str, str]) -> str:
    path = _folder(environment) / "config.json"
    return (_read(path, _CONFIG).current or "") if path.is_file() else ""


def _folder(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("DOCKER_CONFIG") or home(environment) / ".docker")


def _default_sockets(environment: Mapping[str, str]) -> Iterator[Path]:
    sockets = [Path("/var/run/docker.sock"), home(environment) / ".docker/run/docker.sock"]
    if runtime := environment.get("XDG_RUNTIME_DIR"):
        sockets.append(Path(runtime) / "docker.sock")
    # A folder of another user's, as after `su`, has none.
    return (socket for socket in sockets if os.path.exists(socket))  # noqa: PTH110


def _podman_sockets(environment: Mapping[str, str]) -> Iterator[Path]:
    folders = [environment.get("XDG_RUNTIME_DIR"), "/run"]
    sockets = (Path(folder) / "podman/podman.sock" for folder in folders if folder)
    return (socket for socket in sockets if _exists(f"unix://{socket}"))


def _exists(url: str) -> bool:
    try:
        return Path(url.removeprefix("unix://")).exists()
    except PermissionError:
        return True  # connecting reports the problem
    except OSError:  # a name that is too long
        return False


class _Endpoint(BaseModel):
    """Where a context's engine is, as Docker's command line writes it."""

    host: Line | None = Field(default=None, alias="Host")
    skip_verify: bool = Field(default=False, alias="SkipTLSVerify")


class _Meta(BaseModel):
    """A context of Docker's command line."""

    name: Line = Field(default="", alias="Name")
    endpoints: dict[Line, _Endpoint | None] | None = Field(default=None, alias="Endpoints")

    @property
    def docker(self) -> _Endpoint:
        """The endpoint of its engine, empty where it has none."""
        return (self.endpoints or {}).get("docker") or _Endpoint()


class _Proxies(BaseModel):
    """The proxies for the containers of one engine."""

    http: Line | None = Field(default=None, alias="httpProxy")
    https: Line | None = Field(default=None, alias="httpsProxy")
    ftp: Line | None = Field(default=None, alias="ftpProxy")
    without: Line | None = Field(default=None, alias="noProxy")


class _Config(BaseModel):
    """The configuration of Docker's command line: what names an engine, and what the SDK reads."""

    current: Line | None = Field(default=None, alias="currentContext")
    proxies: dict[Line, _Proxies] = Field(default_factory=dict)
    headers: dict[Line, Line] = Field(default_factory=dict, alias="HttpHeaders")
    detach: Line = Field(default="", alias="detachKeys")
    store: Line | None = Field(default=None, alias="credsStore")
    helpers: dict[Line, Line] | None = Field(default=None, alias="credHelpers")


_META = TypeAdapter(_Meta)
_CONFIG = TypeAdapter(_Config)


def check_configuration() -> None:
    """Check the file of Docker's command line that the SDK reads, and whose types it trusts.

    Raises:
        ArgumentError: the SDK would fail at it.
    """
    if not (named := find_config_file()):
        return
    path = Path(str(named))
    if path.name == "config.json":  # another one is of an older Docker, and has logins only
        _read(path, _CONFIG)
    try:
        load_config(str(path))
    except (DockerException, AttributeError, LookupError, TypeError, ValueError) as error:
        message = f"{path_text(path)}: its logins to registries cannot be read: {error}"
        raise ArgumentError(one_line(message), hint=_MEND) from None


_MEND = "mend or remove it, or name another folder of it with DOCKER_CONFIG"


def _read(path: Path, kind: TypeAdapter[Read]) -> Read:
    """Read a file of Docker's command line. Raises ArgumentError where it is damaged."""
    try:
        return read_json(path, kind)
    except Damaged as error:
        raise ArgumentError(
            error.message,
            hint=_MEND,
        ) from None


def _known_contexts(store: Path) -> list[str]:
    """Return the names of the contexts that can be read."""
    names = []
    for path in store.glob("meta/*/meta.json"):
        with contextlib.suppress(ArgumentError):
            names.append(_read(path, _META).name)
    return names
