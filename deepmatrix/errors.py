"""The errors this program raises on purpose, one exit code each.

========  =====================================================
code      meaning
========  =====================================================
0         all as expected
1         a cell, a verdict or a budget failed
2         the matrix file, the arguments or the records are wrong
3         the engine, an image or a tool it needs failed
4         a fault of deepmatrix itself (unexpected exception)
130       interrupted
========  =====================================================
"""


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
    """The command line is wrong."""

    exit_code = 2


class RecordError(DeepmatrixError):
    """A record or a run directory cannot be read or merged."""

    exit_code = 2


class EngineError(DeepmatrixError):
    """An engine, an image build or an external tool failed."""

    exit_code = 3


class Interrupted(DeepmatrixError):
    """The user pressed Ctrl-C; the records of finished jobs are saved, the run can be resumed."""

    exit_code = 130
