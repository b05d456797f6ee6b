"""A connection to a Docker engine: making it, losing it, waiting for it, reading its errors."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlparse

import requests
import urllib3.exceptions
from docker import APIClient
from docker.errors import DockerException
from docker.tls import TLSConfig

from deepmatrix.engines.docker import interruptible
from deepmatrix.engines.docker.answers import Info, NotUnderstood, Version, read
from deepmatrix.engines.docker.endpoints import Endpoint, check_configuration
from deepmatrix.errors import EngineError
from deepmatrix.invocation import command_line

#: How long an engine may be silent within one answer, in seconds.
ANSWER_S = 60

#: How long it may take to say what it is, from the first to the last byte, in seconds.
INTRODUCTION_S = 10.0

#: Bytes of an answer that is read as a whole: archives and logs are read in parts.
LARGEST_ANSWER = 8 << 20

#: How long an engine that went away may take to come back, in seconds.
RETURN_S = 20.0

#: What the SDK and the libraries below it raise when a connection breaks.
BROKEN = (
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
)

T = TypeVar("T")

#: Everything that a call to the engine can raise: refusals and broken connections.
FAILURES = (DockerException, *BROKEN)


class Client(APIClient):
    """The SDK's client, with bounds on the answers that are read as a whole."""

    def send(self, request: Any, **options: Any) -> requests.Response:
        """Send a request, and read its whole answer unless it is asked for in parts."""
        if options.get("stream"):
            return super().send(request, **options)
        response = super().send(request, **{**options, "stream": True, "allow_redirects": False})
        body = bytearray()
        for part in response.iter_content(1 << 16):
            body += part
            if len(body) > LARGEST_ANSWER:
                response.close()
                raise requests.exceptions.ContentDecodingError(
                    f"it answers with more than {LARGEST_ANSWER >> 20} MiB"
                )
        response._content = bytes(body)
        return response

    def _result(self, response: requests.Response, json: bool = False, binary: bool = False) -> Any:
        """Return the content of an answer. Raises NotUnderstood for JSON that cannot be read."""
        try:
            return super()._result(response, json=json, binary=binary)  # type: ignore[misc]
        except (ValueError, RecursionError):  # numbers and lists without end
            raise NotUnderstood("its JSON cannot be read") from None


class Connection:
    """A connection to the engine at *endpoint*.

    Raises:
        EngineError: no engine answers there.
        ArgumentError: the configuration of Docker's command line is damaged.
    """

    def __init__(self, endpoint: Endpoint, *, return_s: float = RETURN_S) -> None:
        self.endpoint = endpoint
        self.return_s = return_s
        check_configuration()
        self._threads = threading.local()
        self._clients: list[Client] = []
        self._threads.client = first = self._ask(lambda: _connect(endpoint, "auto"))
        self._clients.append(first)

    @property
    def api(self) -> Client:
        """The SDK's client of this thread: processes in parallel share none."""
        client: Client | None = getattr(self._threads, "client", None)
        if client is None:
            try:
                client = self._threads.client = _connect(
                    self.endpoint, self._clients[0].api_version
                )
            except FAILURES as error:
                raise no_answer(self.endpoint, error) from None
            self._clients.append(client)
        return client

    def close(self) -> None:
        """End the connections of all threads; the next call makes new ones."""
        for client in self._clients:
            client.close()

    def info(self) -> Info:
        """Return what the engine can do. Raises EngineError if it does not answer."""
        api = self.api
        return self._ask(lambda: read(Info, api.info()))

    def version(self) -> Version:
        """Return which engine it is. Raises EngineError if it does not answer."""
        api = self.api
        return self._ask(lambda: read(Version, api.version()))

    def _ask(self, question: Callable[[], T]) -> T:
        """Return an answer of the engine about itself. Raises EngineError where there is none."""
        try:
            return interruptible.call_within(question, INTRODUCTION_S)
        except interruptible.NoAnswer:
            silence = TimeoutError(f"timed out after {INTRODUCTION_S:g} s")
            raise no_answer(self.endpoint, silence) from None
        except FAILURES as error:
            raise no_answer(self.endpoint, error) from None

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
    address = _address(endpoint)
    if isinstance(error, NotUnderstood):
        return EngineError(
            f"{address} does not answer like a container engine: {error}",
            hint="name an engine with --engine or DOCKER_HOST",
        )
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


def _address(endpoint: Endpoint) -> str:
    """Return where an engine is, and who named it."""
    named = endpoint.url in endpoint.origin
    return endpoint.origin if named else f"{endpoint.origin} ({endpoint.url})"


def error_line(error: Exception) -> str:
    """Return the engine's own explanation of an error, in one line."""
    text = str(getattr(error, "explanation", None) or error)
    return " ".join(text.split())[:300]


def _connect(endpoint: Endpoint, version: str) -> Client:
    """Return a client for a version of the API; ``auto`` asks the engine for its newest."""
    tls: TLSConfig | None = None
    if endpoint.tls:
        folder = endpoint.tls
        tls = TLSConfig(
            client_cert=(str(folder / "cert.pem"), str(folder / "key.pem")),
            ca_cert=str(folder / "ca.pem"),
            verify=endpoint.verify,
        )
    _check_listener(endpoint.url)
    return Client(
        base_url=endpoint.url,
        version=version,
        timeout=ANSWER_S,
        tls=tls or False,
        use_ssh_client=True,
    )


def _check_listener(url: str) -> None:
    """Raise OSError when nobody listens on a local socket; the SDK would leave its own open."""
    parts = urlparse(url)
    if parts.scheme == "unix" and hasattr(socket, "AF_UNIX"):
        with socket.socket(socket.AF_UNIX) as local:
            # However many slashes there are, to the SDK the path is absolute.
            local.connect("/" + f"{parts.netloc}{parts.path}".lstrip("/"))
