"""Images pushed to a real registry, and pulled by the daemon of a second machine.

The second machine is a daemon in a network namespace of its own. A registry there listens on the
same address and serves the same folder: for each of the two machines it is on the loopback, where
Docker speaks plain HTTP.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deepmatrix.cli import main
from deepmatrix.config.matrix import Matrix
from deepmatrix.config.sections import Images
from deepmatrix.engines.docker import endpoints
from deepmatrix.engines.docker.engine import DockerEngine
from deepmatrix.engines.setup.daemon import Daemon
from deepmatrix.errors import EngineError
from deepmatrix.images import build, recipes
from deepmatrix.images.recipes import recipe_for
from deepmatrix.images.registry import digests, pulling
from deepmatrix.machine import processes
from deepmatrix.planning.cells import Cell, all_cells
from tests.containers.conftest import Waiter, listed, no_engine

#: The smallest images; one of them runs emulated.
SMALL, FOREIGN = "onnxruntime-cpp-debian13-amd64-cpu", "onnxruntime-cpp-debian13-arm-cpu"

#: The user "me", and a hash of the password "secret".
HTPASSWD = "me:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"


@dataclass
class Registry:
    """Debian's registry on the loopback, over a folder.

    *inside* is a process whose network it has. One that is *closed* asks who comes.
    """

    folder: Path
    port: int
    inside: int | None = None
    host: str = "127.0.0.1"
    closed: bool = False
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return f"{self.host}:{self.port}"

    def start(self) -> None:
        environment = {
            "REGISTRY_HTTP_ADDR": self.name,
            "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": str(self.folder),
            "REGISTRY_LOG_LEVEL": "error",
        }
        if self.closed:
            users = self.folder / "htpasswd"
            users.write_text(HTPASSWD)
            environment["REGISTRY_AUTH"] = "htpasswd"
            environment["REGISTRY_AUTH_HTPASSWD_REALM"] = "test"
            environment["REGISTRY_AUTH_HTPASSWD_PATH"] = str(users)
        enter = ["nsenter", f"--net=/proc/{self.inside}/ns/net"] if self.inside else []
        if self.inside:
            processes.run([*enter, "ip", "link", "set", "lo", "up"])
            processes.run([*enter, "ip", "address", "replace", f"{self.host}/32", "dev", "lo"])
        configuration = self.folder / "config.yml"
        configuration.write_text("version: 0.1\nstorage: {filesystem: {}}\nhttp: {secret: none}\n")
        self.process = processes.start(
            [*enter, "docker-registry", "serve", str(configuration)],
            environment=environment,
            output=subprocess.DEVNULL,
        )
        self._wait(enter)

    def _wait(self, enter: list[str]) -> None:
        probe = f"import socket; socket.create_connection(('{self.host}', {self.port}))"
        pause = threading.Event()
        for _ in range(100):
            with contextlib.suppress(EngineError):
                processes.run([*enter, "python3", "-c", probe])
                return
            pause.wait(0.1)
        pytest.fail("the registry did not start")

    def stop(self) -> None:
        if self.process:
            processes.end(self.process)
            self.process = None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="dm-", dir="/tmp"))  # a socket's path is short
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def registry(folder: Path) -> Iterator[Registry]:
    if shutil.which("docker-registry") is None:
        no_engine("no docker-registry on this machine")
    (folder / "registry").mkdir()
    registry = Registry(folder=folder / "registry", port=free_port())
    registry.start()
    yield registry
    registry.stop()


@pytest.fixture(scope="module")
def cells(matrix: Matrix) -> list[Cell]:
    return [cell for cell in all_cells(matrix) if cell.id in (SMALL, FOREIGN)]


@pytest.fixture(scope="module")
def images(folder: Path, registry: Registry) -> Images:
    return Images(registry=f"{registry.name}/team", digests=str(folder / "image-digests.json"))


@pytest.fixture(scope="module")
def pushed(docker_engine: DockerEngine, images: Images, folder: Path) -> dict[str, str]:
    """What the command pushed, by reference: the digests that it lists."""
    file = folder / "matrix.yaml"
    root = Path(__file__).parents[2]
    text = (root / "matrix.yaml").read_text(encoding="utf-8")
    file.write_text(f"{text}\nimages: {{registry: {images.registry}}}\n", encoding="utf-8")
    shutil.copy(root / "expected-failures.yaml", folder)
    engine = f"docker:{docker_engine.endpoint.url}"
    assert main.main(["image", SMALL, FOREIGN, "--engine", engine]) == 0
    before = listed(docker_engine, "image", "ls", "--format", "{{.Repository}}")
    arguments = [SMALL, FOREIGN, "--push", images.registry, "--engine", engine]
    assert main.main(["image", *arguments, "--file", str(file)]) == 0
    assert listed(docker_engine, "image", "ls", "--format", "{{.Repository}}") == before
    return digests.read(Path(images.digests))


@pytest.fixture(scope="module")
def beside(folder: Path, registry: Registry) -> Iterator[Registry]:
    """The registry, as the second machine reaches it."""
    if os.geteuid() != 0:
        no_engine("starting a second daemon needs root")
    daemon = Daemon(run=folder / "run", data=folder / "data", apart=True)
    daemon.start()
    beside = Registry(folder=registry.folder, port=registry.port, inside=daemon.pid())
    try:
        beside.start()
        yield beside
    finally:
        beside.stop()
        daemon.stop()


@pytest.fixture(scope="module")
def second(
    folder: Path, beside: Registry, matrix: Matrix, images: Images
) -> Iterator[DockerEngine]:
    """The engine of a second machine, which has no image, and knows the registry."""
    own = matrix.model_copy(update={"images": images})
    assert beside.process
    url = f"unix://{folder / 'run' / 'docker.sock'}"
    engine = DockerEngine(endpoints.endpoint_named(url), matrix=own)
    yield engine
    engine.close()


@pytest.fixture
def empty(second: DockerEngine) -> DockerEngine:
    """The second engine, without images."""
    if names := listed(second, "image", "ls", "--quiet"):
        command = ["docker", "image", "rm", "--force", *set(names)]
        processes.run(command, environment=second.endpoint.environment())
    assert listed(second, "image", "ls", "--quiet") == []
    return second


def reference_of(cell_id: str, pushed: Mapping[str, str]) -> str:
    (reference,) = (name for name in pushed if cell_id in name)
    return reference


def small_in(registry: str, pushed: Mapping[str, str]) -> pulling.Wanted:
    """Return the smallest image, as it is pulled from a registry."""
    reference = reference_of(SMALL, pushed)
    return pulling.Wanted(
        source=f"{registry}/{SMALL}@{pushed[reference]}",
        reference=reference,
        platform="linux/amd64",
        revision=reference.rpartition(":")[2],
    )


def test_a_second_machine_pulls_what_was_pushed_and_builds_nothing(
    pushed: dict[str, str],
    empty: DockerEngine,
    docker_engine: DockerEngine,
    cells: list[Cell],
    images: Images,
) -> None:
    here = docker_engine.prepare(cells, lambda *_: None)
    steps: list[tuple[str, str]] = []
    there = empty.prepare(cells, lambda *step: steps.append(step))
    assert sorted(pushed) == sorted(image.reference for image in here.values())
    for cell_id, image in there.items():
        assert (image.error, image.built, image.not_pulled) == (None, False, "")
        assert image.pulled == f"{images.registry}/{cell_id}@{pushed[image.reference]}"
        assert image.image_id == here[cell_id].image_id
        assert image.debian == here[cell_id].debian
    assert any(re.search(r"[kM]B of \d+ [kM]B$", text) for _, text in steps), steps
    names = listed(empty, "image", "ls", "--digests", "--format", "{{.Repository}}:{{.Tag}}")
    assert names == sorted(pushed)
    again = empty.prepare(cells, lambda *_: None)
    assert {image.pulled for image in again.values()} == {""}


def test_a_tag_that_was_moved_changes_nothing(
    pushed: dict[str, str],
    empty: DockerEngine,
    docker_engine: DockerEngine,
    cells: list[Cell],
    images: Images,
) -> None:
    small = next(cell for cell in cells if cell.id == SMALL)
    reference = reference_of(SMALL, pushed)
    other = reference_of(FOREIGN, pushed)
    moved = f"{images.registry}/{SMALL}:{reference.rpartition(':')[2]}"
    for command in (["tag", other, moved], ["push", moved], ["rmi", moved]):
        processes.run(["docker", *command], environment=docker_engine.endpoint.environment())
    there = empty.prepare([small], lambda *_: None)[SMALL]
    here = docker_engine.prepare([small], lambda *_: None)[SMALL]
    assert there.pulled
    assert there.image_id == here.image_id


def test_an_image_that_is_not_what_its_digest_is_listed_for_is_refused(
    pushed: dict[str, str], empty: DockerEngine, images: Images
) -> None:
    other = reference_of(FOREIGN, pushed)
    wanted = dataclasses.replace(
        small_in(images.registry, pushed),
        source=f"{images.registry}/{FOREIGN}@{pushed[other]}",
        platform="linux/arm/v7",
    )
    with pytest.raises(pulling.NotPulled, match=r"is refused: its label .* is .*, not ") as raised:
        empty.pull(wanted, lambda _: None)
    assert other.rpartition(":")[2] in raised.value.message
    assert listed(empty, "image", "ls", "--quiet") == []


def test_a_manifest_that_was_changed_is_refused(
    pushed: dict[str, str], empty: DockerEngine, images: Images, registry: Registry
) -> None:
    reference = reference_of(SMALL, pushed)
    digest = pushed[reference].removeprefix("sha256:")
    blob = registry.folder / f"docker/registry/v2/blobs/sha256/{digest[:2]}/{digest}/data"
    content = blob.read_text("utf-8")
    wanted = small_in(images.registry, pushed)
    blob.write_text(content.replace('"size": ', '"size":  ', 1), "utf-8")
    try:
        with pytest.raises(pulling.NotPulled, match="manifest verification failed for digest"):
            empty.pull(wanted, lambda _: None)
    finally:
        blob.write_text(content, "utf-8")
    assert listed(empty, "image", "ls", "--quiet") == []


def test_plain_http_is_spoken_on_the_loopback_only(
    pushed: dict[str, str], empty: DockerEngine, beside: Registry
) -> None:
    outside = Registry(
        folder=beside.folder, port=beside.port, inside=beside.inside, host="192.0.2.1"
    )
    wanted = small_in(f"{outside.name}/team", pushed)
    outside.start()
    try:
        with pytest.raises(EngineError, match=r"^192.0.2.1:\d+: .* HTTP response to HTTPS client"):
            empty.pull(wanted, lambda _: None)
    finally:
        outside.stop()


def test_ctrl_c_ends_a_pull_and_leaves_no_image(
    pushed: dict[str, str], empty: DockerEngine, folder: Path, beside: Registry, until: Waiter
) -> None:
    assert pushed
    assert beside.process
    command = [sys.executable, "-m", "deepmatrix", "image", SMALL]
    command += ["--file", str(folder / "matrix.yaml"), "--engine", f"docker:{empty.endpoint.url}"]
    log = folder / "interrupted.log"
    beside.process.send_signal(signal.SIGSTOP)  # it takes the connection and never answers
    with log.open("wb") as output:
        host = processes.start(command, output=output)
    try:
        until(lambda: "is missing and is pulled" in log.read_text("utf-8"))
        threading.Event().wait(0.5)
        host.send_signal(signal.SIGINT)
        assert host.wait(10) == 130
    finally:
        beside.process.send_signal(signal.SIGCONT)
        processes.end(host)
    assert listed(empty, "image", "ls", "--quiet") == []


def test_where_the_registry_is_down_the_image_is_built(
    docker_engine: DockerEngine,
    matrix: Matrix,
    cells: list[Cell],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = next(cell for cell in cells if cell.id == SMALL)
    # An image of another name, whose steps the builder has cached.
    folder = recipe_for(small, matrix, "debian").folder
    shutil.copytree(folder, tmp_path / folder.name)
    with (tmp_path / folder.name / "Dockerfile").open("a") as dockerfile:
        dockerfile.write("# the same image\n")
    monkeypatch.setattr(recipes, "DOCKER", tmp_path)
    environment = docker_engine.endpoint.environment()
    (recipe,) = build.recipes_for([small], matrix, environment)
    images = Images(registry=f"127.0.0.1:{free_port()}", digests=str(tmp_path / "digests.json"))
    digests.add(Path(images.digests), recipe.reference, f"sha256:{'0' * 64}")
    try:
        image = build.prepare(
            [small],
            matrix.model_copy(update={"images": images}),
            environment=environment,
            log=tmp_path / "build.log",
            progress=lambda *_: None,
            pull=docker_engine.pull,
        )[SMALL]
    finally:
        processes.run(["docker", "rmi", "--force", recipe.reference], environment=environment)
    assert (image.error, image.built, image.pulled) == (None, True, "")
    assert image.not_pulled.startswith(f"{images.registry}: ")
    assert "connection refused" in image.not_pulled


def test_a_registry_that_asks_who_comes_gets_what_docker_login_keeps(
    pushed: dict[str, str],
    docker_engine: DockerEngine,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reference, digest = next(iter(pushed.items()))
    (folder / "closed").mkdir()
    closed = Registry(folder=folder / "closed", port=free_port(), closed=True)
    wanted = pulling.Wanted(
        source=f"{closed.name}/{SMALL}@{digest}", reference="none", platform="", revision=""
    )
    with pytest.raises(EngineError, match="connection refused"):
        docker_engine.push(reference, closed.name, lambda _: None)
    closed.start()
    try:
        with pytest.raises(EngineError, match="no basic auth credentials") as raised:
            docker_engine.push(reference, closed.name, lambda _: None)
        assert f"`docker login {closed.name}`" in raised.value.hint
        with pytest.raises(EngineError, match="no basic auth credentials"):
            docker_engine.pull(wanted, lambda _: None)
        names = listed(docker_engine, "image", "ls", "--format", "{{.Repository}}")
        assert not any(name.startswith(closed.name) for name in names)

        known = {"auths": {closed.name: {"auth": base64.b64encode(b"me:secret").decode()}}}
        (tmp_path / "config.json").write_text(json.dumps(known))
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        engine = DockerEngine(docker_engine.endpoint)
        assert engine.push(reference, closed.name, lambda _: None).endswith(f"@{digest}")
        engine.close()
    finally:
        closed.stop()
