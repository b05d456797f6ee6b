"""Documents that were valid, cached as JSON: to parse the matrix file takes longer than a plan.

They are found by a digest of the text and of the program that reads it. Where something is wrong
with a document, its text is parsed for the place.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from deepmatrix.boundary.opening import open_plain
from deepmatrix.boundary.writing import write_text
from deepmatrix.config.reading.source import Source
from deepmatrix.errors import EngineError
from deepmatrix.machine import folders

#: So many documents stay in the cache, those that were written last.
MOST_DOCUMENTS: Final = 20


def load(source: Source) -> dict[str, Any] | None:
    """Return the document that a text stood for, of dicts and lists; None where none is cached."""
    try:
        with open_plain(_path(source)) as file:
            document = json.loads(file.read())
    except (OSError, ValueError, RecursionError, EngineError):
        return None
    return document if isinstance(document, dict) else None


def save(source: Source, document: dict[str, Any]) -> None:
    """Cache a valid document, where this machine can and JSON gives back the same."""
    with contextlib.suppress(OSError, ValueError, TypeError, EngineError):
        text = json.dumps(document)
        path = _path(source)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, text)
            _make_room(path.parent)


def _path(source: Source) -> Path:
    content = f"{_program()} {source.limits} {source.text}"
    digest = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
    return folders.cache() / "documents" / f"{digest}.json"


@cache
def _program() -> str:
    """Return a digest of what reads documents: the modules of this package, and ruamel."""
    modules = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    return hashlib.sha256(b"".join([*modules, version("ruamel.yaml").encode()])).hexdigest()


def _make_room(folder: Path) -> None:
    """Remove all but the documents that were written last."""
    by_age = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
    for path in by_age[:-MOST_DOCUMENTS]:
        path.unlink(missing_ok=True)
