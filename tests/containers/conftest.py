"""A real engine, a prepared cell, and processes that die on demand.

Without an engine these tests are skipped; where the variable CI is set they fail instead.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deepmatrix.config import matrix_file
from deepmatrix.config.matrix import Matrix
from deepmatrix.engines import Ended, Limits, Task
from deepmatrix.engines.choose import discover
from deepmatrix.engines.docker.engine import DockerEngine
from deepmatrix.engines.setup.daemon import Daemon
from deepmatrix.errors import EngineError
from deepmatrix.machine import owner, processes
from deepmatrix.planning.cells import Cell, all_cells
from deepmatrix.workloads import networks

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
EXTRA = {"faulty_adapter.py": HERE / "faulty_adapter.py"}

MIB = 1 << 20
LIMITS = Limits(
    memory_bytes=256 * MIB,
    processes=64,
    cpus=(0,),
    log_bytes=16 * MIB,
    file_bytes=512 * MIB,
    disk_bytes=512 * MIB,
)


def no_engine(why: str) -> None:
    """Skip, or fail where an engine has to be."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="session")
def matrix() -> Matrix:
    return matrix_file.load(ROOT / "matrix.yaml", networks=networks.NETWORKS)


@pytest.fixture(scope="session")
def docker_engine(matrix: Matrix) -> Iterator[DockerEngine]:
    """The engine that answers, open, with the faulty adapter beside the harness."""
    try:
        discovered = discover()
    except EngineError as error:
        no_engine(error.message)
        raise
    discovered.close()
    engine = DockerEngine(discovered.endpoint, matrix=matrix, extra=EXTRA)
    engine.open("tests")
    yield engine
    engine.close()
    assert left(engine) == {}


@pytest.fixture(scope="session")
def cell(docker_engine: DockerEngine, matrix: Matrix) -> Cell:
    """The smallest cell that this engine runs natively, its image made."""
    (native,) = docker_engine.capabilities().native
    wanted = f"onnxruntime-debian12-{native}-cpu"
    native_cell = next(cell for cell in all_cells(matrix) if cell.id == wanted)
    prepared = docker_engine.prepare([native_cell], lambda *_: None)[native_cell.id]
    assert prepared.error is None
    return native_cell


@pytest.fixture(scope="session")
def second_daemon(docker_engine: DockerEngine, cell: Cell) -> Iterator[Daemon]:
    """A daemon of our own that may be stopped, with the cell's image; a test leaves it running."""
    if sys.platform != "linux" or shutil.which("dockerd") is None:
        no_engine("no dockerd on this machine")
    if os.geteuid() != 0:
        no_engine("starting a second daemon needs root")
    bridge = Path("/sys/class/net/docker0")
    bridged = bridge.exists()
    folder = Path(tempfile.mkdtemp(prefix="dm-", dir="/tmp"))  # a socket's path is short
    daemon = Daemon(run=folder / "run", data=folder / "data", apart=True)
    daemon.start()
    image = folder / "image.tar"
    processes.run(
        ["docker", "save", "--output", str(image), docker_engine.references[cell.id]],
        environment=docker_engine.endpoint.environment(),
    )
    processes.run(["docker", "--host", daemon.url, "load", "--input", str(image)])
    image.unlink()
    yield daemon
    daemon.stop()
    assert _processes_of(folder) == []
    assert bridge.exists() == bridged  # the other engine's network
    shutil.rmtree(folder)
    gc.collect()


def _processes_of(folder: Path) -> list[str]:
    """Return the command lines that name something below *folder*."""
    command_lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            command_lines.append(path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
    return [line for line in command_lines if str(folder) in line]


@dataclass
class Lab:
    """Runs processes that fail in a chosen way."""

    engine: DockerEngine
    cell: Cell
    control: Path
    cancel: threading.Event = field(default_factory=threading.Event)

    def run(
        self,
        fault: str,
        *,
        deadline_s: float = 60,
        limits: Limits = LIMITS,
        cell: Cell | None = None,
    ) -> Ended:
        """Run one to its end, again where it did not start; what it left is in ``control``."""
        for _ in range(2):  # as the runner does
            task = self.task(fault, deadline_s=deadline_s, limits=limits, cell=cell)
            ended = self.engine.run(task, self.cancel)
            if ended.ending != "start-failed":
                break
        return ended

    def task(
        self, fault: str, *, deadline_s: float, limits: Limits = LIMITS, cell: Cell | None = None
    ) -> Task:
        """Write a control directory and return the task that uses it."""
        cell = cell or self.cell
        self.control.mkdir(exist_ok=True)
        for path in self.control.iterdir():
            path.unlink() if path.is_file() else None
        document = {
            "schema": 1,
            "run": "tests",
            "job": fault,
            "wave": "consume",
            "round": 0,
            "cell": {"id": cell.id, "device": cell.device},
            "emulated": False,
            "adapter": "faulty_adapter",
            "phases": [],
            "deadline_s": 600,
            "threads": 1,
            "selftest": ["float32"],
        }
        (self.control / "input.json").write_text(json.dumps(document), encoding="utf-8")
        return Task(
            id=fault,
            run_id="tests",
            cell=cell,
            control=self.control,
            deadline_s=deadline_s,
            limits=limits,
            environment={"FAULT": fault},
        )

    def files(self) -> set[str]:
        """What a process left at the top of its control directory."""
        return {path.name for path in self.control.iterdir()}

    def still_works(self) -> bool:
        """Say whether the process after it runs as if nothing had been."""
        return self.run("none").ending == "exited" and "output.json" in self.files()


@pytest.fixture
def lab(
    docker_engine: DockerEngine,
    cell: Cell,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Lab]:
    """A laboratory that has to be left as it was found: no container, volume, network or file."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    lab = Lab(engine=docker_engine, cell=cell, control=tmp_path / "room" / "control")
    lab.control.parent.mkdir()
    lab.run("no_output")  # ships the harness
    before = left(docker_engine)
    yield lab
    assert left(docker_engine) == before
    assert list(temporary.iterdir()) == []
    assert list(lab.control.parent.iterdir()) == [lab.control]


def left(engine: DockerEngine) -> dict[str, list[str]]:
    """Return what this process has on an engine, by kind; networks whosever they are."""
    mine = f"label=deepmatrix.owner={owner.this_process()}"
    everything = {
        "containers": listed(engine, "ps", "--all", "--quiet", "--filter", mine),
        "volumes": listed(engine, "volume", "ls", "--quiet", "--filter", mine),
        "networks": [
            name
            for name in listed(engine, "network", "ls", "--format", "{{.Name}}")
            if name not in ("bridge", "host", "none")
        ],
    }
    return {kind: names for kind, names in everything.items() if names}


def listed(engine: DockerEngine, *command: str) -> list[str]:
    """Return what a command of Docker's own command line lists."""
    text = processes.run(["docker", *command], environment=engine.endpoint.environment())
    return sorted(text.split())


Waiter = Callable[[Callable[[], bool]], None]


@pytest.fixture
def until() -> Waiter:
    """Wait until something is so, and fail when it does not come in three minutes."""

    def wait(is_so: Callable[[], bool]) -> None:
        pause = threading.Event()
        for _ in range(1800):
            if is_so():
                return
            pause.wait(0.1)
        pytest.fail("it did not come to that")

    return wait
