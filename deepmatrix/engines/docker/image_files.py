"""Files of an image, read through the engine from a container that is never started."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from docker import APIClient

from deepmatrix.engines import archives
from deepmatrix.engines.docker import leftovers
from deepmatrix.images.sbom.contents import Entry


def read(api: APIClient, image: str, wanted: Callable[[str], bool]) -> list[Entry]:
    """Return the files and links of an image whose paths, relative to its root, are wanted.

    Raises:
        Refused: there are too many, or one is too large.
    """
    container = f"deepmatrix-{secrets.token_hex(6)}-read"
    try:
        api.create_container(
            image,
            name=container,
            command=["true"],
            labels=leftovers.labels(""),
            host_config=api.create_host_config(network_mode="none"),
        )
        chunks = api.export(container)
        try:
            return list(archives.select(chunks, wanted))
        finally:
            chunks.close()
    finally:
        leftovers.remove_container(api, container)
