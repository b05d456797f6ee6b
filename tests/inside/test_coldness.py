"""A cold start drops files from the system's cache."""

import os
import sys

import pytest

from harness.measuring import cold_start


def is_cached(path):
    """Return whether the first page of a file is in memory, without reading it from the disk."""
    with path.open("rb") as file:
        try:
            os.preadv(file.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT)
        except BlockingIOError:
            return False
    return True


@pytest.mark.skipif(not hasattr(os, "RWF_NOWAIT"), reason="this system cannot be asked")
def test_what_could_be_imported_is_no_longer_in_memory(tmp_path, monkeypatch):
    path = tmp_path / "package" / "module.py"
    path.parent.mkdir()
    with path.open("wb") as file:
        file.write(bytes(1 << 20))
        file.flush()
        os.fsync(file.fileno())
    path.read_bytes()
    if not is_cached(path):
        pytest.skip("this file system does not say")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert cold_start.evict() == 1 << 20
    assert not is_cached(path)


def test_what_cannot_be_opened_is_passed_over(tmp_path, monkeypatch):
    (tmp_path / "dangling").symlink_to("nowhere")
    monkeypatch.setattr(sys, "path", [str(tmp_path), "/no/such/folder"])
    assert cold_start.evict() == 0
