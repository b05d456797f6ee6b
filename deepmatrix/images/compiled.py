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
import tarfile
import threading
from collections.abc import Iterable, Mapping
from typing import IO

from deepmatrix.boundary.opening import open_plain
from deepmatrix.boundary.writing import replacing
from deepmatrix.machine import folders

#: What stands for the folder in a cell's ``compile_cache``.
PLACEHOLDER = "{folder}"

#: A larger cache is not stored: the next run compiles again.
MOST_BYTES = 256 << 20

#: Digits of the hash of an image.
KEY_LENGTH = 16

#: Two lanes of a process may store the cache of one cell.
_STORING = threading.Lock()


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
        """Store a tar instead of the one before, and those of other images, whole or not at all.

        What this machine cannot write is not stored: a run does not need it.
        """
        with contextlib.suppress(OSError, _TooLarge), _STORING:
            with replacing(self._path) as file:
                for chunk in chunks:
                    if file.tell() + len(chunk) > MOST_BYTES:
                        raise _TooLarge
                    file.write(chunk)
            for old in self._path.parent.glob(f"{self._cell_id}-{'?' * KEY_LENGTH}.tar"):
                if old != self._path:
                    old.unlink(missing_ok=True)


class _TooLarge(Exception):
    """A cache is not worth its size."""


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
