"""The bundle: a worker's certificates as one line, sent to where no file system is shared."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import BinaryIO

from pydantic import TypeAdapter, ValidationError

from deepmatrix.errors import ArgumentError
from deepmatrix.fleet.certificates import AUTHORITY

#: The files of a worker.
FILES = (AUTHORITY, "worker.pem", "worker.key")

#: The longest line that is read, in bytes.
LONGEST = 1 << 16

_CONTENTS = TypeAdapter(dict[str, str])


def pack(folder: Path) -> bytes:
    """Return the certificates of a worker as one line."""
    contents = {name: (folder / name).read_text(encoding="ascii") for name in FILES}
    return json.dumps(contents).encode("ascii") + b"\n"


def unpack(stream: BinaryIO, folder: Path) -> None:
    """Write the certificates that begin a stream into an empty folder. Raises ArgumentError."""
    try:
        contents = _CONTENTS.validate_json(stream.readline(LONGEST))
    except ValidationError:
        contents = {}
    if contents.keys() != set(FILES) or not all(map(str.isascii, contents.values())):
        raise ArgumentError(
            "no certificates on the standard input",
            hint="`--tls -` is for workers that a fleet's file starts; name a folder",
        )
    for name, content in contents.items():
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(content)
