"""The lines that a run prints while it goes on."""

from __future__ import annotations

import io

from rich.console import Console

from deepmatrix.cli.display import Display


def test_that_another_run_is_measuring_is_said_once_a_wave() -> None:
    console = Console(file=io.StringIO(), width=120)
    display = Display(console)
    for _ in range(3):
        display.waiting_for_cpus()
    display.planned([], retry=False)
    display.waiting_for_cpus()
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("another run is measuring") == 2
