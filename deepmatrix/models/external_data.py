"""The files that an ONNX model declares as its weights, read from its bytes in one pass.

The host has no package that reads ONNX, and trusts no model. Only the headers of the messages that
lead to a tensor are read: see https://protobuf.dev/programming-guides/encoding and
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto. Damaged bytes end the message they are in.
"""

from __future__ import annotations

import mmap
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Final

from deepmatrix.boundary.opening import open_plain

#: At most this many fields are read. Graphs of large language models have some hundred thousands.
MOST_FIELDS: Final = 2_000_000

#: Protobuf's own limit of nested messages.
DEEPEST: Final = 100

#: Longer names are none of files; nor does a model keep its weights in deeper folders.
LONGEST_NAME: Final = 4096
MOST_PARTS: Final = 64

#: At most this many tensors with external data are looked at.
MOST_LOCATIONS: Final = 100_000

#: By message, the fields that lead to a tensor's external data, and the messages that they hold.
_FIELDS: Final[dict[str, dict[int, str]]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor",
        6: "graph",
        10: "tensor",
        11: "graph",
        22: "sparse",
        23: "sparse",
    },
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}

#: Of an entry of external data.
_KEY, _VALUE = 1, 2

#: Protobuf's types on the wire: a number, 8 bytes, a length with as many bytes, 4 bytes.
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

#: A number has at most this many bytes.
_VARINT_BYTES = 10


class _Damaged(Exception):
    """The bytes are not a message."""


def external_files(path: Path) -> dict[str, Path]:
    """Return the files below an ONNX model's folder that it declares as weights, by their names.

    A file in a linked folder, and one whose name or folder begins with a dot are left out; so is a
    link, unless it leads to beside the model's own file: a cache as that of Hugging Face has a
    folder of files that are named by digests, and links to them.
    """
    with (
        open_plain(path) as opened,
        mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        locations = sorted(set(islice(_Scan(content).locations(), MOST_LOCATIONS)))
    files = {
        name: _file(path, name) for name in map(_file_name, locations) if name and name != path.name
    }
    return {name: file for name, file in files.items() if file}


def _file_name(location: bytes) -> str:
    """Return a location as a name below the model's folder, nothing where it is none."""
    if location.count(b"/") >= MOST_PARTS:
        return ""
    try:
        name = PurePosixPath(location.decode("utf-8"))
    except UnicodeDecodeError:
        return ""
    text = name.as_posix()
    if name.is_absolute() or "\0" in text or any(part.startswith(".") for part in name.parts):
        return ""
    return text if name.parts else ""


def _file(model: Path, name: str) -> Path | None:
    """Return a plain file of a name below the folder of a *model*, None where there is none."""
    place, mode = model.parent, 0
    try:
        for part in PurePosixPath(name).parts:
            if stat.S_ISLNK(mode):
                return None
            place /= part
            mode = place.lstat().st_mode
        if stat.S_ISLNK(mode):
            place = place.resolve(strict=True)
            is_beside = place.parent == model.resolve(strict=True).parent
            mode = place.lstat().st_mode if is_beside else 0
    except (OSError, RuntimeError):  # missing, a name that is too long, a link to itself
        return None
    return place if stat.S_ISREG(mode) else None


class _Scan:
    """One pass over the bytes of a model."""

    def __init__(self, content: mmap.mmap | bytes) -> None:
        self.content = content
        self.fields = 0

    def locations(self) -> Iterator[bytes]:
        """Yield the locations of external data, in their order."""
        waiting = [("model", 0, len(self.content), 0)]
        while waiting:
            message, start, end, depth = waiting.pop()
            if message == "entry":
                yield from self._location(start, end)
                continue
            inner = _FIELDS[message]
            waiting += [
                (inner[number], begin, stop, depth + 1)
                for number, begin, stop in self._parts(start, end)
                if number in inner and depth < DEEPEST and begin < stop
            ]

    def _location(self, start: int, end: int) -> Iterator[bytes]:
        parts = {number: (begin, stop) for number, begin, stop in self._parts(start, end)}
        if _KEY not in parts or _VALUE not in parts:
            return
        (key, key_end), (begin, stop) = parts[_KEY], parts[_VALUE]
        if self.content[key : min(key_end, key + 9)] == b"location" and stop - begin < LONGEST_NAME:
            yield bytes(self.content[begin:stop])

    def _parts(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Yield number, start and end of the fields of a message that hold bytes."""
        place = start
        try:
            while place < end and self.fields < MOST_FIELDS:
                self.fields += 1
                tag, place = self._number(place, end)
                kind = tag & 7
                if kind == _VARINT:
                    _, place = self._number(place, end)
                elif kind == _BYTES:
                    size, place = self._number(place, end)
                    if size > end - place:
                        return
                    yield tag >> 3, place, place + size
                    place += size
                elif kind in (_FIXED64, _FIXED32):
                    place += 8 if kind == _FIXED64 else 4
                else:
                    return
        except _Damaged:
            return

    def _number(self, place: int, end: int) -> tuple[int, int]:
        """Return a number and the place after it. Raises _Damaged where it does not end."""
        value = 0
        for index in range(min(_VARINT_BYTES, end - place)):
            byte = self.content[place + index]
            value |= (byte & 127) << (7 * index)
            if byte < 128:
                return value, place + index + 1
        raise _Damaged
