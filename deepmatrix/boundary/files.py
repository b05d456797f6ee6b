"""The one door through which files of JSON are read, and how files are written for good."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from deepmatrix.boundary.bounds import one_line
from deepmatrix.errors import RecordError

Read = TypeVar("Read")

#: Bytes of a file of JSON. A record of a cell's ``output.json`` has room in it several times.
LARGEST_JSON: Final = 256 << 20

#: Characters of a problem that are shown: a key of an untrusted file may be as long as the file.
SHOWN: Final = 300

REMAKE: Final = "remove the file and run again with --resume, or leave the file out"


class Damaged(RecordError):
    """A file cannot be used: the message has its path, the field, and what is wrong with it."""

    def __init__(self, path: str | Path, problem: str, *, hint: str = REMAKE) -> None:
        super().__init__(f"{path}: {problem}", hint=hint)
        self.path = Path(path)
        self.problem = problem


def read_json(
    path: str | Path,
    kind: TypeAdapter[Read],
    *,
    largest: int = LARGEST_JSON,
    hint: str = REMAKE,
) -> Read:
    """Read a file of JSON as a value of a bounded type.

    Raises Damaged: it is missing, no plain file, too large, no JSON, or out of bounds somewhere.
    """
    try:
        return kind.validate_json(read_bytes(path, largest=largest, hint=hint))
    except ValidationError as error:
        raise Damaged(path, describe(error), hint=hint) from None


def read_bytes(path: str | Path, *, largest: int = LARGEST_JSON, hint: str = REMAKE) -> bytes:
    """Return the content of a plain file of at most *largest* bytes. Raises Damaged."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:  # a Path is slow
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Damaged(path, "no plain file", hint=hint)
            content = file.read(largest + 1)
    except OSError as error:
        raise Damaged(path, f"it cannot be read: {error.strerror or error}", hint=hint) from None
    if len(content) > largest:
        raise Damaged(path, f"it has more than {largest} bytes", hint=hint)
    return content


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a pipe in its place would wait for a writer for ever."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def describe(error: ValidationError) -> str:
    """Return the first problem of a document in one line: ``records.2.data.warmup: …``.

    A key of the document may be in it: it is cut and without control characters.
    """
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    field = one_line(".".join(str(part) for part in problem["loc"]))
    message = one_line(problem["msg"])
    return f"{field[:SHOWN]}: {message[:SHOWN]}" if field else message[:SHOWN]


def write_text(path: Path, text: str) -> None:
    """Write a file as `write_bytes` does, in UTF-8."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that it is whole or not there, and stays when the power is lost."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(path)
    part.unlink(missing_ok=True)  # a dead process's; or a link, which would be written through
    with part.open("xb") as file:
        file.write(content)
        flush(file)
    part.replace(path)
    flush_folder(path.parent)


def part_of(path: Path) -> Path:
    """Return the name under which this process writes a file until it is whole."""
    return path.with_name(f"{path.name}.{os.getpid()}.part")


def flush(file: IO[bytes]) -> None:
    """Have the system write a file to its disk."""
    file.flush()
    os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Have the system write a folder's list of names to its disk, where folders can be opened."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_tree(folder: Path) -> None:
    """Have the system write all files and folders from *folder* down to its disk."""
    for parent, _, names in os.walk(folder):
        for name in names:
            with (Path(parent) / name).open("rb") as file:
                os.fsync(file.fileno())
        flush_folder(Path(parent))
