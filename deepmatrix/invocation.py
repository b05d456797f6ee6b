"""The command lines that messages suggest: nox's sessions in a checkout, else the program's own."""

from __future__ import annotations

import shlex

from deepmatrix.paths import IS_CHECKOUT


def command_line(command: str, *arguments: str) -> str:
    """Return what to type for a command with its arguments, quoted for a shell.

    `command_line("verify", "model.onnx")` is ``nox -s verify -- model.onnx`` or
    ``deepmatrix verify model.onnx``.
    """
    return shlex.join(command_words(command, *arguments))


def command_words(command: str, *arguments: str) -> list[str]:
    """Return the words of `command_line`."""
    if not IS_CHECKOUT:
        return ["deepmatrix", command, *arguments]
    return ["nox", "-s", command, *(["--", *arguments] if arguments else [])]


#: What lists all commands.
LIST_COMMANDS = "nox -l" if IS_CHECKOUT else "deepmatrix --help"
