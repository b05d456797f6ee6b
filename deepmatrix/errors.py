"""The errors this program raises on purpose, one exit code each.

========  =====================================================
code      meaning
========  =====================================================
0         all as expected
1         a cell, a verdict or a budget failed
2         the matrix file, the arguments or the records are wrong
3         the engine, an image, a tool or this machine failed: a full disk, no permission
4         a fault of deepmatrix itself (unexpected exception)
130       interrupted: Ctrl-C, SIGTERM, or a terminal that was closed
141       what read the output went away, as in ``| head``
========  =====================================================
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence


class DeepmatrixError(Exception):
    """Base of every error with a message for the user.

    ``hint`` says what to do about it; it is printed on a line of its own.
    """

    exit_code = 4

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class CellFailed(DeepmatrixError):
    """A cell, a verdict or a budget failed."""

    exit_code = 1


class ConfigError(DeepmatrixError):
    """A file of the user's is wrong: the matrix file or the expected failures.

    The message starts with ``file:line:column``.
    """

    exit_code = 2


class ArgumentError(DeepmatrixError):
    """The command line is wrong.

    ``about`` is the option that is, by its name, with the number of its value and a part of that.
    """

    exit_code = 2

    def __init__(self, message: str, *, hint: str = "", about: Sequence[str | int] = ()) -> None:
        super().__init__(message, hint=hint)
        self.about = about


def joined(errors: Iterable[ArgumentError]) -> ArgumentError:
    """Return one error with the messages and the hints of several, each once."""
    every = list(errors)
    hints = dict.fromkeys(error.hint for error in every if error.hint)
    messages = dict.fromkeys(error.message for error in every)
    return ArgumentError("\n".join(messages), hint="\n".join(hints))


class RecordError(DeepmatrixError):
    """A record or a run directory cannot be read or merged."""

    exit_code = 2


class EngineError(DeepmatrixError):
    """An engine, an image build or an external tool failed."""

    exit_code = 3


class Interrupted(DeepmatrixError):
    """The user pressed Ctrl-C; the records of finished jobs are saved, the run can be resumed."""

    exit_code = 130


class OutputClosed(DeepmatrixError):
    """Nobody reads the output any more."""

    exit_code = 141

    def __init__(self) -> None:
        super().__init__("what read the output went away")


_MAKE_ROOM = "make room; a run that has begun goes on with --resume, from its finished jobs"
_ELSEWHERE = "for runs with --runs, for the cache with XDG_CACHE_HOME"
_NO_PERMISSION = f"name a place that you may write, {_ELSEWHERE}; or change who owns it"

#: What the user can do when the system refuses, by its error number.
_HINTS = {
    errno.ENOSPC: _MAKE_ROOM,
    errno.EDQUOT: _MAKE_ROOM,
    errno.EFBIG: "raise the limit of a file's size (ulimit -f), then go on with --resume",
    errno.ENXIO: "start what reads it first",
    errno.EISDIR: "move the folder away; where you named the file, name another",
    errno.EMFILE: "raise the limit of open files: ulimit -n 4096",
    errno.ENFILE: "this machine has too many open files: close some programs",
    errno.ENOMEM: "close some programs, or raise the limit of memory: ulimit -v unlimited",
    errno.EAGAIN: "close some programs, or raise the limit of processes: ulimit -u",
    errno.EACCES: _NO_PERMISSION,
    errno.ENAMETOOLONG: "use a shorter name",
    errno.EPERM: _NO_PERMISSION,
    errno.EROFS: _NO_PERMISSION,
}


#: What a process lacks, not what it uses.
_LIMITS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})


def limit_hint(error: OSError) -> str:
    """Return what to do about a limit that this process has met, nothing for another error."""
    return _HINTS[error.errno] if error.errno in _LIMITS else ""


def system_error(error: OSError, place: object = "") -> EngineError:
    """Return what the system refused, and where: a full disk, a folder that cannot be written."""
    where = place or error.filename or ""
    return EngineError(
        f"{where}: {error.strerror or error}" if where else str(error.strerror or error),
        hint=_HINTS.get(error.errno or 0, f"name another place, {_ELSEWHERE}"),
    )
