"""The doors: how every file is opened for reading, and written."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from deepmatrix import reports
from deepmatrix.boundary.opening import open_plain
from deepmatrix.boundary.writing import append_bytes, replace_folder, write_bytes, write_named
from deepmatrix.cli.main import main
from deepmatrix.errors import system_error
from deepmatrix.reports import markdown
from deepmatrix.results import merging
from tests.unit.test_boundary import nested
from tests.unit.test_results import whole


def test_lines_that_cannot_all_be_added_leave_none(tmp_path: Path) -> None:
    path = tmp_path / "history.ndjson"
    path.write_bytes(b"one\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            append_bytes(path, b"x" * 20_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == b"one\n"


def put(path: Path, kind: str) -> Path:
    """Put something at a path that is no plain file."""
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        (path / "inner").mkdir(parents=True)
    else:
        path.symlink_to(path.with_name("nothing"))
    return path


@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_only_a_plain_file_is_opened_and_nothing_is_waited_for(tmp_path: Path, kind: str) -> None:
    path = put(tmp_path / "x", kind)
    with pytest.raises(OSError, match="x"):
        open_plain(path, follow=False)


def test_a_link_is_followed_where_that_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_bytes(b"theirs")
    (tmp_path / "x").symlink_to(tmp_path / "theirs")
    with open_plain(tmp_path / "x") as file:
        assert file.read() == b"theirs"
    with pytest.raises(OSError, match="symbolic links"):
        open_plain(tmp_path / "x", follow=False)


def test_a_file_that_a_person_names_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "link").symlink_to("theirs")
    write_named(tmp_path / "link", "ours")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "theirs").read_text() == "ours"


def test_a_pipe_that_a_person_names_is_written_and_stays(tmp_path: Path) -> None:
    pipe = put(tmp_path / "pipe", "pipe")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_named(pipe, "ours")
        assert os.read(reader, 100) == b"ours"
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_a_pipe_that_nobody_reads_is_not_waited_for(tmp_path: Path) -> None:
    pipe = put(tmp_path / "pipe", "pipe")
    with pytest.raises(OSError, match="nobody reads this pipe") as caught:
        write_named(pipe, "ours")
    assert system_error(caught.value).hint == "start what reads it first"
    assert pipe.is_fifo()


def test_what_is_printed_of_a_comparison_goes_to_the_file_behind_a_link(tmp_path: Path) -> None:
    run = whole(tmp_path)
    (tmp_path / "theirs").write_text("theirs")
    for option in ("--json", "--markdown"):
        (tmp_path / option).symlink_to("theirs")
        main([
            "compare", "--runs", str(tmp_path), run.id, run.id, option, str(tmp_path / option)
        ])  # fmt: skip
        assert (tmp_path / option).is_symlink()
        assert (tmp_path / "theirs").read_text() != "theirs"


def test_a_report_is_put_into_the_file_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(f"<!-- report -->{markdown.END}")
    (tmp_path / "link.md").symlink_to("README.md")
    markdown.insert(tmp_path / "link.md", lambda _: "# page\n")
    assert (tmp_path / "link.md").is_symlink()
    assert "page" in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize("name", ["report.html", "report.md", "results.json", "junit.xml"])
def test_a_folder_in_place_of_a_report_is_named_and_no_part_stays(
    tmp_path: Path, name: str
) -> None:
    run = whole(tmp_path)
    put(run.path / name, "folder")
    with pytest.raises(IsADirectoryError) as caught:
        reports.write(run, merging.merge([run]))
    shown = system_error(caught.value)
    assert shown.message == f"{run.path / name}: a folder is in its place"
    assert "move the folder away" in shown.hint
    assert not list(run.path.glob("*.part"))


def test_a_write_that_the_system_refuses_names_the_file_and_leaves_no_part(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            write_bytes(path, bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert system_error(caught.value).message == f"{path}: File too large"
    assert [each.name for each in tmp_path.iterdir()] == ["x.json"]
    assert path.read_text() == "before"


def test_a_part_file_does_not_stay_when_its_making_ends_early(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_bytes(tmp_path / "x", "no bytes")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("before", ["nothing", "a folder", "a deep folder"])
def test_a_folder_takes_the_place_of_what_was_there_and_nothing_else_stays(
    tmp_path: Path, before: str
) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "ours").touch()
    if before != "nothing":
        nested(tmp_path / "x", 1500 if before == "a deep folder" else 2)
    replace_folder(tmp_path / "x", tmp_path / "new")
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == [
        "x",
        "x/ours",
    ]


def test_a_file_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[tuple[str, bool]] = []
    path = tmp_path / "x.json"

    def record_flush(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        flushed.append((name, path.exists()))

    monkeypatch.setattr(os, "fsync", record_flush)
    write_bytes(path, b"{}")
    assert flushed == [(f"x.json.{os.getpid()}.part", False), (tmp_path.name, True)]
