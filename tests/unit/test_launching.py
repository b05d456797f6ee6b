"""Fleets that a file lists: workers over a real ssh, and as jobs of a real Slurm."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from deepmatrix.cli import main
from deepmatrix.config.reading.bounds import BY_PEOPLE
from deepmatrix.config.reading.source import read
from deepmatrix.errors import ArgumentError, ConfigError, EngineError
from deepmatrix.execution.runner import Runner
from deepmatrix.fleet import certificates, connecting
from deepmatrix.fleet.connecting import connected
from deepmatrix.fleet.launching import bundle, document
from deepmatrix.fleet.launching.launch import PREFIX, launched
from deepmatrix.paths import ROOT, SCHEMAS
from deepmatrix.planning.cells import all_cells
from deepmatrix.store.runs import Run
from tests import slurm, sshd
from tests.fleet_program import WORK
from tests.unit.examples import MATRIX
from tests.unit.test_sessions import CONSUMER, Quiet, real_processes, records, run_of

pytestmark = real_processes

MODEL = ROOT / "tests" / "models" / "softmax11.onnx"
PYTHON = "{}.{}".format(*sys.version_info)
ENDS_S = 90.0

#: The configuration of a Slurm whose controller does not run.
NO_CONTROLLER = """
ClusterName=none
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=1
MessageTimeout=2
NodeName=node NodeAddr=127.0.0.1
PartitionName=all Nodes=node Default=YES
"""

needs_ssh = pytest.mark.skipif(
    bool(sshd.missing()), reason=f"not installed: {', '.join(sshd.missing())}"
)
needs_slurm = pytest.mark.skipif(
    bool(slurm.missing()), reason=f"not installed: {', '.join(slurm.missing())}"
)


def command(module: str, folder: Path) -> str:
    """Return how a worker calls a program of this repository, wherever it is started."""
    variables = {"PYTHONPATH": str(ROOT), WORK: str(folder / "work")}
    words = [f"{name}={value}" for name, value in variables.items()]
    return shlex.join(["env", *words, sys.executable, "-m", module])


def write(folder: Path, fleet: dict[str, object]) -> Path:
    path = folder / "fleet.yaml"
    path.write_text(json.dumps({"version": 1, **fleet}))  # YAML contains JSON
    return path


def ssh_fleet(folder: Path, client: Path, *names: str, module: str = "tests.fleet_program") -> Path:
    hosts = [
        {
            "ssh": "board",
            "name": name,
            "options": ["-F", str(client)],
            "command": command(module, folder),
            "engine": "here",
        }
        for name in names
    ]
    return write(folder, {"hosts": hosts, "wait_s": 180.0})


def slurm_fleet(folder: Path, module: str = "tests.fleet_program") -> Path:
    line = f"cd / && {command(module, folder)}"  # a line of a shell, not only a program
    jobs = {"jobs": 2, "cpus": 1, "memory": "256 MiB", "engine": "here"}
    return write(folder, {"slurm": {**jobs, "command": line}, "wait_s": 180.0})


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Path]:
    with sshd.sshd(tmp_path / "ssh") as client:
        yield client


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with slurm.slurm(cpus=2) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield


def serve(run: Run, fleet: Path) -> None:
    """Serve the artifacts of a run on a fleet that a file lists."""
    matrix = run.manifest.matrix
    with (
        launched(fleet, print) as (address, tls),
        connected(address, tls, matrix, put_aside=print) as engines,
    ):
        assert not (tls / certificates.AUTHORITY_KEY).exists()
        runner = Runner(
            run=run, engine=engines[0], watcher=Quiet(), cells={CONSUMER}, others=engines[1:]
        )
        runner.execute(["consume"])


def workers_of(folder: Path) -> list[str]:
    """Return the command lines of the workers that still run in a folder."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().replace(b"\0", b" ").decode()
            environment = path.with_name("environ").read_bytes().decode()
            if f"{WORK}={folder / 'work'}" in environment and " worker " in words:
                lines.append(words)
    return lines


def await_end(folder: Path) -> None:
    end = time.monotonic() + ENDS_S
    while workers_of(folder) and time.monotonic() < end:
        time.sleep(0.2)
    assert workers_of(folder) == []


def check_served(folder: Path, fleet: Path, names: set[str]) -> None:
    run, jobs = run_of(folder / "runs", ["fine"] * 8, isolate=True)
    serve(run, fleet)
    served = records(run, jobs).values()
    assert {record.status for record in served} == {"ok"}
    assert {record.machine for record in served} <= names
    assert {facts["worker"] for facts in run.engines().values()} == names
    await_end(folder)
    assert not list(folder.glob(f"{PREFIX}*"))


@needs_ssh
def test_workers_that_ssh_starts_serve_a_run_and_end_with_it(tmp_path: Path, client: Path) -> None:
    check_served(tmp_path, ssh_fleet(tmp_path, client, "one", "two"), {"one", "two"})


@needs_slurm
@pytest.mark.usefixtures("cluster")
def test_jobs_of_slurm_serve_a_run_and_end_with_it(tmp_path: Path) -> None:
    check_served(tmp_path, slurm_fleet(tmp_path), {"slurm-1", "slurm-2"})
    left = subprocess.run(["squeue", "--noheader"], capture_output=True, text=True, check=True)
    assert left.stdout == ""


@needs_ssh
def test_a_model_is_verified_on_machines_that_ssh_reaches(
    tmp_path: Path,
    client: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cells = [cell for cell in all_cells(MATRIX) if cell.name == "onnxruntime"]
    own = [cell.id for cell in cells if cell.python == PYTHON and cell.architecture == "amd64"]
    if not own:
        pytest.skip(f"no cell has Python {PYTHON}")
    fleet = ssh_fleet(tmp_path, client, "one", module="deepmatrix")
    runs = tmp_path / "runs"
    settled: list[float] = []

    def noting(*arguments: Any, settled_s: float, **options: Any) -> Any:
        settled.append(settled_s)
        return connected(*arguments, settled_s=settled_s, **options)

    monkeypatch.setattr(connecting, "connected", noting)
    arguments = ["verify", str(MODEL), "--only", own[0], "--fleet", str(fleet), "--runs", str(runs)]
    assert main.main(arguments) == 0, capsys.readouterr().err
    (run,) = (Run.open(path) for path in runs.iterdir() if path.is_dir())
    assert [(facts["worker"], facts["fleet"]) for facts in run.engines().values()] == [
        ("one", str(fleet))
    ]
    assert settled == [0.0]  # all have come, and no further one will
    await_end(tmp_path)


@contextlib.contextmanager
def launching(fleet: Path, temporary: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a process that has launched a fleet, with a folder for what is temporary."""
    script = (
        "import sys, time; from pathlib import Path\n"
        "from deepmatrix.fleet.launching.launch import launched\n"
        "with launched(Path(sys.argv[1]), print): print('up', flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(fleet)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)},
    ) as controller:
        assert controller.stdout is not None
        assert any(line == b"up\n" for line in controller.stdout)
        yield controller


@needs_ssh
def test_the_keys_of_a_fleet_that_was_killed_are_removed_by_the_next(
    tmp_path: Path, client: Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    fleet = ssh_fleet(tmp_path, client, "one")
    with launching(fleet, temporary) as controller:
        controller.kill()
    (killed,) = temporary.glob(f"{PREFIX}*")
    assert list(killed.rglob("*.key"))
    await_end(tmp_path)
    with launching(fleet, temporary) as controller:
        assert not killed.exists()
        controller.send_signal(signal.SIGINT)
    assert not list(temporary.glob(f"{PREFIX}*"))
    await_end(tmp_path)


def test_the_keys_that_a_worker_received_and_left_are_removed_by_the_next(tmp_path: Path) -> None:
    certificates.make_certificates(tmp_path / "sent")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    script = (
        "from deepmatrix.fleet.launching import receiving\n"
        "with receiving.certificates_of(receiving.INPUT): print('here', flush=True); input()"
    )

    def received(number: int) -> set[Path]:
        with subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(temporary)},
        ) as worker:
            assert worker.stdin is not None
            assert worker.stdout is not None
            worker.stdin.write(bundle.pack(tmp_path / "sent"))
            worker.stdin.flush()
            assert worker.stdout.readline() == b"here\n"
            folders = {path.parent for path in temporary.rglob("worker.key")}
            worker.send_signal(number)
        return folders

    killed = received(signal.SIGKILL)
    assert len(killed) == 1
    assert killed.isdisjoint(received(signal.SIGINT))


@needs_ssh
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_worker_that_ssh_started_ends_with_who_started_it(
    tmp_path: Path, client: Path, number: signal.Signals
) -> None:
    fleet = ssh_fleet(tmp_path, client, "one")
    with launching(fleet, tmp_path) as controller:
        assert len(workers_of(tmp_path)) >= 1
        assert all("--scheduler-timeout" in line for line in workers_of(tmp_path))
        controller.send_signal(number)
    await_end(tmp_path)


@needs_ssh
def test_a_worker_that_does_not_come_is_an_error_with_what_it_printed(
    tmp_path: Path, client: Path
) -> None:
    fleet = ssh_fleet(tmp_path, client, "one", module="tests.no_such_module")
    with (
        pytest.raises(EngineError, match=r"No module named tests\.no_such_module") as raised,
        launched(fleet, print),
    ):
        pass
    assert raised.value.message.startswith("the worker on board ended with exit code 1")


@needs_slurm
@pytest.mark.usefixtures("cluster")
def test_a_job_that_ends_at_once_is_an_error_with_the_end_of_its_log(tmp_path: Path) -> None:
    fleet = slurm_fleet(tmp_path, "tests.no_such_module")
    with (
        pytest.raises(EngineError, match=r"No module named tests\.no_such_module") as raised,
        launched(fleet, print),
    ):
        pass
    assert "of slurm-" in raised.value.message
    assert not list(tmp_path.glob(f"{PREFIX}*"))


def put_first(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, script: str) -> None:
    """Have a script of the shell found before the program of its name."""
    path = folder / "programs" / name
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")


@needs_slurm
@pytest.mark.usefixtures("cluster")
def test_a_queue_that_does_not_answer_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, real = tmp_path / "asked", shutil.which("squeue")
    script = f'[ -e {asked} ] && exec {real} "$@"\ntouch {asked}\nexit 1'
    put_first(tmp_path, monkeypatch, "squeue", script)
    fleet = slurm_fleet(tmp_path)
    with (
        launched(fleet, print) as (address, tls),
        connected(address, tls, MATRIX, put_aside=print) as engines,
    ):
        assert {each.worker for each in engines} == {"slurm-1", "slurm-2"}
    assert asked.exists()


@needs_slurm
@pytest.mark.usefixtures("cluster")
def test_where_workers_do_not_come_the_error_says_why_the_queue_did_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_first(tmp_path, monkeypatch, "squeue", "echo no controller >&2; exit 1")
    jobs = {"jobs": 1, "cpus": 1, "memory": "256 MiB", "command": "sleep 60 #"}
    fleet = write(tmp_path, {"slurm": jobs, "wait_s": 3.0})
    with (
        pytest.raises(EngineError, match=r"(?s)did not come within 3 s.*no controller"),
        launched(fleet, print),
    ):
        pass


@needs_slurm
@pytest.mark.usefixtures("cluster")
def test_what_slurm_refuses_is_an_error(tmp_path: Path) -> None:
    settings = {"jobs": 1, "cpus": 1, "memory": "256 MiB", "partition": "none"}
    with (
        pytest.raises(EngineError, match="invalid partition specified: none") as raised,
        launched(write(tmp_path, {"slurm": settings}), print),
    ):
        pass
    assert raised.value.message.startswith("Slurm refused a job:\nsbatch: error: ")


@needs_slurm
@pytest.mark.parametrize("text", ["", NO_CONTROLLER])
def test_a_slurm_that_is_not_there_is_told_apart_from_one_that_refuses_a_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    configuration = tmp_path / "slurm.conf"
    configuration.write_text(text)
    monkeypatch.setenv("SLURM_CONF", str(configuration))
    settings = {"jobs": 1, "cpus": 1, "memory": "256 MiB"}
    with (
        pytest.raises(EngineError, match="Slurm is not configured on this host, or") as raised,
        launched(write(tmp_path, {"slurm": settings}), print),
    ):
        pass
    assert "\nsbatch: " in raised.value.message
    assert "SLURM_CONF" in raised.value.hint


def test_a_machine_without_slurm_is_an_error_that_names_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    settings = {"jobs": 1, "cpus": 1, "memory": "256 MiB"}
    with (
        pytest.raises(EngineError, match="cannot start sbatch: No such file") as raised,
        launched(write(tmp_path, {"slurm": settings}), print),
    ):
        pass
    assert raised.value.hint == "run this where jobs of Slurm are submitted"
    assert not list(tmp_path.glob(f"{PREFIX}*"))


def test_a_worker_whose_scheduler_stays_away_ends_where_it_is_told_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    certificates.make_certificates(tmp_path / "tls")
    options = ["--tls", str(tmp_path / "tls"), "--engine", "here", "--scheduler-timeout", "1s"]
    assert main.main(["worker", "tls://127.0.0.1:1", *options]) == 3
    assert "no scheduler has answered at tls://127.0.0.1:1 for 1 s" in capsys.readouterr().err


WRONG = {
    "{}": "1:1: no machine is listed; add hosts, or slurm",
    "{hosts: [{sssh: board}]}": "unknown key 'sssh'; did you mean 'ssh'?",
    '{hosts: [{ssh: "-oProxyCommand=x"}]}': "names no machine; write user@name",
    "{hosts: [{ssh: a@board}, {ssh: b@board}]}": "another worker is called 'board', too",
    "{hosts: [{ssh: a, name: slurm-1}], slurm: {jobs: 1, cpus: 1, memory: 1 GiB}}": (
        "another worker is called 'slurm-1', too"
    ),
    "{slurm: {jobs: 1, cpus: 1, memory: much}}": "'much' is not a size; write it like \"4 GiB\"",
    "{slurm: {jobs: 1, cpus: 1, memory: 1 GiB, time: soon}}": "'soon' is no time of Slurm's",
    "{port: 70000, hosts: [{ssh: board}]}": "port",
    '{address: "laptop:8786", hosts: [{ssh: board}]}': "'laptop:8786' is no name of a machine",
    '{address: "tls://laptop", hosts: [{ssh: board}]}': "'tls://laptop' is no name of a machine",
}


@pytest.mark.parametrize("text", WRONG)
def test_an_error_of_the_file_names_its_place(tmp_path: Path, text: str) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text(text.replace("{", "{version: 1, ", 1) + "\n")
    with pytest.raises(ConfigError) as raised:
        document.load(path)
    assert raised.value.message.startswith(f"{path}:1:")
    assert WRONG[text] in raised.value.message


def test_the_schema_takes_what_the_program_takes(tmp_path: Path) -> None:
    schema = json.loads((SCHEMAS / "fleet.schema.json").read_text("utf-8"))
    path = write(tmp_path, {"hosts": [{"ssh": "pi@board"}]})
    jsonschema.validate(read(path, BY_PEOPLE).document, schema)
    assert document.load(path).hosts[0].worker == "board"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"version": 1, "hosts": [{"name": "board"}]}, schema)


def test_options_that_a_file_stands_for_are_refused_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(write(tmp_path, {"hosts": [{"ssh": "board"}]}))
    for option, message in (("--tls", "and it starts one"), ("--engine", "that of others")):
        assert main.main(["matrix", "--fleet", path, option, "docker"]) == 2
        assert message.replace("it", path, 1) in capsys.readouterr().err.replace("\n", " ")
    assert main.main(["matrix", "--fleet", str(tmp_path / "none.yaml")]) == 2
    assert "no such file" in capsys.readouterr().err


def test_certificates_over_the_standard_input_are_a_worker_s_own(tmp_path: Path) -> None:
    sent, received, nothing = (tmp_path / name for name in ("sent", "received", "nothing"))
    certificates.make_certificates(sent)
    for folder in (received, nothing):
        folder.mkdir()
    (tmp_path / "line").write_bytes(bundle.pack(sent))
    with (tmp_path / "line").open("rb") as stream:
        bundle.unpack(stream, received)
    assert {path.name for path in received.iterdir()} == set(bundle.FILES)
    assert {path.stat().st_mode & 0o777 for path in received.iterdir()} == {0o600}
    certificates.security(received, "worker")
    foreign = json.dumps(dict.fromkeys(bundle.FILES, "\N{EURO SIGN}")).encode()
    for line in (b'{"../evil": ""}', foreign):
        (tmp_path / "line").write_bytes(line + b"\n")
        with (tmp_path / "line").open("rb") as stream, pytest.raises(ArgumentError):
            bundle.unpack(stream, nothing)
        assert not list(nothing.iterdir())
