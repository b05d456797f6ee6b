"""The one door through which files of JSON are read, with bounds on what they may hold."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from deepmatrix.boundary.bounds import one_line, path_text
from deepmatrix.boundary.opening import open_plain
from deepmatrix.errors import RecordError

Read = TypeVar("Read")

#: Bytes of a file of JSON. A record of a cell's ``output.json`` has room in it several times.
LARGEST_JSON: Final = 128 << 20

#: So many bytes are asked for where a file says that it is empty, as those of ``/proc`` do.
LEAST_READ: Final = 1 << 20

#: Values of a file of JSON: one may take 500 bytes of memory, however short it is in the file.
MOST_VALUES: Final = 2_000_000

#: Characters of a problem that are shown: a key of an untrusted file may be as long as the file.
SHOWN: Final = 300

REMAKE: Final = "remove the file and run again with --resume, or leave the file out"


class Damaged(RecordError):
    """A file cannot be used: the message has its path, the field, and what is wrong with it."""

    def __init__(self, path: str | Path, problem: str, *, hint: str = REMAKE) -> None:
        super().__init__(f"{path_text(path)}: {problem}", hint=hint)
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
    content = read_bytes(path, largest=largest, hint=hint)
    if _count_values(content) > MOST_VALUES:
        raise Damaged(path, f"it holds more than {MOST_VALUES} values", hint=hint)
    try:
        return kind.validate_json(content)
    except ValidationError as error:
        raise Damaged(path, describe(error), hint=hint) from None


def _count_values(content: bytes) -> int:
    """Return at least the number of values in JSON, before any of them takes memory.

    What stands for them is counted inside texts too: no text of ours is near the bound.
    """
    return sum(map(content.count, (b",", b"[", b"{")))


def read_bytes(path: str | Path, *, largest: int = LARGEST_JSON, hint: str = REMAKE) -> bytes:
    """Return the content of a plain file of at most *largest* bytes. Raises Damaged."""
    try:
        with open_plain(path) as file:
            size = os.fstat(file.fileno()).st_size
            is_small = size <= largest
            # Memory is taken for all that is asked for.
            content = file.read(min(largest, size or LEAST_READ) + 1) if is_small else b""
    except OSError as error:
        raise Damaged(path, f"it cannot be read: {error.strerror or error}", hint=hint) from None
    except ValueError as error:  # a name with a zero byte
        raise Damaged(path, f"it cannot be read: {error}", hint=hint) from None
    if not is_small or len(content) > largest:
        raise Damaged(path, f"it has more than {largest} bytes", hint=hint)
    return content


def describe(error: ValidationError) -> str:
    """Return the first problem of a document in one line: ``records.2.data.warmup: …``.

    A key of the document may be in it: it is cut and without control characters.
    """
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    field = one_line(".".join(str(part) for part in problem["loc"]))
    message = one_line(problem["msg"])
    return f"{field[:SHOWN]}: {message[:SHOWN]}" if field else message[:SHOWN]
