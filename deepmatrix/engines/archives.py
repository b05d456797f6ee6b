"""Control directories as tar archives: the only way into and out of a container.

What comes out was written by a process that is not trusted: only plain files and folders are
taken, below one folder, up to a size and a depth.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, cast

from deepmatrix.errors import DeepmatrixError, EngineError
from harness.record import OUTPUT

#: Most files that a process may leave in its control directory.
MOST_FILES = 10_000

#: How deep it may nest folders: more than any export does, less than what walks them can bear.
MOST_DEEP = 32

#: Most bytes of its ``output.json``, which is read as a whole.
MOST_OUTPUT = 32 << 20

#: What an operating system says of a name that it cannot have: the fault of who chose it.
BAD_NAME = frozenset({errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ENOTDIR})

CHUNK = 1 << 20


class Refused(DeepmatrixError):
    """An archive holds what no honest process leaves."""


def tree(folder: Path, *, links: bool = True) -> dict[str, Path]:
    """Return the files below *folder* by relative path with slashes.

    With *links*, those to folders are followed.

    Raises:
        Refused: folders are nested deeper than `MOST_DEEP`.
    """
    found = {}
    for place, folders, names in os.walk(folder, followlinks=links):
        _check_depth(len(Path(place).relative_to(folder).parts))
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(names):
            path = Path(place, name)
            found[path.relative_to(folder).as_posix()] = path
    return found


def pack(files: Mapping[str, Path], *, user: int) -> IO[bytes]:
    """Return a tar of *files* by the path they get, at its start, in a nameless temporary file.

    They, and the folders they lie in, will belong to *user*.
    """
    archive = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    with tarfile.open(fileobj=archive, mode="w") as tar:
        folders = {parent for name in files for parent in PurePosixPath(name).parents}
        for folder in sorted(folders - {PurePosixPath(".")}):
            entry = tarfile.TarInfo(str(folder))
            entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, 0o755, user, user
            tar.addfile(entry)
        for name, path in files.items():
            with path.open("rb") as source:
                entry = tar.gettarinfo(arcname=name, fileobj=source)
                # What is a link on this side, even a hard one, is a file on the other.
                entry.type, entry.linkname, entry.size = tarfile.REGTYPE, "", _size(source)
                entry.mode, entry.uid, entry.gid = 0o644, user, user
                entry.uname = entry.gname = ""
                tar.addfile(entry, source)
    archive.seek(0)
    return archive


def unpack(chunks: Iterable[bytes], folder: Path, *, limit_bytes: int) -> None:
    """Replace *folder* by what a tar stream holds below its first path component.

    Raises:
        Refused: it leaves its folder, is larger or deeper than it may be, or holds a name that
            this machine cannot have; *folder* is as it was.
        EngineError: this machine cannot write it.
    """
    part = _beside(folder)
    try:
        stream = cast(IO[bytes], _Stream(chunks))  # all of it that tarfile uses
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            _extract(tar, part, limit_bytes)
        replace_folder(folder, part)
    except tarfile.TarError as error:
        raise Refused(f"what it left cannot be read: {error}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def adopt(source: Path, folder: Path) -> None:
    """Replace *folder* by a copy of the plain files and folders of *source*.

    Raises:
        Refused: there are too many, or they are too deep, too large or not to be read.
        EngineError: this machine cannot write it.
    """
    part = _beside(folder)
    try:
        for count, (name, path) in enumerate(tree(source, links=False).items()):
            if count >= MOST_FILES:
                raise Refused(f"it left more than {MOST_FILES} files in its control directory")
            _take(name, path, part)
        replace_folder(folder, part)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _take(name: str, path: Path, part: Path) -> None:
    """Copy one plain file to its place below *part*; anything else is left out."""
    try:
        if path.is_symlink() or not path.is_file():
            return
        _check_output(name, path.stat().st_size)
        data = path.open("rb")
    except OSError as error:
        raise Refused(f"it left a file that cannot be read: {error.strerror}") from None
    with data:
        _write(part / name, data)


def replace_folder(folder: Path, new: Path) -> None:
    """Put *new* where *folder* is; both are on one file system."""
    old = _beside(folder)
    folder.rename(old / folder.name)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def remove(folder: Path) -> None:
    """Remove a folder as far as that is possible, however deep."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except RecursionError:  # until Python 3.13 it calls itself for each level
        _flatten(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _flatten(folder: Path) -> None:
    """Move every folder below *folder* to its top, which keeps paths short too."""
    numbers = itertools.count()
    places = [folder]
    while places:
        with os.scandir(places.pop()) as entries:
            inner = [Path(one.path) for one in entries if one.is_dir(follow_symlinks=False)]
        for path in inner:
            moved = folder / f".removed-{next(numbers)}"
            with contextlib.suppress(OSError):
                path.rename(moved)
                places.append(moved)


def _beside(folder: Path) -> Path:
    """Make an empty folder on the file system of *folder*."""
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name[:40]}-", dir=folder.parent))
    made.chmod(0o755)
    return made


def _extract(tar: tarfile.TarFile, folder: Path, limit_bytes: int) -> None:
    left, count = limit_bytes, 0
    for member in tar:
        parts = PurePosixPath(member.name).parts[1:]
        count += 1
        if not parts or not (member.isdir() or member.isfile()):
            if count > MOST_FILES:
                raise Refused(f"it left more than {MOST_FILES} files in its control directory")
            continue  # links, devices, sockets: nothing that a record could mean
        if ".." in parts or any(set(part) & {"\\", ":", "\0"} for part in parts):
            raise Refused(f"it left a file with a forbidden name: {member.name[:100]!r}")
        left -= member.size
        if left < 0 or count > MOST_FILES:
            raise Refused(
                f"it left more than {limit_bytes >> 20} MiB or {MOST_FILES} files "
                "in its control directory"
            )
        _check_depth(len(parts) - 1)
        _check_output("/".join(parts), member.size)
        source = tar.extractfile(member) if member.isfile() else None
        _write(folder.joinpath(*parts), source)


def _check_depth(depth: int) -> None:
    if depth > MOST_DEEP:
        raise Refused(f"it left folders nested more than {MOST_DEEP} deep")


def _check_output(name: str, size: int) -> None:
    if name == OUTPUT and size > MOST_OUTPUT:
        raise Refused(f"it left an {OUTPUT} of more than {MOST_OUTPUT >> 20} MiB")


def _write(path: Path, source: IO[bytes] | None) -> None:
    """Write a file, or make a folder where there is no *source*."""
    try:
        (path.parent if source else path).mkdir(parents=True, exist_ok=True)
        if source:
            with path.open("xb") as target:
                shutil.copyfileobj(source, target, CHUNK)
    except FileExistsError:
        raise Refused(f"it left two things named {path.name!r}") from None
    except OSError as error:
        if error.errno is None:
            raise  # the stream's own failure, not this machine's
        if error.errno in BAD_NAME:
            raise Refused(
                f"it left a file with a name that cannot be written here, {path.name[:100]!r}: "
                f"{error.strerror}"
            ) from None
        raise EngineError(f"cannot write {path}: {error.strerror}", hint="make room") from None


def _size(source: IO[bytes]) -> int:
    return os.fstat(source.fileno()).st_size


class _Stream:
    """Reads an iterator of chunks like a file."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks: Iterator[bytes] = iter(chunks)
        self._held = b""

    def read(self, size: int) -> bytes:
        parts = [self._held]
        have = len(self._held)
        while have < size and (chunk := next(self._chunks, b"")):
            parts.append(chunk)
            have += len(chunk)
        whole = b"".join(parts)
        self._held = whole[size:]
        return whole[:size]
