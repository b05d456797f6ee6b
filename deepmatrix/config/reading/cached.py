"""Documents that were valid, cached as JSON: to parse the matrix file takes longer than a plan.

They are found by a digest of the text and of the program that reads it. Where something is wrong
with a document, its text is parsed for the place.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from deepmatrix.boundary.opening import open_plain
from deepmatrix.boundary.writing import write_text
from deepmatrix.config.reading.source import Source
from deepmatrix.errors import EngineError
from deepmatrix.machine import folders

#: So many documents stay in the cache, those that were used last.
MOST_DOCUMENTS: Final = 20

#: What a folder, a file or the program raises that has no document for us.
NONE_CACHED: Final = (OSError, ValueError, TypeError, RecursionError, EngineError)


def load(source: Source) -> dict[str, Any] | None:
    """Return the document that a text stood for, of dicts and lists; None where none is cached.

    A file that is damaged is none: it begins with the digest of its other lines.
    """
    with contextlib.suppress(*NONE_CACHED):
        path = _path(source)
        with open_plain(path) as file:
            digest, text = file.read().decode("ascii").split("\n", 1)
        if digest == _digest(text):
            document: dict[str, Any] = json.loads(text)
            with contextlib.suppress(OSError):
                os.utime(path)
            return document
    return None


def save(source: Source, document: dict[str, Any]) -> None:
    """Cache a valid document, where this machine can and JSON can hold it."""
    with contextlib.suppress(*NONE_CACHED):
        text, path = json.dumps(document), _path(source)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, f"{_digest(text)}\n{text}")
        _make_room(path.parent)


def _path(source: Source) -> Path:
    name = _digest(f"{_program()} {source.limits} {source.text}")
    return _folder() / f"{name}.json"


def _folder() -> Path:
    return folders.cache() / "documents"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@cache
def _program() -> str:
    """Return a digest of what reads documents: the modules of this package, and ruamel."""
    parser = "unknown"
    with contextlib.suppress(PackageNotFoundError):
        parser = version("ruamel.yaml")
    modules = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    return hashlib.sha256(b"".join([*modules, parser.encode()])).hexdigest()


def _make_room(folder: Path) -> None:
    """Remove all but the files that were used last, those of killed processes among them."""
    by_age = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)
    for path in by_age[:-MOST_DOCUMENTS]:
        path.unlink(missing_ok=True)
