"""``fleet.yaml``: the machines of a fleet, and how a worker is started on each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pydantic import ByteSize, Field, PositiveFloat, PositiveInt

from deepmatrix.config import documents
from deepmatrix.config.documents import Problem, Section, Text

#: How such a file's name ends.
SUFFIXES = (".yaml", ".yml")

#: For how long a worker looks for a scheduler that is away before it ends by itself.
AWAY = "1m"

#: How Slurm writes a time: minutes, or with hours and days.
_TIME = re.compile(r"(\d+-)?\d+(:\d+){0,2}")


class SshHost(Section):
    """A machine that `ssh` reaches without a question, by its keys.

    *command*: how deepmatrix is called there, for that machine's shell. *options*: of `ssh`.
    *name*: what the worker is called; that of the machine, if left out.
    """

    ssh: Text = Field(examples=["pi@board"])
    name: Text | None = None
    command: Text = Field(default="deepmatrix", examples=["venv/bin/deepmatrix"])
    engine: Text = "auto"
    options: tuple[Text, ...] = ()

    @property
    def worker(self) -> str:
        """The name of its worker."""
        return self.name or self.ssh.rpartition("@")[2]


class Slurm(Section):
    """Jobs of a Slurm cluster, each with one worker.

    *cpus*, *memory* and *time*: what each job asks for. *directives*: more options of `sbatch`.
    *folder*: where the jobs find their certificates and leave their logs: on a file system that
    they share with this machine; the folder of the file, if left out. *command*: how deepmatrix is
    called in a job; as here, if left out.
    """

    jobs: PositiveInt = Field(le=10_000, examples=[2])
    cpus: PositiveInt = Field(le=65_536, examples=[4])
    memory: ByteSize = Field(ge=64 * 2**20, le=2**50, examples=["8 GiB"])
    time: Text = "01:00:00"
    partition: Text | None = None
    account: Text | None = None
    directives: tuple[Text, ...] = ()
    folder: Text | None = None
    command: Text | None = None
    engine: Text = "auto"

    @property
    def workers(self) -> list[str]:
        """The names of its workers."""
        return [f"slurm-{number}" for number in range(1, self.jobs + 1)]


class Fleet(Section):
    """The whole file.

    *address*: the name by which the workers reach this machine; found out, if left out. *port*:
    where the scheduler listens; a free one, if 0. *wait_s*: for how long workers may take to come.
    """

    version: int = Field(ge=1, le=1, examples=[1])
    address: Text | None = None
    port: int = Field(default=0, ge=0, le=65_535)
    wait_s: PositiveFloat = Field(default=300.0, le=7 * 24 * 3600)
    hosts: tuple[SshHost, ...] = ()
    slurm: Slurm | None = None


def is_file(fleet: str) -> bool:
    """Return whether what names a fleet is a file, and no address of a scheduler."""
    return fleet.endswith(SUFFIXES)


def load(path: Path) -> Fleet:
    """Load and check the file of a fleet.

    Raises:
        ArgumentError: the file is not there.
        ConfigError: it is wrong; one line a problem, each ``path:line:column: what``.
    """
    return documents.load(path, Fleet, _problems)


def _problems(fleet: Fleet) -> Iterator[Problem]:
    """Yield what the form of the file does not tell."""
    if not (fleet.hosts or fleet.slurm):
        yield (), "no machine is listed; add hosts, or slurm", False
    if fleet.address and set(fleet.address) & set(":/@ "):
        message = f"'{fleet.address}' is no name of a machine; its port goes into port"
        yield ("address",), message, False
    slurm_workers = fleet.slurm.workers if fleet.slurm else []
    count = Counter([*slurm_workers, *(host.worker for host in fleet.hosts)])
    for place, host in enumerate(fleet.hosts):
        location = ("hosts", place)
        if host.ssh.startswith("-"):
            message = f"'{host.ssh}' names no machine; write user@name, and -options into options"
            yield (*location, "ssh"), message, False
        elif count[host.worker] > 1:
            message = f"another worker is called '{host.worker}', too; give this one another name"
            yield (*location, "name" if host.name else "ssh"), message, False
    if fleet.slurm and not _TIME.fullmatch(fleet.slurm.time):
        message = f"'{fleet.slurm.time}' is no time of Slurm's; write it like \"01:00:00\""
        yield ("slurm", "time"), message, False


def schema() -> str:
    """Return the JSON Schema of the file, as published in the repository."""
    return documents.json_schema(Fleet, "deepmatrix fleet file")
