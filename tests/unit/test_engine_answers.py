"""What answers at the address of an engine may be anything: a real server that says it."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socketserver
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from deepmatrix.engines import Limits, Task
from deepmatrix.engines.docker import connection, containers
from deepmatrix.engines.docker.answers import NotUnderstood
from deepmatrix.engines.docker.endpoints import endpoint_named
from deepmatrix.engines.docker.engine import DockerEngine
from deepmatrix.errors import EngineError
from deepmatrix.images import inspection
from tests.unit.examples import planned

VERSION = {"ApiVersion": "1.45", "Version": "26.0", "Components": None}
INFO = {
    "Architecture": "x86_64",
    "NCPU": 4,
    "MemTotal": 8 << 30,
    "OSType": "linux",
    "OperatingSystem": "Debian",
    "KernelVersion": "6.1",
    "SecurityOptions": None,
    "Runtimes": {"nvidia": {}},
    "DiscoveredDevices": None,
}

LIMITS = Limits(
    memory_bytes=1 << 28,
    processes=64,
    cpus=(0,),
    log_bytes=1 << 20,
    file_bytes=1 << 20,
    disk_bytes=1 << 20,
)

Speak = Callable[[BaseHTTPRequestHandler, str], None]


def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


class Server(socketserver.ThreadingUnixStreamServer):
    """Answers at a socket in a folder by calling *speak*."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, path: Path, speak: Speak) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.close_connection = True
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with contextlib.suppress(OSError):  # the client has heard enough
                    speak(self, self.path)

            do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - http.server looks for these names

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(str(path), Handler)


Address = Callable[[Speak], str]


@pytest.fixture
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """Return what makes an engine of a function, and its address."""
    servers: list[Server] = []

    def serve(speak: Speak) -> str:
        path = tmp_path_factory.mktemp("s") / "s"
        servers.append(Server(path, speak))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"unix://{path}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def engine_of(info: Any = INFO, version: Any = VERSION) -> Speak:
    """Return an engine whose answers are these: bytes, or what becomes JSON."""

    def speak(handler: BaseHTTPRequestHandler, path: str) -> None:
        content = version if path.endswith("/version") else info
        answer(handler, content if isinstance(content, bytes) else json.dumps(content).encode())

    return speak


def connect(url: str) -> DockerEngine:
    return DockerEngine(endpoint_named(url))


def test_an_engine_says_what_it_can_run(address: Address) -> None:
    engine = connect(address(engine_of()))
    able = engine.capabilities()
    assert (able.cpus, able.memory_bytes, able.native) == (4, 8 << 30, {"amd64"})
    assert able.devices == {"cpu", "cuda"}
    facts = engine.describe()
    assert (facts["product"], facts["version"], facts["api"]) == ("Docker", "26.0", "1.45")
    engine.close()


@pytest.mark.parametrize(
    ("info", "problem"),
    [
        (b"[]", "Input should be a valid dictionary"),
        (b"null", "Input should be a valid dictionary"),
        (b'"x"', "Input should be a valid dictionary"),
        (b"{}", "Architecture: Field required"),
        (INFO | {"NCPU": -5}, "NCPU: Input should be greater than or equal to 1"),
        (INFO | {"NCPU": "x"}, "NCPU: Input should be a valid integer"),
        (INFO | {"NCPU": 10**30}, "NCPU: "),
        (INFO | {"MemTotal": -1}, "MemTotal: Input should be greater than or equal to 0"),
        (INFO | {"OSType": {}}, "OSType: Input should be a valid string"),
        (INFO | {"Runtimes": "nvidia"}, "Runtimes: Input should be a valid dictionary"),
        (INFO | {"SecurityOptions": [1] * 1000}, "SecurityOptions.0: "),
        (b'{"NCPU":' + b"9" * 5000 + b"}", "its JSON cannot be read"),
        (b"[" * 200_000, "its JSON cannot be read"),
    ],
)
def test_an_answer_that_no_engine_gives_is_one_clear_error(
    info: Any, problem: str, address: Address
) -> None:
    url = address(engine_of(info))
    message = f"{url} does not answer like a container engine: {problem}"
    with pytest.raises(EngineError, match=f"^{re.escape(message)}"):
        connect(url)


@pytest.mark.parametrize("version", [b"[1]", b"{}", b"x", b'{"ApiVersion": 5}', b"[" * 200_000])
def test_a_version_that_no_engine_has_is_one_clear_error(version: bytes, address: Address) -> None:
    url = address(engine_of(version=version))
    with pytest.raises(EngineError, match=f"^no container engine answers at {url}: "):
        connect(url)


def drip(handler: BaseHTTPRequestHandler, path: str) -> None:
    """Answer with a byte now and then: each comes in time, and the answer never ends."""
    del path
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    while True:
        handler.wfile.write(b" ")
        handler.wfile.flush()
        threading.Event().wait(0.01)


def drip_info(handler: BaseHTTPRequestHandler, path: str) -> None:
    (engine_of() if path.endswith("/version") else drip)(handler, path)


def stay_silent(handler: BaseHTTPRequestHandler, path: str) -> None:
    del path
    handler.connection.recv(1)  # until the client has gone


@pytest.mark.parametrize("speak", [drip, drip_info, stay_silent])
def test_an_engine_says_what_it_is_within_a_time_for_the_whole_answer(
    speak: Speak,
    address: Address,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert connection.INTRODUCTION_S == 10
    monkeypatch.setattr(connection, "INTRODUCTION_S", 0.5)
    url = address(speak)
    with pytest.raises(
        EngineError, match=f"^no container engine answers at {url}: timed out after 0.5 s"
    ):
        connect(url)


def parts_of(**parts: bytes) -> Speak:
    """Return an engine that says what it is, and of its *parts* this."""
    introduce = engine_of()

    def speak(handler: BaseHTTPRequestHandler, path: str) -> None:
        asked = [part for part in parts if f"/{part}" in urlsplit(path).path]
        if asked:
            answer(handler, parts[asked[0]])
        else:
            introduce(handler, path)

    return speak


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ({"containers": b"null"}, "Input should be a valid list"),
        ({"containers": b"{}"}, "Input should be a valid list"),
        ({"containers": b"[null]"}, "0: Input should be a valid dictionary"),
        ({"containers": b"[{}]"}, "0.Id: Field required"),
        ({"containers": b"[" * 200_000}, "its JSON cannot be read"),
        ({"containers": b"[]", "volumes": b"null"}, "Input should be a valid dictionary"),
        ({"containers": b"[]", "volumes": b'{"Volumes": {}}'}, "Volumes: Input should be a valid"),
    ],
)
def test_a_list_that_is_none_is_one_clear_error(
    parts: dict[str, bytes], problem: str, address: Address
) -> None:
    url = address(parts_of(**parts))
    engine = connect(url)
    message = f"{url} does not answer like a container engine: {problem}"
    with pytest.raises(EngineError, match=f"^{re.escape(message)}"):
        engine.open("run")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"null", "Input should be a valid dictionary"),
        (b"[]", "Input should be a valid dictionary"),
        (b"{}", "StatusCode: Field required"),
        (b'{"StatusCode": "x"}', "StatusCode: Input should be a valid integer"),
    ],
)
def test_an_end_of_a_container_that_is_none_is_not_understood(
    content: bytes, problem: str, address: Address
) -> None:
    api = connection.Connection(endpoint_named(address(parts_of(wait=content)))).api
    with pytest.raises(NotUnderstood, match=f"^{problem}"):
        containers.wait(api, "one")


@pytest.mark.parametrize(
    ("content", "count"),
    [(b'{"pids_stats": {"current": 3}}', 3), (b'{"pids_stats": null}', 0), (b"{}", 0)],
)
def test_a_container_has_as_many_processes_as_are_counted(
    content: bytes, count: int, address: Address
) -> None:
    api = connection.Connection(endpoint_named(address(parts_of(stats=content)))).api
    assert containers.count_processes(api, "one") == count


def test_a_count_of_processes_that_is_none_is_not_understood(address: Address) -> None:
    api = connection.Connection(endpoint_named(address(parts_of(stats=b"null")))).api
    with pytest.raises(NotUnderstood, match=r"^Input should be a valid dictionary"):
        containers.count_processes(api, "one")


def test_an_answer_about_a_process_that_is_not_understood_is_the_cause_of_its_end(
    address: Address, tmp_path: Path
) -> None:
    ids = b'{"Id": "one", "Name": "one"}'
    engine = connect(address(parts_of(images=b"null", containers=ids, volumes=ids, _ping=b"OK")))
    cell = planned("torch-debian12-amd64-cpu").cells[0]
    engine.references[cell.plain.id] = "image"
    task = Task(
        id="job",
        run_id="run",
        cell=cell,
        control=tmp_path,
        deadline_s=10,
        limits=LIMITS,
        environment={},
    )
    ended = engine.run(task, threading.Event())
    engine.close()
    cause = "it did not answer like a container engine: Input should be a valid dictionary"
    assert (ended.ending, ended.cause[: len(cause)]) == ("engine-lost", cause)


def test_an_engine_may_leave_out_what_it_does_not_have(address: Address) -> None:
    engine = connect(address(parts_of(containers=b"[]", volumes=b'{"Volumes": null}')))
    engine.open("run")
    engine.close()


@pytest.mark.skipif(shutil.which("docker") is None, reason="needs docker's command line")
def test_an_engine_that_hangs_at_a_question_is_an_error_after_a_time(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert inspection.ANSWER_S == 60
    monkeypatch.setattr(inspection, "ANSWER_S", 1.5)
    introduce = engine_of()

    def speak(handler: BaseHTTPRequestHandler, path: str) -> None:
        (stay_silent if "/images/" in path else introduce)(handler, path)

    environment = {"DOCKER_HOST": address(speak)}
    with pytest.raises(EngineError, match=r"^took longer than 1\.5 s: docker image ls"):
        inspection.images(["deepmatrix/none:1"], environment)


def test_an_answer_without_end_is_read_up_to_a_bound(address: Address) -> None:
    sent = 0

    def flood(handler: BaseHTTPRequestHandler, path: str) -> None:
        nonlocal sent
        del path
        handler.send_response(200)
        handler.end_headers()
        while True:
            sent += handler.wfile.write(bytes(1 << 16))

    with pytest.raises(EngineError, match="it answers with more than 8 MiB"):
        connect(address(flood))
    assert sent < 2 * connection.LARGEST_ANSWER


def test_an_engine_that_sends_elsewhere_is_not_followed(address: Address) -> None:
    there = engine_of()

    def speak(handler: BaseHTTPRequestHandler, path: str) -> None:
        if path.startswith("/there"):
            there(handler, path)
            return
        handler.send_response(307)
        handler.send_header("Location", f"/there{path}")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    with pytest.raises(EngineError, match="no container engine answers"):
        connect(address(speak))
