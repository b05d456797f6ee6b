"""Evidence: relative links from a report to the records, logs and causes beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from deepmatrix.drawing.layout import Source
from deepmatrix.results.rows import PortabilityRow
from deepmatrix.store.causes import CAUSE_FILE
from deepmatrix.store.records import log_path, paths_of_job, record_path
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
    """Finds the files of a run. *folder*: that of the run; None where a report stands alone.

    *start*: the beginning of a link, from the page to the folder; empty where the page is in it.
    *report*: the words that lead to the run's report; empty where the page is that.
    """

    folder: Path | None = None
    start: str = ""
    report: str = ""

    def link(self, path: str, words: str) -> Iterator[Link]:
        """Yield a link to a file of the run, nothing where the file is not there."""
        # Many thousand files are asked for: text is joined faster than paths are made.
        if self.folder is not None and os.path.isfile(f"{self.folder}/{path}"):  # noqa: PTH113
            yield Link(address=quote(self.start + path), words=words)

    def of_job(self, cell: str, subject: str, rounds: int = MOST_ROUNDS) -> tuple[Link, ...]:
        """Return links to the records and logs of the first *rounds* of a job."""
        links: list[Link] = []
        for number in range(rounds):
            suffix = f" {number + 1}" if number else ""
            record = list(self.link(record_path(cell, subject, number), f"record{suffix}"))
            if number and not record:
                break
            links += record
            links += self.link(log_path(cell, subject, number), f"log{suffix}")
        return tuple(links)

    def of_job_id(self, cell: str, job: str, words: str = "") -> tuple[Link, ...]:
        """Return links to the record and the log of a job; *words* stand before theirs."""
        return tuple(
            link
            for kind, path in paths_of_job(cell, job).items()
            for link in self.link(path, f"{words}{kind}")
        )

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


def beside(page: Path, folders: Mapping[str, Path]) -> dict[str, Evidence]:
    """Return the evidence of the runs that are beside a page, by what the page calls them.

    Such a run is in the page's folder or below, or next to that folder, or in one next to it: links
    hold where the page and the runs are moved together.
    """
    here = page.resolve().parent
    near = {
        run: folder.resolve()
        for run, folder in folders.items()
        if folder.resolve().is_relative_to(here)
        or here.parent in (folder.resolve().parent, folder.resolve().parent.parent)
    }
    starts = {run: Path(os.path.relpath(folder, here)).as_posix() for run, folder in near.items()}
    return {
        run: Evidence(
            folder=near[run],
            start="" if start == "." else f"{start}/",
            report=f"report of {run}",
        )
        for run, start in starts.items()
    }


def source_links(sources: Sequence[Source], runs: Mapping[str, Evidence]) -> list[Link]:
    """Return links to the files that a line rests on.

    One that is not there is named without an address, or left out where only its words name it.
    """
    links = []
    for source in sources:
        words = source.words or f"{source.run}/{source.path}"
        linked = list(runs[source.run].link(source.path, words)) if source.run in runs else []
        links += linked or ([] if source.words else [Link(address="", words=words)])
    return links
