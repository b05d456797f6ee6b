"""Names of users' own models: one each, the same in every run of the same models."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Container, Iterable
from pathlib import Path

#: Names of files and folders that say nothing of a model: what holds them names it.
NAMELESS = re.compile(r"(saved[-_]?)?model|\d+|")

#: At most this many folders above a nameless file may name it.
FOLDERS_ABOVE = 3

#: The longest name, and the digest that ends a longer one, in characters.
LONGEST, DIGEST = 40, 6


def own_names(paths: Iterable[Path], root: Path) -> dict[Path, str]:
    """Return a name that can be part of an id for the model at each path, by `place_of` the path.

    It is the file's; where that says nothing, as ``model.onnx`` does, that of a folder above, but
    not of one that holds *root*, too: a clone may be called anything. Of those that would have one
    name, each gets as many folders before it as tell them apart, then the file's ending, then a
    digest of its path. So a name depends on which models there are, never on their order.
    """
    places = sorted({place_of(path) for path in paths})
    shared = {place_of(root), *place_of(root).parents}
    names = {place: _shortest(place, shared) for place in places}
    above = set.intersection(*({*place.parents} for place in places)) if places else set()
    folders = {place: place.parent.parts[len(above) :] for place in places}
    deepest = max(map(len, folders.values()), default=0)
    for level in range(1, deepest + 2):
        for place in _alike(names):
            ending = place.suffix if level > deepest else ""
            longer = "-".join([*folders[place][-level:], place.stem]) + ending
            names[place] = _as_id(longer) or names[place]
    for place in _alike(names):
        names[place] = _with_digest(names[place], "/".join([*folders[place], place.name]))
    return names


def place_of(path: Path) -> Path:
    """Return an absolute path that follows no link: people name the link, caches its target."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() follows links


def _alike(names: dict[Path, str]) -> list[Path]:
    """Return the places whose name another one has too."""
    counts = Counter(names.values())
    return [place for place, name in names.items() if counts[name] > 1]


def _shortest(place: Path, shared: Container[Path]) -> str:
    folders = [folder.name for folder in place.parents if folder not in shared]
    stems = (_as_id(text) for text in (place.stem, *folders[:FOLDERS_ABOVE]))
    return next((stem for stem in stems if not NAMELESS.fullmatch(stem)), "model")


def _as_id(text: str) -> str:
    name = re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")
    return name if len(name) <= LONGEST else _with_digest(name, text)


def _with_digest(name: str, text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST]
    return f"{name[: LONGEST - DIGEST - 1].strip('-')}-{digest}"
