"""What an engine says of the images that it has."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deepmatrix.images import debian
from deepmatrix.images.prepared import Prepared
from deepmatrix.images.recipes import BASE_DIGEST, BASE_NAME, DEBIAN_LABEL, REPOSITORY
from deepmatrix.invocation import command_line
from deepmatrix.machine import processes

HINT = f"set up an engine with `{command_line('engine')}`"


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image of the engine. See `deepmatrix.images.prepared.Prepared`."""

    size_bytes: int
    id: str
    base: str
    debian: tuple[str, ...]


def images(references: Sequence[str], environment: Mapping[str, str]) -> dict[str, Image]:
    """Return the images that the engine has cached, by their references."""
    if not references:
        return {}
    listing = ["docker", "image", "ls", "--filter", f"reference={REPOSITORY}/*"]
    listing += ["--format", "{{.Repository}}:{{.Tag}}"]
    listed = set(processes.run(listing, environment=environment, hint=HINT).split())
    present = [image for image in references if image in listed]
    if not present:
        return {}
    facts = ["{{.Size}}", "{{json .Id}}", "{{json .Config.Labels}}"]
    inspect = ["docker", "image", "inspect", "--format", f"[{', '.join(facts)}]", *present]
    lines = processes.run(inspect, environment=environment).splitlines()
    return {
        reference: _image(*json.loads(line)) for reference, line in zip(present, lines, strict=True)
    }


def absence(earlier: Prepared, environment: Mapping[str, str]) -> str:
    """Return why the image of an earlier run cannot be used any more, or nothing."""
    image = images([earlier.reference], environment).get(earlier.reference)
    if image is None:
        return f"the image {earlier.reference} is not here any more"
    if image.id != earlier.image_id:
        return f"{earlier.reference} is another image by now"
    return ""


def _image(size_bytes: int, image_id: str, labels: Mapping[str, str] | None) -> Image:
    labels = labels or {}
    return Image(
        size_bytes=size_bytes,
        # Podman leaves the name of the hash out.
        id=image_id if ":" in image_id else f"sha256:{image_id}",
        base="@".join(filter(None, (labels.get(BASE_NAME), labels.get(BASE_DIGEST)))),
        debian=debian.of_label(labels.get(DEBIAN_LABEL, "")),
    )
