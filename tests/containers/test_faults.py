"""Every way for a cell to die: each its own ending, one line that says why, and nothing left."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import json
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from docker.errors import APIError

from deepmatrix.engines import Ended, watch
from deepmatrix.engines.docker import endpoints, interruptible, leftovers
from deepmatrix.engines.docker.engine import DockerEngine
from deepmatrix.engines.docker.volumes.harness import HarnessVolume
from deepmatrix.engines.docker.volumes.sizes import VolumeSizes
from deepmatrix.engines.setup.daemon import Daemon
from deepmatrix.errors import EngineError
from deepmatrix.machine import owner, processes
from deepmatrix.machine.clocks import Stopwatch
from tests import small_disks

from .conftest import EXTRA, LIMITS, MIB, ROOT, Lab, Waiter, left, listed

pytestmark = pytest.mark.engine


@pytest.mark.parametrize(
    ("fault", "ending", "cause"),
    [
        ("segfault", "crashed", "killed by SIGSEGV (invalid memory access)"),
        ("abort", "crashed", "killed by SIGABRT (it aborted itself)"),
        ("out_of_memory", "oom", "needed more than its 256 MiB of memory"),
        ("hang", "timeout", "still ran after 3 s"),
        ("fork_bomb", "process-limit", "used up its 64 processes and threads"),
        ("flood", "log-limit", "wrote more than 16 MiB of log"),
        ("odd_exit", "exited", "exit code 7"),
        ("no_output", "exited", ""),
        ("torn_output", "exited", ""),
        ("deep_folders", "crashed", "it nested folders more than 32 deep"),
    ],
)
def test_each_fault_has_its_own_ending(lab: Lab, fault: str, ending: str, cause: str) -> None:
    ended = lab.run(fault, deadline_s=3 if fault in ("hang", "fork_bomb") else 60)
    assert (ended.ending, ended.cause) == (ending, cause)
    assert lab.still_works()


def test_files_of_a_process_come_back_unchanged(lab: Lab) -> None:
    lab.run("torn_output")
    assert (lab.control / "output.json").read_text() == '{"schema": 1, "rec'
    lab.run("no_output")
    assert "output.json" not in lab.files()


def test_a_child_out_of_memory_does_not_fail_its_parent(lab: Lab) -> None:
    ended = lab.run("memory_of_a_child")
    assert (ended.ending, ended.exit_code) == ("exited", 0)
    assert ended.cause == "a process it had started was killed: out of memory"


def test_the_log_is_stored_and_bounded(lab: Lab) -> None:
    assert lab.run("odd_exit").log == "the last words\n"
    log = lab.run("flood").log
    assert len(log) <= MIB + 100
    assert log.startswith("[")
    assert log.endswith("x\n")


def test_the_end_of_the_log_is_not_the_end_of_the_process(lab: Lab) -> None:
    ended = lab.run("silent_flood")
    assert (ended.ending, ended.exit_code) == ("exited", 5)


def test_a_background_process_ends_with_its_parent(lab: Lab) -> None:
    """It would hang for ever: had it been waited for, the deadline would have ended this."""
    ended = lab.run("escape")
    assert (ended.ending, ended.exit_code) == ("exited", 0)


def test_only_plain_files_come_back(lab: Lab) -> None:
    lab.run("links")
    names_of_one_file = {"hard", "input.json"}
    assert lab.files() - names_of_one_file == {"output.json", "plain"}
    assert not any(path.is_symlink() for path in lab.control.iterdir())
    assert (lab.control / "plain").read_text() == "plain"


def test_a_file_cannot_be_larger_than_it_may(lab: Lab) -> None:
    ended = lab.run("torn_output", limits=dataclasses.replace(LIMITS, file_bytes=4))
    assert ended.exit_code == 1
    assert "File too large" in ended.log


def test_files_that_fill_the_engines_disk_end_a_process(lab: Lab) -> None:
    ended = lab.run("fill_disk", limits=dataclasses.replace(LIMITS, disk_bytes=64 * MIB))
    assert (ended.ending, ended.cause) == ("disk-limit", "its files took more than 64 MiB")
    assert "0" not in lab.files()
    assert lab.still_works()


def test_a_full_disk_of_the_host_says_make_room_and_leaves_nothing(
    lab: Lab, tmp_path: Path
) -> None:
    with small_disks.mounted(tmp_path / "disk", "1m") as disk:
        small = dataclasses.replace(lab, control=disk / "control")
        with pytest.raises(EngineError, match="No space left on device") as caught:
            small.run("large_file")
        assert str(disk) in caught.value.message
        assert caught.value.hint.startswith("make room")
        assert small.files() == {"input.json"}
    assert lab.still_works()


def test_a_process_has_few_rights(lab: Lab) -> None:
    lab.run("confinement", limits=dataclasses.replace(LIMITS, cpus=(0,)))
    facts = json.loads((lab.control / "said.json").read_text())
    assert facts == {
        "user": 65532,
        "group": 65532,
        "capabilities": 0,
        "no_new_privileges": True,
        "seccomp": True,
        "cpus": [0],
        "interfaces": ["lo"],
        "write_root": "Read-only file system",
        "write_harness": "Read-only file system",
        "write_tmp": "done",
        "write_shm": "done",
        "connect": "Network is unreachable",
    }


def test_without_the_nvidia_runtime_a_cuda_cell_has_no_device(lab: Lab) -> None:
    if "cuda" in lab.engine.capabilities().devices:
        pytest.skip("this engine has a GPU")
    ended = lab.run("none", cell=dataclasses.replace(lab.cell, device="cuda"))
    assert ended.ending == "no-device"
    assert ended.cause.endswith("has no NVIDIA runtime")
    assert lab.still_works()


def test_a_removed_image_cannot_start(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(lab.engine.references, lab.cell.id, "deepmatrix/none:none")
    ended = lab.run("none")
    assert ended.ending == "start-failed"
    assert "No such image: deepmatrix/none:none" in ended.cause


def test_an_interrupt_ends_a_process_before_its_deadline(lab: Lab) -> None:
    threading.Timer(1.5, lab.cancel.set).start()
    ended = lab.run("hang", deadline_s=600)
    assert (ended.ending, ended.exit_code) == ("cancelled", None)
    lab.cancel.clear()
    assert lab.still_works()


def test_what_is_interrupted_before_its_process_starts_starts_none(lab: Lab) -> None:
    began = int(time.time())
    task = dataclasses.replace(lab.task("hang", deadline_s=600), run_id="unstarted")
    lab.cancel.set()
    ended = lab.engine.run(task, lab.cancel)
    lab.cancel.clear()
    assert (ended.ending, ended.exit_code) == ("cancelled", None)
    label = f"{leftovers.RUN}=unstarted"
    events = lab.engine._api.events(
        since=began,
        until=int(time.time()) + 1,
        filters={"label": label, "event": ["create", "start", "destroy"]},
        decode=True,
    )
    assert [event["Action"] for event in events] == ["create", "destroy"]


def test_a_process_killed_from_outside_is_not_out_of_memory(lab: Lab, until: Waiter) -> None:
    results: list[Ended] = []
    thread = threading.Thread(target=lambda: results.append(lab.run("hang")))
    thread.start()
    running = ["ps", "--quiet", "--filter", f"label=deepmatrix.owner={owner.this_process()}"]
    until(lambda: bool(listed(lab.engine, *running)))
    listed(lab.engine, "kill", *listed(lab.engine, *running))
    thread.join(60)
    assert [(result.ending, result.cause) for result in results] == [
        ("crashed", "killed by SIGKILL")
    ]


class FreezingSocket:
    """Stands before an engine's socket, and stops passing anything on when it is told to."""

    def __init__(self, path: Path, behind: str) -> None:
        self.frozen = threading.Event()
        self._behind = behind
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._open = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                engine = socket.socket(socket.AF_UNIX)
                engine.connect(self._behind)
                self._open += [client, engine]
                for source, target in ((client, engine), (engine, client)):
                    threading.Thread(
                        target=self._pass_on, args=(source, target), daemon=True
                    ).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if self.frozen.is_set():
                    return
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        for end in self._open:
            end.close()


@pytest.fixture
def collected() -> Iterator[None]:
    """Collect what a test leaves, so that no later one is blamed for it."""
    yield
    gc.collect()


def unclosed(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test after which the SDK leaves a socket open, because nobody listens to it."""
    ignored = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
    marked: Callable[..., None] = ignored(pytest.mark.usefixtures("collected")(test))
    return marked


@unclosed
def test_with_a_frozen_engine_an_interrupt_ends_and_says_what_may_be_left(
    lab: Lab, until: Waiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert interruptible.call.__defaults__ == (10.0,)
    monkeypatch.setattr(interruptible.call, "__defaults__", (1.0,))
    folder = Path(tempfile.mkdtemp(prefix="dm-", dir="/tmp"))  # a socket's path is short
    behind = lab.engine.endpoint.url.removeprefix("unix://")
    freezing = FreezingSocket(folder / "s", behind)
    engine = DockerEngine(endpoints.endpoint_named(f"unix://{folder}/s"), extra=EXTRA, return_s=0)
    engine.references.update(lab.engine.references)
    engine.open("frozen")
    through = dataclasses.replace(lab, engine=engine)

    def running() -> list[str]:
        return listed(lab.engine, "ps", "--quiet", "--filter", "label=deepmatrix.run=frozen")

    def freeze() -> None:
        until(lambda: bool(running()))
        freezing.frozen.set()
        lab.cancel.set()

    freezer = threading.Thread(target=freeze)
    freezer.start()
    task = dataclasses.replace(through.task("hang", deadline_s=60), run_id="frozen")
    ended = engine.run(task, lab.cancel)
    freezer.join()
    engine.close()
    assert ended.ending == "cancelled"
    assert "does not answer. A container and volumes" in ended.may_be_left
    assert "deepmatrix.run=frozen" in ended.may_be_left
    assert running()
    freezing.close()
    shutil.rmtree(folder)
    for thread in threading.enumerate():
        if thread.name == "engine call":
            thread.join()
    engine._api.close()
    for container in running():
        leftovers.remove_container(lab.engine._api, container)
    volumes = ("volume", "ls", "--quiet", "--filter", "label=deepmatrix.run=frozen")
    for volume in listed(lab.engine, *volumes):
        leftovers.remove_volume(lab.engine._api, volume)
    gc.collect()


@pytest.mark.parametrize("name", ["SIGHUP", "SIGTERM", "SIGINT"])
def test_a_signal_leaves_no_container_and_no_volume(lab: Lab, until: Waiter, name: str) -> None:
    lab.task("hang", deadline_s=60)
    script = f"""
import dataclasses
from pathlib import Path
import socket
from deepmatrix.config.sections import Framework, Runtime
from deepmatrix.engines.docker import endpoints, leftovers, interruptible
from deepmatrix.engines.docker.engine import DockerEngine
from deepmatrix.machine.signals import cancel_on_signal
from deepmatrix.planning.cells import Cell

from tests.containers.conftest import EXTRA, Lab

engine = DockerEngine(endpoints.endpoint_named({lab.engine.endpoint.url!r}), extra=EXTRA)
engine.references.update({lab.engine.references!r})
engine.open("signalled")
lab = Lab(engine=engine, cell={lab.cell!r}, control=Path({str(lab.control)!r}))
with cancel_on_signal() as cancel:
    task = dataclasses.replace(lab.task("hang", deadline_s=60), run_id="signalled")
    ended = engine.run(task, cancel)
    engine.close()
print(ended.ending)
"""
    label = ("--filter", "label=deepmatrix.run=signalled")
    host = processes.start([sys.executable, "-c", script], cwd=ROOT)
    try:
        until(lambda: bool(listed(lab.engine, "ps", "--quiet", *label)))
        host.send_signal(getattr(signal, name))
        output = host.communicate(timeout=60)[0].decode()
    finally:
        processes.end(host)
    assert output.strip().endswith("cancelled"), output
    assert listed(lab.engine, "ps", "--all", "--quiet", *label) == []
    assert listed(lab.engine, "volume", "ls", "--quiet", *label) == []


def test_watching_looks_and_asks_the_engine_seldom(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it takes of a processor depends on the processor; how often it wakes does not."""
    counts: Counter[str] = Counter()

    def count(owner: type, name: str) -> None:
        real = getattr(owner, name)

        def counted(*arguments: Any, **options: Any) -> Any:
            counts[name] += 1
            return real(*arguments, **options)

        monkeypatch.setattr(owner, name, counted)

    count(watch.Wake, "wait")
    count(VolumeSizes, "_volumes")
    count(requests.Session, "send")

    def counts_in(deadline_s: float) -> tuple[Counter[str], float]:
        counts.clear()
        watch = Stopwatch()
        assert lab.run("hang", deadline_s=deadline_s).ending == "timeout"
        return counts.copy(), watch.wall_s

    (short, short_s), (long, long_s) = counts_in(1), counts_in(6)
    # Four times a second; twice that, for a busy machine starts at another moment than it times.
    assert long["wait"] - short["wait"] <= (long_s - short_s) / 0.125 + 1
    assert long["_volumes"] <= long_s / 2 + 1  # a size each two seconds, at once where one is due
    asked = long["send"] - long["_volumes"] - (short["send"] - short["_volumes"])
    assert asked <= 1  # whose volume it is


def test_leftovers_of_a_killed_host_are_swept(lab: Lab, until: Waiter) -> None:
    lab.task("hang", deadline_s=600)
    script = f"""
from pathlib import Path
from deepmatrix.config.sections import Framework, Runtime
from deepmatrix.engines.docker import endpoints, leftovers, interruptible
from deepmatrix.engines.docker.engine import DockerEngine
from deepmatrix.planning.cells import Cell

from tests.containers.conftest import EXTRA, Lab

engine = DockerEngine(endpoints.endpoint_named({lab.engine.endpoint.url!r}), extra=EXTRA)
cell = {lab.cell!r}
engine.references[cell.id] = {lab.engine.references[lab.cell.id]!r}
engine.open("killed")
Lab(engine=engine, cell=cell, control=Path({str(lab.control)!r})).run("hang", deadline_s=600)
"""
    host = processes.start([sys.executable, "-c", script], cwd=ROOT)

    def theirs(*command: str) -> list[str]:
        """List by the owner's process id, which is the last but one part of its label."""
        form = '{{.Label "deepmatrix.owner"}}'
        owners = listed(lab.engine, *command, "--format", form)
        return [
            owner_label for owner_label in owners if owner_label.split("/")[3:4] == [str(host.pid)]
        ]

    until(lambda: bool(theirs("ps")))
    host.send_signal(signal.SIGKILL)
    processes.end(host)
    assert len(theirs("ps")) == 1
    assert len(theirs("volume", "ls")) == 2
    sweeper = DockerEngine(lab.engine.endpoint)
    sweeper.open("another run")
    sweeper.close()
    assert theirs("ps", "--all") == []
    assert theirs("volume", "ls") == []


@unclosed
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_an_engine_that_stops_during_a_process_is_lost(
    lab: Lab, second_daemon: Daemon, how: str, until: Waiter
) -> None:
    endpoint = endpoints.endpoint_named(second_daemon.url)
    engine = DockerEngine(endpoint, extra=EXTRA, return_s=2)
    engine.references = lab.engine.references
    engine.open("tests")
    second_lab = Lab(engine=engine, cell=lab.cell, control=lab.control)
    results: list[Ended] = []
    thread = threading.Thread(target=lambda: results.append(second_lab.run("hang")))
    thread.start()
    until(lambda: bool(listed(engine, "ps", "--quiet")))
    getattr(second_daemon, how)()
    thread.join(60)
    assert [(result.ending, result.cause) for result in results] == [
        ("engine-lost", "the engine went away and was not back after 2 s")
    ]
    assert second_lab.run("none").ending == "engine-lost"
    second_daemon.start()
    assert second_lab.still_works()
    engine.close()
    assert left(engine) == {}
    assert listed(engine, "ps", "--all", "--quiet") == []
    assert listed(engine, "volume", "ls", "--quiet") == []


@unclosed
def test_an_engine_that_comes_back_is_swept(lab: Lab, second_daemon: Daemon, until: Waiter) -> None:
    engine = DockerEngine(endpoints.endpoint_named(second_daemon.url), extra=EXTRA)
    assert engine._connection.return_s == 20
    engine.references = lab.engine.references
    engine.open("tests")
    second_lab = Lab(engine=engine, cell=lab.cell, control=lab.control)
    results: list[Ended] = []
    thread = threading.Thread(target=lambda: results.append(second_lab.run("hang")))
    thread.start()
    until(lambda: bool(listed(engine, "ps", "--quiet")))
    second_daemon.stop()
    second_daemon.start()
    thread.join(60)
    assert [(result.ending, result.cause) for result in results] == [
        ("engine-lost", "the engine went away, and came back")
    ]
    assert left(engine) == {}
    assert second_lab.still_works()
    engine.close()
    assert left(engine) == {}


def test_an_engine_that_comes_back_keeps_what_another_run_of_this_process_has(lab: Lab) -> None:
    other = DockerEngine(lab.engine.endpoint, extra=EXTRA)
    other.references = lab.engine.references
    other.open("another")
    other._swept = False  # as after an engine went away
    other.close()
    assert lab.still_works()


def test_a_sweep_waits_for_a_harness_that_is_being_shipped(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = DockerEngine(lab.engine.endpoint, extra=EXTRA)
    engine.references = lab.engine.references
    ship, sweep = engine._harness._make, leftovers.sweep_own
    is_closing = threading.Event()
    events: list[str] = []

    def ship_late(*arguments: Any) -> str:
        assert is_closing.wait(60)
        name = ship(*arguments)
        events.append("shipped")
        return name

    def sweep_noted(*arguments: Any) -> None:
        events.append("swept")
        sweep(*arguments)

    monkeypatch.setattr(engine._harness, "_make", ship_late)
    monkeypatch.setattr(leftovers, "sweep_own", sweep_noted)
    engine.open("another")
    engine._swept = False  # as after an engine went away
    threading.Timer(1, is_closing.set).start()
    engine.close()  # and the lab sees what is left
    assert events == ["shipped", "swept"]


def test_a_harness_that_cannot_be_shipped_leaves_nothing(lab: Lab, tmp_path: Path) -> None:
    before = left(lab.engine)
    image = lab.engine.references[lab.cell.id]
    faults = [("no-such-image", {}), (image, {"x": tmp_path / "missing"})]
    for name, files in faults:
        volume = HarnessVolume(lab.engine._api, files)
        volume.fill_ahead(name, "tests")
        for thread in threading.enumerate():
            if thread.name == "harness":
                thread.join(60)
        assert left(lab.engine) == before
        with pytest.raises((APIError, EngineError)):
            volume.fill(name, "tests")  # the first process says what is wrong
        assert left(lab.engine) == before
