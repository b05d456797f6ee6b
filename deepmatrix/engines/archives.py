"""Control directories as tar archives: the only way into and out of a container.

A process is not trusted: of the files it wrote only plain files and folders are accepted, below
one folder, up to a size and a depth.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import IO, Any, cast

from deepmatrix.boundary import nofollow
from deepmatrix.boundary.writing import replace_folder
from deepmatrix.errors import DeepmatrixError, system_error
from deepmatrix.images.sbom.contents import Entry
from deepmatrix.sizes import binary_size
from harness.record import OUTPUT

#: How many files a process may write into its control directory, for each of its jobs.
MAX_FILES = 10_000

#: How deep it may nest folders in that of a job: more than any export does, less than Python's
#: recursion allows.
MAX_DEPTH = 32

#: How large its ``output.json``, which is read as a whole, may be.
MAX_OUTPUT_BYTES = 32 << 20

#: How large a file that says what is installed in an image may be.
MAX_SELECTED_BYTES = 16 << 20

#: Error numbers of a name that this operating system refuses.
BAD_NAME = frozenset({errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ENOTDIR})

CHUNK = 1 << 20


#: The folders of the jobs of a process that has one, relative to its control directory.
SINGLE_JOB = (".",)


class Refused(DeepmatrixError):
    """A process wrote files that no honest process writes."""


class NameRefused(Refused):
    """A process wrote a file whose name this machine's file system does not take.

    It is too long for it, say, or the same as another one: "A" beside "a", where case is ignored.
    """


def list_files(
    folder: Path, *, links: bool = True, job_folders: Sequence[str] = SINGLE_JOB
) -> dict[str, Path]:
    """Return the files below *folder* by relative path with slashes.

    With *links*, those to folders are followed. *job_folders*: where those of its jobs are in it.

    Raises:
        Refused: folders are nested deeper than `MAX_DEPTH` below the deepest of the job folders.
    """
    return dict(_walk_files(folder, links, _max_depth(job_folders)))


def size_below(folder: Path) -> int:
    """Return the bytes of all files below *folder*, holes counted."""
    return sum(path.stat().st_size for path in list_files(folder).values())


def _walk_files(
    folder: Path, links: bool, max_depth: int = MAX_DEPTH
) -> Iterator[tuple[str, Path]]:
    for directory, folders, names in os.walk(folder, followlinks=links):
        _check_depth(len(Path(directory).relative_to(folder).parts), max_depth)
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(names):
            path = Path(directory, name)
            yield path.relative_to(folder).as_posix(), path


def _max_depth(job_folders: Sequence[str]) -> int:
    """Return how deep folders may be nested in one that holds the folders of jobs.

    It is one limit for all of it, as if each of its folders were that of the deepest job.
    """
    return MAX_DEPTH + max(len(PurePosixPath(folder).parts) for folder in job_folders)


def pack(files: Mapping[str, Path], *, user: int, with_folders: bool = True) -> IO[bytes]:
    """Return a tar of *files*, by their path in it, as a temporary file open at its start.

    The files will belong to *user*. *with_folders*: it has entries for the folders that they lie
    in, which belong to *user* too.
    """
    with local_errors(Path(tempfile.gettempdir())):
        archive = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
        try:
            _pack(files, archive, user=user, with_folders=with_folders)
        except BaseException:
            archive.close()
            raise
        archive.seek(0)
        return archive


def _pack(files: Mapping[str, Path], archive: IO[bytes], *, user: int, with_folders: bool) -> None:
    with tarfile.open(fileobj=archive, mode="w") as tar:
        parents = {parent for name in files for parent in PurePosixPath(name).parents}
        for folder in sorted(parents - {PurePosixPath(".")}) if with_folders else ():
            entry = tarfile.TarInfo(str(folder))
            entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, 0o755, user, user
            tar.addfile(entry)
        for name, path in files.items():
            with path.open("rb") as source:
                entry = tar.gettarinfo(arcname=name, fileobj=source)
                # A link, even a hard one, becomes a file of its own.
                entry.type, entry.linkname, entry.size = tarfile.REGTYPE, "", _size(source)
                entry.mode = 0o755 if entry.mode & 0o100 else 0o644
                entry.uid = entry.gid = user
                entry.uname = entry.gname = ""
                tar.addfile(entry, source)


def unpack(
    chunks: Iterable[bytes],
    folder: Path,
    *,
    limit_bytes: int,
    job_folders: Sequence[str] = SINGLE_JOB,
) -> None:
    """Replace *folder* by what a tar stream holds below its first path component.

    It is unchanged where something is raised. *job_folders*: where those of its jobs are in it. All
    of it together may have *limit_bytes* and, for each job, `MAX_FILES` files and folders, wherever
    they lie; it may be `MAX_DEPTH` deeper than the deepest of the job folders.

    Raises:
        Refused: it leaves its folder, is larger or deeper than it may be, or has two files of one
            path.
        NameRefused: this machine's file system does not take one of its names.
        EngineError: this machine cannot write it.
    """
    stream = _Stream(chunks)
    with local_errors(folder, stream), _part_of(folder) as part:
        try:
            # The stream has all that tarfile uses of a file.
            with tarfile.open(fileobj=cast(IO[bytes], stream), mode="r|") as tar:
                _extract(tar, part, limit_bytes, job_folders)
        except tarfile.TarError as error:
            raise Refused(f"its control directory cannot be read: {error}") from None
        replace_folder(folder, part)


def select(chunks: Iterable[bytes], wanted: Callable[[str], bool]) -> Iterator[Entry]:
    """Yield the files and links of a tar stream whose paths are wanted.

    Raises:
        Refused: it is no tar, or a file of it is larger, or it has more of them, than may be.
    """
    count = 0
    try:
        with tarfile.open(fileobj=cast(IO[bytes], _Stream(chunks)), mode="r|") as tar:
            for member in tar:
                cast(Any, tar).members.clear()  # it would hold all of an image
                path = member.name.removeprefix("./")
                if not (member.isfile() or member.issym()) or not wanted(path):
                    continue
                count += 1
                if member.size > MAX_SELECTED_BYTES or count > MAX_FILES:
                    raise Refused(f"{path[:100]!r}: it is too large, or one of too many")
                source = tar.extractfile(member) if member.isfile() else None
                content = source.read() if source else b""
                yield Entry(path, content, member.linkname if member.issym() else "")
    except tarfile.TarError as error:
        raise Refused(f"the image cannot be read: {error}") from None


def copy_plain_files(
    control: Path, folder: Path, inner: PurePath | str = "", *, limit_bytes: int
) -> None:
    """Replace *folder* by a copy of the plain files and folders of *inner*, below *control*.

    No link is followed, neither to files nor to folders, *inner* included. The holes of a file
    count, for its copy has none.

    Raises:
        Refused: there are too many, or they are too deep, too large or not to be read.
        EngineError: this machine cannot write it.
    """
    with local_errors(folder), _part_of(folder) as part:
        remaining_bytes = limit_bytes
        for count, (name, _) in enumerate(_walk_files(control / inner, links=False)):
            if count >= MAX_FILES:
                raise Refused(f"it wrote more than {MAX_FILES} files into its control directory")
            remaining_bytes -= _copy_plain_file(control, inner, name, part, remaining_bytes)
        replace_folder(folder, part)


def _copy_plain_file(
    control: Path, inner: PurePath | str, name: str, part: Path, largest: int
) -> int:
    """Copy a plain file to its place below *part*, return its bytes; skip anything else."""
    path = control / inner / name
    try:
        if path.is_symlink() or not path.is_file():
            return 0
        data = nofollow.open_to_read(control, PurePath(inner, name))
    except OSError as error:
        raise Refused(f"it wrote a file that cannot be read: {error.strerror}") from None
    with data:
        size = _size(data)
        _check_output(name, size)
        if size > largest:
            raise Refused("it wrote more than it may into its control directory, holes counted")
        write(part / name, data)
    return size


@contextlib.contextmanager
def _part_of(folder: Path) -> Iterator[Path]:
    """Make a folder that may take the place of *folder*; remove it where it did not."""
    part = _beside(folder)
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextlib.contextmanager
def local_errors(place: Path, stream: _Stream | None = None) -> Iterator[None]:
    """Raise what this machine refuses, a full disk, as EngineError; not what a *stream* does."""
    try:
        yield
    except OSError as error:
        if stream is not None and stream.failure is error:
            raise
        raise system_error(error, error.filename or place) from None


def _beside(folder: Path) -> Path:
    """Make an empty folder on the file system of *folder*."""
    sibling = Path(tempfile.mkdtemp(prefix=f".{folder.name[:40]}-", dir=folder.parent))
    sibling.chmod(0o755)
    return sibling


def _extract(
    tar: tarfile.TarFile, folder: Path, limit_bytes: int, job_folders: Sequence[str]
) -> None:
    remaining_bytes, count, max_files = limit_bytes, 0, MAX_FILES * len(job_folders)
    max_depth = _max_depth(job_folders)
    are_files: dict[tuple[str, ...], bool] = {}
    for member in tar:
        parts = PurePosixPath(member.name).parts[1:]
        count += 1
        if not parts or not (member.isdir() or member.isfile()):
            if count > max_files:
                raise Refused(f"it wrote more than {max_files} files into its control directory")
            continue  # links, devices, sockets: no record refers to them
        if ".." in parts or any(set(part) & {"\\", ":", "\0"} for part in parts):
            raise Refused(f"it wrote a file with a forbidden name: {member.name[:100]!r}")
        remaining_bytes -= member.size
        if remaining_bytes < 0 or count > max_files:
            raise Refused(
                f"it wrote more than {binary_size(limit_bytes)} or {max_files} files "
                "into its control directory"
            )
        _check_depth(len(parts) - 1, max_depth)
        _check_output("/".join(parts), member.size)
        _check_place(parts, member.isfile(), are_files)
        source = tar.extractfile(member) if member.isfile() else None
        write(folder.joinpath(*parts), source)


def _check_depth(depth: int, max_depth: int) -> None:
    if depth > max_depth:
        raise Refused(f"it nested folders more than {max_depth} deep")


def _check_place(
    parts: tuple[str, ...], is_file: bool, are_files: dict[tuple[str, ...], bool]
) -> None:
    """Note a path; raise Refused where something else has it on every machine.

    *are_files*: whether each path so far is that of a file; else it is that of a folder.
    """
    for length in range(1, len(parts)):
        if are_files.setdefault(parts[:length], False):
            raise Refused(f"it wrote a file and a folder named {parts[length - 1]!r}")
    if parts in are_files and (is_file or are_files[parts]):
        raise Refused(f"it wrote two files, or a file and a folder, named {parts[-1]!r}")
    are_files[parts] = is_file


def _check_output(name: str, size: int) -> None:
    if name == OUTPUT and size > MAX_OUTPUT_BYTES:
        raise Refused(f"it wrote an {OUTPUT} of more than {binary_size(MAX_OUTPUT_BYTES)}")


def write(path: Path, source: IO[bytes] | None) -> None:
    """Write a file that a process wrote, or make a folder where there is no *source*.

    Raises NameRefused, and OSError for what is not its name's fault.
    """
    try:
        (path.parent if source else path).mkdir(parents=True, exist_ok=True)
        if source:
            with path.open("xb") as target:
                shutil.copyfileobj(source, target, CHUNK)
    except FileExistsError:
        raise NameRefused(
            f"it wrote a file whose name is that of another file on this machine, "
            f"{path.name[:100]!r}"
        ) from None
    except OSError as error:
        if error.errno in BAD_NAME:
            raise NameRefused(
                f"it wrote a file whose name this machine refuses, {path.name[:100]!r}: "
                f"{error.strerror}"
            ) from None
        raise


def _size(source: IO[bytes]) -> int:
    return os.fstat(source.fileno()).st_size


class _Stream:
    """Reads an iterator of chunks like a file."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks: Iterator[bytes] = iter(chunks)
        self._buffer = b""
        self.failure: Exception | None = None

    def read(self, size: int) -> bytes:
        parts = [self._buffer]
        have = len(self._buffer)
        while have < size and (chunk := self._next()):
            parts.append(chunk)
            have += len(chunk)
        whole = b"".join(parts)
        self._buffer = whole[size:]
        return whole[:size]

    def _next(self) -> bytes:
        try:
            return next(self._chunks, b"")
        except Exception as error:
            self.failure = error
            raise
