"""A connection to a Docker engine: making it, losing it, waiting for it, reading its errors."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import socket
import threading
import time
from typing import Any
from urllib.parse import urlparse

import requests
import urllib3.exceptions
from docker import APIClient
from docker.errors import DockerException
from docker.tls import TLSConfig

from deepmatrix.engines.docker.endpoints import Endpoint
from deepmatrix.errors import EngineError
from deepmatrix.invocation import command_line

#: How long an engine may take for one answer, in seconds.
ANSWER_S = 60

#: How long an engine that went away may take to come back, in seconds.
RETURN_S = 20.0

#: What the SDK and the libraries below it raise when a connection breaks.
BROKEN = (
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
)

#: Everything that a call to the engine can raise: refusals and broken connections.
FAILURES = (DockerException, *BROKEN)


class Connection:
    """A connection to the engine at *endpoint*.

    Raises:
        EngineError: no engine answers there.
    """

    def __init__(self, endpoint: Endpoint, *, return_s: float = RETURN_S) -> None:
        self.endpoint = endpoint
        self.return_s = return_s
        self._threads = threading.local()
        self._clients: list[APIClient] = []
        self.api  # noqa: B018 - connects

    @property
    def api(self) -> APIClient:
        """The SDK's client of this thread: processes in parallel share none."""
        client: APIClient | None = getattr(self._threads, "client", None)
        if client is None:
            client = self._threads.client = _connect(self.endpoint)
            self._clients.append(client)
        return client

    def close(self) -> None:
        """End the connections of all threads; the next call makes new ones."""
        for client in self._clients:
            client.close()

    def info(self) -> dict[str, Any]:
        """Return what the engine says of itself. Raises EngineError if it does not answer."""
        try:
            info: dict[str, Any] = self.api.info()
        except FAILURES as error:
            raise no_answer(self.endpoint, error) from None
        return info

    def answers(self) -> bool:
        """Say whether the engine answers now."""
        try:
            _check_listener(self.endpoint.url)
            return bool(self.api.ping())
        except FAILURES:
            return False

    def check_stays(self) -> None:
        """Raise unless the engine answers for a second: one that shuts down kills containers."""
        for _ in range(4):
            time.sleep(0.25)
            self.api.ping()

    def comes_back(self) -> bool:
        """Wait until the engine answers, and goes on answering; False after ``return_s``."""
        end = time.monotonic() + self.return_s
        while time.monotonic() < end:
            time.sleep(0.5)
            if self.answers():
                with contextlib.suppress(*FAILURES):
                    self.check_stays()
                    return True
        return False


def no_answer(endpoint: Endpoint, error: Exception) -> EngineError:
    """Return the error for an engine that does not answer, with what to do about it."""
    address = endpoint.origin
    if endpoint.url not in address:
        address += f" ({endpoint.url})"
    cause = _os_error(error)
    if isinstance(cause, PermissionError):
        return EngineError(
            f"{address}: permission denied",
            hint="add yourself to the group that owns the socket (usually `docker`), or use sudo",
        )
    if endpoint.url.startswith("ssh://") and importlib.util.find_spec("paramiko") is None:
        return EngineError(
            f"{address} is reached by ssh, which needs the package paramiko",
            hint="install paramiko beside deepmatrix, or forward the engine's socket by ssh -L",
        )
    reason = str(cause.strerror) if cause else error_line(error)[:200]
    return EngineError(
        f"no container engine answers at {address}: {reason}",
        hint=f"start it, or set one up with `{command_line('engine')}`, or use --engine venv",
    )


def _os_error(error: BaseException) -> OSError | None:
    """Return the error of the operating system that an error comes from, if there is one."""
    cause: BaseException | None = error
    while cause:
        if isinstance(cause, OSError) and cause.errno is not None:
            return cause
        cause = cause.__cause__ or cause.__context__
    return None


def error_line(error: Exception) -> str:
    """Return the engine's own explanation of an error, in one line."""
    text = str(getattr(error, "explanation", None) or error)
    return " ".join(text.split())[:300]


def _connect(endpoint: Endpoint) -> APIClient:
    tls: TLSConfig | None = None
    if endpoint.tls:
        folder = endpoint.tls
        tls = TLSConfig(
            client_cert=(str(folder / "cert.pem"), str(folder / "key.pem")),
            ca_cert=str(folder / "ca.pem"),
            verify=endpoint.verify,
        )
    try:
        _check_listener(endpoint.url)
        return APIClient(
            base_url=endpoint.url,
            version="auto",
            timeout=ANSWER_S,
            tls=tls or False,
            use_ssh_client=True,
        )
    except FAILURES as error:
        raise no_answer(endpoint, error) from None


def _check_listener(url: str) -> None:
    """Raise OSError when nobody listens on a local socket; the SDK would leave its own open."""
    parts = urlparse(url)
    if parts.scheme == "unix" and hasattr(socket, "AF_UNIX"):
        with socket.socket(socket.AF_UNIX) as local:
            # However many slashes there are, to the SDK the path is absolute.
            local.connect("/" + f"{parts.netloc}{parts.path}".lstrip("/"))
