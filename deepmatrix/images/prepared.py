"""The result of making a cell ready, for those that build and those that run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Progress = Callable[[str, str], None]
"""Called with (cell id, what is being done to it now)."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a cell runs from: an image or a virtual environment."""

    cell_id: str
    reference: str
    size_bytes: int | None = None
    build_s: float | None = None
    built: bool = False
    error: str | None = None
