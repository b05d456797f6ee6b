"""Documents found in the cache: the same as their text says, or none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepmatrix.config import matrix_file
from deepmatrix.config.reading import cached, source
from deepmatrix.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cached, "_folder", lambda: tmp_path / "cache" / "documents")
    return tmp_path / "cache" / "documents"


@pytest.fixture
def matrix(tmp_path: Path) -> Path:
    path = tmp_path / "matrix.yaml"
    path.write_text(
        (ROOT / "matrix.yaml").read_text("utf-8").replace("expected_failures_file:", "# "),
        encoding="utf-8",
    )
    return path


def never_parse(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(*_: Any) -> object:
        raise AssertionError("parsed")

    monkeypatch.setattr(source, "_parse", parse)


def test_a_matrix_that_was_valid_is_not_parsed_again(
    matrix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = matrix_file.load(matrix)
    never_parse(monkeypatch)
    assert matrix_file.load(matrix) == parsed
    matrix.write_text(matrix.read_text("utf-8") + "\n# changed\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="parsed"):
        matrix_file.load(matrix)


def test_what_another_program_wrote_is_not_used(
    matrix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix_file.load(matrix)
    monkeypatch.setattr(cached, "_program", lambda: "another")
    never_parse(monkeypatch)
    with pytest.raises(AssertionError, match="parsed"):
        matrix_file.load(matrix)


def test_a_document_that_is_wrong_is_not_cached(matrix: Path, cache: Path) -> None:
    text = matrix.read_text("utf-8")
    errors = []
    for wrong in (text + "unknown: 1\n", text.replace("version: 1", "version: 2"), "- 1\n"):
        matrix.write_text(wrong, encoding="utf-8")
        for _ in range(2):
            with pytest.raises(ConfigError) as error:
                matrix_file.load(matrix)
            errors.append(str(error.value))
    assert errors[::2] == errors[1::2]
    assert not cache.exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1]", b"null", b"\xff", b'{"version": 1}', b"[" * 5000, b'0\n{"version": 1}'],
)
def test_a_damaged_file_of_the_cache_is_as_none_and_made_anew(
    matrix: Path, cache: Path, content: bytes
) -> None:
    parsed = matrix_file.load(matrix)
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    path.write_bytes(content)
    assert matrix_file.load(matrix) == parsed
    assert path.read_bytes() == whole


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_no_damage_changes_a_document(matrix: Path, cache: Path, damage: str) -> None:
    parsed = matrix_file.load(matrix)
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    for at in range(0, len(whole), len(whole) // 25):
        path.write_bytes(whole[:at] if damage == "cut" else whole[:at] + b"0" * 2 + whole[at + 2 :])
        assert matrix_file.load(matrix) == parsed


def test_a_cache_that_cannot_be_written_changes_nothing(matrix: Path, cache: Path) -> None:
    cache.parent.write_text("a file where the folder would be", encoding="utf-8")
    assert matrix_file.load(matrix) == matrix_file.load(matrix)


def test_only_the_documents_that_were_used_last_stay(
    matrix: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = matrix.read_text("utf-8")
    parsed = matrix_file.load(matrix)
    (cache / "killed.part").write_bytes(b"")
    os.utime(cache / "killed.part", (1, 1))
    for number in range(cached.MOST_DOCUMENTS + 3):
        matrix.write_text(f"{text}\n# {number}\n", encoding="utf-8")
        matrix_file.load(matrix)
        (cache.parent.parent / "used.yaml").write_text(text, encoding="utf-8")
        matrix_file.load(cache.parent.parent / "used.yaml")
    assert len(list(cache.iterdir())) == cached.MOST_DOCUMENTS
    assert not (cache / "killed.part").exists()
    never_parse(monkeypatch)
    assert matrix_file.load(cache.parent.parent / "used.yaml") == parsed


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


@settings(max_examples=200)
@given(
    document=st.dictionaries(
        st.text(),
        st.recursive(
            SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5
        ),
        min_size=1,
    ),
    text=st.text(),
)
def test_any_document_comes_back_as_it_was(
    document: dict[str, Any], text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cached, "_folder", lambda: folder)
        its_source = source.Source(path=Path("x"), text=text, limits=source.BY_PEOPLE)
        cached.save(its_source, document)
        assert repr(cached.load(its_source)) == repr(document)
