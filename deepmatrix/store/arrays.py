"""Reading ``.npz`` and ``.npy`` files that an untrusted process may have written."""

from __future__ import annotations

import contextlib
import io
import math
import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from deepmatrix.boundary.opening import open_plain

Floats = npt.NDArray[np.floating[Any]]
Values = npt.NDArray[Any]

#: Kinds of dtypes, as numpy names them: floats; all numbers and truth values; and texts.
FLOATS, NUMBERS, TEXT, ANY = "f", "fiub", "U", "fiubU"

#: What numpy writes for the bfloat16 of ``ml_dtypes``: two bytes without a type.
BFLOAT16 = np.dtype("V2")

#: Bytes of a float: numpy has longer ones, by platform, whose values float64 does not hold.
LARGEST_FLOAT = 8

_WANTED = {FLOATS: "floats", NUMBERS: "numbers", ANY: "numbers or text (dtype U)"}

#: What to do with an array of Python's objects, as pandas has texts.
AS_TEXT = '; save texts as array.astype("U")'

Shape = tuple[int, ...]

#: The limit of all arrays of a file together. A header can claim any size; no model needs more.
LARGEST_BYTES = 8 * 2**30

#: An archive may unpack to so many times its size, or to so many bytes where it is small.
LARGEST_RATIO, SMALL_BYTES = 100, 256 * 2**20

#: Bytes of the list of an archive's members; of its end; and of the comment that this may hold.
LARGEST_DIRECTORY, END, LONGEST_COMMENT = 4 * 2**20, 22, 2**16

#: Bytes of the end of an archive above 4 GiB, and of what says where that is. Both come before END.
END64, LOCATOR = 56, 20

#: A side of an array without values. Nothing else bounds it.
LARGEST_EMPTY_SIDE = 2**24


#: Bytes of the header of an ``.npy``: the most that version 1.0 has room for; and of its begin.
LARGEST_HEADER, HEADER_BEGIN = 2**16 - 1, 12


class Unreadable(Exception):
    """A file is missing, torn, or holds something unexpected; the message says what."""


def read(
    path: Path, expected_shapes: Mapping[str, Shape | None], kinds: str = FLOATS
) -> dict[str, Values]:
    """Return arrays by name. Runs no code of the file and checks every header.

    Args:
        path: an ``.npz``.
        expected_shapes: the required arrays by name; None where any shape will do.
        kinds: what their dtypes must be of.

    Raises:
        Unreadable: see the class.
    """
    with _archive(path) as file:
        shapes = expected_shapes.items()
        return {name: _read_one(file, name, shape, kinds) for name, shape in shapes}


def read_all(path: Path, kinds: str = FLOATS) -> dict[str, Values]:
    """Return all arrays of a file like `read`; dtypes must be of *kinds*. Raises Unreadable."""
    with _archive(path) as file:
        names = [name.removesuffix(".npy") for name in file.namelist()]
        if len(set(names)) < len(names):
            raise Unreadable(f"{path.name} holds two arrays of one name")
        return {name: _read_one(file, name, None, kinds) for name in names}


def names(path: Path) -> list[str]:
    """Return the names of a file's arrays without reading these. Raises Unreadable."""
    with _archive(path) as file:
        return [name.removesuffix(".npy") for name in file.namelist()]


def read_array(path: Path, largest: int = LARGEST_BYTES) -> Values:
    """Return the array of an ``.npy``, of numbers or texts, like `read`.

    Raises Unreadable, also for a file of more than *largest* bytes.
    """
    with _reading(path), open_plain(path) as stream:
        if _size(stream) > largest:
            raise Unreadable(f"{path.name} has {_size(stream)} bytes, more than {largest}")
        _check_header(stream, path.name, None, _size(stream), ANY)
        stream.seek(0)
        read: Values = np.lib.format.read_array(stream, allow_pickle=False)
        _check_letters(path.name, read)
    return _widened(read)


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn every exception of reading a file into Unreadable.

    zipfile, its decompressors and numpy's header parser do not document what they raise at a
    malicious file.
    """
    try:
        yield
    except Unreadable:
        raise
    except FileNotFoundError:
        raise Unreadable(f"{path.name} is missing") from None
    except Exception as error:
        message = str(error).strip() or type(error).__name__
        raise Unreadable(f"{path.name}: {message.splitlines()[0]}") from None


@contextlib.contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open an ``.npz`` whose unpacked size is within the limit. Raises Unreadable."""
    with _reading(path), open_plain(path) as stream:
        _check_directory(stream, path.name)
        with zipfile.ZipFile(stream) as file:
            size = sum(member.file_size for member in file.infolist())
            if size > min(LARGEST_BYTES, max(SMALL_BYTES, LARGEST_RATIO * _size(stream))):
                raise Unreadable(f"{path.name} unpacks to {size} bytes, too many for its size")
            yield file


def _size(stream: IO[bytes]) -> int:
    return os.fstat(stream.fileno()).st_size


def _check_directory(stream: IO[bytes], name: str) -> None:
    """Raise Unreadable where the list of an archive's members is too long to be read as a whole.

    What says its size is found as `zipfile` finds it: another place could say another size.
    """
    first = max(_size(stream) - LONGEST_COMMENT - END - LOCATOR - END64, 0)
    stream.seek(first)
    tail = stream.read()
    has_no_comment = tail[-END:].startswith(b"PK\5\6") and tail.endswith(b"\0\0")
    at = len(tail) - END if has_no_comment else tail.rfind(b"PK\5\6")
    if at < 0:
        return  # `zipfile` says what is wrong
    size = int.from_bytes(tail[at + 12 : at + 16], "little")
    at64 = at - LOCATOR - END64
    locator = tail[max(at - LOCATOR, 0) : at]
    if locator.startswith(b"PK\6\7"):
        if at64 < 0 or not tail.startswith(b"PK\6\6", at64) or _number(locator, 8) != first + at64:
            raise Unreadable(f"{name} does not end as an archive does")
        size = _number(tail, at64 + 40)
    if size > LARGEST_DIRECTORY:
        raise Unreadable(f"{name} lists more members than an archive of arrays has")


def _number(content: bytes, place: int) -> int:
    return int.from_bytes(content[place : place + 8], "little")


def _read_one(
    file: zipfile.ZipFile, name: str, expected: Shape | None, kinds: str = FLOATS
) -> Values:
    member = file.getinfo(f"{name}.npy")
    with file.open(member) as stream:
        _check_header(stream, name, expected, member.file_size, kinds)
    with file.open(member) as stream:
        read: Values = np.lib.format.read_array(stream, allow_pickle=False)
    _check_letters(name, read)
    return _widened(read)


def _widened(values: Values) -> Values:
    """Return bfloat16 as float32, exactly: its bits are the upper half."""
    if values.dtype != BFLOAT16:
        return values
    return (values.view("<u2").astype("<u4") << 16).view("<f4")


def _check_letters(name: str, values: Values) -> None:
    """Raise Unreadable unless all texts are Unicode; half a surrogate pair cannot be printed."""
    if values.dtype.kind != "U" or not values.size:
        return
    native = np.ascontiguousarray(values).view(f"{values.dtype.byteorder}u4")
    if ((native > _LARGEST_LETTER) | (native >> 11 == _SURROGATES)).any():
        raise Unreadable(f"{name} holds text that is not valid Unicode")


_LARGEST_LETTER, _SURROGATES = 0x10FFFF, 0xD800 >> 11


def _check_header(
    stream: IO[bytes], name: str, expected: Shape | None, file_bytes: int, kinds: str
) -> None:
    """Raise Unreadable unless a file of *file_bytes* can hold the array that it claims."""
    header = _bounded_header(stream, name)
    version = np.lib.format.read_magic(header)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else _header_2_0
    shape, _, dtype = read_header(header)
    if dtype.kind not in kinds and not (kinds == ANY and dtype == BFLOAT16):
        hint = AS_TEXT if dtype.kind == "O" and kinds == ANY else ""
        raise Unreadable(f"{name} holds {dtype}, not {_WANTED[kinds]}{hint}")
    if dtype.kind == "f" and dtype.itemsize > LARGEST_FLOAT:
        raise Unreadable(f"{name} holds {dtype}, which no library computes in")
    if expected is not None and shape != expected:
        raise Unreadable(f"{name} has the shape {shape}, not {expected}")
    if any(isinstance(size, bool) or not 0 <= size <= LARGEST_BYTES for size in shape):
        raise Unreadable(f"{name} has the shape {shape}, which is impossible")
    size = math.prod(shape) * dtype.itemsize
    if not size and max(shape, default=0) > LARGEST_EMPTY_SIDE:
        raise Unreadable(f"{name} has the shape {shape}, which is impossible")
    if size > min(LARGEST_BYTES, file_bytes):
        raise Unreadable(f"{name} claims {size} bytes and has {file_bytes}")


def _bounded_header(stream: IO[bytes], name: str) -> IO[bytes]:
    """Return the beginning of an ``.npy``. Raises Unreadable for a header too long to be read."""
    begin = stream.read(HEADER_BEGIN)
    if not begin.startswith(np.lib.format.MAGIC_PREFIX):
        return io.BytesIO(begin)  # what reads it says what is wrong
    is_short = begin[6:7] == b"\1"  # version 1.0 has two bytes for the length, later ones four
    length = int.from_bytes(begin[8:10] if is_short else begin[8:12], "little")
    if length > LARGEST_HEADER:
        raise Unreadable(f"{name} has a header of {length} bytes, which no array has")
    return io.BytesIO(begin + stream.read(length))


_header_2_0 = np.lib.format.read_array_header_2_0
