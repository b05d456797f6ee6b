"""What is read of a user's model to recognise it: its first bytes, and names inside it.

A zip archive's directory is read up to a bound, and nothing is unpacked.
"""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from deepmatrix.boundary.opening import open_plain
from deepmatrix.errors import ArgumentError
from deepmatrix.sizes import binary_size
from harness.formats import FORMATS, HEAD_BYTES, ZIP, Format
from harness.formats.recognition import identify, named_format

#: At most so much of a zip archive's directory is read, in bytes.
DIRECTORY_BYTES = 2**20

#: At most this many names in a folder are looked at.
MOST_NAMES = 10_000

#: Of a zip archive: the signature of its end, of the place of its end in 64 bits, of an entry.
END, END_64, ENTRY = b"PK\x05\x06", b"PK\x06\x06", b"PK\x01\x02"

#: The end may be followed by a comment of at most this many bytes.
END_BYTES = 22 + 2**16 - 1


def format_of(path: Path) -> Format:
    """Return the format of a model that some cell reads.

    Raises:
        ArgumentError: the path is not there, or is something else; the hint says what to do.
    """
    if not path.exists():
        raise ArgumentError(f"{path} is not there", hint="name a model file or a SavedModel folder")
    is_folder = path.is_dir()
    if not is_folder and not path.is_file():
        raise ArgumentError(f"{path} is no plain file", hint="name a model file")
    if is_folder:
        head, members = b"", list(itertools.islice(names_below(path), MOST_NAMES))
    else:
        head, members = _head(path), _members(path)
    # The name of a link counts before that of its target, which in a cache may be a digest.
    kind = identify(path.name, head, members, is_folder) or identify(
        path.resolve().name, head, members, is_folder
    )
    if kind is None:
        raise _unknown(path, is_folder)
    if not isinstance(kind, Format):
        raise ArgumentError(f"{path} is {kind.label}", hint=kind.advice)
    _check_size(path, kind)
    return kind


def _head(path: Path) -> bytes:
    if not path.stat().st_size:
        raise ArgumentError(f"{path} is empty", hint="export it again")
    with open_plain(path) as file:
        return file.read(HEAD_BYTES)


def _members(path: Path) -> list[str]:
    with open_plain(path) as file:
        if file.read(len(ZIP[1])) != ZIP[1]:
            return []
    names = zip_names(path)
    if names is None:
        raise ArgumentError(
            f"{path} is a truncated zip archive", hint="download or export it again"
        )
    return names


def _name_models(folder: Path) -> str:
    """Return the advice to name models, with the first that lies in a folder."""
    names = (entry.name for entry in itertools.islice(folder.iterdir(), MOST_NAMES))
    models = sorted(name for name in names if named_format(name))
    example = f", such as {folder / models[0]}" if models else ""
    return f"name the model file itself{example}"


def _unknown(path: Path, is_folder: bool) -> ArgumentError:
    if is_folder:
        markers = [
            content.members[0]
            for entry in FORMATS.values()
            for content in entry.contents
            if content.is_folder
        ]
        return ArgumentError(
            f"{path} is a folder without {' or '.join(markers)}, so it is not a SavedModel",
            hint=_name_models(path),
        )
    if whole := _whole_of(path):
        return ArgumentError(f"{path} is a part of {whole}", hint=f"name that: {whole}")
    if named := named_format(path.name):
        return ArgumentError(
            f"{path} is no file of the format {named.name}: wrong header", hint="export it again"
        )
    served = [ending for entry in FORMATS.values() for ending in entry.extensions]
    return ArgumentError(
        f"{path}: unknown model format",
        hint=f"known: {', '.join(served)}, and a SavedModel's folder",
    )


def _whole_of(path: Path) -> Path | None:
    """Return the file to be named where this one is only another part of its model."""
    for entry in FORMATS.values():
        first, *later = (Path(part).suffix for part in entry.parts or ("",))
        if path.suffix in later and path.with_suffix(first).is_file():
            return path.with_suffix(first)
    return None


def _check_size(path: Path, entry: Format) -> None:
    size, limit = path.stat().st_size, entry.size_limit
    if limit is not None and size >= limit:
        raise ArgumentError(
            f"{path} has {binary_size(size)}; a file of the format {entry.name} has less than "
            f"{binary_size(limit)}",
            hint="export it again, ONNX with its weights as external data",
        )


def names_below(folder: Path) -> Iterator[str]:
    """Yield the names of the files below a folder, with slashes; links are not followed."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            yield (Path(parent) / name).relative_to(folder).as_posix()


def zip_names(path: Path) -> list[str] | None:
    """Return names in a zip archive from its directory, or None where it is truncated.

    Only the first `DIRECTORY_BYTES` of the directory are read.
    """
    with open_plain(path) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - END_BYTES, 0))
        tail = file.read(END_BYTES)
        place = tail.rfind(END)
        if place < 0 or len(tail) < place + 20:
            return None
        length, start = struct.unpack_from("<II", tail, place + 12)
        if start == 2**32 - 1 or length == 2**32 - 1:
            long_place = tail.rfind(END_64, 0, place)
            if long_place < 0 or len(tail) < long_place + 56:
                return None
            length, start = struct.unpack_from("<QQ", tail, long_place + 40)
        if start + length > size:
            return None
        file.seek(start)
        directory = file.read(min(length, DIRECTORY_BYTES))
    return list(_entry_names(directory))


def _entry_names(directory: bytes) -> Iterator[str]:
    place = 0
    while directory[place : place + 4] == ENTRY and len(directory) >= place + 46:
        name, extra, comment = struct.unpack_from("<HHH", directory, place + 28)
        yield directory[place + 46 : place + 46 + name].decode(errors="replace")
        place += 46 + name + extra + comment
