"""The boundary of the command line: runs one command and turns errors into exit codes."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from deepmatrix import __version__
from deepmatrix.cli.parser import parse
from deepmatrix.drawing.terminal import make_console, print_block, print_line
from deepmatrix.errors import DeepmatrixError, EngineError, Interrupted, OutputClosed, system_error
from deepmatrix.machine.signals import heeded_signals, ignore_signals


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code (see deepmatrix.errors)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # an output may be ASCII alone
    for number in heeded_signals():
        signal.signal(number, signal.default_int_handler)
    code = _run(arguments)
    for stream in (sys.stdout, sys.stderr):
        _flush(stream)
    return code


def _run(arguments: Sequence[str]) -> int:
    """Run one command; print what stops it; return the exit code."""
    try:
        _command(arguments)
        sys.stdout.flush()
    except DeepmatrixError as error:
        return _print_error(error)
    except KeyboardInterrupt:
        ignore_signals()  # a terminal that goes may send several
        return _print_error(Interrupted("interrupted"))
    except BrokenPipeError:
        return OutputClosed.exit_code
    except OSError as error:
        return _print_error(system_error(error))
    except MemoryError:
        hint = "close some programs; a run that has begun goes on with --resume"
        return _print_error(EngineError("this machine has not enough memory", hint=hint))
    except Exception:
        return _print_fault(arguments)
    return 0


def _command(arguments: Sequence[str]) -> None:
    try:
        options = parse(arguments)
    except SystemExit:  # the parser has printed the help, or the version
        return
    if not gc.isenabled():  # `program` has disabled it, until all is loaded
        gc.freeze()
        gc.enable()
    options.command(options)


def _print_error(error: DeepmatrixError) -> int:
    """Print an error as far as anybody can read it; return its exit code."""
    console = make_console(stderr=True)
    if not isinstance(error, OutputClosed):
        with contextlib.suppress(OSError, OutputClosed):
            print_block(console, f"error: {error.message}", "bold red")
            if error.hint:
                print_block(console, f"hint: {error.hint}")
    return error.exit_code


def _print_fault(arguments: Sequence[str]) -> int:
    """Print an unexpected exception and where its log is; return the exit code."""
    path = _write_crash_log(arguments)
    console = make_console(stderr=True)
    with contextlib.suppress(OSError, OutputClosed):
        console.print_exception(show_locals=False)
        print_line(console, f"A fault of deepmatrix itself; please report it with {path}", "red")
    return DeepmatrixError.exit_code


def _flush(stream: TextIO) -> None:
    """Write what is left; where nobody takes it, drop it, so that Python does not complain."""
    try:
        stream.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _write_crash_log(arguments: Sequence[str]) -> Path:
    text = (
        f"deepmatrix {__version__}, Python {sys.version}\n"
        f"arguments: {list(arguments)}\n\n{traceback.format_exc()}"
    )
    path = Path(tempfile.gettempdir()) / f"deepmatrix-crash-{os.getpid()}.log"
    with contextlib.suppress(OSError):
        descriptor, name = tempfile.mkstemp(".log", "deepmatrix-crash-")  # no link leads elsewhere
        os.close(descriptor)
        path = Path(name)
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    return path
