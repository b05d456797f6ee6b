"""A Slurm cluster of one node on this machine, for as long as a command or a test runs.

    python -m tests.slurm COMMAND [ARGUMENT ...]

Everything is in a temporary folder and ends with the command; nothing is installed or configured.
It needs Debian's packages slurm-wlm and munge. No part of it needs root.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "sinfo", "squeue")

#: Where Debian has daemons, which is not on everybody's PATH.
PLACES = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin"

STARTS_S = 90.0

CONFIGURATION = """
ClusterName=deepmatrix
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthInfo=socket={folder}/munge.socket
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=1
KillWait=10
NodeName=node NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=1000000
PartitionName=all Nodes=node Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """Return the programs of Slurm that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name, path=PLACES) is None]


@contextlib.contextmanager
def slurm(cpus: int) -> Iterator[dict[str, str]]:
    """Run a cluster of one node with some slots; yield the variables by which programs find it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name, contextlib.ExitStack() as ending:
        folder = Path(name)
        folder.chmod(0o755)
        environment = {"SLURM_CONF": str(_configure(folder, cpus))}
        munge = [f"--{word}={folder}/munge.{word}" for word in ("socket", "log-file", "seed-file")]
        munge += [f"--key-file={folder}/munge.key", f"--pid-file={folder}/munge.pid"]
        for command in (
            ["munged", "--foreground", "--force", *munge],
            ["slurmctld", "-D", "-i"],
            ["slurmd", "-D"],
        ):
            ending.enter_context(_running(command, folder, environment))
        _await_idle(folder, environment)
        yield environment


def _configure(folder: Path, cpus: int) -> Path:
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o600)
    path = folder / "slurm.conf"
    values = {"host": socket.gethostname().partition(".")[0], "user": getpass.getuser()}
    text = CONFIGURATION.format(folder=folder, cpus=cpus, ports=_free_ports(), **values)
    path.write_text(text)
    return path


def _free_ports() -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def _running(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[None]:
    program = shutil.which(command[0], path=PLACES)
    assert program
    with (folder / f"{command[0]}.log").open("wb") as log:
        process = subprocess.Popen(
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **environment},
            start_new_session=True,  # Ctrl-C is for the command
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_idle(folder: Path, environment: dict[str, str]) -> None:
    end = time.monotonic() + STARTS_S
    while time.monotonic() < end:
        state = subprocess.run(
            ["sinfo", "--noheader", "--format=%t"],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if state.stdout.strip() == "idle":
            return
        time.sleep(0.2)
    logs = "\n".join(path.read_text(errors="replace") for path in folder.glob("*.log"))
    raise AssertionError(f"no node of Slurm is idle: {state.stdout}{state.stderr}\n{logs}")


def main(command: list[str]) -> int:
    with slurm(cpus=os.cpu_count() or 1) as environment:
        return subprocess.run(command, env={**os.environ, **environment}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
