"""A fleet on this machine: a real scheduler and real workers, in processes, with TLS."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import Future
from pydantic import ValidationError

from deepmatrix.cli import main
from deepmatrix.cli.maintenance import reference
from deepmatrix.config.matrix import Matrix
from deepmatrix.engines import Ended, Limits, Task, archives
from deepmatrix.engines.hardware import ASIDE
from deepmatrix.errors import ArgumentError, EngineError, Interrupted
from deepmatrix.execution.interrupting import resume_command
from deepmatrix.execution.runner import Runner
from deepmatrix.execution.tasks import GRACE_S
from deepmatrix.fleet import certificates, cluster, engine, host, offers, parcels
from deepmatrix.fleet.blobs import Blobs
from deepmatrix.fleet.cluster import Cluster
from deepmatrix.fleet.offers import TIMING
from deepmatrix.fleet.parcels import Order, Sent, digest_of
from deepmatrix.machine import locks, processes
from deepmatrix.paths import ROOT
from deepmatrix.planning.plan import WAVES, Job
from deepmatrix.results import merging
from deepmatrix.store.records import JobRecord
from tests.fleet_processes import (
    STARTS_S,
    Fleet,
    be_controller,
    be_worker,
    gives_up_connecting,
)
from tests.fleet_worker import HostOfTests, Processes
from tests.line import Line
from tests.small_disks import mounted
from tests.unit.examples import MATRIX, new_run, planned, record
from tests.unit.test_results import write_gold
from tests.unit.test_sessions import (
    CONSUMER,
    FAULTS,
    LocalEngine,
    Quiet,
    real_processes,
    records,
    run_of,
    serve,
)

pytestmark = [real_processes, gives_up_connecting]

#: What ends a process or a phase in the same way wherever it stands in its queue.
ENDS = ("segfault", "out_of_memory", "flood", "raising")


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path)
    try:
        yield fleet
    finally:
        fleet.end()
        gc.collect()


def outcome(record: JobRecord) -> tuple[object, ...]:
    return record.status, record.agreement, record.error_type


def test_a_fleet_gives_the_records_of_one_machine(fleet: Fleet, tmp_path: Path) -> None:
    for name in ("one", "two"):
        fleet.start_worker(name, "cpus=2", f"machine={name}")
    faults = [name for fault in ENDS for name in (fault, "fine")]
    far, jobs = run_of(tmp_path / "far", faults)
    near, near_jobs = run_of(tmp_path / "near", faults)
    fleet.serve(far)
    serve(near, LocalEngine(tmp_path / "processes", cpus=2))
    there, here = records(far, jobs), records(near, near_jobs)
    assert {name.split()[1]: record.status for name, record in there.items()} == {
        "fine": "ok",
        **{fault: FAULTS[fault] for fault in ENDS},
    }
    assert {name: outcome(record) for name, record in there.items()} == {
        name: outcome(record) for name, record in here.items()
    }
    assert {record.machine for record in there.values()} == {"one", "two"}
    assert all(record.attempt for record in there.values())
    assert "serving fine" in far.log_path(jobs["1 fine"]).read_text()
    assert {facts["worker"] for facts in far.engines().values()} == {"one", "two"}
    assert not list((tmp_path / "work").glob("*/fleet/*/*/blobs"))


@pytest.mark.parametrize("small", [engine.SMALL, -1])
def test_a_file_is_sent_to_a_machine_once(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: int
) -> None:
    monkeypatch.setattr(engine, "SMALL", small)
    monkeypatch.setattr(engine, "CHUNK", 64)
    monkeypatch.setattr(parcels, "SMALL_FILE", -1)
    fleet.start_worker("one", "parcel=-1")
    run, jobs = run_of(tmp_path / "runs", ["fine"] * 3, isolate=True)
    sent = []
    call = Cluster.call

    def counting(self: Cluster, name: str, method: str, *arguments: Any) -> Any:
        if method == "put_files":
            sent.extend(arguments[-1])
        if method == "finish_file":
            sent.append(arguments[-1])
        return call(self, name, method, *arguments)

    monkeypatch.setattr(Cluster, "call", counting)
    fleet.serve(run)
    assert {record.status for record in records(run, jobs).values()} == {"ok"}
    assert len(sent) == len(set(sent))
    models = list(run.path.glob("artifacts/*/model/model.onnx"))
    assert sent.count(digest_of(models[0])) == 1


@pytest.mark.parametrize("is_timed", [True, False])
def test_what_is_timed_runs_on_one_machine_and_takes_its_one_resource_for_that(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_timed: bool
) -> None:
    for name in ("one", "two"):
        fleet.start_worker(name, "cpus=2", f"machine={name}")
    checked = {} if is_timed else {"checked_cells": frozenset({CONSUMER})}
    settings = {"isolate": True, "rounds_native": 2, "emulated": frozenset[str](), **checked}
    run, jobs = run_of(tmp_path / "runs", ["fine"] * 4, **settings)
    taken: list[float] = []
    submit = Cluster.submit

    def noting(
        self: Cluster, name: str, order: Order, resources: dict[str, float]
    ) -> Future[tuple[str, bytes]]:
        assert self.workers()[name]["resources"][TIMING] == 1.0
        taken.append(resources.get(TIMING, 0.0))
        return submit(self, name, order, resources)

    monkeypatch.setattr(Cluster, "submit", noting)
    fleet.serve(run)
    served = [record for record in run.records() if record.cell == CONSUMER]
    assert {record.status for record in served} == {"ok"}
    assert len({record.machine for record in served}) == (1 if is_timed else 2)
    assert set(taken) == {float(is_timed)}
    assert len(taken) >= len(served) >= len(jobs)  # what a busy machine lost is sent again


def test_a_small_file_that_arrives_damaged_is_refused(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")
    digest = hashlib.sha256(b"content").hexdigest()
    sent = Sent(sha256=digest, size=7, executable=True, content=b"content")
    blobs.copy(sent, tmp_path / "whole")
    assert (tmp_path / "whole").read_bytes() == b"content"
    assert (tmp_path / "whole").stat().st_mode & 0o777 == 0o755
    with pytest.raises(EngineError, match="a file arrived damaged"):
        blobs.copy(replace(sent, content=b"contend"), tmp_path / "damaged")
    assert not (tmp_path / "damaged").exists()


def test_a_file_that_is_not_what_was_sent_is_not_kept(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")
    with pytest.raises(EngineError, match="a file arrived damaged"):
        blobs.put(hashlib.sha256(b"content").hexdigest(), b"contend")
    assert not list((tmp_path / "blobs").iterdir())


#: Files, and whether a worker where one is another has another version of deepmatrix.
CODE = {
    "deepmatrix/fleet/host.py": True,
    "deepmatrix/images/build.py": True,
    "deepmatrix/__pycache__/host.py": False,
    "deepmatrix/shipped/docker/bytecode.py": False,  # it counts as one of docker's
    "docker/wheels/pins/torch.txt": True,
    "harness/runtimes/node/onnx.mjs": True,
}


@pytest.mark.parametrize(
    ("name", "is_valid"),
    [
        ("a" + "/b" * 499, True),
        ("a/b/", False),
        ("a" + "/b" * 500, False),  # the longest path has 1,000 characters
        ("a:b", False),
        ("../a", False),
        ("", False),
        ("\udcff", False),  # it is not UTF-8
    ],
)
def test_a_file_comes_back_if_its_path_is_one_of_a_record(name: str, is_valid: bool) -> None:
    assert parcels.is_valid_path(name) == is_valid
    fields = {"attempt": "a", "sha256": "0" * 64, "size": 0}
    ended = (parcels.JobEnd(ending="exited", cause=""),)
    if is_valid:
        assert parcels.Answer(ended=ended, unchanged=(name,), **fields).unchanged == (name,)
    else:
        with pytest.raises(ValidationError):
            parcels.Answer(ended=ended, unchanged=(name,), **fields)


@pytest.mark.parametrize("name", CODE)
def test_the_version_of_a_worker_is_all_that_its_cells_are_made_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folders = {"PACKAGE": "deepmatrix", "HARNESS": "harness", "DOCKER": "docker"}
    for constant, folder in {**folders, "SHIPPED": "deepmatrix/shipped"}.items():
        monkeypatch.setattr(offers, constant, tmp_path / folder)
    digests = []
    for content in ("before", "after"):
        for each in CODE:
            path = tmp_path / each
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content if each == name else "")
        offers._digest_all.cache_clear()
        digests.append(offers.code_digest())
    offers._digest_all.cache_clear()
    assert (digests[0] != digests[1]) == CODE[name]


def test_results_in_pieces_that_never_end_are_rubbish(fleet: Fleet, tmp_path: Path) -> None:
    fleet.start_worker("one", "fault=pieces", "parcel=-1")
    run, jobs = run_of(tmp_path / "runs", ["fine"])
    with contextlib.suppress(EngineError):
        fleet.serve(run)
    (record,) = records(run, jobs).values()
    assert "its results arrived in pieces of another size" in record.cause


HOSTILE = {
    "archive results/../../evil": "engine-lost",
    "archive results/output.json/../../../evil": "engine-lost",
    "archive results/output.json link /etc/passwd": "lost",
    "archive results/artifact": "engine-lost",
    "archive results/input.json folder": "engine-lost",
    "damage": "engine-lost",
    "huge": "engine-lost",
    "keep": "engine-lost",
    "other": "engine-lost",
}


@pytest.mark.parametrize("fault", HOSTILE)
def test_a_worker_writes_nothing_outside_the_folder_of_its_job(
    fleet: Fleet, tmp_path: Path, fault: str
) -> None:
    fleet.start_worker("one", f"fault={fault}")
    run, jobs = run_of(tmp_path / "runs", ["fine"])
    with contextlib.suppress(EngineError):
        fleet.serve(run)
    (record,) = records(run, jobs).values()
    assert record.status == HOSTILE[fault], record.cause
    assert not list(tmp_path.rglob("evil"))
    assert [path for path in run.path.rglob("*") if path.is_symlink()] == []


def test_a_name_that_only_the_controllers_disk_refuses_is_blamed_on_no_worker(
    fleet: Fleet, tmp_path: Path
) -> None:
    name = "/".join(["\N{GRINNING FACE}" * 62] * 15)  # 3,734 bytes, and a path may have 4,096
    fleet.start_worker("one", f"fault=archive results/{name}")
    deep = tmp_path.joinpath(*["d" * 200] * 2)
    run, jobs = run_of(deep, ["fine"])
    with pytest.raises(EngineError, match=r"cannot be stored here: .*File name too long") as raised:
        fleet.serve(run)
    assert "go on with --resume" in raised.value.hint
    assert not any(map(run.is_done, jobs.values()))
    assert not any(ASIDE in facts for facts in run.engines().values())


def test_a_full_disk_of_the_controller_is_blamed_on_no_worker(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.start_worker("one")
    run, jobs = run_of(tmp_path / "runs", ["writing"])
    with mounted(tmp_path / "small", "1m") as small:
        monkeypatch.setattr(tempfile, "tempdir", str(small))
        with pytest.raises(EngineError, match=f"{small}.*: No space left on device") as raised:
            fleet.serve(run)
    assert raised.value.hint.startswith("make room")
    assert not any(map(run.is_done, jobs.values()))
    assert not any(ASIDE in facts for facts in run.engines().values())


def test_a_worker_writes_nothing_beside_the_folders_of_its_jobs(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.start_worker("one", "fault=archive elsewhere/evil")
    run, _ = run_of(tmp_path / "runs", ["fine", "fine too"])
    causes: list[str] = []
    serve_process = engine.WorkerEngine.run

    def noting(self: engine.WorkerEngine, task: Task, cancel: threading.Event) -> Ended:
        ended = serve_process(self, task, cancel)
        causes.append(ended.cause)
        return ended

    monkeypatch.setattr(engine.WorkerEngine, "run", noting)
    with contextlib.suppress(EngineError):
        fleet.serve(run)
    assert any("outside the folders of its jobs" in cause for cause in causes), causes
    assert not list(tmp_path.rglob("evil"))


def test_what_a_job_may_write_on_one_machine_it_may_on_a_fleet(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.start_worker("one")
    faults = ["fine", "nesting", "naming", "fine", "fine", "fine"]
    far, jobs = run_of(tmp_path / "far", faults)
    near, near_jobs = run_of(tmp_path / "near", faults)
    serve(near, LocalEngine(tmp_path / "processes"))
    monkeypatch.setattr(archives, "MAX_FILES", 4)  # of each job; they write more together
    fleet.serve(far)
    assert {name: outcome(record) for name, record in records(far, jobs).items()} == {
        name: outcome(record) for name, record in records(near, near_jobs).items()
    }
    assert {record.status for record in records(far, jobs).values()} == {"ok"}


def test_a_worker_that_says_it_ended_a_process_and_went_on_loses_that_process(
    fleet: Fleet, tmp_path: Path
) -> None:
    fleet.start_worker("one", "fault=cancelled")
    run, jobs = run_of(tmp_path / "runs", ["fine", "fine too"])
    with contextlib.suppress(EngineError):
        fleet.serve(run)
    causes = {record.cause for record in records(run, jobs).values() if record.cause}
    assert "on one: the worker ended the process" in causes


def test_a_client_and_a_worker_without_the_certificates_of_the_fleet_are_refused(
    fleet: Fleet, tmp_path: Path
) -> None:
    fleet.start_worker("one")
    others = tmp_path / "others"
    certificates.make_certificates(others)
    with pytest.raises(EngineError, match="is not of this fleet: self-signed certificate"):
        Cluster(fleet.address, others)
    with pytest.raises(ArgumentError, match="no such file"):
        Cluster(fleet.address, tmp_path / "none")
    arguments = [fleet.address, str(others), "two", str(tmp_path / "work"), "start=2"]
    fleet.processes.start("two", be_worker, arguments)
    fleet.processes.wait_for("two", "is not of this fleet: self-signed certificate")
    with fleet.engines() as engines:
        assert [each.describe()["worker"] for each in engines] == ["one"]


def test_a_certificate_of_another_authority_is_refused_at_once_and_not_waited_with(
    fleet: Fleet, tmp_path: Path
) -> None:
    fleet.start_scheduler()
    mixed = tmp_path / "mixed"
    certificates.make_certificates(mixed)
    shutil.copy(fleet.tls / certificates.AUTHORITY, mixed)
    refusal = "refuses the certificate that it was shown: "
    with pytest.raises(EngineError, match=refusal):
        Cluster(fleet.address, mixed, waits=lambda _: pytest.fail("it waited"))
    arguments = [fleet.address, str(mixed), "two", str(tmp_path / "work"), "start=2"]
    fleet.processes.start("two", be_worker, arguments)
    fleet.processes.wait_for("two", refusal)


def test_an_alert_that_is_about_no_certificate_is_not_blamed_on_one(tmp_path: Path) -> None:
    certificates.make_certificates(tmp_path)
    deaf = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    deaf.load_cert_chain(tmp_path / "scheduler.pem", tmp_path / "scheduler.key")
    deaf.maximum_version = ssl.TLSVersion.TLSv1_2
    deaf.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")  # its key is for ECDSA: no cipher is shared

    def answer() -> None:
        near, _ = server.accept()
        with near, pytest.raises(ssl.SSLError):
            deaf.wrap_socket(near, server_side=True)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer)
        thread.start()
        address = f"tls://127.0.0.1:{server.getsockname()[1]}"
        refusal = "refuses the TLS connection: handshake failure"
        with pytest.raises(EngineError, match=refusal) as raised:
            Cluster(address, tmp_path, waits=lambda _: pytest.fail("it waited"))
        thread.join()
    assert "certificate" not in raised.value.hint


def test_neither_a_scheduler_nor_a_worker_speaks_without_a_certificate(fleet: Fleet) -> None:
    fleet.start_worker("one")
    worker = Cluster(fleet.address, fleet.tls).workers()["one"]["address"]
    trusting = ssl.create_default_context(cafile=str(fleet.tls / certificates.AUTHORITY))
    trusting.check_hostname = False
    for address in (fleet.address, worker):
        host, port = address.removeprefix("tls://").split(":")
        with (
            socket.create_connection((host, int(port)), timeout=10) as plain,
            trusting.wrap_socket(plain) as encrypted,
            pytest.raises(ssl.SSLError, match="certificate required"),
        ):
            encrypted.recv(1)


def test_the_port_of_a_worker_is_not_taken_for_that_of_the_scheduler(fleet: Fleet) -> None:
    fleet.start_worker("one")
    worker = Cluster(fleet.address, fleet.tls).workers()["one"]["address"]
    with pytest.raises(EngineError, match="is a worker of the fleet, and not its scheduler"):
        Cluster(worker, fleet.tls)


def test_who_looks_for_a_scheduler_is_told_at_once_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_nobody(*_: object, **__: object) -> None:  # as where there is a network of names
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    certificates.make_certificates(tmp_path / "tls")
    reasons: list[str] = []
    with monkeypatch.context() as nameless:
        nameless.setattr(socket, "getaddrinfo", find_nobody)
        with pytest.raises(EngineError, match="no machine is known as nowhere"):
            Cluster("tls://nowhere:8786", tmp_path / "tls", waits=reasons.append)
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer_plainly, args=(server,), daemon=True).start()
        address = f"tls://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(EngineError, match="it does not speak TLS"):
            Cluster(address, tmp_path / "tls", waits=reasons.append)
    assert not reasons
    with pytest.raises(EngineError, match=r"no scheduler of a fleet answers at .*refused"):
        Cluster(address, tmp_path / "tls", return_s=2, waits=reasons.append)
    assert len(reasons) == 1


def answer_plainly(server: socket.socket) -> None:
    near, _ = server.accept()
    with near:
        near.recv(1)
        near.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_a_scheduler_that_is_started_after_its_client_is_found(fleet: Fleet) -> None:
    fleet.start_worker("one")
    with Line(fleet.port) as line:
        line.cut()
        reasons: list[str] = []
        threading.Timer(2, line.mend).start()
        client = Cluster(f"tls://127.0.0.1:{line.port}", fleet.tls, waits=reasons.append)
        assert client.workers().keys() == {"one"}
        client.close()
    assert len(reasons) == 1


@pytest.mark.parametrize(
    "address",
    [
        "tcp://host:8786",
        "tls://host",
        "tls://:8786",
        "tls://host:99999",
        pytest.param(f"tls://host:{'9' * 5000}", id="a port of 5000 digits"),
        "tls://host:x",
        "tls://a..b:8786",
    ],
)
def test_what_is_no_encrypted_address_is_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="no address of a fleet's scheduler"):
        Cluster(address, tmp_path)


def test_a_worker_starts_with_certificates_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main.main(["worker", "tls://127.0.0.1:1", "--tls", str(tmp_path), "--engine", "here"]) == 2
    )
    assert "no such file" in capsys.readouterr().err
    assert main.main(["matrix", "--fleet", "tls://127.0.0.1:1"]) == 2
    assert "--fleet and --tls go together" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["authority.pem", "worker.pem", "worker.key"])
def test_damaged_certificates_are_an_error_before_anything_waits(tmp_path: Path, name: str) -> None:
    certificates.make_certificates(tmp_path)
    certificates.security(tmp_path, "worker")
    (tmp_path / name).write_text("damaged")
    with pytest.raises(ArgumentError, match=f"{name}.* cannot be used together"):
        certificates.security(tmp_path, "worker")
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with pytest.raises(ArgumentError, match=f"{name}: no such file"):
        certificates.security(tmp_path, "worker")


@pytest.mark.parametrize(("days", "margin"), [(-0.5, 1), (365, -1)])
@pytest.mark.parametrize("role", certificates.ROLES)
def test_certificates_that_are_not_valid_now_are_an_error_before_anything_waits(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    role: certificates.Role,
    days: float,
    margin: int,
) -> None:
    monkeypatch.setattr(certificates, "DAYS", days)
    monkeypatch.setattr(certificates, "MARGIN", timedelta(days=margin))
    certificates.make_certificates(tmp_path)
    with pytest.raises(ArgumentError, match=rf"{role}\.pem is valid from .*, and here it is"):
        certificates.security(tmp_path, role)


def test_keys_are_ours_alone_and_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    made, there, stolen = tmp_path / "made", tmp_path / "there", tmp_path / "stolen"
    there.mkdir(mode=0o755)
    stolen.touch(mode=0o644)
    (there / "worker.key").symlink_to(stolen)
    for folder, mode in ((made, 0o700), (there, 0o755)):
        files = certificates.make_certificates(folder)
        keys = [path for path in files if path.suffix == ".key"]
        assert {path.name for path in keys} == {
            "authority.key",
            *(f"{role}.key" for role in certificates.ROLES),
        }
        assert {path.lstat().st_mode & 0o777 for path in keys} == {0o600}
        assert folder.stat().st_mode & 0o777 == mode
    assert not stolen.read_bytes()


def test_a_port_that_another_scheduler_has_is_one_error(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.start_scheduler()
    options = ["--host", "127.0.0.1", "--port", str(fleet.port)]
    assert main.main(["fleet", "scheduler", str(fleet.tls), *options]) == 3
    error = capsys.readouterr().err
    assert f"cannot listen at 127.0.0.1:{fleet.port}: Address already in use" in error
    assert "name another port" in error


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("192.0.2.1", "Cannot assign requested address"),  # of documents, and no machine's
        ("nowhere.invalid", ""),  # the reason depends on whether names can be looked up here
        ("a..b", "label empty or too long"),
        ("::1", "ipv6 needs brackets"),
    ],
)
def test_a_host_that_is_not_this_machine_is_an_error_that_hints_at_the_host(
    tmp_path: Path, host: str, reason: str
) -> None:
    certificates.make_certificates(tmp_path)
    arguments = ["fleet", "scheduler", str(tmp_path), "--host", host, "--port", "0"]
    ended = subprocess.run(  # here the socket would stay open that Dask leaves
        [sys.executable, "-m", "deepmatrix", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    error = " ".join(ended.stderr.split())
    assert ended.returncode == 3, error
    assert f"cannot listen at {host}:0: " in error
    assert reason in error
    assert "name an address of this machine with --host" in error


def test_no_repository_takes_the_keys_of_a_fleet(tmp_path: Path) -> None:
    processes.run(["git", "init", "--quiet", str(tmp_path)])
    certificates.make_certificates(tmp_path / "keys")
    assert processes.run(["git", "-C", str(tmp_path), "status", "--porcelain"]) == ""


def test_the_command_that_goes_on_names_the_certificates_of_the_fleet(
    fleet: Fleet, tmp_path: Path
) -> None:
    fleet.start_worker("one")
    run, _ = run_of(tmp_path / "runs", ["fine"])
    fleet.serve(run)
    assert f"--fleet {fleet.address} --tls {fleet.tls} " in resume_command(run)


def test_the_page_of_commands_names_no_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.node", lambda: "another")
    assert reference.render() == reference.PAGE.read_text(encoding="utf-8")


def test_what_no_worker_has_is_an_error_at_once(
    fleet: Fleet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.start_worker("one", "native=arm64")
    options = ["--fleet", fleet.address, "--tls", str(fleet.tls), "--runs", str(tmp_path / "runs")]
    cells = ["torch-debian12-amd64-cpu", "torch-debian13-arm64-cpu"]
    assert main.main(["matrix", *cells, *options]) == 2
    error = capsys.readouterr().err
    assert "no worker of the fleet has amd64 with cpu, for torch-debian12-amd64-cpu" in error
    assert "torch-debian13-arm64-cpu" not in error
    assert not (tmp_path / "runs").exists()


def test_a_run_is_finished_without_a_worker_whose_cells_are_done(
    fleet: Fleet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.start_worker("one")
    run = new_run(tmp_path / "runs", planned("torch-debian12-amd64-cpu", "jax-debian13-arm64-cpu"))
    run.save_engine({"engine": "venv", "fleet": fleet.address})
    write_gold(run)
    for job in (job for wave in WAVES for job in run.manifest.plan.jobs(wave)):
        run.save(job, record(job, run=run.id))
    options = ["--fleet", fleet.address, "--tls", str(fleet.tls), "--runs", str(tmp_path / "runs")]
    assert main.main(["matrix", "--resume", run.id, *options]) < 2
    assert "no worker of the fleet" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("offer", "native", "emulated"),
    [
        ("", {"amd64"}, {"arm64", "riscv64"}),
        ("arm64", set(), {"arm64"}),
        ("amd64", {"amd64"}, set()),
    ],
)
def test_a_worker_offers_the_architectures_that_it_is_told_to(
    tmp_path: Path, offer: str, native: set[str], emulated: set[str]
) -> None:
    settings = {"emulated": "arm64 riscv64", **({"offer": offer} if offer else {})}
    host = HostOfTests("one", tmp_path, settings)
    offered = host.offer().capabilities
    assert (offered.native, offered.emulated) == (native, emulated)
    host.close()


class HostThatChoosesTogether(HostOfTests):
    """A host that chooses no engine before two are asked for."""

    together = threading.Barrier(2, timeout=STARTS_S)

    def _choose(self, matrix: Matrix) -> Processes:
        self.together.wait()
        return super()._choose(matrix)


def test_a_controller_that_asks_again_meanwhile_is_let_in_once(tmp_path: Path) -> None:
    host = HostThatChoosesTogether("worker", tmp_path, {})
    before = set(host.folder.iterdir())
    with ThreadPoolExecutor(2) as asking:
        list(asking.map(lambda _: host.begin_visit("visit", MATRIX, "venv"), range(2)))
    assert len(set(host.folder.iterdir()) - before) == 1
    host.close()


def test_a_controller_is_let_in_beside_others_and_ends_what_one_left_long_ago(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = HostOfTests("worker", tmp_path, {})
    for visit in ("first", "second"):
        worker.begin_visit(visit, MATRIX, "venv")
    worker._visits["first"].heard -= 2 * host.SILENT_S
    worker.open_run("first", "run")
    worker.begin_visit("third", MATRIX, "venv")
    worker.open_run("first", "run")
    monkeypatch.setattr(host, "SILENT_S", -1.0)
    worker.begin_visit("fourth", MATRIX, "venv")
    with pytest.raises(EngineError, match="has lost the run"):
        worker.open_run("first", "run")
    worker.close()


def test_a_worker_whose_engine_is_not_the_one_that_it_offered_lets_nobody_in(
    tmp_path: Path,
) -> None:
    worker = HostOfTests("one", tmp_path, {})
    before = set(worker.folder.iterdir())
    with pytest.raises(EngineError, match="one has the engine venv now, not docker"):
        worker.begin_visit("visit", MATRIX, "docker")
    assert set(worker.folder.iterdir()) == before
    worker.close()


class HostThatIsLeft(HostOfTests):
    """A host whose controller goes while a process of it runs; *events* says what ended when."""

    def __init__(self, name: str, work: Path, settings: dict[str, str]) -> None:
        super().__init__(name, work, settings)
        self.events: list[str] = []

    def _choose(self, matrix: Matrix) -> Processes:
        processes = super()._choose(matrix)
        processes.run = self._be_left  # type: ignore[method-assign]
        processes.close = lambda: self.events.append("engine")  # type: ignore[method-assign]
        return processes

    def _be_left(self, task: Task, cancel: threading.Event) -> Ended:
        del task, cancel
        self.end_visit("visit")
        self.events.append("process")
        return Ended(ending="cancelled", cause="interrupted")


def test_a_controller_that_goes_while_a_process_runs_leaves_nothing_on_a_worker(
    tmp_path: Path,
) -> None:
    host = HostThatIsLeft("worker", tmp_path, {})
    before = set(host.folder.iterdir())
    host.begin_visit("visit", MATRIX, "venv")
    order = Order(
        attempt="attempt",
        visit="visit",
        run_id="run",
        job="job",
        cell=planned(CONSUMER).cells[0],
        deadline_s=10.0,
        limits=Limits(
            memory_bytes=1 << 30,
            processes=8,
            cpus=(),
            log_bytes=1 << 20,
            file_bytes=1 << 20,
            disk_bytes=1 << 20,
        ),
        environment={},
        emulator=None,
        keeps_compiled=False,
        timed=False,
        nonce="",
        folders=(".",),
        files={},
    )
    with contextlib.suppress(EngineError):
        host.serve(order, threading.Event())
    assert set(host.folder.iterdir()) == before
    assert host.events == ["engine", "process", "engine"]  # what a process used can be removed now
    host.close()


def test_a_worker_offers_no_architecture_that_its_machine_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host = HostOfTests("one", tmp_path, {"offer": "amd64 arm64"})
    with pytest.raises(EngineError, match="one cannot run arm64"):
        host.offer()
    host.close()
    command = ["worker", "tls://127.0.0.1:1", "--tls", str(tmp_path), "--architecture", "arm46"]
    assert main.main(command) == 2
    assert "no architecture 'arm46'; did you mean 'arm64'?" in capsys.readouterr().err


def test_a_run_that_ends_before_it_begins_leaves_nothing_on_a_worker(
    fleet: Fleet, tmp_path: Path
) -> None:
    fleet.start_worker("one")

    def visits() -> list[Path]:
        return list((tmp_path / "work" / "one" / "fleet").glob("*/tmp*"))

    with fleet.engines() as engines:
        engines[0].prepare(planned("torch-debian12-amd64-cpu", CONSUMER).cells, lambda *_: None)
        assert visits()
    assert not visits()


FALSE_WORKERS = {
    "dies": "went away",
    "disk": "No space left on device",
    "damage": "its results arrived damaged",
    "archive results/../../evil": "it wrote a file with a forbidden name",
    "start": "no room for a container",
}


@pytest.mark.parametrize("fault", FALSE_WORKERS)
def test_a_worker_that_fails_is_put_aside_and_the_others_do_its_jobs(
    fleet: Fleet, tmp_path: Path, fault: str
) -> None:
    fleet.return_s = 10
    fleet.start_worker("good")
    fleet.start_worker("bad", f"fault={fault}")
    run, jobs = run_of(tmp_path / "runs", ["fine"] * 8, isolate=True)
    aside: dict[str, str] = {}
    watcher = Quiet()
    watcher.put_aside = aside.__setitem__  # type: ignore[attr-defined]
    fleet.serve(run, watcher)
    served = records(run, jobs)
    assert {record.status for record in served.values()} == {"ok"}
    attempts = [record.attempt for record in served.values()]
    assert len(set(attempts)) == len(attempts)
    assert list(aside) == ["bad"]
    assert FALSE_WORKERS[fault] in aside["bad"]
    (warning,) = (line for line in merging.merge([run]).warnings if "put aside" in line)
    assert warning.startswith("bad was put aside, and got no more jobs: ")
    assert FALSE_WORKERS[fault] in warning


def test_what_is_asked_after_the_jobs_is_asked_of_a_worker_that_is_left(
    fleet: Fleet, tmp_path: Path
) -> None:
    fleet.return_s = 5
    fleet.start_worker("bad", "fault=disk")
    fleet.start_worker("good")
    run, _ = run_of(tmp_path / "runs", ["fine"] * 8, isolate=True)
    with fleet.engines() as (bad, good):
        runner = Runner(run=run, engine=bad, watcher=Quiet(), cells={CONSUMER}, others=[good])
        with runner.open(runner.pending_cells(["consume"])) as opened:
            opened.run_waves(["consume"])
            assert [bool(site.aside) for site in opened.sites] == [True, False]
            assert opened.site_of(CONSUMER).attempts.worker == "good"


@pytest.mark.parametrize("step", ["prepare", "open"])
def test_a_worker_that_fails_before_the_first_job_is_put_aside_and_the_others_go_on(
    fleet: Fleet, tmp_path: Path, step: str
) -> None:
    fleet.start_worker("bad", f"fault={step}")
    fleet.start_worker("good")
    run, jobs = run_of(tmp_path / "runs", ["fine"] * 4)
    aside: dict[str, str] = {}
    watcher = Quiet()
    watcher.put_aside = aside.__setitem__  # type: ignore[attr-defined]
    fleet.serve(run, watcher)
    assert {record.status for record in records(run, jobs).values()} == {"ok"}
    assert aside == {"bad": f"it cannot {step}"}


REFUSING = {
    "offer": "it cannot offer",
    "version": "bad has another version of deepmatrix",
    "grown": "bad has emulated-riscv64 only since it was started",
}


@pytest.mark.parametrize("fault", REFUSING)
def test_a_worker_that_fails_when_it_is_asked_what_it_offers_is_put_aside(
    fleet: Fleet, tmp_path: Path, fault: str
) -> None:
    fleet.start_worker("bad", f"fault={fault}")
    fleet.start_worker("good")
    run, jobs = run_of(tmp_path / "runs", ["fine"] * 4)
    fleet.serve(run)
    assert {record.status for record in records(run, jobs).values()} == {"ok"}
    assert fleet.aside == {"bad": REFUSING[fault]}


def test_the_screen_says_which_worker_cannot_be_used(
    fleet: Fleet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.start_worker("bad", "fault=offer")
    fleet.start_worker("good", "native=arm64")
    options = ["--fleet", fleet.address, "--tls", str(fleet.tls), "--runs", str(tmp_path / "runs")]
    assert main.main(["matrix", "torch-debian12-amd64-cpu", *options]) == 2
    told = capsys.readouterr()
    connecting, aside = map(told.out.find, ("connecting to the fleet", "! bad is put aside"))
    assert 0 <= connecting < aside
    assert "! bad is put aside: it cannot offer" in told.out
    assert "no worker of the fleet has amd64 with cpu" in told.err


def test_where_no_worker_can_be_used_the_error_says_why_of_each(fleet: Fleet) -> None:
    for name, fault in (("one", "offer"), ("two", "version")):
        fleet.start_worker(name, f"fault={fault}")
    with pytest.raises(EngineError, match="can be used") as raised, fleet.engines():
        pass
    lines = raised.value.message.splitlines()
    assert lines[1:] == ["one: it cannot offer", "two: two has another version of deepmatrix"]
    assert raised.value.hint == "install the controller's there, and start its worker again"
    assert not fleet.aside


def test_a_worker_that_goes_away_after_it_was_connected_is_put_aside(
    fleet: Fleet, tmp_path: Path
) -> None:
    fleet.return_s = 5
    for name in ("bad", "good"):
        fleet.start_worker(name)
    run, jobs = run_of(tmp_path / "runs", ["fine"] * 4)
    aside: dict[str, str] = {}
    watcher = Quiet()
    watcher.put_aside = aside.__setitem__  # type: ignore[attr-defined]
    with fleet.engines() as (bad, good):
        fleet.processes.kill("bad")
        able = [engine.capabilities() for engine in (bad, good)]
        assert all(each.native == {"amd64"} for each in able)
        runner = Runner(run=run, engine=bad, watcher=watcher, cells={CONSUMER}, others=[good])
        runner.execute(["consume"])
    assert {record.status for record in records(run, jobs).values()} == {"ok"}
    assert list(aside) == ["bad"]


@pytest.mark.parametrize("step", ["prepare", "open"])
def test_cells_of_a_worker_that_fails_before_the_first_job_go_to_one_that_emulates_them(
    fleet: Fleet, tmp_path: Path, step: str
) -> None:
    fleet.start_worker("bad", f"fault={step}")
    fleet.start_worker("good", "native=arm64", "emulated=amd64")
    run, jobs = run_of(tmp_path / "runs", ["fine"])
    fleet.serve(run)
    (record,) = records(run, jobs).values()
    assert (record.status, record.emulated) == ("ok", True)


@pytest.mark.parametrize("step", ["prepare", "open"])
def test_where_no_other_worker_can_run_a_cell_the_run_ends_before_it_begins(
    fleet: Fleet, tmp_path: Path, step: str
) -> None:
    fleet.start_worker("bad", f"fault={step}")
    fleet.start_worker("good", "native=arm64")
    run, jobs = run_of(tmp_path / "runs", ["fine"])
    with pytest.raises(EngineError, match=f"no machine is left for {CONSUMER}") as raised:
        fleet.serve(run)
    assert f"bad: it cannot {step}" in raised.value.message
    assert not any(run.record_path(job).is_file() for job in jobs.values())


def test_a_process_that_waits_for_its_turn_on_a_worker_is_not_lost(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.start_worker("one")
    run, jobs = run_of(tmp_path / "runs", ["fine"])
    deadline_s, patience_s = run.manifest.matrix.limits.deadline_s + GRACE_S, 6.0
    monkeypatch.setattr(engine, "PATIENCE_S", patience_s - deadline_s)
    others = contextlib.ExitStack()
    assert others.enter_context(locks.try_lock(tmp_path / "work" / "one" / "sampling-0.lock"))
    starts: list[object] = []
    released: list[float] = []

    def release() -> None:
        released.append(time.time())
        others.close()

    def start(job: object, _: object) -> None:
        if not starts:
            threading.Timer(2 * patience_s + 1, release).start()
        starts.append(job)

    watcher, waits = Quiet(), []
    watcher.started = start  # type: ignore[attr-defined]
    watcher.waiting_for_cpus = lambda place: waits.append(place[0])  # type: ignore[attr-defined]
    fleet.serve(run, watcher)
    (record,) = records(run, jobs).values()
    assert (record.status, len(starts)) == ("ok", 1), record.cause
    assert waits == ["one"]
    assert record.started_at
    assert record.started_at >= released[0]  # it had its turn after the others


def test_without_a_worker_that_is_left_the_run_ends_and_goes_on_later(
    fleet: Fleet, tmp_path: Path
) -> None:
    fleet.return_s = 10
    for name in ("one", "two"):
        fleet.start_worker(name, "fault=dies")
    run, jobs = run_of(tmp_path / "runs", ["fine"] * 4, isolate=True)
    with pytest.raises(EngineError, match="no machine is left") as raised:
        fleet.serve(run)
    assert f"--fleet {fleet.address}" in raised.value.hint
    assert not any(run.is_done(job) for job in jobs.values())
    fleet.start_worker("three")
    fleet.serve(run)
    assert {record.status for record in records(run, jobs).values()} == {"ok"}


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("image=another", "would go on with another image"),
        ("machine=another", "started anew on another machine"),
    ],
)
def test_a_worker_that_is_started_again_as_another_does_not_go_on(
    fleet: Fleet, setting: str, reason: str
) -> None:
    fleet.start_worker("one")
    with fleet.engines() as (far,):
        far.prepare(planned(CONSUMER, "torch-debian12-amd64-cpu").cells, lambda *_: None)
        fleet.processes.kill("one")
        fleet.start_worker("one", setting)
        with pytest.raises(EngineError, match=reason):
            far.capabilities()


def test_a_scheduler_and_a_worker_that_are_started_again_go_on(
    fleet: Fleet, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        fleet.start_worker(name)
    run, jobs = run_of(tmp_path / "runs", ["fine"] * 12, isolate=True)
    killed: list[int] = []

    def disturb(job: object, record: object) -> None:
        del job, record
        killed.append(len(killed))
        if len(killed) == 2:
            fleet.restart_scheduler()
        if len(killed) == 8:
            fleet.processes.kill("two")
            fleet.start_worker("two")

    watcher = Quiet()
    watcher.ended = disturb  # type: ignore[attr-defined]
    fleet.serve(run, watcher)
    assert {record.status for record in records(run, jobs).values()} == {"ok"}


def test_what_a_worker_loses_at_once_is_one_loss(fleet: Fleet, tmp_path: Path) -> None:
    fleet.start_worker("one", "cpus=4")
    fleet.start_worker("two", "native=arm64")
    run, jobs = run_of(tmp_path / "runs", ["fine"] * 4, isolate=True)
    all_started = threading.Barrier(4, lambda: threading.Timer(0.2, restart).start(), STARTS_S)
    aside: dict[str, str] = {}
    starts: list[str] = []

    def restart() -> None:
        fleet.processes.kill("one")
        fleet.start_worker("one", "cpus=4")

    def start(job: Job, _: object) -> None:
        starts.append(job.id)
        if len(starts) <= 4:
            all_started.wait()

    watcher = Quiet()
    watcher.started = start  # type: ignore[attr-defined]
    watcher.put_aside = aside.__setitem__  # type: ignore[attr-defined]
    fleet.serve(run, watcher)
    assert {record.status for record in records(run, jobs).values()} == {"ok"}
    assert (len(starts), aside) == (8, {})


def test_what_is_done_is_not_done_again_where_the_next_process_is_lost(
    fleet: Fleet, tmp_path: Path
) -> None:
    fleet.start_worker("one")
    fleet.start_worker("two", "native=arm64")
    run, jobs = run_of(tmp_path / "runs", ["segfault"] * 6)  # each ends its process
    starts: list[str] = []
    done: set[str] = set()

    def start(job: Job, _: object) -> None:
        starts.append(job.id)
        if len(starts) == 3:
            done.update(each.id for each in jobs.values() if run.is_done(each))
            fleet.processes.kill("one")
            fleet.start_worker("one")

    watcher = Quiet()
    watcher.started = start  # type: ignore[attr-defined]
    fleet.serve(run, watcher)
    assert {record.status for record in records(run, jobs).values()} == {"crashed"}
    assert len(done) == 2
    assert {starts.count(name) for name in done} == {1}


def test_a_fleet_is_whole_however_often_its_client_refreshes_what_it_remembers(
    fleet: Fleet,
) -> None:
    fleet.start_worker("one")
    with dask.config.set({"distributed.client.scheduler-info-interval": "1ms"}):
        client = Cluster(fleet.address, fleet.tls)
    end = time.monotonic() + 4 * cluster.LOOK_S
    known = set()
    while time.monotonic() < end:
        known.add(tuple(client.workers()))
        time.sleep(0.01)
    client.close()
    assert known == {("one",)}


def test_what_a_worker_is_asked_before_a_run_is_asked_again_where_the_line_broke(
    fleet: Fleet,
) -> None:
    fleet.start_worker("one")
    cells = planned("torch-debian12-amd64-cpu", CONSUMER).cells
    with Line(fleet.port) as line:
        client = Cluster(f"tls://127.0.0.1:{line.port}", fleet.tls)
        line.cut()
        threading.Timer(1, line.mend).start()
        far = engine.WorkerEngine(client, "one", MATRIX)
        line.cut()
        threading.Timer(1, line.mend).start()
        assert far.prepare(cells, lambda *_: None).keys() == {cell.id for cell in cells}
        line.cut()
        threading.Timer(1, line.mend).start()
        far.open("run")
        far.close()
        client.close()


def test_a_scheduler_is_found_again_whenever_it_is_back(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.start_worker("one")
    with Line(fleet.port) as line:
        client = Cluster(f"tls://127.0.0.1:{line.port}", fleet.tls, return_s=10)
        far = engine.WorkerEngine(client, "one", MATRIX)
        far.open("run")
        # The pauses of Dask are random, and double: these are the longest. After 5.1 s it would
        # sleep until 10 s have passed, and give up.
        monkeypatch.setattr(random, "uniform", lambda _, high: high)
        line.cut()
        threading.Timer(5.2, line.mend).start()
        assert far.capabilities().cpus == 1
        far.close()
        client.close()


def test_a_worker_gets_the_name_of_one_that_hangs_once_that_is_gone(fleet: Fleet) -> None:
    fleet.ttl_s = 5
    fleet.start_worker("one")
    arguments = [fleet.address, str(fleet.tls), "one", str(fleet.folder / "work")]
    fleet.processes.start("hasty", be_worker, [*arguments, "taken=0"])
    fleet.processes.start("again", be_worker, arguments)
    fleet.processes.wait_for("hasty", "EngineError: the fleet has a worker one")
    fleet.processes.wait_for("again", "worker one: waiting; if that is another machine")
    fleet.processes.send("one", signal.SIGSTOP)
    try:
        fleet.processes.wait_for("again", "connected to ")
    finally:
        fleet.processes.send("one", signal.SIGCONT)


def test_a_worker_that_hangs_is_put_aside(fleet: Fleet, tmp_path: Path) -> None:
    fleet.return_s = fleet.ttl_s = 20
    for name in ("good", "bad"):
        fleet.start_worker(name)
    run, jobs = run_of(tmp_path / "runs", ["fine"] * 8, isolate=True)
    aside: dict[str, str] = {}
    watcher = Quiet()
    watcher.put_aside = aside.__setitem__  # type: ignore[attr-defined]
    watcher.ended = lambda *_: fleet.processes.send("bad", signal.SIGSTOP)  # type: ignore[attr-defined]
    try:
        fleet.serve(run, watcher)
    finally:
        fleet.processes.send("bad", signal.SIGCONT)
    assert {record.status for record in records(run, jobs).values()} == {"ok"}
    assert list(aside) == ["bad"]


def test_what_a_killed_controller_left_is_finished_and_nothing_is_done_twice(
    fleet: Fleet, tmp_path: Path
) -> None:
    fleet.start_worker("one")
    run, jobs = run_of(
        tmp_path / "runs", ["fine", "fine", "hang", "fine"], isolate=True, deadline_s=10
    )
    arguments = [fleet.address, str(fleet.tls), str(run.path), CONSUMER]
    fleet.processes.start("controller", be_controller, arguments)
    fleet.processes.wait_for("controller", "ended")
    fleet.processes.kill("controller")
    before = {name: run.record(job).attempt for name, job in jobs.items() if run.is_done(job)}
    assert 0 < len(before) < len(jobs)
    fleet.serve(run)
    served = records(run, jobs)
    assert {name.split()[1]: record.status for name, record in served.items()} == {
        "fine": "ok",
        "hang": "timeout",
    }
    assert {name: served[name].attempt for name in before} == before
    assert not list(run.path.rglob("*.part"))


def running_in(folder: Path) -> list[str]:
    """Return the ids of the processes of cells that run in a folder."""
    ids = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if f"{folder}/".encode() in path.read_bytes():
                ids.append(path.parent.name)
    return ids


def test_a_worker_ends_as_it_starts_what_a_killed_one_left_running(
    fleet: Fleet, tmp_path: Path
) -> None:
    fleet.start_worker("one")
    run, _ = run_of(tmp_path / "runs", ["hang"])
    arguments = [fleet.address, str(fleet.tls), str(run.path), CONSUMER]
    fleet.processes.start("controller", be_controller, arguments)
    work = tmp_path / "work" / "one" / "processes"
    end = time.monotonic() + STARTS_S
    while not running_in(work) and time.monotonic() < end:
        time.sleep(0.1)
    fleet.processes.kill("one")
    fleet.processes.kill("controller")  # no run of it comes back
    assert running_in(work)
    (tmp_path / "one.log").unlink()  # it says that the killed one was connected
    fleet.start_worker("one")
    assert not list(work.iterdir())
    assert not running_in(work)


def test_two_controllers_have_their_records_from_one_worker_at_once(
    fleet: Fleet, tmp_path: Path
) -> None:
    fleet.start_worker("one", "cpus=2")
    runs = {
        name: run_of(tmp_path / name, ["fine", "segfault", "fine"]) for name in ("first", "second")
    }
    for name, (run, _) in runs.items():
        arguments = [fleet.address, str(fleet.tls), str(run.path), CONSUMER]
        fleet.processes.start(name, be_controller, arguments)
    assert {fleet.processes.wait(name) for name in runs} == {0}
    for run, jobs in runs.values():
        statuses = {name.split()[1]: each.status for name, each in records(run, jobs).items()}
        assert statuses == {"fine": "ok", "segfault": "crashed"}
    assert not list((tmp_path / "work").glob("*/fleet/*/tmp*"))


def test_ctrl_c_ends_the_process_of_a_worker(fleet: Fleet, tmp_path: Path) -> None:
    fleet.start_worker("one")
    run, jobs = run_of(tmp_path / "runs", ["hang", "hang"], isolate=True)
    watcher = Quiet()
    interrupt = threading.Timer(3, os.kill, (os.getpid(), signal.SIGINT))
    watcher.started = lambda *_: interrupt.start()  # type: ignore[attr-defined]
    with pytest.raises(Interrupted):
        fleet.serve(run, watcher)
    work = tmp_path / "work" / "one" / "processes"
    end = time.monotonic() + 10
    while list(work.glob("*/tmp*")) and time.monotonic() < end:
        time.sleep(0.1)
    assert not list(work.glob("*/tmp*"))
    assert not any(run.is_done(job) for job in jobs.values())
