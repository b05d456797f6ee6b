"""The one door through which a file is opened for reading.

In the place of a file may be a pipe that nobody writes, a device without an end, a folder or a link
out of a run. Only a plain file is opened, and nothing is waited for.
"""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path, PurePath

#: A pipe would wait for a writer for ever. Windows has none in its folders.
WITHOUT_WAITING = getattr(os, "O_NONBLOCK", 0)

#: A link is an error.
WITHOUT_LINKS = getattr(os, "O_NOFOLLOW", 0)


def open_plain(path: str | Path, *, follow: bool = True) -> BufferedReader:
    """Open a plain file to read its bytes.

    Raises OSError: it is missing, cannot be read, or is a folder, a pipe or a device; or a link,
    unless these are to *follow*.
    """
    further = WITHOUT_WAITING | (0 if follow else WITHOUT_LINKS)
    return open(path, "rb", opener=lambda name, flags: plain(os.open(name, flags | further), name))


def plain(descriptor: int, path: str | PurePath) -> int:
    """Return what was opened if it is a plain file; else close it. Raises OSError."""
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "no plain file", str(path))


def is_there(path: Path) -> bool:
    """Return whether something is at a path; a pipe or a folder is no reason to go on without."""
    return os.path.lexists(path)
