"""Parcels: what goes to a worker for one process, and what comes back.

A large file goes by its digest, so that a machine gets it once; small files go with the order, and
small results with the answer, which saves asking. Each end checks what it gets: the worker every
file, the controller the archive of the results, of which only plain files in the folders of the
process's own jobs are taken.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from deepmatrix.boundary.bounds import (
    Count,
    CutLine,
    Digest,
    FewFixed,
    Id,
    LongText,
    Moment,
    RelativePath,
    Seconds,
)
from deepmatrix.engines import Ended, Ending, Limits, Task, archives
from deepmatrix.planning.cells import Cell

#: Bytes of a file, or of an archive, that go in one message.
CHUNK: Final = 8 << 20

#: Bytes of a file that goes with its order; and of all such files, or of results that come with
#: their answer.
SMALL_FILE = 1 << 14
SMALL_PARCEL = 1 << 20

#: What the folder in an archive of results is called.
RESULTS: Final = "results"

_RELATIVE_PATHS: Final = TypeAdapter(RelativePath)


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A file of a process: what it hashes to, its bytes, whether it can be executed.

    *content* is None for a file that went before.
    """

    sha256: str
    size: int
    executable: bool
    content: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Order:
    """A process that a worker is to run: a `Task` without what is on this machine.

    *folders*: of its jobs, in their order, relative to its control directory; "." where there is
    one. *files*: of that directory, by path. *nonce*: of its queue.
    """

    attempt: str
    visit: str
    run_id: str
    job: str
    cell: Cell
    deadline_s: float
    limits: Limits
    environment: dict[str, str]
    emulator: Path | None
    keeps_compiled: bool
    timed: bool
    nonce: str
    folders: tuple[str, ...]
    files: dict[str, Sent]

    @property
    def size(self) -> int:
        """The bytes of all files together."""
        return sum(file.size for file in self.files.values())


class JobEnd(BaseModel):
    """How a job ended, as a worker tells: see `deepmatrix.engines.Ended`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ending: Ending
    cause: CutLine
    exit_code: Annotated[int, Field(ge=-(2**31), lt=2**32)] | None = None
    wall_s: Seconds = 0.0
    started_at: Moment | None = None
    log: LongText = ""
    tree_bytes: Count | None = None
    containment: Id = ""
    may_be_left: CutLine = ""

    def ended(self) -> Ended:
        """Return it as an engine of this machine would."""
        return Ended(**dict(self))


class Answer(BaseModel):
    """What a worker answers to an order, as JSON.

    *ended*: of the jobs that the process disposed of, in their order. *unchanged*: the files of
    those jobs that are as they were sent. The others are in an archive: what it hashes to, its
    bytes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    attempt: Id
    ended: Annotated[FewFixed[JobEnd], Field(min_length=1)]
    unchanged: FewFixed[RelativePath] = ()
    sha256: Digest
    size: Count


def order_for(task: Task, visit: str) -> Order:
    """Return the order of a *visit* for a task; the files of all its jobs are written."""
    folders = tuple(task.queue.write_ahead()) if task.queue else (".",)
    files = archives.list_files(task.control, job_folders=folders)
    return Order(
        attempt=task.attempt,
        visit=visit,
        run_id=task.run_id,
        job=task.id,
        cell=task.cell,
        deadline_s=task.deadline_s,
        limits=task.limits,
        environment=dict(task.environment),
        emulator=task.emulator,
        keeps_compiled=task.keeps_compiled,
        timed=task.timed,
        nonce=task.nonce,
        folders=folders,
        files=dict(_sent(files)),
    )


def _sent(files: Mapping[str, Path]) -> Iterator[tuple[str, Sent]]:
    """Yield what to send of files, by their paths in a parcel; small ones with their content."""
    space = SMALL_PARCEL
    for name, path in files.items():
        status = path.stat()
        sent = Sent(
            sha256=digest_of(path),
            size=status.st_size,
            executable=bool(status.st_mode & 0o100),
        )
        if sent.size <= min(SMALL_FILE, space):
            sent = replace(sent, content=path.read_bytes())
            space -= sent.size
        yield name, sent


def is_valid_path(name: str) -> bool:
    """Return whether the other end takes a file of this path; no record refers to another one."""
    try:
        _RELATIVE_PATHS.validate_python(name)
    except ValidationError:
        return False
    return True


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_below(name: str, folders: Iterable[str]) -> bool:
    """Return whether a file, by its path, lies in one of some folders; all do in "."."""
    return any(folder == "." or name.startswith(f"{folder}/") for folder in folders)
