"""What an engine says of the images that it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from deepmatrix.boundary.bounds import Count, Line
from deepmatrix.boundary.files import describe
from deepmatrix.errors import EngineError
from deepmatrix.images import debian
from deepmatrix.images.prepared import Prepared
from deepmatrix.images.recipes import BASE_DIGEST, BASE_NAME, DEBIAN_LABEL, REPOSITORY
from deepmatrix.invocation import command_line
from deepmatrix.machine import processes

#: How long Docker's command line may take to answer a question, in seconds.
ANSWER_S = 60.0

HINT = f"set up an engine with `{command_line('engine')}`"


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image of the engine. See `deepmatrix.images.prepared.Prepared`."""

    size_bytes: int
    id: str
    base: str
    debian: tuple[str, ...]


def ask(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return what Docker's command line answers. Raises CommandFailed, also for no answer in time.

    An engine may hang at one question while it answers others.
    """
    return processes.run(command, environment=environment, timeout_s=ANSWER_S, hint=HINT)


def images(references: Sequence[str], environment: Mapping[str, str]) -> dict[str, Image]:
    """Return the images that the engine has cached, by their references."""
    if not references:
        return {}
    listing = ["docker", "image", "ls", "--filter", f"reference={REPOSITORY}/*"]
    listing += ["--format", "{{.Repository}}:{{.Tag}}"]
    listed = set(ask(listing, environment).split())
    present = [image for image in references if image in listed]
    if not present:
        return {}
    facts = ["{{.Size}}", "{{json .Id}}", "{{json .Config.Labels}}"]
    inspect = ["docker", "image", "inspect", "--format", f"[{', '.join(facts)}]", *present]
    lines = ask(inspect, environment).splitlines()
    return {
        reference: _image(reference, line) for reference, line in zip(present, lines, strict=True)
    }


def absence(earlier: Prepared, environment: Mapping[str, str]) -> str:
    """Return why the image of an earlier run cannot be used any more, or nothing."""
    image = images([earlier.reference], environment).get(earlier.reference)
    if image is None:
        return f"the image {earlier.reference} is not here any more"
    if image.id != earlier.image_id:
        return f"{earlier.reference} is another image by now"
    return ""


def _image(reference: str, line: str) -> Image:
    try:
        size_bytes, image_id, named = _FACTS.validate_json(line)
    except ValidationError as error:
        raise EngineError(
            f"what the engine says of {reference} is not understood: {describe(error)}", hint=HINT
        ) from None
    labels = named or {}
    return Image(
        size_bytes=size_bytes,
        # Podman leaves the name of the hash out.
        id=image_id if ":" in image_id else f"sha256:{image_id}",
        base="@".join(filter(None, (labels.get(BASE_NAME), labels.get(BASE_DIGEST)))),
        debian=debian.of_label(labels.get(DEBIAN_LABEL, "")),
    )


#: The bytes, the id and the labels of an image.
_FACTS: TypeAdapter[tuple[Count, Line, dict[str, str] | None]] = TypeAdapter(
    tuple[Count, Line, dict[str, str] | None]
)
