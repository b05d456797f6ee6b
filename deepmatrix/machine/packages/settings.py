"""Files in which a user sets up a package manager."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from deepmatrix.errors import ArgumentError

#: Characters of such a file that are read.
LONGEST: Final = 1 << 20


def read_settings(path: Path) -> str:
    """Return what a file says, nothing where there is no plain file that can be read.

    Raises ArgumentError where it is not UTF-8.
    """
    try:
        if not path.is_file():
            return ""
        with path.open(encoding="utf-8") as source:
            return source.read(LONGEST)
    except UnicodeDecodeError:
        raise ArgumentError(f"{path} is not UTF-8", hint="save it as UTF-8") from None
    except OSError:
        return ""
