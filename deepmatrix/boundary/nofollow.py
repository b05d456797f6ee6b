"""Files below a folder that a process which is not trusted writes too: opened through no link.

Such a process may put a link where a folder or a file was, at any moment. A path that was
checked is worth nothing then: each part is opened from the one before. On Windows a path is opened
as it is.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import IO

from deepmatrix.boundary.opening import plain

#: Error numbers of a path in which a link or something else is where a folder or a file has to be,
#: or a folder that was closed to its owner.
IN_THE_WAY = frozenset(
    {
        errno.ELOOP,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
        errno.ENOENT,
        errno.EACCES,
        errno.EPERM,
    }
)


def open_to_read(folder: Path, name: PurePath) -> IO[bytes]:
    """Open the plain file *name* below *folder*. Raises OSError, for a link and a device too."""
    if os.open not in os.supports_dir_fd:
        return (folder / name).open("rb")
    with _descend(folder, name.parts[:-1], make=False) as parent:
        # Without blocking: it may be a pipe that nobody writes.
        number = os.open(name.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=parent)
    return os.fdopen(plain(number, name), "rb")


def open_to_write(folder: Path, name: PurePath) -> IO[bytes]:
    """Make the file *name* below *folder*, in place of any, with the folders that it lies in.

    Raises:
        OSError: a folder is a link, or cannot be written.
    """
    if os.open not in os.supports_dir_fd:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        return (folder / name).open("wb")
    with _descend(folder, name.parts[:-1], make=True) as parent:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name.name, dir_fd=parent)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        return os.fdopen(os.open(name.name, flags, 0o644, dir_fd=parent), "wb")


@contextlib.contextmanager
def _descend(folder: Path, parts: Sequence[str], *, make: bool) -> Iterator[int]:
    """Yield the number of the open folder *parts* below *folder*; *make* those that are missing."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    number = os.open(folder, flags)
    try:
        for part in parts:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, dir_fd=number)
            inner = os.open(part, flags, dir_fd=number)
            os.close(number)
            number = inner
        yield number
    finally:
        os.close(number)
