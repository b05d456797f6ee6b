"""Failures as data: exceptions become the ``error`` and ``status`` of a record."""

import traceback
from typing import Dict

from harness import record
from harness.adapters import Unsupported

#: What a phase may raise without ending the process. SystemExit is included: where a framework
#: exits, the other phases can still run. KeyboardInterrupt is not: it is the user's.
CAUGHT = (Exception, SystemExit)


def as_error(exception: BaseException) -> Dict[str, str]:
    """Return the ``error`` of a record: ``type``, ``message``, ``traceback``.

    Half a surrogate pair, as in a file name that is not UTF-8, becomes a question mark: not every
    reader accepts JSON with one.
    """
    lines = traceback.format_exception(type(exception), exception, exception.__traceback__)
    return {
        "type": type(exception).__name__,
        "message": _readable(str(exception)),
        "traceback": _readable("".join(lines)),
    }


def _readable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def error_entry(kind: str, message: str) -> Dict[str, str]:
    """Return an ``error`` without an exception behind it."""
    return {"type": kind, "message": message, "traceback": ""}


def status_of(exception: BaseException) -> str:
    """Return the status of a phase that raised this exception."""
    return record.UNSUPPORTED if isinstance(exception, Unsupported) else record.FAILED
