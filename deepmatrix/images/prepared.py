"""The result of making a cell ready, for those that build and those that run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from deepmatrix.boundary.bounds import (
    Count,
    Facts,
    FewFixed,
    Id,
    ImageDigest,
    Line,
    LongText,
    Seconds,
)

Progress = Callable[[str, str], None]
"""Called with (cell id, what is being done to it now)."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a cell runs from: an image or a virtual environment.

    *image_id*: the engine's digest of the image. *pulled*: the name with the digest by which it was
    pulled just now; *not_pulled*: why it was not, though its digest is listed. *base*: the base's
    name, with its digest where it came from a registry. *debian*: the packages of the Debian root
    that was made for it, as apt writes them: ``libc6:amd64=2.36-9``. *references*: by machine of a
    fleet, what the cell runs from there.
    """

    cell_id: Id
    reference: Line
    size_bytes: Count | None = None
    build_s: Seconds | None = None
    built: bool = False
    pulled: Line = ""
    not_pulled: Line = ""
    error: LongText | None = None
    image_id: ImageDigest | Literal[""] = ""
    base: Line = ""
    debian: FewFixed[Id] = ()
    references: Facts = field(default_factory=dict)

    @property
    def content(self) -> str:
        """What tells it from others: a tag leaves out what its base and its mirror gave."""
        return self.image_id or self.reference

    def adopted(self, cell_id: str, error: str) -> Prepared:
        """Return this as what another run takes over for a cell, or cannot, with the error."""
        return replace(
            self,
            cell_id=cell_id,
            build_s=None,
            built=False,
            pulled="",
            not_pulled="",
            error=error or None,
        )

    @property
    def is_new(self) -> bool:
        """Whether it was made just now: built or pulled."""
        return self.built or bool(self.pulled)
