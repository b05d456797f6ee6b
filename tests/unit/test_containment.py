"""What holds a process that no container holds: the sandbox, its control group, its copies."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePath

import pytest

from deepmatrix.boundary import nofollow, removing
from deepmatrix.engines import Ended, Task, archives, limits, sandbox
from deepmatrix.engines.local import LocalProcesses
from deepmatrix.engines.sandbox import Sandbox
from deepmatrix.machine import cgroups, owner, processes

from .plain_user import as_a_plain_user
from .test_engines import CELL, FAULTY, LIMITS, MIB, on_linux

pytestmark = on_linux

with_sandbox = pytest.mark.skipif(sandbox.find() is None, reason="no bubblewrap that works")
with_groups = pytest.mark.skipif(
    sys.platform != "linux" or not cgroups.are_possible(), reason="no control group can be made"
)

#: How long the left process would sleep: this names it among all processes.
NAP = f"7{os.getpid()}.5"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lab:
    """Runs a fault of the faulty adapter in plain processes, beside a folder with a secret."""

    folder: Path
    engine: LocalProcesses
    port: int

    @property
    def outside(self) -> Path:
        return self.folder / "outside"

    def run(
        self, fault: str, variables: Mapping[str, str] | None = None, **limits: int
    ) -> tuple[Ended, Path]:
        control = self.folder / fault / "control"
        (control / "data").mkdir(parents=True)
        (control / "data" / "x").write_text("x")
        document = {
            "schema": 1,
            "job": fault,
            "cell": {"id": CELL.id, "device": "cpu"},
            "adapter": "faulty_adapter",
            "phases": [],
            "selftest": [],
            "deadline_s": 60,
            "threads": 1,
        }
        (control / "input.json").write_text(json.dumps(document))
        places = {"OUTSIDE": str(self.outside), "PORT": str(self.port), "NAP": NAP}
        task = Task(
            id=fault,
            run_id="run",
            cell=CELL,
            control=control,
            deadline_s=30,
            limits=dataclasses.replace(LIMITS, **limits),
            environment={"FAULT": fault, **places, **(variables or {})},
        )
        return self.engine.run(task, Path(sys.executable), threading.Event()), control


Laboratory = Callable[[Sandbox | None], Lab]


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("a key")
    engines: list[LocalProcesses] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def make(around: Sandbox | None) -> Lab:
            engine = LocalProcesses(
                clean=True,
                extra={"faulty_adapter.py": FAULTY},
                root=tmp_path / "work",
                sandbox=around,
            )
            engine.open()
            engines.append(engine)
            return Lab(folder=tmp_path, engine=engine, port=server.getsockname()[1])

        yield make
        for engine in engines:
            engine.close()
    assert list((tmp_path / "work").iterdir()) == []


def _left() -> list[int]:
    """Return the processes that `daemon` left."""
    pids = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if NAP.encode() in path.read_bytes().split(b"\0"):
                pids.append(int(path.parent.name))
        except OSError:
            continue
    return pids


def _is_soon(holds: Callable[[], bool]) -> bool:
    for _ in range(200):
        if holds():
            return True
        time.sleep(0.02)
    return False


@with_sandbox
def test_in_the_sandbox_a_process_reads_writes_and_reaches_nothing_of_the_user(
    laboratory: Laboratory,
) -> None:
    lab = laboratory(sandbox.find())
    ended, control = lab.run("trespass")
    assert (ended.ending, ended.containment) == ("exited", "bubblewrap"), ended.log
    assert json.loads((control / "said.json").read_text()) == {
        "write": "No such file or directory",
        "read": "No such file or directory",
        "connect": "Connection refused",  # its own loopback, where nobody listens
        "change_harness": "Read-only file system",
        "neighbours": "0",
    }
    assert [path.name for path in lab.outside.iterdir()] == ["secret"]


@with_sandbox
def test_no_variable_of_a_cell_reaches_a_program_outside_the_sandbox(
    laboratory: Laboratory,
) -> None:
    variables = {"LD_PRELOAD": "/no/library.so", "PYTHONPATH": "/no/harness"}
    ended, _ = laboratory(sandbox.find()).run("odd_exit", variables)
    assert (ended.exit_code, ended.containment) == (7, "bubblewrap"), ended.log
    assert ended.log.count("/no/library.so") == 1, "the loader of Python alone complains of it"


def test_without_a_sandbox_the_record_says_that_nothing_holds_it(laboratory: Laboratory) -> None:
    """The attack is real: here it works."""
    lab = laboratory(None)
    ended, control = lab.run("trespass")
    assert ended.containment == "none"
    facts = json.loads((control / "said.json").read_text())
    assert [facts[name] for name in ("write", "read", "connect")] == ["done", "a key", "done"]
    assert (lab.outside / "planted").exists()


def test_a_process_cannot_change_the_harness_of_a_later_one(laboratory: Laboratory) -> None:
    lab = laboratory(None)
    _, control = lab.run("trespass")
    assert json.loads((control / "said.json").read_text())["change_harness"] == "done"
    ended, _ = lab.run("torn_output")
    assert (ended.ending, ended.exit_code) == ("exited", 0), ended.log


@pytest.mark.parametrize(
    "around",
    [
        pytest.param(None, id="control group", marks=with_groups),
        pytest.param(sandbox.find(), id="sandbox", marks=with_sandbox),
    ],
)
def test_a_daemon_does_not_survive(
    laboratory: Laboratory, around: Sandbox | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if around:
        monkeypatch.setattr(cgroups, "_own_folder", lambda: None)
    ended, _ = laboratory(around).run("daemon")
    assert (ended.ending, ended.exit_code) == ("exited", 0), ended.log
    assert _is_soon(lambda: _left() == [])


@pytest.mark.parametrize(
    "around",
    [
        pytest.param(None, id="control group", marks=with_groups),
        pytest.param(sandbox.find(), id="sandbox", marks=with_sandbox),
    ],
)
def test_the_memory_of_a_daemon_counts(
    laboratory: Laboratory, around: Sandbox | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if around:
        monkeypatch.setattr(cgroups, "_own_folder", lambda: None)
    ended, _ = laboratory(around).run("memory_of_a_daemon")
    assert (ended.ending, ended.cause) == ("oom", "needed more than its 200 MiB of memory")


@pytest.mark.parametrize(
    "around", [None, pytest.param(sandbox.find(), id="sandbox", marks=with_sandbox)]
)
def test_a_link_in_place_of_a_folder_brings_nothing_back(
    laboratory: Laboratory, around: Sandbox | None
) -> None:
    _, control = laboratory(around).run("link_out")
    names = {path.name for path in control.rglob("*")}
    assert "input.json" in names
    assert names.isdisjoint({"data", "secret"})


@with_sandbox
def test_a_file_in_the_sandbox_cannot_be_larger_than_it_may(laboratory: Laboratory) -> None:
    _, control = laboratory(sandbox.find()).run("large_file", file_bytes=MIB)
    assert (control / "large").stat().st_size == MIB


@with_sandbox
@pytest.mark.parametrize(
    ("fault", "ending", "cause"),
    [
        ("segfault", "crashed", "killed by SIGSEGV (invalid memory access)"),
        ("out_of_memory", "oom", "needed more than its 200 MiB of memory"),
        ("flood", "log-limit", "wrote more than 1 MiB of log"),
        ("odd_exit", "exited", "exit code 7"),
    ],
)
def test_a_fault_in_the_sandbox_has_the_same_ending(
    laboratory: Laboratory, fault: str, ending: str, cause: str
) -> None:
    ended, _ = laboratory(sandbox.find()).run(fault)
    assert (ended.ending, ended.cause) == (ending, cause)


def test_a_sandbox_that_does_not_work_is_not_used(laboratory: Laboratory, tmp_path: Path) -> None:
    program = tmp_path / "bwrap"
    program.write_text("#!/bin/sh\necho no permission to make namespaces >&2\nexit 1\n")
    program.chmod(0o755)
    ended, _ = laboratory(Sandbox(str(program))).run("torn_output")
    assert (ended.ending, ended.containment) == ("exited", "none")


def test_an_interpreter_is_seen_by_every_path_that_leads_to_it(tmp_path: Path) -> None:
    real, alias, environment = tmp_path / "3.11.7", tmp_path / "3.11", tmp_path / "env"
    for folder in (real, environment):
        (folder / "bin").mkdir(parents=True)
    (real / "lib" / "python3.11").mkdir(parents=True)
    (real / "lib" / "python3.11" / "os.py").touch()
    (real / "bin" / "python3.11").touch()
    (environment / "pyvenv.cfg").touch()
    alias.symlink_to(real)
    (environment / "bin" / "python").symlink_to(alias / "bin" / "python3.11")
    (tmp_path / "shortcut").symlink_to("env/bin/python")
    places = sandbox.interpreter_places(tmp_path / "shortcut")
    assert places == [tmp_path / "shortcut", environment, alias, real]


@with_groups
def test_the_group_of_a_dead_process_is_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    dead = dataclasses.replace(owner.this_process(), started="1")
    with monkeypatch.context() as patched:
        patched.setattr(owner, "this_process", lambda: dead)
        context = cgroups.new_group()
        group = context.__enter__()
    assert group is not None
    pid = os.posix_spawn("/bin/sleep", ["sleep", "600"], {})
    group.entrance.write_text(str(pid))
    with cgroups.new_group() as mine:
        assert mine is not None
        cgroups.sweep()
        assert mine.path.is_dir()
    assert os.waitpid(pid, 0)[1] == 9
    assert _is_soon(lambda: cgroups.sweep() is None and not group.path.is_dir())


# Links that a process puts where the host reads and writes ----------------------------------------


@pytest.fixture
def trapped(tmp_path: Path) -> Path:
    """Return a control directory with links to a folder of the user's, and with a pipe."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("a key")
    control = tmp_path / "control"
    control.mkdir()
    (control / "jobs").symlink_to(tmp_path / "outside")
    (control / "file").symlink_to(tmp_path / "outside" / "secret")
    os.mkfifo(control / "pipe")
    return control


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("jobs/secret", "Not a directory"),
        ("file", "symbolic links"),
        ("pipe", "no plain file"),
    ],
)
def test_nothing_is_read_through_a_link_or_from_a_pipe(
    trapped: Path, name: str, reason: str
) -> None:
    with pytest.raises(OSError, match=reason):
        nofollow.open_to_read(trapped, PurePath(name))


def test_nothing_is_written_through_a_link(trapped: Path, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Not a directory") as caught:
        nofollow.open_to_write(trapped, PurePath("jobs/0002/input.json"))
    assert caught.value.errno in nofollow.IN_THE_WAY
    with nofollow.open_to_write(trapped, PurePath("file")) as target:
        target.write(b"new")
    assert (trapped / "file").read_bytes() == b"new"
    with nofollow.open_to_write(trapped, PurePath("a/b/c")) as target:
        target.write(b"deep")
    with nofollow.open_to_read(trapped, PurePath("a/b/c")) as source:
        assert source.read() == b"deep"
    assert [path.name for path in (tmp_path / "outside").iterdir()] == ["secret"]
    assert (tmp_path / "outside" / "secret").read_text() == "a key"


def test_a_jobs_folder_that_became_a_link_is_refused(trapped: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(archives.Refused):
        archives.copy_plain_files(trapped, folder, PurePath("jobs"), limit_bytes=1 << 20)
    assert list(folder.iterdir()) == []


# Limits of the disk -------------------------------------------------------------------------------


def test_files_that_only_root_can_see_end_a_process_and_do_not_stay(laboratory: Laboratory) -> None:
    lab = laboratory(None)

    def hide() -> None:
        ended, _ = lab.run("hide_files")
        cause = "its files cannot be counted: Permission denied"
        assert (ended.ending, ended.cause) == ("disk-limit", cause), ended.log
        assert {path.name for path in (lab.folder / "work").glob("*/*")} == {"owner"}

    as_a_plain_user(hide)


def test_a_process_with_more_files_than_are_counted_is_over_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_ENTRIES", 100)
    for number in range(100):
        (tmp_path / str(number)).touch()
    assert limits.check_disk(tmp_path, LIMITS) is None
    (tmp_path / "last").touch()
    stop = limits.check_disk(tmp_path, LIMITS)
    assert stop is not None
    assert (stop.ending, stop.cause) == ("disk-limit", "it wrote more than 100 files and folders")


@pytest.mark.parametrize("mode", [0, 0o444, 0o111, 0o555])
def test_a_folder_that_is_closed_is_removed(mode: int, tmp_path: Path) -> None:
    inner = tmp_path / "folder" / "outer" / "closed" / "inner"
    inner.mkdir(parents=True)
    (inner / "file").write_text("x")
    for path in (inner, *inner.parents[:3]):
        path.chmod(mode)
    as_a_plain_user(lambda: removing.remove(tmp_path / "folder"))
    assert list(tmp_path.iterdir()) == []


def test_what_a_link_leads_to_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "outside" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    removing.remove(tmp_path / "link")
    assert [path.name for path in (tmp_path / "outside").iterdir()] == ["inner"]


# Limits that the system holds ---------------------------------------------------------------------


def test_a_limited_command_keeps_its_exit_code_output_and_limits(tmp_path: Path) -> None:
    names = "(resource.RLIMIT_FSIZE, resource.RLIMIT_CORE)"
    script = f"import resource; print(*(resource.getrlimit(name)[1] for name in {names}))"
    command = [sys.executable, "-c", script]
    missing = tmp_path / "no group" / "cgroup.procs"
    for entrance in (None, missing):
        output = processes.run(processes.limited(command, file_bytes=MIB, entrance=entrance))
        assert output.split() == [str(MIB), "0"]
    with pytest.raises(processes.CommandFailed) as caught:
        processes.run(processes.limited([sys.executable, "-c", "exit(7)"], file_bytes=MIB))
    assert caught.value.code == 7
    assert caught.value.output == ""
