"""The file of expected failures: what may fail, and why, without failing a run."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from pydantic import Field

from deepmatrix.config import documents
from deepmatrix.config.cell_globs import unmatched
from deepmatrix.config.documents import Problem, Section
from deepmatrix.config.sections import ExpectedFailure


class ExpectedFailures(Section):
    """The whole file."""

    version: int = Field(ge=1, le=1)
    failures: tuple[ExpectedFailure, ...] = ()


def load(path: Path, *, cell_ids: Collection[str] = ()) -> tuple[ExpectedFailure, ...]:
    """Load and check a file of expected failures.

    Args:
        path: the file.
        cell_ids: the cells that its globs have to match; unchecked when empty.

    Raises:
        ArgumentError: the file is not there.
        ConfigError: it is wrong; one line a problem, each ``path:line:column: what``.
    """

    def check(document: ExpectedFailures) -> Iterator[Problem]:
        if cell_ids:
            globs = [failure.cells for failure in document.failures]
            yield from unmatched("failures", globs, cell_ids)

    return documents.load(path, ExpectedFailures, check).failures


def schema() -> str:
    """Return the JSON Schema of the file, as published in the repository."""
    return documents.json_schema(ExpectedFailures, "deepmatrix expected failures")
