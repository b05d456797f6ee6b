"""``reference``: write the page of all commands, from the parser itself."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from deepmatrix import errors
from deepmatrix.boundary import writing
from deepmatrix.cli.maintenance import check_docstrings
from deepmatrix.cli.parser import build_parser
from deepmatrix.errors import CellFailed
from deepmatrix.paths import ROOT

PAGE = ROOT / "docs" / "reference.md"

INTRODUCTION = """\
# Reference

`nox -s COMMAND -- OPTIONS` runs a command; `python -m deepmatrix COMMAND OPTIONS` is the same
without nox. `nox -s reference` writes this page from the parser; `nox -s lint` fails if it is
stale. GLOB is a shell pattern of cell ids, such as `'torch-*-cpu'`: quote it. RUN is a directory,
or the name of one below `--runs`, or a part of that name that no other has.
"""

#: What a run directory holds, and who writes it.
RUN_FILES = {
    "plan.json": "the plan, the matrix file and the versions: what `--resume` and `merge` go by",
    "inputs/": "initial weights, batches and gold losses, the same bytes for every cell",
    "models/": "the models that `verify` serves",
    "given/": "the arrays of `--inputs` and `--reference`",
    "builds/CELL.json": "the image of a cell, its size, its build time or what it was pulled from, "
    "or why there is none",
    "engines/NAME.json": "an engine that ran jobs: its product, its version, its CPUs",
    "records/CELL/SUBJECT/rN.json": "the record of one job in round N, with the raw samples; the "
    "record of a retried job stays beside it",
    "logs/JOB.log": "what a job printed",
    "artifacts/ARTIFACT/": "an exported model with the inputs it was tried on and its outputs",
    "answers/ARTIFACT/CONSUMER.npz": "what a consumer answered to a user's own model, until it "
    "is known what is right",
    "nodes/ARTIFACT--on--CONSUMER.json": "the error of every node where an answer is wrong, "
    "or after `--explain all`",
    "model-explorer/ARTIFACT--on--CONSUMER.json": "the same over their tolerances, as node data "
    "for Model Explorer",
    "causes/ARTIFACT--on--CONSUMER/": "the first wrong node of a wrong answer: `cause.json` and "
    "the node alone as a model",
    "conformance/CELL.json": "the outcome of each conformance test (only `conformance`)",
    "budgets.json": "the limits that `verify` was given",
    "results.json": "all results as data, by the schema `deepmatrix/schema/results.schema.json`",
    "report.html": "all results to look at, with links to their records and logs",
    "report.md": "all tables, with the columns that a narrow console leaves out",
    "../history.ndjson": "a line for each measurement of all runs beside it",
    "junit.xml": "the verdicts as tests, for CI systems",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail if the page is stale"
    )


def run(options: argparse.Namespace) -> None:
    """Write docs/reference.md from the parser, or check that it is up to date."""
    check_docstrings()
    text = render()
    if not options.check:
        writing.write_text(PAGE, text)
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
        raise CellFailed(f"{PAGE.name} is stale", hint="run `nox -s reference`")


def render() -> str:
    """Return the page: every command with its options, exit codes, files of a run."""
    parts = [INTRODUCTION, "## Commands\n"]
    for name, parser in build_parser().commands().items():
        parts.append("\n".join(_command_section(name, parser)))
    parts += ["\n".join(_exit_codes()), "\n".join(_run_files())]
    return "\n".join(parts)


def _command_section(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    yield f"### {name}\n"
    yield f"{parser.description}\n"
    yield "| option | default | meaning |\n| --- | --- | --- |"
    for action in parser._actions:
        if not isinstance(action, argparse._HelpAction):
            cells = (_spelling(action), _default(action), (action.help or "").replace("%%", "%"))
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""


def _spelling(action: argparse.Action) -> str:
    """Return how an option is written: ``--tag TAG``, repeated."""
    value = action.metavar or (action.dest.upper() if action.nargs != 0 else "")
    if isinstance(value, tuple):
        value = " ".join(value)
    if action.choices:
        value = "{" + ",".join(map(str, action.choices)) + "}"
    if action.nargs == "?":
        value = f"[{value}]"
    elif action.nargs == "*":
        value = f"[{value} ...]"
    elif action.nargs == "+":
        value = f"{value} ..."
    text = " ".join(filter(None, ("/".join(action.option_strings), value)))
    repeats = isinstance(action, argparse._AppendAction)
    return f"`{text}`" + (", repeatable" if repeats else "")


def _default(action: argparse.Action) -> str:
    if action.required and action.nargs != "*":
        return "required"
    if isinstance(action.default, Path):
        return f"`{action.default.relative_to(ROOT)}`"
    if action.default in (None, [], argparse.SUPPRESS) or action.default is False:
        return ""
    return f"`{action.default}`"


def _exit_codes() -> Iterator[str]:
    """Yield the table of exit codes from the docstring of `deepmatrix.errors`."""
    yield "## Exit codes\n"
    yield "| code | meaning |\n| ---: | --- |"
    for line in (errors.__doc__ or "").splitlines():
        code, _, meaning = line.partition(" ")
        if code.isdecimal():
            yield f"| {code} | {meaning.strip()} |"
    yield ""


def _run_files() -> Iterator[str]:
    yield "## Files of a run\n"
    yield "A run is a directory below `--runs`. Records are written once, when a job ends.\n"
    yield "| file | what it holds |\n| --- | --- |"
    for name, meaning in RUN_FILES.items():
        yield f"| `{name}` | {meaning} |"
    yield ""
