"""Failures as data."""

import traceback

from harness import record
from harness.adapters import Unsupported

#: What a phase may raise without ending the process. SystemExit is here because a framework that
#: exits has failed and the rest can go on; KeyboardInterrupt is not: it is the user's.
CAUGHT = (Exception, SystemExit)


def as_error(exception):
    """Return the ``error`` of a record: ``type``, ``message``, ``traceback``.

    Half a surrogate pair, as in a file name that is not UTF-8, becomes a question mark: JSON
    that holds one cannot be read by everyone.
    """
    lines = traceback.format_exception(type(exception), exception, exception.__traceback__)
    return {
        "type": type(exception).__name__,
        "message": _readable(str(exception)),
        "traceback": _readable("".join(lines)),
    }


def _readable(text):
    return text.encode("utf-8", "replace").decode("utf-8")


def made_up(kind, message):
    """Return an ``error`` that no exception stands for."""
    return {"type": kind, "message": message, "traceback": ""}


def status_of(exception):
    """Return the status that an exception means."""
    return record.UNSUPPORTED if isinstance(exception, Unsupported) else record.FAILED
