"""Images pushed to a registry, and pulled from it, by the engine.

The engine speaks to the registry, with the credentials that `docker login` keeps here. It uses
plain HTTP on the loopback only, and where its own configuration names an insecure registry.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

from docker import APIClient
from docker.errors import DockerException, NotFound

from deepmatrix.engines.docker.answers import Event, Image
from deepmatrix.engines.docker.connection import FAILURES, error_line
from deepmatrix.errors import EngineError
from deepmatrix.images.recipes import REVISION
from deepmatrix.images.registry.pulling import NotPulled, Step, Wanted, name_in
from deepmatrix.sizes import decimal_size


class TransferFailed(DockerException):
    """A push or a pull began and failed."""


#: What a transfer can raise; a ValueError comes of answers that are no events.
WRONG = (*FAILURES, ValueError)


def push(api: APIClient, reference: str, registry: str, step: Step) -> str:
    """Push an image; return its name in the registry, with the digest of its manifest.

    Raises EngineError.
    """
    name, tag = name_in(registry, reference), reference.rpartition(":")[2]
    try:
        api.tag(reference, name, tag)
        try:
            events = api.push(name, tag=tag, stream=True, decode=True)
            digest = _follow(events, f"pushing to {registry}", step)
            if not digest:
                raise TransferFailed("the engine does not say the digest of what it pushed")
        finally:
            with contextlib.suppress(*FAILURES):
                api.remove_image(f"{name}:{tag}")
    except WRONG as error:
        raise EngineError(
            f"{reference} cannot be pushed to {registry}: {error_line(error)}",
            hint=f"see that a registry answers there, and that you may write to it: "
            f"`docker login {registry.partition('/')[0]}`",
        ) from None
    return f"{name}@{digest}"


def pull(api: APIClient, wanted: Wanted, step: Step) -> None:
    """Pull an image by its digest, which the engine verifies, and name it.

    Raises:
        NotPulled: it is not there, or it is not what its name says.
        EngineError: the registry does not answer, or refuses who asks.
    """
    registry = wanted.source.partition("/")[0]
    try:
        events = api.pull(wanted.source, stream=True, decode=True, platform=wanted.platform)
        _follow(events, f"pulling from {registry}", step)
        try:
            _name(api, wanted)
        finally:
            with contextlib.suppress(*FAILURES):
                api.remove_image(wanted.source)
    except (NotFound, TransferFailed) as error:
        raise NotPulled(f"{wanted.source}: {error_line(error)}") from None
    except WRONG as error:
        raise EngineError(f"{registry}: {error_line(error)}") from None


def _name(api: APIClient, wanted: Wanted) -> None:
    """Give a pulled image its name here. Raises NotPulled where its label is another's."""
    document = api.inspect_image(wanted.source)  # type: ignore[no-untyped-call]
    revision = Image.model_validate(document).config.labels.get(REVISION)
    if revision != wanted.revision:
        raise NotPulled(
            f"{wanted.source} is refused: its label {REVISION} is "
            f"{revision or 'missing'}, not {wanted.revision}"
        )
    name, _, tag = wanted.reference.rpartition(":")
    api.tag(wanted.source, name, tag)


def _follow(events: Iterable[Any], doing: str, step: Step) -> str:
    """Follow a transfer to its end; return the digest that it tells, if it tells one.

    Raises TransferFailed with the engine's error.
    """
    digest, failure = "", ""
    layers: dict[str, tuple[int, int]] = {}
    step(doing)
    for document in events:
        event = Event.model_validate(document)
        digest, failure = event.aux.digest or digest, event.error or failure
        if event.progress.total and event.status in ("Downloading", "Pushing"):
            # The estimate of a layer that is packed on the way may be too small.
            done = min(event.progress.current, event.progress.total)
            layers[event.id] = (done, event.progress.total)
            done_bytes, all_bytes = map(sum, zip(*layers.values(), strict=True))
            step(f"{doing}: {decimal_size(done_bytes)} of {decimal_size(all_bytes)}")
    if failure:
        raise TransferFailed(failure)
    return digest
