"""Evidence: relative links from a report to the records, logs and causes beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from deepmatrix.results.rows import PortabilityRow
from deepmatrix.store.causes import CAUSE_FILE
from harness.formats import MODEL_PATHS

#: At most this many rounds of a job are linked.
MOST_ROUNDS = 10

#: The files of a cause, and what they are.
CAUSE_FILES = {
    CAUSE_FILE: "cause",
    **dict.fromkeys(MODEL_PATHS.values(), "the node alone"),
    "inputs.npz": "its inputs",
    "gold.npz": "its gold",
}


@dataclass(frozen=True, kw_only=True)
class Link:
    """A relative address, and the words that lead there."""

    address: str
    words: str


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Finds the files of a run. *folder*: that of the run; None where a report stands alone."""

    folder: Path | None = None

    def link(self, path: str, words: str) -> Iterator[Link]:
        """Yield a link to a file of the run, nothing where the file is not there."""
        # Many thousand files are asked for: text is joined faster than paths are made.
        if self.folder is not None and os.path.isfile(f"{self.folder}/{path}"):  # noqa: PTH113
            yield Link(address=quote(path), words=words)

    def of_job(self, cell: str, subject: str, rounds: int = MOST_ROUNDS) -> tuple[Link, ...]:
        """Return links to the records and logs of the first *rounds* of a job."""
        links: list[Link] = []
        for number in range(rounds):
            suffix = f" {number + 1}" if number else ""
            record = list(self.link(f"records/{cell}/{subject}/r{number}.json", f"record{suffix}"))
            if number and not record:
                break
            links += record
            links += self.link(f"logs/{cell}--{subject}--r{number}.log", f"log{suffix}")
        return tuple(links)

    def of_cause(self, judged: PortabilityRow) -> tuple[Link, ...]:
        """Return links to what a diagnosis left: the cause, the node alone, and its inputs."""
        if judged.cause is None:
            return ()
        consumer = judged.cause.as_on or judged.consumer
        folder = f"causes/{judged.title}--on--{consumer}"
        return tuple(
            link
            for name, words in CAUSE_FILES.items()
            for link in self.link(f"{folder}/{name}", words)
        )
