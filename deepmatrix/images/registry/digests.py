"""The file that lists the digests of pushed images: ``{"CELL:HASH": "sha256:…"}``."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import TypeAdapter

from deepmatrix.boundary.bounds import Id, ImageDigest
from deepmatrix.boundary.files import read_json
from deepmatrix.boundary.writing import write_named
from deepmatrix.images.recipes import REPOSITORY

_DIGESTS = TypeAdapter(dict[Id, ImageDigest])


def read(path: Path) -> dict[str, str]:
    """Return the digests by the references of the images; none where there is no file.

    Raises Damaged where it is no such file.
    """
    if not path.exists():
        return {}
    hint = "restore it, or remove it and push the images again"
    digests = read_json(path, _DIGESTS, hint=hint)
    return {f"{REPOSITORY}/{name}": digest for name, digest in digests.items()}


def add(path: Path, reference: str, digest: str) -> None:
    """Add the digest of an image that was pushed. Raises Damaged."""
    digests = {**read(path), reference: digest}
    named = {name.removeprefix(f"{REPOSITORY}/"): digest for name, digest in digests.items()}
    write_named(path, json.dumps(named, indent=2, sort_keys=True) + "\n")
