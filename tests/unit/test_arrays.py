"""Files of arrays that were made to harm are refused in one line, whatever is wrong with them."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from deepmatrix.store import answers, arrays
from deepmatrix.store.arrays import Unreadable
from harness import control


def npy(header: str) -> bytes:
    """Return a file of four floats with any header."""
    padded = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded + bytes(16)


def shaped(shape: str) -> bytes:
    return npy(f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}")


def whole() -> bytes:
    target = io.BytesIO()
    np.save(target, np.ones(100))
    return target.getvalue()


def with_header_of(length: int) -> bytes:
    """Return a file of version 2.0 that claims a header of any length."""
    return b"\x93NUMPY\x02\x00" + length.to_bytes(4, "little") + b" " * 100


def archive(content: bytes, method: int = zipfile.ZIP_STORED) -> bytearray:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as file:
        file.writestr("x.npy", content)
    return bytearray(target.getvalue())


def edited(content: bytearray, place: int, value: int) -> bytearray:
    """Change a byte of a member's header, in the archive's directory too."""
    content[place] = value
    content[content.find(b"PK\x01\x02") + place + 2] = value
    return content


def torn() -> bytearray:
    content = archive(whole(), zipfile.ZIP_LZMA)
    content[50:70] = b"\xff" * 20
    return content


def letters(*codes: int) -> bytes:
    target = io.BytesIO()
    np.save(target, np.array(codes, np.uint32))
    return target.getvalue().replace(b"'<u4'", b"'<U1'")


HARMFUL = {
    "x has a header of 4294967295 bytes": archive(with_header_of(2**32 - 1)),
    "x has a header of 65536 bytes": archive(with_header_of(2**16)),
    "is encrypted": edited(archive(whole()), 6, 1),
    "compression method is not supported": edited(archive(whole()), 8, 97),
    "Corrupt input data": torn(),
    "EOF in multi-line": archive(npy("{'descr': '''<f4")),
    "which is impossible": archive(shaped(f"({10**30}, 0)")),
    r"the shape \(True,\)": archive(shaped("(True,)")),
    r"the shape \(-1, -4\)": archive(shaped("(-1, -4)")),
}


@pytest.mark.parametrize("problem", HARMFUL)
def test_a_harmful_archive_is_unreadable_in_one_line(tmp_path: Path, problem: str) -> None:
    (tmp_path / "x.npz").write_bytes(HARMFUL[problem])
    with pytest.raises(Unreadable, match=problem) as raised:
        arrays.read_all(tmp_path / "x.npz")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("code", [0x110000, 0xD800, 0xDFFF])
def test_text_that_is_no_unicode_is_unreadable(tmp_path: Path, code: int) -> None:
    (tmp_path / "x.npz").write_bytes(archive(letters(97, code)))
    with pytest.raises(Unreadable, match="x holds text that is not valid Unicode"):
        arrays.read_all(tmp_path / "x.npz", arrays.ANY)


def test_text_is_read_as_it_was_written(tmp_path: Path) -> None:
    texts = np.array([["Ångström", ""], ["\U0001f600", "b"]])
    np.save(tmp_path / "x.npy", texts)
    assert arrays.read_array(tmp_path / "x.npy").tolist() == texts.tolist()


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_texts_as_objects_are_refused_with_what_to_do(tmp_path: Path, name: str) -> None:
    texts = np.array(["a", "b"], object)
    save = np.save if name == "x.npy" else np.savez
    save(tmp_path / name, texts)
    read = arrays.read_array if name == "x.npy" else lambda path: arrays.read_all(path, arrays.ANY)
    with pytest.raises(Unreadable, match=r'holds object.*; save texts as array.astype\("U"\)'):
        read(tmp_path / name)


def test_what_an_archive_unpacks_to_is_bounded_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "LARGEST_BYTES", 3000)
    np.savez_compressed(tmp_path / "x.npz", **{name: np.ones(200) for name in "ab"})
    with pytest.raises(Unreadable, match="unpacks to"):
        arrays.read_all(tmp_path / "x.npz")
    np.savez_compressed(tmp_path / "x.npz", a=np.ones(200))
    assert list(arrays.read_all(tmp_path / "x.npz")) == ["a"]


def test_an_array_whose_name_no_archive_can_hold_is_refused_where_it_is_written(
    tmp_path: Path,
) -> None:
    name = "x\0y"
    with pytest.raises(ValueError, match=r"'x\\x00y' has a null character"):
        control.save_arrays(str(tmp_path), "inputs.npz", {name: np.ones(2)})
    assert list(tmp_path.iterdir()) == []


def ended(content: bytes, listed: int, *, zip64: int | None = None, offset: int = 0) -> bytes:
    """Return an archive whose end says how long the list of its members is.

    *zip64*: how long the end of large archives says that it is. *offset*: what is added to where
    this end says that it stands.
    """
    begin, end = content[:-22], content[-22:]
    if zip64 is not None:
        begin += struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, zip64, 0)
        begin += struct.pack("<4sLQL", b"PK\6\7", 0, len(begin) - 56 + offset, 1)
    return begin + end[:12] + struct.pack("<L", listed) + end[16:]


MEMBERS = "lists more members than an archive of arrays has"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (ended(archive(whole()), 2**22 + 1), MEMBERS),
        (ended(archive(whole()), 51, zip64=2**22 + 1), MEMBERS),
        (ended(archive(whole()), 51, zip64=51, offset=1), "does not end as an archive does"),
        (ended(archive(whole()), 2**22 + 1)[:-6] + b"PK\5\6\0\0", MEMBERS),
    ],
)
def test_a_list_of_members_that_is_too_long_is_refused_wherever_its_size_stands(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    (tmp_path / "x.npz").write_bytes(content)
    for read in (arrays.read_all, arrays.names):
        with pytest.raises(Unreadable, match=problem):
            read(tmp_path / "x.npz")


def test_an_archive_with_the_end_of_large_ones_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 0)
    (tmp_path / "x.npz").write_bytes(archive(whole()))
    assert b"PK\6\7" in (tmp_path / "x.npz").read_bytes()
    assert list(arrays.read_all(tmp_path / "x.npz")) == ["x"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (shaped("(1000000,)"), "claims 4000000 bytes and has 144"),
        (shaped("(0, 16777217)"), "which is impossible"),
        (
            npy("{'descr': '<f16', 'fortran_order': False, 'shape': (1,)}"),
            "which no library computes in|not a valid dtype",  # where numpy lacks it
        ),
    ],
)
def test_an_array_that_its_file_cannot_hold_is_refused_by_its_header(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    (tmp_path / "x.npz").write_bytes(archive(content))
    with pytest.raises(Unreadable, match=problem):
        arrays.read_all(tmp_path / "x.npz")


def test_answers_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="two of them have the same name"):
        answers.read_control(tmp_path, ["y", "y"], 100)
