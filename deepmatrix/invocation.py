"""The command lines that messages suggest: nox's sessions in a checkout, else the program's own."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path

from deepmatrix.paths import IS_CHECKOUT, ROOT


def command_line(command: str, *arguments: str) -> str:
    """Return what to type for a command with its arguments, quoted for a shell.

    `command_line("verify", "model.onnx")` is ``nox -s verify -- model.onnx`` or
    ``deepmatrix verify model.onnx``.
    """
    return shlex.join(command_words(command, *arguments))


def command_words(command: str, *arguments: str) -> list[str]:
    """Return the words of `command_line`."""
    if not has_sessions():
        return ["deepmatrix", command, *arguments]
    return ["nox", "-s", command, *(["--", *arguments] if arguments else [])]


def listing_line() -> str:
    """Return what to type for a list of all commands."""
    return "nox -l" if has_sessions() else "deepmatrix --help"


def has_sessions() -> bool:
    """Return whether nox finds its sessions where the user is: at the top of a checkout."""
    with contextlib.suppress(OSError):  # a folder that is gone
        return IS_CHECKOUT and Path.cwd() == ROOT
    return False
