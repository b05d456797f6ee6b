"""The lines that a run prints while it goes on."""

from __future__ import annotations

import contextlib
import io
import os
import sys

import pytest
from rich.console import Console

from deepmatrix.cli.display import Display
from deepmatrix.drawing.terminal import Terminal
from deepmatrix.errors import Interrupted
from tests.unit.test_models import verification


def test_that_another_run_is_measuring_is_said_once_a_wave() -> None:
    console = Console(file=io.StringIO(), width=120)
    display = Display(console)
    for _ in range(3):
        display.waiting_for_cpus()
    display.planned([], retry=False)
    display.waiting_for_cpus()
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("another run is measuring") == 2


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such terminals")
def test_a_terminal_that_is_gone_does_not_hide_what_ended_the_run() -> None:
    import pty

    host, terminal = pty.openpty()
    with open(terminal, "w", encoding="utf-8") as file:  # noqa: PTH123

        def lose_the_terminal() -> None:
            with Display(Terminal(file=file, force_terminal=True, width=80)):
                os.close(host)
                raise Interrupted("interrupted")

        with pytest.raises(Interrupted):
            lose_the_terminal()
        with contextlib.suppress(OSError):
            file.flush()
        with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), file.fileno())


def test_what_another_run_did_is_counted_and_what_changed_is_said() -> None:
    console = Console(file=io.StringIO(), width=120)
    display = Display(console)
    display.reused("monday", 1, {})
    display.reused("monday", 12, {"image changed": 2, "no record": 1})
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "1 job reused of monday",
        "12 jobs reused of monday; anew: image changed (2), no record (1)",
    ]


def test_the_waves_of_a_users_model_are_named_by_what_they_do() -> None:
    plan = verification(("net", "onnx", "model.onnx"))
    console = Console(file=io.StringIO(), width=120)
    display = Display(console)
    for wave in ("produce", "consume"):
        display.planned(list(plan.jobs(wave)), retry=False)
    first, second = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert first == "read the model: 1 job on 1 cell"
    assert second.startswith("serve the model: ")
