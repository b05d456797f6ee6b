"""What the configured package index lists of a project: its files, with the time of their upload.

https://packaging.python.org/en/latest/specifications/simple-repository-api/
"""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from deepmatrix.errors import ArgumentError
from deepmatrix.machine.packages.indexes import Sources, normalized

#: The index that pip and uv take themselves where a user configures none. Neither says its default,
#: and who can install the packages without a configuration must be able to list them, too.
DEFAULT_INDEX = "https://pypi.org/simple"

JSON = "application/vnd.pypi.simple.v1+json"

#: A project's listing is larger than this nowhere: torch's has half a megabyte.
MOST_BYTES = 64 * 1024**2

TIMEOUT_S = 60


@dataclass(frozen=True, kw_only=True)
class ListedFile:
    """A file of a project, and the day of its upload."""

    name: str
    uploaded: date


def list_files(project: str, sources: Sources) -> list[ListedFile]:
    """Return the files that the index lists of a project, withdrawn ones left out.

    Raises:
        ArgumentError: the index cannot be asked, or does not say when files were uploaded.
    """
    address = f"{(sources.index or DEFAULT_INDEX).rstrip('/')}/{normalized(project)}/"
    request = urllib.request.Request(address, headers={"Accept": JSON})
    context = ssl.create_default_context(cafile=sources.certificates)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=context) as answer:
            content = answer.read(MOST_BYTES)
        return list(_files(json.loads(content)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise ArgumentError(
            f"the package index lists no files of '{project}': {reason}",
            hint="pip's and uv's configuration name the index; it has to answer in JSON with the "
            "times of uploads, as PyPI does",
        ) from None


def _files(listing: dict[str, list[dict[str, str]]]) -> Iterator[ListedFile]:
    for entry in listing["files"]:
        if not entry.get("yanked"):
            uploaded = date.fromisoformat(entry["upload-time"][:10])
            yield ListedFile(name=entry["filename"], uploaded=uploaded)
