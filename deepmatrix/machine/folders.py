"""The folders of the user who runs this: their home, and what can be made anew."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from deepmatrix.errors import EngineError

#: What stands for a home where there is none: nothing is there, and nothing can be made there.
NO_HOME = Path(os.devnull) / "home"


def home(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the user's home; `NO_HOME` where neither the environment nor the system names one."""
    if named := environment.get("HOME"):
        return Path(named)
    try:
        return Path.home()
    except RuntimeError:
        return NO_HOME


def cache() -> Path:
    """Return the folder of everything that can be made anew, in the platform's cache.

    Raises:
        EngineError: nothing says where it may be.
    """
    try:
        return Path(platformdirs.user_cache_dir("deepmatrix", appauthor=False))
    except RuntimeError:
        raise EngineError(
            "there is no home folder to keep images' parts and environments in",
            hint="set HOME or XDG_CACHE_HOME to a folder that can be written",
        ) from None


def not_writable(folder: Path, error: OSError) -> EngineError:
    """Return the error for a folder of the cache that cannot be written."""
    return EngineError(
        f"cannot write below {folder}: {error.strerror}",
        hint="set XDG_CACHE_HOME to a folder that can be written",
    )
