"""Entry point of ``python -m deepmatrix``, and of the installed program.

Loading the program takes a moment. A signal in it ends the process as later ones do.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
from types import FrameType

from deepmatrix.machine.signals import end_with_parent, heeded_signals, ignore_signals

#: The exit code of what was interrupted, as in `deepmatrix.errors`.
INTERRUPTED = 130

#: The standard streams, by the number of their file, and how they are opened.
STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def program() -> int:
    """Run the command of this process's arguments; return its exit code."""
    for number in heeded_signals():
        signal.signal(number, _end)
    _open_closed_streams()
    gc.disable()  # until all is loaded: nothing of it is garbage
    try:
        from deepmatrix.cli.main import main  # noqa: PLC0415 - loads the program
    except ModuleNotFoundError as error:
        sys.exit(f"{error}: run it by nox, or by nox's Python: .nox/_nox_script_mode/bin/python")
    if "NOX_CURRENT_SESSION" in os.environ:
        end_with_parent()
    try:
        return main(sys.argv[1:])
    except KeyboardInterrupt:  # a further signal, while an error was printed
        return INTERRUPTED
    finally:
        ignore_signals()


def _end(number: int, frame: FrameType | None) -> None:
    """End the process: there is nothing to put in order yet, and imports may hide an exception."""
    del number, frame
    with contextlib.suppress(OSError):
        os.write(2, b"error: interrupted\n")
    os._exit(INTERRUPTED)


def _open_closed_streams() -> None:
    """Open what the caller closed, as with ``>&-``, to nowhere.

    Otherwise the next file that is opened would take its number, and get what is printed.
    """
    for number, (name, mode) in enumerate(STREAMS):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, open(number, mode, encoding="utf-8"))  # noqa: PTH123, SIM115


if __name__ == "__main__":
    sys.exit(program())
