"""The documents: their links lead somewhere, and their commands are accepted and really run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepmatrix.machine import processes
from deepmatrix.paths import ROOT

#: Written by `nox -s reference`, which lint holds up to date.
REFERENCE = ROOT / "docs" / "reference.md"

LONGEST_README = 1500

#: Sessions that are no command of deepmatrix.
OF_NOX = {"tests", "lint", "benchmark"}

#: Where each session is really run: a script of CI, a workflow, or a test with a real engine.
RUN_BY = {
    "bench": ".github/workflows/matrix.yml",
    "claims": ".ci/commands",
    "compare": ".ci/commands",
    "conformance": ".github/workflows/conformance.yml",
    "engine": ".ci/run",
    "history": ".ci/commands",
    "image": ".ci/commands",
    "lint": ".ci/run",
    "matrix": ".ci/commands",
    "merge": ".ci/commands",
    "pins": ".ci/commands",
    "plan": ".ci/commands",
    "readme": ".ci/commands",
    "reference": "noxfile.py",  # lint checks it
    "schema": "noxfile.py",  # lint checks it
    "tests": ".ci/run",
    "verify": ".ci/commands",
}

#: Sessions, and options, that CI does not run, and why.
NOT_RUN = {
    "benchmark": "its times need a quiet machine",
    "conformance --record": "it rewrites the baselines",
    "engine --stop": "it ends the engine that others use; a unit test stops another",
    "history --parquet": "it needs a package of its own; a unit test runs it",
    "pins --upgrade": "it rewrites the pins",
}

LINK = re.compile(r"(?<!!)\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^()\s]+(?:\([^()\s]*\))?)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6} +(.+?)\s*$", re.MULTILINE)
COMMAND = re.compile(r"(?:^\$ |`)((?:nox -s|python3? -m deepmatrix) [^`\n]+)", re.MULTILINE)


def documents() -> list[Path]:
    """Return every Markdown file that is in the repository or about to be."""
    listed = processes.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", "*.md"], cwd=ROOT
    )
    return [ROOT / line for line in sorted(set(listed.splitlines())) if (ROOT / line).is_file()]


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a document."""
    found: set[str] = set()
    for heading in HEADING.findall(FENCE.sub("", path.read_text("utf-8"))):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        repeats = sum(
            re.fullmatch(rf"{re.escape(anchor)}(-\d+)?", other) is not None for other in found
        )
        found.add(f"{anchor}-{repeats}" if repeats else anchor)
    return found


def broken_links(path: Path) -> Iterator[str]:
    """Yield the relative links of a document that lead nowhere."""
    for link in LINK.findall(FENCE.sub("", path.read_text("utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        target_name, _, anchor = link.partition("#")
        target = (path.parent / target_name).resolve() if target_name else path
        if not target.exists() and target != REFERENCE:
            yield f"{link}: no such file"
        elif anchor and anchor not in anchors(target):
            yield f"{link}: no such heading"


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(path: Path):
    assert list(broken_links(path)) == []


def test_a_broken_link_is_found(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A `title`, here\n\n[good](#a-title-here) [bad](#a-title) [gone](gone.md)\n"
        "[web](https://example.org/x) ![picture](gone.png)\n\n```\n[code](gone.md)\n```\n"
    )
    assert list(broken_links(page)) == ["#a-title: no such heading", "gone.md: no such file"]


def test_the_readme_is_short():
    words = len((ROOT / "README.md").read_text("utf-8").split())
    assert words <= LONGEST_README


def how_tos() -> list[Path]:
    """Return the documents whose commands are to be tried: not the pages of past runs."""
    own = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    return [*own, *(path for path in sorted((ROOT / "docs").glob("*.md")) if path != REFERENCE)]


def documented() -> list[tuple[str, str]]:
    """Return (document, command) for each command that a how-to shows, once each."""
    commands = {
        (str(path.relative_to(ROOT)), re.sub(r"\s+# .*", "", command).strip())
        for path in how_tos()
        for command in COMMAND.findall(path.read_text("utf-8").replace("\\\n", " "))
    }
    return sorted(commands)


def in_consoles() -> set[str]:
    """Return the commands that stand after a prompt, and so are to be typed as they are."""
    pages = "".join(path.read_text("utf-8") for path in how_tos())
    return {re.sub(r"\s+# .*", "", line).strip() for line in re.findall(r"^\$ (.+)$", pages, re.M)}


def split(command: str) -> tuple[str, list[str]]:
    """Return the session of a command, without its parameters, and the arguments after it."""
    words = shlex.split(command)
    if words[0] != "nox":
        return words[3], words[4:]
    assert len(words) == 3 or words[3] == "--", f"nox itself would take {words[3]}"
    session, _, cell = words[2].partition("(")
    return session, [*([cell.rstrip(")")] if cell else []), *words[4:]]


def sessions() -> set[str]:
    """Return the names of the sessions of the noxfile."""
    text = (ROOT / "noxfile.py").read_text("utf-8")
    found = re.findall(
        r"^@nox\.session\(([^)]*)\)\n(?:@nox\.[^\n]*\n)*def (\w+)", text, re.MULTILINE
    )
    named = (re.search(r'name="([^"]+)"', options) for options, _ in found)
    return {name[1] if name else function for name, (_, function) in zip(named, found, strict=True)}


def test_there_are_commands_and_sessions():
    assert {"matrix", "plan", "verify", "lint"} <= sessions()
    assert ("README.md", "nox -s verify -- tests/models/softmax11.onnx --native") in documented()


@pytest.mark.parametrize("command", sorted({command for _, command in documented()}))
def test_a_documented_command_is_accepted(command: str):
    session, arguments = split(command)
    assert session in sessions()
    if not arguments and command not in in_consoles():
        return  # it is only named
    if session == "benchmark":
        assert (ROOT / "bench" / f"{arguments[0]}.py").is_file()
    if session not in OF_NOX:
        parser = pytest.importorskip("deepmatrix.cli.parser").build_parser()
        parser.parse_args([session, *arguments])


@pytest.mark.parametrize("session", sorted({split(command)[0] for _, command in documented()}))
def test_a_documented_command_is_run_by_ci(session: str):
    if session not in NOT_RUN:
        text = (ROOT / RUN_BY[session]).read_text("utf-8")
        assert re.search(rf'nox -s "?{session}\b|session, "{session}"', text)


def test_every_documented_option_is_run_by_ci():
    places = (".ci/*", ".github/workflows/*.yml", "tests/containers/*.py")
    text = "".join(path.read_text("utf-8") for place in places for path in ROOT.glob(place))
    options = {
        f"{session} {word}"
        for session, arguments in (split(command) for _, command in documented())
        for word in arguments
        if word.startswith("--")
    }
    unrun = {option for option in options if not re.search(rf"{option.split()[1]}\b", text)}
    assert unrun <= set(NOT_RUN)


def test_the_parts_of_lint_are_those_of_pre_commit_and_of_the_documents():
    noxfile = (ROOT / "noxfile.py").read_text("utf-8")
    parts = set(re.findall(r'^    "(\w+)": _lint_\1,$', noxfile, re.MULTILINE))
    hooks = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    assert parts
    assert parts == set(re.findall(r"entry: nox -s lint -- (\w+)", hooks))
    for _, command in documented():
        session, arguments = split(command)
        assert session != "lint" or set(arguments) <= parts
