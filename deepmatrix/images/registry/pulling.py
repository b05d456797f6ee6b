"""Pulling images instead of building them: which ones, by which digest, and why one is not."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deepmatrix.config.sections import Images
from deepmatrix.errors import EngineError
from deepmatrix.images.prepared import Progress
from deepmatrix.images.recipes import Recipe
from deepmatrix.images.registry import digests


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """An image to be pulled.

    *source* is its name in the registry, with its digest; *reference* its name and tag here.
    *revision* is the hash of its content that its labels have to state.
    """

    source: str
    reference: str
    platform: str
    revision: str


Step = Callable[[str], None]
"""Called with what is being done now."""

Pull = Callable[[Wanted, Step], None]
"""Pulls an image and names it. Raises NotPulled, or EngineError where the registry fails."""


class NotPulled(EngineError):
    """One image is not in the registry, or is another one; the registry itself answers."""


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """By cell: what the image was pulled from, or why it was not."""

    sources: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


def pull_listed(
    recipes: Sequence[Recipe], images: Images | None, pull: Pull, progress: Progress
) -> Pulled:
    """Pull the images of *recipes* whose digests are listed.

    After the first failure of the registry itself it is not asked again.

    Raises Damaged where the file of the digests is damaged.
    """
    if images and not Path(images.digests).exists():
        missing = f"{images.digests} is not there; `image --push` writes it"
        return Pulled(reasons={recipe.cell.id: missing for recipe in recipes})
    pulled = Pulled()
    failure = ""
    for cell_id, wanted in _listed(recipes, images) if images else ():
        if failure:
            pulled.reasons[cell_id] = failure
            continue
        progress(cell_id, "its image is missing and is pulled")
        try:
            pull(wanted, functools.partial(progress, cell_id))
            pulled.sources[cell_id] = wanted.source
        except NotPulled as error:
            pulled.reasons[cell_id] = error.message
        except EngineError as error:
            pulled.reasons[cell_id] = failure = error.message
    return pulled


def _listed(recipes: Sequence[Recipe], images: Images) -> Iterator[tuple[str, Wanted]]:
    """Yield the cells whose images' digests are listed, and what to pull."""
    listed = digests.read(Path(images.digests)) if recipes else {}
    for recipe in recipes:
        if digest := listed.get(recipe.reference):
            yield (
                recipe.cell.id,
                Wanted(
                    source=f"{name_in(images.registry, recipe.reference)}@{digest}",
                    reference=recipe.reference,
                    platform=recipe.platform,
                    revision=recipe.digest(),
                ),
            )


def name_in(registry: str, reference: str) -> str:
    """Return the name of an image in a registry, without its tag."""
    _, _, name = reference.partition("/")
    return f"{registry}/{name.partition(':')[0]}"
