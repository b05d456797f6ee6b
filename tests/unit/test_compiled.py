"""What a framework's compiler made is kept for the next run, whole or not at all."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepmatrix.images import compiled
from deepmatrix.images.compiled import CompileCache


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CompileCache:
    monkeypatch.setattr(compiled.folders, "cache", lambda: tmp_path)
    return CompileCache("jax-debian13-arm64-cpu", "deepmatrix/jax:1")


def members(cache: CompileCache) -> list[tuple[str, int]]:
    with cache.open("compiled", user=7) as archive, tarfile.open(fileobj=archive) as tar:
        return [(entry.name, entry.uid) for entry in tar]


def tar_of(name: str) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    return archive.getvalue()


def test_the_first_process_finds_a_folder_of_its_own(cache: CompileCache) -> None:
    assert members(cache) == [("compiled", 7)]


def test_what_a_process_wrote_is_there_for_the_next_one(cache: CompileCache) -> None:
    cache.store([tar_of("compiled/program")])
    assert members(cache) == [("compiled/program", 0)]


def test_another_image_has_a_cache_of_its_own(cache: CompileCache) -> None:
    cache.store([tar_of("compiled/program")])
    later = CompileCache("jax-debian13-arm64-cpu", "deepmatrix/jax:2")
    assert members(later) == [("compiled", 7)]
    later.store([tar_of("compiled/other")])
    assert members(later) == [("compiled/other", 0)]
    assert members(cache) == [("compiled", 7)]


def test_what_is_too_large_or_broken_off_leaves_the_cache_as_it_was(
    cache: CompileCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.store([tar_of("compiled/program")])
    monkeypatch.setattr(compiled, "MOST_BYTES", 100)
    cache.store([b"x" * 60, b"x" * 60])

    def broken() -> Iterator[bytes]:
        yield b"x"
        raise OSError("the connection broke")

    cache.store(broken())
    assert members(cache) == [("compiled/program", 0)]
    assert len(list((tmp_path / "compiled").iterdir())) == 1


def test_a_damaged_cache_is_made_anew(cache: CompileCache, tmp_path: Path) -> None:
    cache.store([tar_of("compiled/program")])
    next((tmp_path / "compiled").iterdir()).write_bytes(b"nothing of a tar")
    assert members(cache) == [("compiled", 7)]


def test_variables_name_the_folder() -> None:
    assert compiled.environment({"A": "{folder}/x", "B": "0"}, "/c") == {"A": "/c/x", "B": "0"}
