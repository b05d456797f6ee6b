"""The boundary of the command line: runs one command and turns errors into exit codes."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from deepmatrix import __version__
from deepmatrix.cli.parser import build_parser
from deepmatrix.errors import DeepmatrixError, EngineError, Interrupted
from deepmatrix.reports.terminal import make_console, print_block, print_line

#: What the user can do when the system refuses, by its error number.
HINTS = {
    errno.ENOSPC: "make room, then go on with --resume: finished jobs have their records",
    errno.EDQUOT: "make room, then go on with --resume: finished jobs have their records",
}


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code (see deepmatrix.errors)."""
    console = make_console(stderr=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        options = build_parser().parse_args(arguments)
        options.command(options)
    except DeepmatrixError as error:
        _print_error(console, error)
        return error.exit_code
    except KeyboardInterrupt:
        _print_error(console, Interrupted("interrupted"))
        return Interrupted.exit_code
    except BrokenPipeError:
        return 0
    except OSError as error:
        _print_error(console, _system_error(error))
        return EngineError.exit_code
    except Exception:
        path = _write_crash_log(arguments)
        console.print_exception(show_locals=False)
        print_line(console, f"A fault of deepmatrix itself; please report it with {path}", "red")
        return DeepmatrixError.exit_code
    return 0


def _print_error(console: Console, error: DeepmatrixError) -> None:
    print_block(console, f"error: {error.message}", "bold red")
    if error.hint:
        print_block(console, f"hint: {error.hint}")


def _system_error(error: OSError) -> EngineError:
    """Return what the system refused: a full disk, a folder that cannot be written."""
    place = f"{error.filename}: " if error.filename else ""
    return EngineError(
        f"{place}{error.strerror or error}",
        hint=HINTS.get(error.errno or 0, "name another place with --runs"),
    )


def _write_crash_log(arguments: Sequence[str]) -> Path:
    text = (
        f"deepmatrix {__version__}, Python {sys.version}\n"
        f"arguments: {list(arguments)}\n\n{traceback.format_exc()}"
    )
    path = Path(tempfile.gettempdir()) / f"deepmatrix-crash-{os.getpid()}.log"
    with contextlib.suppress(OSError):
        path.write_text(text, encoding="utf-8")
    return path
