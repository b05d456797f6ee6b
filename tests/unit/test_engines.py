"""Engines without an engine: endpoints, owners, archives, endings, and plain processes."""

from __future__ import annotations

import dataclasses
import errno
import gc
import hashlib
import importlib.util
import io
import json
import os
import platform
import signal
import socket
import sys
import tarfile
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.errors import DockerException
from hypothesis import given, settings
from hypothesis import strategies as st

from deepmatrix.config.sections import Runtime
from deepmatrix.engines import (
    Ended,
    Limits,
    Progress,
    Task,
    archives,
    choose,
    endings,
    venv,
    watch,
)
from deepmatrix.engines.choose import choose as choose_engine
from deepmatrix.engines.docker import connection, endpoints, engine
from deepmatrix.engines.docker.endpoints import Endpoint
from deepmatrix.engines.here import HereEngine
from deepmatrix.engines.local import LocalProcesses
from deepmatrix.engines.venv import Interpreter, VenvEngine
from deepmatrix.engines.watch import Stop, Tail
from deepmatrix.errors import ArgumentError, EngineError
from deepmatrix.execution.conclusions import watchdog_report
from deepmatrix.images import scratch
from deepmatrix.machine import binfmt, owner, processes
from deepmatrix.planning.cells import Cell

from .examples import MATRIX

FAULTY = Path(__file__).resolve().parents[1] / "containers" / "faulty_adapter.py"
MIB = 1 << 20
LIMITS = Limits(
    memory_bytes=200 * MIB,
    processes=30,
    cpus=(0,),
    log_bytes=MIB,
    file_bytes=64 * MIB,
    disk_bytes=64 * MIB,
)
CELL = Cell(
    name="onnxruntime",
    system=Runtime(family="wheels", adapter="faulty_adapter", reads=("onnx",)),
    base="debian12",
    python="3.11",
    architecture="amd64",
    device="cpu",
)
#: The same, as this interpreter is.
OWN = dataclasses.replace(
    CELL,
    architecture=binfmt.docker_name(platform.machine().lower()),
    python="{}.{}".format(*sys.version_info),
)
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


# Owners ---------------------------------------------------------------------------------------


@on_linux
def test_a_process_knows_itself_by_its_label() -> None:
    assert owner.parse(str(owner.this_process())) == owner.this_process()
    assert owner.parse(f"{owner.this_process()}/and/more") == owner.this_process()
    assert not owner.this_process().is_gone()


@on_linux
@pytest.mark.parametrize(
    ("change", "gone"),
    [
        ({"pid": 4_000_000}, True),
        ({"started": "1"}, True),  # its number was given to another
        ({"boot": "before"}, True),
        ({"machine": "another"}, False),  # cannot be seen from here
        ({"namespace": "another"}, False),
    ],
)
def test_an_owner_is_gone_when_its_process_surely_ended(
    change: dict[str, object], gone: bool
) -> None:
    assert dataclasses.replace(owner.this_process(), **change).is_gone() is gone


@on_linux
def test_a_killed_build_leaves_no_builder_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """
import time
from deepmatrix.images import scratch
from deepmatrix.machine import processes
with scratch.build_folder() as folder:
    (folder / "pip.conf").write_text("a secret")
    environment = scratch.builder_environment()
    builder = processes.start(["sleep", "600"], environment=environment, output=-3)
    print(folder, builder.pid, flush=True)
    time.sleep(600)
"""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    build = processes.start([sys.executable, "-c", script], environment={"TMPDIR": str(tmp_path)})
    assert build.stdout is not None
    folder, builder = build.stdout.readline().decode().split()
    scratch.sweep()
    assert (Path(folder) / "pip.conf").exists()  # its process still runs
    assert Path(folder).stat().st_mode & 0o077 == 0
    build.send_signal(signal.SIGKILL)
    processes.end(build)
    link = tmp_path / f"{scratch.PREFIX}link"
    link.symlink_to(folder)
    assert _runs(int(builder))
    scratch.sweep()
    assert not Path(folder).exists()
    assert link.is_symlink()
    for _ in range(200):
        if not _runs(int(builder)):
            break
        time.sleep(0.05)
    assert not _runs(int(builder))


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    "label",
    ["", "nonsense", "a/b/c/not a number/e", "a/b/c/²/e", "a/b/c/١/e", f"a/b/c/{'9' * 5000}/e"],
)
def test_an_invalid_label_counts_as_gone(label: str) -> None:
    assert owner.parse(label) is None
    assert not owner.is_gone(label)


# Archives -------------------------------------------------------------------------------------


def test_a_folder_goes_through_an_archive_unchanged(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "data").mkdir(parents=True)
    target.mkdir()
    (source / "input.json").write_text("{}")
    (source / "data" / "x.npz").write_bytes(bytes(range(256)) * 1000)
    (source / "linked.npz").symlink_to(source / "data" / "x.npz")
    files = {f"control/{name}": path for name, path in archives.list_files(source).items()}
    with archives.pack(files, user=65532) as archive:
        archives.unpack(_chunks(archive.read()), target, limit_bytes=MIB)
    assert {name: path.read_bytes() for name, path in archives.list_files(target).items()} == {
        name: path.read_bytes() for name, path in archives.list_files(source).items()
    }
    assert not (target / "linked.npz").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("control/../../escaped", "forbidden name"),
        ("control/a\\b", "forbidden name"),
        ("control/C:", "forbidden name"),
    ],
)
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str, message: str) -> None:
    target = tmp_path / "control"
    target.mkdir()
    (target / "input.json").touch()
    with pytest.raises(archives.Refused, match=message):
        archives.unpack([_tar({name: b"x"})], target, limit_bytes=MIB)
    assert [path.name for path in tmp_path.iterdir()] == ["control"]
    assert [path.name for path in target.iterdir()] == ["input.json"]


def test_an_absolute_name_lands_in_the_folder(tmp_path: Path) -> None:
    target = tmp_path / "control"
    target.mkdir()
    archives.unpack([_tar({"/etc/passwd": b"x"})], target, limit_bytes=MIB)
    assert (target / "etc" / "passwd").read_bytes() == b"x"


def test_links_and_devices_are_left_out(tmp_path: Path) -> None:
    target = tmp_path / "control"
    target.mkdir()
    kinds = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]
    archives.unpack([_tar({"control/plain": b""}, *kinds)], target, limit_bytes=MIB)
    assert [path.name for path in target.iterdir()] == ["plain"]


def test_links_and_devices_count_as_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_FILES", 3)
    target = tmp_path / "control"
    target.mkdir()
    kinds = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]
    with pytest.raises(archives.Refused, match="more than 3 files"):
        archives.unpack([_tar({}, *kinds)], target, limit_bytes=MIB)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({f"control/{'x' * 300}": b"x"}, "this machine refuses, 'xxx"),
        ({"control/a": b"x", "control/a/b/c": b"x"}, "a file and a folder named 'a'"),
        ({"control/a/b/c": b"x", "control/a": b"x"}, "or a file and a folder, named 'a'"),
        ({"control/a": b"x", "control//a": b"x"}, "two files, or a file and a folder, named 'a'"),
        ({"control/" + "d/" * 33 + "x": b"x"}, "folders more than 32 deep"),
        ({"control/" + "d/" * 1500 + "x": b"x"}, "folders more than 32 deep"),
    ],
)
def test_a_file_name_that_the_host_refuses_is_the_cells_fault(
    tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    target = tmp_path / "control"
    target.mkdir()
    with pytest.raises(archives.Refused, match=message) as raised:
        archives.unpack([_tar(files)], target, limit_bytes=MIB)
    assert isinstance(raised.value, archives.NameRefused) == ("this machine" in message)
    assert [path.name for path in tmp_path.iterdir()] == ["control"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_host_that_cannot_write_is_not_the_cells_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    target = tmp_path / "control"
    target.mkdir()

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(archives.shutil, "copyfileobj", fail)
    with pytest.raises(EngineError, match=os.strerror(number)):
        archives.unpack([_tar({"control/x": b"x"})], target, limit_bytes=MIB)


def test_a_full_disk_says_make_room_and_where(small_disk: Path) -> None:
    target = small_disk / "control"
    target.mkdir()
    (target / "input.json").write_text("{}")
    with pytest.raises(EngineError, match=f"^{target}.*: No space left on device$") as caught:
        archives.unpack([_tar({"control/x": bytes(2 * MIB)})], target, limit_bytes=8 * MIB)
    assert caught.value.hint.startswith("make room; a run that has begun goes on with --resume")
    assert [path.name for path in target.iterdir()] == ["input.json"]
    assert [path.name for path in small_disk.iterdir()] == ["control"]


def test_a_full_temporary_folder_says_so(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    (tmp_path / "large").write_bytes(bytes(2 * MIB))
    with pytest.raises(EngineError, match=f"^{small_disk}: No space left on device$"):
        archives.pack({"control/x": tmp_path / "large"}, user=1)


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such limit")
def test_a_file_larger_than_the_system_allows_says_so(tmp_path: Path) -> None:
    import resource

    target = tmp_path / "control"
    target.mkdir()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, limits[1]))
    try:
        with pytest.raises(EngineError, match="File too large") as caught:
            archives.unpack([_tar({"control/x": bytes(2 * MIB)})], target, limit_bytes=8 * MIB)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "ulimit -f" in caught.value.hint


def test_a_stream_that_breaks_is_not_this_machines_fault(tmp_path: Path) -> None:
    target = tmp_path / "control"
    target.mkdir()

    def broken() -> Iterator[bytes]:
        yield _tar({"control/x": bytes(MIB)})[:MIB]
        raise ConnectionResetError(errno.ECONNRESET, "reset")

    with pytest.raises(ConnectionResetError):
        archives.unpack(broken(), target, limit_bytes=8 * MIB)
    assert [path.name for path in tmp_path.iterdir()] == ["control"]


def test_a_too_large_output_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    with (source / "output.json").open("wb") as file:
        file.truncate(archives.MAX_OUTPUT_BYTES + 1)
    with pytest.raises(archives.Refused, match=r"output\.json of more than 32 MiB"):
        archives.copy_plain_files(source, target, limit_bytes=8 << 30)
    monkeypatch.setattr(archives, "MAX_OUTPUT_BYTES", 1)
    with pytest.raises(archives.Refused, match=r"an output\.json of more than"):
        archives.unpack([_tar({"control/output.json": b"{}"})], target, limit_bytes=MIB)
    archives.unpack([_tar({"control/deeper/output.json": b"{}"})], target, limit_bytes=MIB)


def test_the_holes_of_files_count_as_their_copies_have_none(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    for name in "abc":
        with (source / name).open("wb") as file:
            file.truncate(MIB)
    with pytest.raises(archives.Refused, match="more than it may"):
        archives.copy_plain_files(source, target, limit_bytes=3 * MIB - 1)
    assert list(target.iterdir()) == []
    archives.copy_plain_files(source, target, limit_bytes=3 * MIB)
    assert archives.size_below(target) == 3 * MIB


def test_too_many_bytes_or_files_are_refused(tmp_path: Path) -> None:
    target = tmp_path / "control"
    target.mkdir()
    with pytest.raises(archives.Refused, match="more than 1 MiB"):
        archives.unpack([_tar({"control/x": bytes(MIB + 1)})], target, limit_bytes=MIB)
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("text", [b"", b"no archive at all" * 100])
def test_a_broken_archive_is_refused(tmp_path: Path, text: bytes) -> None:
    target = tmp_path / "control"
    target.mkdir()
    with pytest.raises(archives.Refused, match="cannot be read"):
        archives.unpack([text], target, limit_bytes=MIB)


@settings(max_examples=50)
@given(st.lists(st.integers(1, 3000), max_size=30))
def test_an_archive_is_read_from_chunks_of_any_size(sizes: list[int]) -> None:
    data = bytes(range(256)) * 100
    stream = archives._Stream(_chunks(data, sizes))
    parts = iter(lambda: stream.read(512), b"")
    assert b"".join(parts) == data


def _chunks(data: bytes, sizes: list[int] | None = None) -> Iterator[bytes]:
    for size in sizes or []:
        yield data[:size]
        data = data[size:]
        if not data:
            return
    yield data


def _tar(files: dict[str, bytes], *kinds: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        for kind in kinds:
            entry = tarfile.TarInfo(f"control/kind-{kind.decode()}")
            entry.type, entry.linkname = kind, "/etc/passwd"
            tar.addfile(entry)
    return buffer.getvalue()


# Endings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "oom", "ending", "cause"),
    [
        (0, False, "exited", ""),
        (0, True, "exited", "a process it had started was killed: out of memory"),
        (1, False, "exited", "exit code 1"),
        (1, True, "oom", "needed more than its 200 MiB of memory"),
        (137, True, "oom", "needed more than its 200 MiB of memory"),
        (137, False, "crashed", "killed by SIGKILL"),
        (139, False, "crashed", "killed by SIGSEGV (invalid memory access)"),
        (-6, False, "crashed", "killed by SIGABRT (it aborted itself)"),
        (-signal.SIGILL, False, "crashed", "killed by SIGILL (illegal instruction: built for"),
        (255, False, "exited", "exit code 255"),
    ],
)
def test_an_exit_code_maps_to_an_ending_and_a_cause(
    code: int, oom: bool, ending: str, cause: str
) -> None:
    stop = endings.ended_by_itself(code, oom=oom, limits=LIMITS)
    assert stop.ending == ending
    assert stop.cause.startswith(cause)


def test_a_tail_stores_the_end_of_a_log_and_counts_all_bytes() -> None:
    tail = Tail(limit_bytes=4 * MIB)
    for number in range(400_000):
        tail.add(b"line %d\n" % number)
    text = tail.text()
    assert tail.is_over
    assert text.splitlines()[-1] == "line 399999"
    assert text.splitlines()[0].endswith("bytes are not stored]")
    assert text.splitlines()[1].startswith("line ")
    assert len(text) <= watch.LOG_BYTES + 100


def test_a_tail_decodes_anything() -> None:
    tail = Tail(limit_bytes=MIB)
    tail.add(b"\xff\xfe ok")
    assert tail.text() == "�� ok"


@pytest.mark.timeout(30)
def test_waiting_ends_as_soon_as_the_process_ends() -> None:
    wake = watch.Wake()
    threading.Timer(0.05, wake.end).start()
    assert watch.wait_for_end(wake, cancel=threading.Event(), deadline_s=60) is None


def test_a_job_that_is_served_is_no_end_and_begins_the_deadline_anew() -> None:
    wake, served = watch.Wake(), []

    def serve() -> bool:
        served.append(len(served))
        threading.Timer(0.05, wake.end if len(served) == 3 else wake.look).start()
        return len(served) <= 3

    wake.look()
    assert watch.wait_for_end(wake, cancel=threading.Event(), deadline_s=60, serve=serve) is None
    assert served == [0, 1, 2, 3]


def test_a_log_is_split_where_a_job_is_done() -> None:
    tail = Tail(limit_bytes=100, nonce="served abc")
    assert not tail.add(b"first" * 10 + b"\nserved ")
    assert tail.add(b"abc\nsecond" + b"!" * 80)
    assert tail.take_section() == "first" * 10
    assert tail.take_section() is None
    assert tail.text() == "second" + "!" * 80
    assert not tail.is_over  # each job may write as much as a process with one job
    tail.add(b"!" * 20)
    assert tail.is_over


def test_marks_that_no_job_was_handed_in_for_end_no_section_and_no_count() -> None:
    tail = Tail(limit_bytes=4 * MIB, nonce="served abc")
    ended = [tail.add(b"x" * MIB + b"\nserved abc\n") for _ in range(40)]
    assert ended == [True] + [False] * 39
    assert tail.is_over
    assert tail.take_section() is not None
    assert tail.take_section() is None
    assert len(tail.text()) <= watch.LOG_BYTES + 100


def test_waiting_returns_why_a_process_must_stop() -> None:
    never, cancel = watch.Wake(), threading.Event()
    stop = watch.wait_for_end(never, cancel=cancel, deadline_s=0.1)
    assert stop == Stop(ending="timeout", cause="still ran after 0.1 s")
    reason = Stop(ending="oom", cause="seen")
    assert watch.wait_for_end(never, cancel=cancel, deadline_s=9, check=lambda: reason) is reason
    cancel.set()
    stop = watch.wait_for_end(never, cancel=cancel, deadline_s=9)
    assert stop is not None
    assert stop.ending == "cancelled"


# Endpoints ------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the contexts `far` (current) and `secure`."""
    contexts = {"far": "ssh://me@far", "secure": "tcp://secure:2376"}
    store = tmp_path / ".docker" / "contexts"
    for name, host in contexts.items():
        digest = hashlib.sha256(name.encode()).hexdigest()
        meta = store / "meta" / digest / "meta.json"
        meta.parent.mkdir(parents=True)
        meta.write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host}}}))
    (store / "tls" / hashlib.sha256(b"secure").hexdigest() / "docker").mkdir(parents=True)
    (tmp_path / ".docker" / "config.json").write_text('{"currentContext": "far"}')
    return tmp_path


def _first(environment: dict[str, str]) -> Endpoint:
    return next(endpoints.candidates(environment))


def test_docker_host_comes_before_the_context(home: Path) -> None:
    environment = {"HOME": str(home), "DOCKER_HOST": "unix:///x.sock", "DOCKER_CONTEXT": "secure"}
    (endpoint,) = endpoints.candidates(environment)
    assert (endpoint.url, endpoint.origin) == ("unix:///x.sock", "DOCKER_HOST")
    assert endpoint.environment() == {"DOCKER_HOST": "unix:///x.sock", "DOCKER_CONTEXT": ""}


def test_the_current_context_is_used(home: Path) -> None:
    endpoint = _first({"HOME": str(home)})
    assert (endpoint.url, endpoint.origin) == ("ssh://me@far", "the current context 'far'")
    assert endpoint.environment() == {"DOCKER_CONTEXT": "far", "DOCKER_HOST": ""}


def test_a_context_brings_its_certificates(home: Path) -> None:
    endpoint = _first({"HOME": str(home), "DOCKER_CONTEXT": "secure"})
    assert endpoint.tls is not None
    assert endpoint.tls.parts[-3] == "tls"


def test_an_unknown_context_is_an_error(home: Path) -> None:
    with pytest.raises(ArgumentError) as caught:
        endpoints.endpoint_named("fra", {"HOME": str(home)})
    assert caught.value.message == "no Docker context 'fra'; did you mean 'far'?"
    with pytest.raises(ArgumentError):
        _first({"HOME": str(home), "DOCKER_CONTEXT": "gone"})


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("ssh://me:secret@host", "ssh://me:***@host"),
        ("foo://me:secret@host", "foo://me:***@host"),
        ("tcp://me:secret@host:99999", "tcp://me:***@host:99999"),
        ("tcp://me:secret@[::1", "tcp://me:***@[::1"),
        ("foo://me:s@cr@t@host", "foo://me:***@host"),
    ],
)
def test_a_password_in_an_address_is_refused_and_not_repeated(url: str, shown: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        endpoints.endpoint_named(url, {})
    assert caught.value.message.startswith(f"'{shown}' is not an address of an engine: ")
    with pytest.raises(ArgumentError, match=r"'me:\*\*\*@host:2375' is not an address"):
        _first({"DOCKER_HOST": "me:secret@host:2375"})


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has pipes")
def test_a_pipe_is_refused_where_there_are_none() -> None:
    with pytest.raises(ArgumentError, match="pipes are for Windows"):
        endpoints.endpoint_named("npipe:////./pipe/docker_engine", {})


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("ftp://x", "no scheme of unix, npipe, tcp, http, https, ssh"),
        ("tcp://256.1.1.1:99999", "Port out of range 0-65535"),
        ("tcp://host:port", "Port could not be cast to integer value as 'port'"),
        ("tcp://[::1", "Invalid IPv6 URL"),
    ],
)
def test_an_invalid_address_is_an_error(url: str, problem: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        endpoints.endpoint_named(url, {})
    assert caught.value.message == f"'{url}' is not an address of an engine: {problem}"
    assert "tcp://HOST:PORT" in caught.value.hint
    with pytest.raises(ArgumentError):
        _first({"DOCKER_HOST": url})


def test_podman_comes_after_docker(tmp_path: Path) -> None:
    for name in ("docker.sock", "podman/podman.sock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    candidates = endpoints.candidates({"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)})
    urls = [endpoint.url for endpoint in candidates if str(tmp_path) in endpoint.url]
    assert urls == [f"unix://{tmp_path}/docker.sock", f"unix://{tmp_path}/podman/podman.sock"]


def test_only_enabled_fixed_entries_count_as_emulated(tmp_path: Path) -> None:
    entries = {
        "qemu-aarch64": "enabled\ninterpreter /x\nflags: POF\n",
        "qemu-s390x": "enabled\ninterpreter /x\nflags: PO\n",
        "qemu-riscv64": "disabled\ninterpreter /x\nflags: F\n",
        "jar": "enabled\nflags: F\n",
    }
    for name, text in entries.items():
        (tmp_path / name).write_text(text)
    assert binfmt.emulated_architectures(tmp_path) == {"arm64"}


# Choosing -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dokcer", "no engine 'dokcer'; did you mean 'docker'?"),
        ("venv:x", "no engine 'venv:x'; did you mean 'venv'?"),
        ("venv:", "no engine 'venv:'; did you mean 'venv'?"),
        ("docker:", "'docker:' names no context and no URL"),
        ("", "no engine ''; known: auto, docker, here, venv"),
    ],
)
def test_an_unknown_engine_is_an_error(name: str, message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        choose_engine(name, MATRIX, say=print)
    assert caught.value.message == message


def test_without_an_engine_cells_run_in_virtual_environments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(endpoints, "candidates", lambda: iter(()))
    notes: list[str] = []
    assert isinstance(choose_engine("auto", MATRIX, say=notes.append), VenvEngine)
    (line,) = notes
    assert line.startswith(
        "no container engine answers on this machine: cells run in virtual environments as you"
    )
    assert "nox -s engine" in line


def test_an_engine_that_is_not_named_need_not_answer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nobody = Endpoint(url=f"unix://{tmp_path}/no.sock", origin="the default socket")
    monkeypatch.setattr(endpoints, "candidates", lambda: iter([nobody]))
    notes: list[str] = []
    assert isinstance(choose_engine("auto", MATRIX, say=notes.append), VenvEngine)
    assert notes[0].startswith("no container engine answers at the default socket")
    with pytest.raises(choose.NoEngine):
        choose_engine("docker", MATRIX, say=print)


def test_a_context_that_does_not_answer_is_not_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    digest = hashlib.sha256(b"gone").hexdigest()
    meta = tmp_path / "contexts" / "meta" / digest / "meta.json"
    meta.parent.mkdir(parents=True)
    host = {"Host": f"unix://{tmp_path}/no.sock"}
    meta.write_text(json.dumps({"Name": "gone", "Endpoints": {"docker": host}}))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONTEXT", "gone")
    for name in ("auto", "docker"):
        with pytest.raises(EngineError, match="no container engine answers at DOCKER_CONTEXT"):
            choose_engine(name, MATRIX, say=print)


@pytest.mark.parametrize("name", ["auto", "docker", "docker:unix:///nobody.sock"])
def test_a_named_engine_has_to_answer(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nobody.sock")
    with pytest.raises(EngineError) as caught:
        choose_engine(name, MATRIX, say=print)
    assert "--engine venv" in caught.value.hint
    assert caught.value.exit_code == 3
    assert "unix:///nobody.sock" in caught.value.message


def test_an_engine_that_does_not_answer_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = Endpoint(url="unix:///nobody.sock", origin="DOCKER_HOST", explicit=True)
    monkeypatch.setattr(endpoints, "candidates", lambda: iter([nobody]))
    with pytest.raises(EngineError) as caught:
        choose_engine("docker", MATRIX, say=print)
    assert caught.value.message == (
        "no container engine answers at DOCKER_HOST (unix:///nobody.sock): "
        "No such file or directory"
    )
    assert caught.value.exit_code == 3
    assert choose.NO_ENGINE not in caught.value.message


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no local sockets")
def test_a_socket_that_nobody_serves_refuses_the_connection(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(tmp_path / "old.sock"))
    nobody = Endpoint(url=f"unix://{tmp_path}/old.sock", origin="DOCKER_HOST", explicit=True)
    with pytest.raises(EngineError, match=r": Connection refused$"):
        engine.connect(nobody)


def test_a_socket_without_permission_is_told_by_its_error_whatever_the_words() -> None:
    nobody = Endpoint(url="unix:///nobody.sock", origin="DOCKER_HOST", explicit=True)
    try:
        try:
            raise PermissionError(errno.EACCES, "Zugriff verweigert")
        except PermissionError as error:
            raise DockerException("no version") from error
    except DockerException as error:
        refused = connection.no_answer(nobody, error)
    assert refused.message == "DOCKER_HOST (unix:///nobody.sock): permission denied"
    words = connection.no_answer(nobody, DockerException("Permission denied by paramiko"))
    assert words.message.endswith(": Permission denied by paramiko")


@pytest.mark.skipif(importlib.util.find_spec("paramiko") is not None, reason="paramiko is here")
def test_an_engine_behind_ssh_needs_paramiko() -> None:
    with pytest.raises(EngineError, match="needs the package paramiko"):
        engine.connect(Endpoint(url="ssh://nobody@127.0.0.1", origin="DOCKER_HOST", explicit=True))


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no local sockets")
@pytest.mark.parametrize("form", ["unix://{}", "unix:{}", "UNIX://{}"])
def test_a_socket_without_a_listener_is_closed(tmp_path: Path, form: str) -> None:
    """A socket left open is a ResourceWarning, which is an error here."""
    nobody = Endpoint(url=form.format(tmp_path / "no.sock"), origin="DOCKER_HOST", explicit=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(EngineError, match="No such file or directory"):
            engine.connect(nobody)
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


# Virtual environments and this interpreter ----------------------------------------------------


def test_the_newest_python_of_each_version_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    pythons = [
        Interpreter(version=version, path=Path(version))
        for version in ("3.11.2", "3.11.10", "3.13.0")
    ]
    monkeypatch.setattr(venv, "interpreters", lambda: pythons)
    engine = VenvEngine()
    assert engine.capabilities().pythons == {"3.11", "3.13"}
    assert "3.11.10, 3.13.0" in engine.describe()["pythons"]


def test_other_shared_objects_first_make_another_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    engine = VenvEngine()
    before = engine.describe()
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/other/lib")
    assert engine.describe() == {**before, "library_path": "/opt/other/lib"}


def test_a_cell_without_its_python_or_pins_is_not_prepared(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        venv, "interpreters", lambda: [Interpreter(version="3.13.0", path=Path("x"))]
    )
    mine = dataclasses.replace(OWN, python="3.11")
    unpinned = dataclasses.replace(OWN, name="unpinned", python="3.13")
    prepared = VenvEngine(root=tmp_path).prepare([mine, unpinned], lambda *_: None)
    assert prepared[mine.id].error == "no Python 3.11 on this machine; a container engine brings it"
    assert prepared[unpinned.id].error == "it has no pins: run `nox -s pins`"


def _is_refused(engine: VenvEngine | HereEngine, cell: Cell) -> bool:
    """Say whether a cell is not prepared, for the reason that the plan would give."""
    reason = engine.capabilities().refusal(cell)
    prepared = engine.prepare([cell], lambda *_: None)[cell.id]
    return reason is not None and prepared.error == reason


@pytest.mark.parametrize("change", [{"architecture": "s390x"}, {"device": "tpu"}, {"python": "2"}])
def test_a_cell_that_is_not_this_machine_is_not_prepared(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, change: dict[str, str]
) -> None:
    monkeypatch.setattr(
        venv,
        "interpreters",
        lambda: [Interpreter(version=f"{OWN.python}.0", path=Path("x"))],
    )
    assert _is_refused(VenvEngine(root=tmp_path), dataclasses.replace(OWN, **change))
    assert _is_refused(HereEngine(), dataclasses.replace(OWN, name="numpy", **change))


@pytest.fixture
def pinned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> VenvEngine:
    """An engine whose cells all have pins, with a uv that takes a while to make nothing."""
    (tmp_path / "pins.txt").touch()
    python = Interpreter(version=f"{OWN.python}.0", path=Path("x"))
    monkeypatch.setattr(venv, "interpreters", lambda: [python])
    monkeypatch.setattr(venv.pins, "path", lambda _: tmp_path / "pins.txt")

    def uv(_: VenvEngine, cell: Cell, progress: Progress, *arguments: str) -> None:
        if arguments[0] == "venv":
            Path(arguments[-1]).mkdir()
            progress(cell.id, "made")

    monkeypatch.setattr(VenvEngine, "_uv", uv)
    return VenvEngine(root=tmp_path / "venvs")


def test_a_variant_has_the_environment_of_its_origin(pinned: VenvEngine) -> None:
    system = OWN.system.model_copy(update={"variant_of": OWN.name, "pins": OWN.name})
    variant = dataclasses.replace(OWN, name=f"{OWN.name}_fast", system=system)
    other = dataclasses.replace(OWN, name="other")
    prepared = pinned.prepare([OWN, variant, other], lambda *_: None)
    assert [prepared[cell.id].built for cell in (OWN, variant, other)] == [True, False, True]
    assert prepared[variant.id].reference == prepared[OWN.id].reference
    assert prepared[other.id].reference != prepared[OWN.id].reference


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is locked there")
def test_an_environment_is_made_once_for_two_processes(pinned: VenvEngine, tmp_path: Path) -> None:
    waiting, messages, prepared = threading.Event(), [], []

    def other(_: str, line: str) -> None:
        messages.append(line)
        waiting.set()

    second = VenvEngine(root=tmp_path / "venvs")
    thread = threading.Thread(target=lambda: prepared.append(second.prepare([OWN], other)[OWN.id]))

    def first(*_: str) -> None:
        thread.start()
        assert waiting.wait(30)

    first_result = pinned.prepare([OWN], first)[OWN.id]
    thread.join(30)
    assert (first_result.built, first_result.error) == (True, None)
    assert messages == ["waiting: another process makes this environment"]
    assert [(result.built, result.error) for result in prepared] == [(False, None)]
    assert prepared[0].reference == first_result.reference


def test_an_environment_that_cannot_be_written_is_the_cells_error(
    pinned: VenvEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "rename", fail)
    error = pinned.prepare([OWN], lambda *_: None)[OWN.id].error
    assert error is not None
    assert error.endswith(": No space left on device")


def test_the_engine_here_runs_only_cells_that_can_be_imported() -> None:
    there, missing = (dataclasses.replace(OWN, name=name) for name in ("numpy", "no-such"))
    prepared = HereEngine().prepare([there, missing], lambda *_: None)
    assert prepared[there.id].reference.startswith("numpy ")
    assert prepared[missing.id].error == f"no-such is not installed in {sys.executable}"
    assert HereEngine().capabilities().pythons == {"{}.{}".format(*sys.version_info)}


# Plain processes ------------------------------------------------------------------------------


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalProcesses]:
    engine = LocalProcesses(clean=True, extra={"faulty_adapter.py": FAULTY}, root=tmp_path / "work")
    engine.open()
    yield engine
    engine.close()
    assert list((tmp_path / "work").iterdir()) == []


def _run(
    engine: LocalProcesses,
    room: Path,
    fault: str,
    deadline_s: float = 20,
    watchdog_s: float = 60,
    **changes: int,
) -> tuple[Ended, Path]:
    control = room / "room" / "control"
    control.mkdir(parents=True)
    document = {
        "schema": 1,
        "job": fault,
        "cell": {"id": CELL.id, "device": "cpu"},
        "adapter": "faulty_adapter",
        "phases": [],
        "selftest": [],
        "deadline_s": watchdog_s,
        "threads": 1,
    }
    (control / "input.json").write_text(json.dumps(document))
    task = Task(
        id=fault,
        run_id="run",
        cell=CELL,
        control=control,
        deadline_s=deadline_s,
        limits=dataclasses.replace(LIMITS, **changes),
        environment={"FAULT": fault},
    )
    ended = engine.run(task, Path(sys.executable), threading.Event())
    assert [path.name for path in control.parent.iterdir()] == ["control"]
    return ended, control


@on_linux
@pytest.mark.parametrize(
    ("fault", "ending", "cause"),
    [
        ("segfault", "crashed", "killed by SIGSEGV (invalid memory access)"),
        ("abort", "crashed", "killed by SIGABRT (it aborted itself)"),
        ("out_of_memory", "oom", "needed more than its 200 MiB of memory"),
        ("hang", "timeout", "still ran after 1 s"),
        ("fork_bomb", "process-limit", "used up its 30 processes and threads"),
        ("flood", "log-limit", "wrote more than 1 MiB of log"),
        ("fill_disk", "disk-limit", "its files took more than 64 MiB"),
        ("odd_exit", "exited", "exit code 7"),
        ("torn_output", "exited", ""),
        ("escape", "exited", ""),
        ("deep_folders", "crashed", "it nested folders more than 32 deep"),
    ],
)
def test_each_fault_of_a_plain_process_has_its_own_ending(
    local: LocalProcesses, tmp_path: Path, fault: str, ending: str, cause: str
) -> None:
    # The pages that forked processes share count for each of them.
    changes = {"memory_bytes": 4096 * MIB} if fault == "fork_bomb" else {}
    deadline_s = 1 if fault == "hang" else 100
    ended, control = _run(local, tmp_path, fault, deadline_s=deadline_s, **changes)
    assert (ended.ending, ended.cause) == (ending, cause)
    assert (control / "output.json").exists() == (fault == "torn_output")
    assert _processes_in(tmp_path) == []


@on_linux
def test_the_report_of_the_harness_watchdog_comes_back(
    local: LocalProcesses, tmp_path: Path
) -> None:
    ended, control = _run(local, tmp_path, "hang", watchdog_s=0.5)
    assert ended.ending == "exited"
    assert "faulty_adapter.py" in watchdog_report(control)


@on_linux
def test_processes_of_a_killed_host_are_ended(tmp_path: Path) -> None:
    script = f"""
from pathlib import Path
from deepmatrix.engines.local import LocalProcesses
from tests.unit.test_engines import FAULTY, _run
root = Path({str(tmp_path)!r})
engine = LocalProcesses(clean=True, extra={{"faulty_adapter.py": FAULTY}}, root=root / "work")
engine.open()
_run(engine, root, "hang")
"""
    host = processes.start([sys.executable, "-c", script], cwd=FAULTY.parents[2])
    for _ in range(200):
        if len(_processes_in(tmp_path)) == 1:
            break
        time.sleep(0.1)
    host.kill()
    processes.end(host)
    assert len(_processes_in(tmp_path)) == 1
    engine = LocalProcesses(clean=True, root=tmp_path / "work")
    engine.open()
    for _ in range(50):
        if not _processes_in(tmp_path):
            break
        time.sleep(0.1)
    assert _processes_in(tmp_path) == []
    engine.close()
    assert list((tmp_path / "work").iterdir()) == []


def test_damaged_marks_of_folders_keep_nobody_from_starting(tmp_path: Path) -> None:
    (tmp_path / "folder" / "owner").mkdir(parents=True)
    for name, content in {"text": b"a/b/c/\xff/e", "digit": "a/b/c/²/e".encode()}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "owner").write_bytes(content)
    engine = LocalProcesses(clean=True, root=tmp_path)
    engine.open()
    engine.close()
    assert {path.name for path in tmp_path.iterdir()} == {"digit", "folder", "text"}


def _processes_in(folder: Path) -> list[int]:
    """Return the processes whose working directory lies below *folder*."""
    pids = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if path.readlink().is_relative_to(folder) and int(path.parent.name) != os.getpid():
                pids.append(int(path.parent.name))
        except OSError:
            continue
    return pids
