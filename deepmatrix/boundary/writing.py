"""The one door through which files are written: whole or not at all, and for good.

Our own files take the place of what is there. At a path that a person names, what a link points at
is replaced, and a pipe or device is written as it is. An error names the file that was meant.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from deepmatrix.boundary import removing


def write_text(path: Path, text: str) -> None:
    """Write a file of our own in UTF-8; half a character of a file's name is written as text."""
    write_bytes(path, _encoded(text))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file of our own. Raises OSError, which names it."""
    with replacing(path) as file:
        file.write(content)


def write_named(path: Path, text: str) -> None:
    """Write a file that a person named, in UTF-8. Raises OSError, which names it."""
    with writing_named(path) as file:
        file.write(_encoded(text))


def append_bytes(path: Path, content: bytes) -> None:
    """Add lines to a file of our own, on a line of their own; all of them or none.

    Raises OSError, which names the file.
    """
    with _naming(path, ""), path.open("a+b") as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
            content = content if file.read(1) == b"\n" else b"\n" + content
        try:
            file.write(content)
            file.flush()
        except OSError:
            file.truncate(size)
            raise


@contextlib.contextmanager
def writing_named(path: Path) -> Iterator[IO[bytes]]:
    """Give a file that a person named, to be written.

    What a link points at is replaced when all is written. A pipe and a device are written as they
    are. Raises OSError, which names the path.
    """
    if not _is_written_directly(path):
        with replacing(Path(os.path.realpath(path))) as file:
            yield file
        return
    with _naming(path, ""), _open_directly(path) as file:
        yield file


def _open_directly(path: Path) -> IO[bytes]:
    """Open a pipe or a device to write it; a pipe that nobody reads is not waited for."""
    try:
        descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        raise OSError(errno.ENXIO, "nobody reads this pipe", str(path)) from None
    os.set_blocking(descriptor, True)  # a reader may be slow
    return os.fdopen(descriptor, "wb")


def _is_written_directly(path: Path) -> bool:
    """Return whether a path is a pipe, a device, or a name that the system has for an open file."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    is_open_file = Path(os.path.abspath(path)).parts[1:2] in (("dev",), ("proc",))  # noqa: PTH100
    return is_open_file or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Give a file to be written that takes the place of *path* when it is whole.

    It stays when the power is lost; nothing stays where it cannot be finished. Raises OSError,
    which names the path.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "a folder is in its place", str(path))
    part = part_of(path)
    with _naming(path, str(part)):
        path.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)  # a dead process's; or a link, which would be written through
        try:
            with part.open("xb") as file:
                yield file
                flush(file)
            part.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise
        flush_folder(path.parent)


@contextlib.contextmanager
def _naming(path: Path, part: str) -> Iterator[None]:
    """Have an OSError name the file that was meant; the system names its part, or nothing."""
    try:
        yield
    except OSError as error:
        if error.filename in (None, part):
            raise OSError(error.errno, error.strerror or str(error), str(path)) from None
        raise


def replace_folder(folder: Path, new: Path) -> None:
    """Put *new* where *folder* is, or will be; both are on one file system.

    What was there is moved away before it is removed: nobody finds half of it.
    """
    old = part_of(folder)
    removing.remove(old)
    with contextlib.suppress(FileNotFoundError):
        folder.rename(old)
    new.rename(folder)
    removing.remove(old)


def part_of(path: Path) -> Path:
    """Return the name under which this process writes a file until it is whole."""
    return path.with_name(f"{path.name}.{os.getpid()}.part")


def flush(file: IO[bytes]) -> None:
    """Have the system write a file to its disk."""
    file.flush()
    os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Have the system write a folder's list of names to its disk, where folders can be opened."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_tree(folder: Path) -> None:
    """Have the system write all files and folders from *folder* down to its disk."""
    for parent, _, names in os.walk(folder):
        for name in names:
            with (Path(parent) / name).open("rb") as file:
                os.fsync(file.fileno())
        flush_folder(Path(parent))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
