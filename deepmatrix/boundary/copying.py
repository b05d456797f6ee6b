"""Copying files and folders: an error is the system's own, with its number, and names the file.

`shutil.copytree` makes texts of what the system refuses, so that nobody can tell a full disk.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Final

#: What a full disk says: the machine's fault, whatever was copied.
NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def copy_tree(source: Path, target: Path, *, exist_ok: bool = False) -> None:
    """Copy a folder of plain files and folders, with their modes.

    Raises OSError at the first that cannot be copied; also for a link, a pipe or a device.
    """
    waiting, done = [(source, target)], []
    while waiting:
        folder, copied = waiting.pop()
        copied.mkdir(parents=True, exist_ok=exist_ok)
        done.append((folder, copied))
        with os.scandir(folder) as entries:
            for entry in entries:
                place = copied / entry.name
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((Path(entry.path), place))
                elif entry.is_file(follow_symlinks=False):
                    copy_file(Path(entry.path), place)
                    shutil.copystat(entry.path, place)
                else:
                    raise OSError(errno.EINVAL, "no plain file", entry.path)
    for folder, copied in reversed(done):  # one that is read-only takes no file
        shutil.copystat(folder, copied)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file's content. Raises OSError, which names the target where that is refused."""
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        name = error.filename2 or error.filename or str(target)
        raise OSError(error.errno or errno.EINVAL, error.strerror or str(error), name) from None
