"""What a framework's compiler made is kept for the next run, whole or not at all."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepmatrix.config.sections import Infer
from deepmatrix.execution.tasks import process_environment
from deepmatrix.images import compiled
from deepmatrix.images.compiled import CompileCache
from deepmatrix.planning.model_plan import plan_models
from deepmatrix.planning.selection import Selection
from tests.unit.examples import DOCKER, MATRIX, new_run, planned

INFER = Infer(batches=(1,), samples=5, min_s=0.0, max_s=1.0, warmup=1)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CompileCache:
    monkeypatch.setattr(compiled.folders, "cache", lambda: tmp_path / "cache")
    return CompileCache("jax-debian13-arm64-cpu", "deepmatrix/jax:1")


def members(cache: CompileCache) -> list[tuple[str, int]]:
    with cache.open("compiled", user=7) as archive, tarfile.open(fileobj=archive) as tar:
        return [(entry.name, entry.uid) for entry in tar]


def tar_of(*programs: str, size: int = 0, mtime: int = 0) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name in programs:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = size, mtime
            tar.addfile(entry, io.BytesIO(name.encode()[:1] * size))
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


def test_two_lanes_that_began_alike_both_add_what_they_compiled(cache: CompileCache) -> None:
    began_with = ["compiled/first"]
    cache.store([tar_of(*began_with)])
    for added in ("compiled/of-one", "compiled/of-another"):
        cache.store([tar_of(*began_with, added)])
    assert sorted(members(cache)) == [
        ("compiled/first", 0),
        ("compiled/of-another", 0),
        ("compiled/of-one", 0),
    ]


def test_the_oldest_programs_make_room_for_new_ones(
    cache: CompileCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "MOST_BYTES", 25)
    for mtime, name in enumerate(("compiled/c", "compiled/b", "compiled/a")):
        cache.store([tar_of(name, size=10, mtime=mtime)])
    assert sorted(members(cache)) == [("compiled/a", 0), ("compiled/b", 0)]
    with cache.open("compiled", user=7) as archive, tarfile.open(fileobj=archive) as tar:
        content = tar.extractfile("compiled/a")
        assert content
        assert content.read() == b"c" * 10


def test_only_folders_and_files_are_kept(cache: CompileCache) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, kind in (("compiled", tarfile.DIRTYPE), ("compiled/link", tarfile.SYMTYPE)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "/etc"
            tar.addfile(entry)
    cache.store([archive.getvalue()])
    assert members(cache) == [("compiled", 0)]


def test_what_is_too_large_or_broken_off_leaves_the_cache_as_it_was(
    cache: CompileCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.store([tar_of("compiled/program")])
    monkeypatch.setattr(compiled, "MOST_ADDED_BYTES", 100)
    cache.store([tar_of("compiled/large", size=101)])
    monkeypatch.undo()
    monkeypatch.setattr(compiled.folders, "cache", lambda: tmp_path / "cache")
    cache.store([tar_of("compiled/torn", size=10_000)[:2_000]])

    def broken() -> Iterator[bytes]:
        yield b"x"
        raise OSError("the connection broke")

    cache.store(broken())
    assert members(cache) == [("compiled/program", 0)]
    assert len(list((tmp_path / "cache" / "compiled").iterdir())) == 1


def test_a_damaged_cache_is_made_anew(cache: CompileCache, tmp_path: Path) -> None:
    cache.store([tar_of("compiled/program")])
    next((tmp_path / "cache" / "compiled").iterdir()).write_bytes(b"nothing of a tar")
    assert members(cache) == [("compiled", 7)]


def test_variables_name_the_folder() -> None:
    assert compiled.environment({"A": "{folder}/x", "B": "0"}, "/c") == {"A": "/c/x", "B": "0"}


def test_only_emulated_processes_on_our_own_networks_compile_in_another_way(tmp_path: Path) -> None:
    ours = planned("jax-debian12-amd64-cpu", "jax-debian13-arm64-cpu")
    models = (("m", "onnx", "model.onnx"),)
    users = plan_models(MATRIX, models, Selection(), DOCKER, seed=0, infer=INFER)
    runs = [new_run(tmp_path / plan.command, plan) for plan in (ours, users)]
    flagged = [
        (run.manifest.plan.command, cell.architecture)
        for run in runs
        for cell in ours.cells
        if "XLA_FLAGS" in process_environment(run, DOCKER, cell)
    ]
    assert flagged == [("matrix", "arm64")]
