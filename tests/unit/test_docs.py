"""The documents: their links and paths lead somewhere, and the README is short."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from deepmatrix.cli.maintenance import reference
from deepmatrix.config import matrix_file
from deepmatrix.paths import PACKAGE, ROOT
from deepmatrix.store.records import Status
from deepmatrix.workloads import networks
from tests.unit.documents import FENCE, REFERENCE, SPAN, listed

LONGEST_README = 1500

LINK = re.compile(r"\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^()\s]+(?:\([^()\s]*\))?)\)")
ELEMENT = re.compile(r"<(?:a|img)\b[^>]*?(?:href|src)=\"([^\"]+)\"")
REFERRED = re.compile(r"\[[^\]\[]+\]\[([a-z][^\]\[]*)\]")
DEFINITION = re.compile(r"^\[([^\]]+)\]: *(\S+)", re.MULTILINE)
HEADING = re.compile(r"^#{1,6} +(.+?)\s*$", re.MULTILINE)
PATH = re.compile(r"(?:[\w.*-]+/)+[\w.*-]*")

#: Folders that a code span may lead into.
FOLDERS = {path.relative_to(ROOT).parts[0] for path in listed("*/*")}

#: Pages that also name what once was.
OF_THE_PAST = {ROOT / "CHANGELOG.md"}


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a document."""
    anchors_so_far: set[str] = set()
    for heading in HEADING.findall(FENCE.sub("", path.read_text("utf-8"))):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        repeats = sum(
            re.fullmatch(rf"{re.escape(anchor)}(-\d+)?", earlier) is not None
            for earlier in anchors_so_far
        )
        anchors_so_far.add(f"{anchor}-{repeats}" if repeats else anchor)
    return anchors_so_far


def broken_links(path: Path) -> Iterator[str]:
    """Yield the links and references of a document that lead nowhere in the repository."""
    text = FENCE.sub("", path.read_text("utf-8"))
    targets = dict(DEFINITION.findall(text))
    for name in REFERRED.findall(SPAN.sub("", text)):
        if name not in targets:
            yield f"[{name}]: not defined"
    for link in (*LINK.findall(text), *ELEMENT.findall(text), *targets.values()):
        if re.match(r"[a-z]+:", link):
            continue
        target_name, _, anchor = link.partition("#")
        target = (path.parent / target_name).resolve() if target_name else path
        if not target.exists() and target != REFERENCE:
            yield f"{link}: no such file"
        elif anchor and anchor not in anchors(target):
            yield f"{link}: no such heading"


def missing_paths(path: Path) -> Iterator[str]:
    """Yield the paths in code spans that are not in the repository; NAME stands for any name."""
    for span in SPAN.findall(FENCE.sub("", path.read_text("utf-8"))):
        for word in span.split():
            if PATH.fullmatch(word) and word.split("/")[0] in FOLDERS:
                pattern = re.sub(r"[A-Z]{3,}(?![\w.]*\.md)", "*", word)
                if not any(ROOT.glob(pattern)) and ROOT / word != REFERENCE:
                    yield word


@pytest.mark.parametrize("path", listed("*.md"), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_and_path_leads_somewhere(path: Path):
    assert list(broken_links(path)) == []
    assert path in OF_THE_PAST or list(missing_paths(path)) == []


def test_a_broken_link_is_found(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A `title`, here\n\n[good](#a-title-here) [bad](#a-title) [gone](gone.md)\n"
        "[web](https://example.org/x) ![picture](gone.png)\n\n```\n[code](gone.md)\n```\n"
        "[far][there] [near][here] [none][nowhere]\n\n"
        "[there]: https://example.org/x\n[here]: lost.md\n"
    )
    assert list(broken_links(page)) == [
        "[nowhere]: not defined",
        "#a-title: no such heading",
        "gone.md: no such file",
        "gone.png: no such file",
        "lost.md: no such file",
    ]


def test_a_path_that_is_not_there_is_found(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text(
        "`harness/adapters.py` `harness/runtimes/NAME/adapter.py` `runs/RUN/` `and/or`\n"
        "`harness/gone.py` `docker/NAME/gone.txt` `nox -s readme -- docs/gone.md`\n"
    )
    assert list(missing_paths(page)) == ["harness/gone.py", "docker/NAME/gone.txt", "docs/gone.md"]


def presets_of_pages(folder: Path) -> set[str]:
    """Return the presets that the pages of runs say they were made by."""
    pages = (path.read_text(encoding="utf-8") for path in folder.glob("*.md"))
    return {name for page in pages for name in re.findall(r"<sub>preset `([^`]+)`", page)}


def test_no_page_is_of_a_preset_that_is_gone(tmp_path: Path):
    matrix = matrix_file.load(ROOT / "matrix.yaml", networks=networks.NETWORKS)
    assert presets_of_pages(ROOT / "docs" / "results") <= matrix.presets.keys()
    (tmp_path / "old.md").write_text("<sub>preset `of-old`, seed 0</sub>")
    assert presets_of_pages(tmp_path) == {"of-old"}


def test_the_readme_is_short():
    words = len((ROOT / "README.md").read_text("utf-8").split())
    assert words <= LONGEST_README


def test_the_reference_lists_every_folder_of_a_run():
    sources = (path.read_text("utf-8") for path in (PACKAGE / "store").glob("*.py"))
    folders = {name for text in sources for name in re.findall(r'\.path / "([a-z]+)"', text)}
    listed_folders = {name.split("/")[0] for name in reference.RUN_FILES if "/" in name}
    assert "records" in folders
    assert folders - {"lock", "scratch"} <= listed_folders


def test_every_status_of_a_job_says_what_to_do():
    page = (ROOT / "docs" / "how-it-works.md").read_text("utf-8")
    table = page.split("## Statuses")[1].split("\n## ")[0]
    statuses = [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`([a-z-]+)`", " ".join(statuses))) == set(get_args(Status))


def test_every_promise_names_a_test_that_is_there() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text("utf-8")
    named = re.findall(r"`((?:unit|containers)/\w+\.py)::(\w+)`", page)
    promises = [
        line for line in page.splitlines() if line.startswith("| ") and line.count("|") == 3
    ]
    headings = sum(line.startswith("| **") or "promise | test" in line for line in promises)
    missing = [
        f"{path}::{name}"
        for path, name in named
        if f"\ndef {name}(" not in (ROOT / "tests" / path).read_text("utf-8")
    ]
    assert missing == []
    assert len(named) == len(promises) - headings > 20
