"""Compiled programs: what a framework's cache of its own compiler holds, kept for a cell's image.

Under emulation a compiler such as XLA takes minutes, for programs that every run compiles alike.
The framework's own cache finds a program by what it was compiled of and for. It is kept between
runs as a tar that this machine never unpacks. Only jobs on our own networks have it: a user's
model, which may be anybody's, neither reads nor writes it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import tarfile
import tempfile
import threading
from collections.abc import Iterable, Mapping
from typing import IO

from deepmatrix.boundary.opening import open_plain
from deepmatrix.boundary.writing import replacing
from deepmatrix.errors import RecordError
from deepmatrix.machine import folders, locks

#: A member of a tar that is open.
_Entry = tuple[tarfile.TarFile, tarfile.TarInfo]

#: What stands for the folder in a cell's ``compile_cache``.
PLACEHOLDER = "{folder}"

#: A cache grows no larger: the oldest programs make room, and are compiled again when needed.
MOST_BYTES = 256 << 20

#: What a process brings may be as much again: it began with what was kept.
MOST_ADDED_BYTES = 2 * MOST_BYTES

#: Digits of the hash of an image.
KEY_LENGTH = 16

#: Two lanes of a process may store the cache of one cell.
_STORING = threading.Lock()  # where the system has no locks between processes


def environment(variables: Mapping[str, str], folder: str) -> dict[str, str]:
    """Return the variables of a cell's ``compile_cache`` for its *folder* inside."""
    return {name: value.replace(PLACEHOLDER, folder) for name, value in variables.items()}


class CompileCache:
    """The cache of one cell in one image, as a tar of one folder."""

    def __init__(self, cell_id: str, image: str) -> None:
        self._cell_id = cell_id
        key = hashlib.sha256(image.encode()).hexdigest()[:KEY_LENGTH]
        self._path = folders.cache() / "compiled" / f"{cell_id}-{key}.tar"

    def open(self, folder: str, *, user: int) -> IO[bytes]:
        """Return the tar that was kept, or one of an empty *folder* that belongs to *user*."""
        with contextlib.suppress(OSError, tarfile.TarError):
            return _whole(open_plain(self._path))
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, 0o755, user, user
            tar.addfile(entry)
        archive.seek(0)
        return archive

    def store(self, chunks: Iterable[bytes]) -> None:
        """Add a tar's programs to those that are kept, all or none; forget those of other images.

        Lanes, and other runs, add to what they all began with. What this machine cannot read or
        write is not stored: a run does not need it.
        """
        with contextlib.suppress(OSError, RecordError, tarfile.TarError, _TooLarge):
            with tempfile.TemporaryFile() as added:
                _write(chunks, added)
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with _STORING, locks.lock(folders.cache() / "compiled.lock"):
                    self._merge(added)
            for old in self._path.parent.glob(f"{self._cell_id}-{'?' * KEY_LENGTH}.tar"):
                if old != self._path:
                    old.unlink(missing_ok=True)

    def _merge(self, added: IO[bytes]) -> None:
        """Write the programs that are kept and those of another tar; of one name the other's."""
        with contextlib.ExitStack() as opened:
            files = [added]
            with contextlib.suppress(OSError, tarfile.TarError):
                files.insert(0, opened.enter_context(_whole(open_plain(self._path))))
            tars = [opened.enter_context(tarfile.open(fileobj=file, mode="r:")) for file in files]
            entries = {entry.name: (tar, entry) for tar in tars for entry in tar}
            target = opened.enter_context(replacing(self._path))
            merged = opened.enter_context(tarfile.open(fileobj=target, mode="w"))
            for tar, entry in _that_fit(entries.values()):
                merged.addfile(entry, tar.extractfile(entry) if entry.isreg() else None)


class _TooLarge(Exception):
    """A cache is not worth its size."""


def _write(chunks: Iterable[bytes], file: IO[bytes]) -> None:
    """Write what a process brings. Raises _TooLarge."""
    for chunk in chunks:
        if file.tell() + len(chunk) > MOST_ADDED_BYTES:
            raise _TooLarge
        file.write(chunk)
    file.seek(0)


def _that_fit(entries: Iterable[_Entry]) -> list[_Entry]:
    """Return all folders, each before what is in it, and the newest files that fit."""
    entries = sorted(entries, key=lambda pair: pair[1].name)
    folders_of_programs = [pair for pair in entries if pair[1].isdir()]
    newest = sorted(
        (pair for pair in entries if pair[1].isreg()), key=lambda pair: pair[1].mtime, reverse=True
    )
    sizes = itertools.accumulate(entry.size for _, entry in newest)
    fitting = [pair for pair, size in zip(newest, sizes, strict=True) if size <= MOST_BYTES]
    return folders_of_programs + fitting


def _whole(file: IO[bytes]) -> IO[bytes]:
    """Return a file if it is a tar. Raises TarError: a damaged one is made anew."""
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            tar.getmembers()
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file
