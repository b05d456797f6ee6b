"""The result of making a cell ready, for those that build and those that run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deepmatrix.boundary.bounds import Count, Id, Line, LongText, Seconds

Progress = Callable[[str, str], None]
"""Called with (cell id, what is being done to it now)."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a cell runs from: an image or a virtual environment."""

    cell_id: Id
    reference: Line
    size_bytes: Count | None = None
    build_s: Seconds | None = None
    built: bool = False
    error: LongText | None = None
