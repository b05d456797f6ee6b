"""Copies of folders: what the system refuses is told as it told it."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from pathlib import Path

import numpy as np
import pytest

from deepmatrix.boundary.copying import copy_tree
from deepmatrix.errors import system_error
from tests.unit.test_collected import collected, looked


def test_a_disk_that_is_full_while_a_model_is_copied_says_make_room(small_disk: Path) -> None:
    values = {"y": np.ones(2)}
    run = looked(small_disk, inputs={"x": np.ones(2)}, outputs=values)
    (run.model_path("net") / "model.onnx").write_bytes(bytes(500_000))
    with pytest.raises(OSError, match="No space left on device") as raised:
        collected(run, small_disk)
    error = system_error(raised.value)
    assert error.message.startswith(str(run.path / "artifacts"))
    assert error.hint.startswith("make room")


def test_a_folder_is_copied_as_it_is(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep" / "empty").mkdir(parents=True)
    (source / "deep" / "program").write_bytes(b"x")
    (source / "deep" / "program").chmod(0o755)
    copy_tree(source, tmp_path / "a" / "target")
    copied = tmp_path / "a" / "target" / "deep"
    assert (copied / "program").read_bytes() == b"x"
    assert (copied / "program").stat().st_mode & 0o777 == 0o755
    assert (copied / "empty").is_dir()
    with pytest.raises(FileExistsError):
        copy_tree(source, tmp_path / "a" / "target")
    copy_tree(source, tmp_path / "a" / "target", exist_ok=True)


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_is_no_file_is_not_copied_and_named(tmp_path: Path, kind: str) -> None:
    source = tmp_path / "source"
    source.mkdir()
    if kind == "link":
        (source / "secret").symlink_to("/etc/hostname")
    else:
        os.mkfifo(source / "secret")
    with pytest.raises(OSError, match="no plain file") as raised:
        copy_tree(source, tmp_path / "target")
    assert (raised.value.errno, raised.value.filename) == (errno.EINVAL, str(source / "secret"))
    assert not (tmp_path / "target" / "secret").exists()


def test_a_folder_that_is_read_only_is_copied_with_its_folders_and_their_modes() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        source, target = Path(folder, "source"), Path(folder, "target")
        (source / "inner").mkdir(parents=True)
        (source / "inner" / "file").write_text("kept")
        (source / "inner").chmod(0o555)
        source.chmod(0o555)
        child = os.fork()
        if not child:
            with contextlib.suppress(BaseException):
                if os.geteuid() == 0:  # root may write anywhere
                    os.setuid(65534)
                copy_tree(source, target)
                os._exit(0)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert (target / "inner" / "file").read_text() == "kept"
        modes = {stat.S_IMODE(path.stat().st_mode) for path in (target, target / "inner")}
        for path in (source, source / "inner", target, target / "inner"):
            path.chmod(0o755)
        assert modes == {0o555}
