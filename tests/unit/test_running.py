"""What is done beside a run ends with it."""

from __future__ import annotations

import threading

from deepmatrix.cli import running


def test_no_report_is_loaded_any_more_once_a_run_ended() -> None:
    before = set(threading.enumerate())
    with running.loading_reporting():
        (timer,) = set(threading.enumerate()) - before
        assert isinstance(timer, threading.Timer)
        assert not timer.finished.is_set()
    assert timer.finished.is_set()
