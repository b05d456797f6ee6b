"""What the documents show, and what CI and the tests run, as commands."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from deepmatrix import __version__
from deepmatrix.machine import processes
from deepmatrix.paths import ROOT

#: Written by `nox -s reference`, which lint holds up to date.
REFERENCE = ROOT / "docs" / "reference.md"

FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")

#: What is a command in a sentence or a workflow: `nox -s NAME`, `python -m NAME`, however they are
#: spelt, the installed program, and what installs or packs.
COMMAND = re.compile(r"(nox|uvx?|pipx|apt-get|deepmatrix) \S|\S+ -[sm] \S")

#: What stands for a name in how-tos and workflows, and a name to try them with.
PLACEHOLDERS = {
    "NAME": "onnxruntime",
    "$CELL": "torch-debian12-amd64-cpu",
    "$PRESET": "smoke",
    "$CI_PIPELINE_URL": "https://example.org/run",
}

#: What the documents show of other programs: exactly this.
OTHER_LINES = {
    "python3 -m pip install cryptography==50.0.2 distributed==2026.8.0",
    "python3 -m pip install dask-jobqueue==0.9.0",
    "python -m tests.slurm COMMAND",
    "apt-get install bubblewrap",
    "apt-get install qemu-user-static",
    "export PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu",
    "kubectl apply --filename docs/kubernetes.yaml",
    "kubectl create secret generic deepmatrix-scheduler --from-file=fleet-tls/authority.pem "
    "--from-file=fleet-tls/scheduler.pem --from-file=fleet-tls/scheduler.key",
    "kubectl create secret generic deepmatrix-worker --from-file=fleet-tls/authority.pem "
    "--from-file=fleet-tls/worker.pem --from-file=fleet-tls/worker.key",
    "kubectl port-forward service/deepmatrix-scheduler 8786",
    "model-explorer model.onnx --extensions model_explorer_onnx --node_data_paths node-errors.json",
    "pipx install nox",
    "pipx install uv",
    "python -m deepmatrix",
    "python -m pip install deepmatrix",
    "python -m pip install --require-hashes --requirement .ci/nox.txt",
    "python -m pip install nox uv",
    "python3 -m pip install nox uv",
    "sudo apt-get install --yes qemu-user-static",
    "uv build",
    "uv build --no-build-isolation --python $(command -v python)",
    "uv publish --trusted-publishing always",
}

#: How a line begins that runs deepmatrix without nox.
WITHOUT_NOX = (
    ["deepmatrix"],
    ["python", "-m", "deepmatrix"],
    ["uvx", "--from", f"dist/deepmatrix-{__version__}-py3-none-any.whl", "deepmatrix"],
)

#: Functions of tests that run a command, and the command; None: their first argument names it.
RUNNERS = {
    "command": None,
    "finish": "matrix",
    "main": None,
    "program": None,
    "started": "matrix",
    "verified": "verify",
    "verify": "verify",
}


#: Options that only say where a run is written.
PLACES = {"--name", "--runs"}


@dataclass(frozen=True, order=True)
class Command:
    """A command of deepmatrix, or a session of nox."""

    session: str
    arguments: tuple[str, ...]

    @property
    def options(self) -> set[str]:
        """The names of the options, without their values."""
        return {word.split("=")[0] for word in self.arguments if word.startswith("--")}

    def unplaced(self) -> Command:
        """Return the command without what only says where a run is written."""
        words = list(self.arguments)
        for option in PLACES & set(words):
            at = words.index(option)
            has_value = not "".join(words[at + 1 : at + 2]).startswith("--")
            del words[at : at + 1 + has_value]
        return Command(self.session, tuple(words))


def listed(pattern: str) -> list[Path]:
    """Return the files that match and are in the repository or about to be."""
    arguments = ["ls-files", "--cached", "--others", "--exclude-standard", "--", pattern]
    lines = processes.run(["git", *arguments], cwd=ROOT).splitlines()
    return [ROOT / line for line in sorted(set(lines)) if (ROOT / line).is_file()]


def how_tos() -> list[Path]:
    """Return the documents whose commands are to be tried: not the pages of past runs."""
    own = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    return [*own, *(path for path in sorted((ROOT / "docs").glob("*.md")) if path != REFERENCE)]


def workflows() -> list[Path]:
    """Return the workflows, whose steps are tried like those that a document shows."""
    return sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def typed(page: str) -> Iterator[str]:
    """Yield the lines of a page's fenced blocks that are to be typed, or run by a workflow."""
    for language, block in FENCE.findall(page):
        for line in block.replace("\\\n", " ").splitlines():
            if line.lstrip().startswith("$ "):
                yield line.lstrip()[2:]
        if language in {"yaml", "yml"}:
            yield from steps(block)


def steps(document: str) -> Iterator[str]:
    """Yield the commands in every `run:` of a YAML document."""
    yield from filter(COMMAND.match, _runs(YAML(typ="safe").load(document)))


def _runs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(script := value.get("run"), str):
            yield from map(str.strip, script.replace("\\\n", " ").splitlines())
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _runs(part)


def named(page: str) -> Iterator[str]:
    """Yield the commands that stand in the sentences of a page."""
    sentences = FENCE.sub("", page)
    yield from (span for span in SPAN.findall(sentences) if COMMAND.match(span))


def read(line: str) -> Command | None:
    """Return the command of a line, None for a line of another program that is listed.

    Raises ValueError for any other line.
    """
    for placeholder, name in PLACEHOLDERS.items():
        line = line.replace(placeholder, name)
    words = [word for word in shlex.split(line, comments=True) if not re.match(r"\d?>", word)]
    if " ".join(words) in OTHER_LINES:
        return None
    if words[0] == "nox":
        return _session(words[1:])
    for start in WITHOUT_NOX:
        if words[: len(start)] == start:
            session, *arguments = words[len(start) :]
            return Command(session, tuple(arguments))
    raise ValueError(f"no document should show this line: {line}")


def _session(words: list[str]) -> Command:
    """Return what `nox` runs. Raises ValueError for what nox itself would take."""
    if words[0] != "-s" or (len(words) > 2 and words[2] != "--"):
        raise ValueError(f"nox itself would take {words}")
    session, _, cell = words[1].partition("(")
    return Command(session, (*([cell.rstrip(")")] if cell else []), *words[3:]))


@cache
def executed() -> frozenset[Command]:
    """Return the commands that `.ci/run`, what it calls, and the tests with an engine run."""
    scripts = [(ROOT / ".ci" / name).read_text("utf-8") for name in ("run", "commands")]
    lines = "\n".join(scripts).replace("\\\n", " ").splitlines()
    ours = {read(line) for line in lines if line.startswith("nox ")}
    for path in (ROOT / "tests" / "containers").glob("test_*.py"):
        ours.update(called(path.read_text("utf-8")))
    return frozenset(command for command in ours if command)


def called(module: str) -> Iterator[Command]:
    """Yield the commands that the functions of a test module run, as far as they are literal."""
    tree = ast.parse(module)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for function in functions:
        names = {**_assigned(tree.body), **_assigned(ast.walk(function))}
        for node in ast.walk(function):
            words: list[str] = []
            if isinstance(node, ast.Call) and (runner := _name(node.func)) in RUNNERS:
                words = [word for part in node.args for word in _texts(part, names)]
                words = [*filter(None, [RUNNERS[runner]]), *words]
            elif isinstance(node, ast.List) and "deepmatrix" in (texts := _texts(node, names)):
                words = texts[texts.index("deepmatrix") + 1 :]
            if words and re.fullmatch(r"[a-z]+", words[0]):
                yield Command(words[0], tuple(words[1:]))


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _assigned(nodes: Iterable[ast.AST]) -> dict[str, list[ast.expr]]:
    """Return what each name is assigned, and what is added to it."""
    values: dict[str, list[ast.expr]] = {}
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AugAssign(target=ast.Name(id=name)):
                values.setdefault(name, []).append(node.value)
    return values


def _texts(node: ast.expr, names: Mapping[str, list[ast.expr]]) -> list[str]:
    """Return the texts of an expression, and of what its names were assigned."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            return [word for part in parts for word in _texts(part, names)]
        case ast.Starred(value=value):
            return _texts(value, names)
        case ast.Name(id=name):
            outer = {key: value for key, value in names.items() if key != name}
            return [word for value in names.get(name, []) for word in _texts(value, outer)]
    return []
