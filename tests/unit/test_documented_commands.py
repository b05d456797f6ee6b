"""The commands of the documents: they are accepted, name what there is, and are really run."""

from __future__ import annotations

import argparse
import re

import pytest

from deepmatrix.cli import options as shared
from deepmatrix.cli.parser import build_parser
from deepmatrix.config import matrix_file
from deepmatrix.errors import ArgumentError
from deepmatrix.paths import ROOT
from deepmatrix.planning.cells import all_cells
from deepmatrix.planning.selection import check_globs, select_cells
from deepmatrix.planning.sweeps import ALL
from deepmatrix.workloads import networks
from tests.unit import documents
from tests.unit.documents import Command, executed, read

#: Sessions that are no command of deepmatrix.
OF_NOX = {"tests", "browser", "screenshots", "site", "lint", "lock", "benchmark"}

#: Sessions that lint runs, which `.ci/run` runs.
BY_LINT = {"schema", "reference"}

#: Sessions, and options, that neither CI nor a test runs, and why.
NOT_RUN = {
    "benchmark": "its times need a quiet machine",
    "conformance --record": "it rewrites the baselines",
    "fleet": "it needs optional packages, and goes on until it is ended; unit tests run it",
    "worker": "it needs optional packages, and goes on until it is ended; unit tests run it",
    "worker --name": "as the worker itself",
    "worker --tls": "as the worker itself",
    "matrix --fleet": "it needs a scheduler and workers; unit tests have them",
    "matrix --tls": "it needs a scheduler and workers; unit tests have them",
    "verify --fleet": "it needs a scheduler and workers; unit tests have them",
    "engine --stop": "it ends the engine that others use; a unit test stops another",
    "history --parquet": "it needs the optional duckdb; a unit test runs it",
    "lock": "it rewrites the locks",
    "pins --upgrade": "it rewrites the pins",
    "screenshots": "it rewrites the pictures",
}

MATRIX = matrix_file.load(ROOT / "matrix.yaml", networks=networks.NETWORKS)
CELLS = [cell.id for cell in all_cells(MATRIX)]
NOXFILE = (ROOT / "noxfile.py").read_text("utf-8")


def shown() -> set[str]:
    """Return the commands that the how-tos show or name."""
    pages = [path.read_text("utf-8") for path in documents.how_tos()]
    return {line for page in pages for line in (*documents.typed(page), *documents.named(page))}


def steps() -> set[str]:
    """Return the commands of the workflows."""
    pages = [path.read_text("utf-8") for path in documents.workflows()]
    return {line for page in pages for line in documents.steps(page)}


def documented() -> set[Command]:
    """Return the commands of deepmatrix that the how-tos show or name."""
    return {command for line in shown() if (command := read(line))}


def sessions() -> set[str]:
    """Return the names of the sessions of the noxfile."""
    decorated = r"^@nox\.session\(([^)]*)\)\n(?:@nox\.[^\n]*\n)*def (\w+)"
    decorations = re.findall(decorated, NOXFILE, re.MULTILINE)
    named = (re.search(r'name="([^"]+)"', options) for options, _ in decorations)
    return {
        name[1] if name else function
        for name, (_, function) in zip(named, decorations, strict=True)
    }


def parts_of_lint() -> set[str]:
    return set(re.findall(r'^    "(\w+)": _lint_\1,$', NOXFILE, re.MULTILINE))


def check(line: str) -> None:
    """Raise ArgumentError or ValueError where a command of a document would be refused."""
    command = read(line)
    if command is None:
        return
    if command.session not in sessions():
        raise ValueError(f"no session {command.session}")
    match command.session:
        case "benchmark":
            if not (ROOT / "bench" / f"{command.arguments[0]}.py").is_file():
                raise ValueError(f"no benchmark {command.arguments[0]}")
        case "lint":
            if unknown := set(command.arguments) - parts_of_lint():
                raise ValueError(f"lint has no part {unknown}")
        case "tests" | "browser" | "screenshots" | "site":
            pass
        case session if command.arguments or session not in {"bench", "readme"}:
            check_names(build_parser().parse_args([session, *command.arguments]))


def check_names(options: argparse.Namespace) -> None:
    """Raise ArgumentError where an option names a preset, tag, cell or set that is not there."""
    if "preset" in options:
        select_cells(MATRIX, shared.selection(options))
    for name in ("globs", "only", "exclude"):
        check_globs(CELLS, getattr(options, name, []))
    for isa in getattr(options, "isa", []):
        if isa != ALL and isa not in MATRIX.isas:
            raise ArgumentError(f"no instruction set {isa}")


def test_there_are_commands_and_sessions():
    assert {"matrix", "plan", "verify", "lint"} <= sessions()
    assert "nox -s verify -- tests/models/softmax11.onnx --native" in shown()
    assert Command("matrix", ("--resume", "killed")) in executed()


@pytest.mark.parametrize("line", sorted(shown() | steps()))
def test_a_command_of_a_document_or_workflow_is_accepted(line: str):
    check(line)


@pytest.mark.parametrize(
    "block",
    [
        "console\n$ nox -s plan -- --preset smoek\n",
        "console\n$ nox -s verify -- m.onnx --isa hasweel\n",
        "console\n$ nox -s matrix -- --tag arm65\n",
        "console\n$ nox -s matrix -- 'troch-*'\n",
        "console\n$ nox -s verify -- m.onnx --only 'troch-*'\n",
        'console\n$ nox -s "bench(onnxruntime-debian14-amd64-cpu)" -- --run r\n',
        "console\n$ noxx -s claims\n",
        "console\n$ uv bild\n",
        "console\n$ pip install nox\n",
        "console\n$ python -m pip install noxx uv\n",
        "console\n$ sudo apt-get install --yes qemu-user\n",
        "console\n$ uvx --from dist/deepmatrix-0.0.1-py3-none-any.whl deepmatrix verify m.onnx\n",
        "console\n$ python -m deepmatrx plan\n",
        "console\n$ nox -s plan --preset smoke\n",
        "console\n$ nox -s plan -- \\\n    --preset smoek\n",
        "console\n$ nox -s lint -- pyhton\n",
        "console\n$ nox -s benchmark -- tymer\n",
        "yaml\n- run: nox -s verfy -- m.onnx\n",
        "yaml\n- run: noxx -s claims\n",
        "yaml\n- run: |\n    nox -s verify -- m.onnx \\\n      --max-p98 5ms\n",
        "yaml\njobs: {check: {steps: [{run: nox -s verfy}]}}\n",
    ],
)
def test_a_wrong_command_is_found(block: str):
    (line,) = documents.typed(f"Text.\n\n```{block}```\n")
    with pytest.raises((ArgumentError, ValueError)):
        check(line)


@pytest.mark.parametrize(
    "span", ["nox -s verfy", "noxx -s claims", "python -m deepmatrx", "uv bild", "apt-get remove x"]
)
def test_a_wrong_command_in_a_sentence_is_found(span: str):
    (line,) = documents.named(f"Here `{span}` and `{span.split(maxsplit=1)[0]}` run.\n")
    with pytest.raises(ValueError, match=r"no (session|document)"):
        check(line)


@pytest.mark.parametrize("session", sorted({command.session for command in documented()}))
def test_a_documented_session_is_run_by_ci_or_a_test(session: str):
    run = {command.session for command in executed()}
    if session in BY_LINT:
        assert "lint" in run
        assert f'_matrix(session, "{session}", "--check")' in NOXFILE
    else:
        assert (session in run) != (session in NOT_RUN)


def test_a_documented_option_is_run_with_its_session_by_ci_or_a_test():
    run = {f"{command.session} {option}" for command in executed() for option in command.options}
    shown_options = {
        f"{command.session} {option}"
        for command in documented()
        for option in command.options
        if command.session not in OF_NOX
    }
    assert shown_options - run == {name for name in NOT_RUN if " " in name}


def test_the_readmes_matrix_and_verify_commands_are_run_as_they_stand():
    """But for `--runs` and `--name`, which say where the run is written."""
    run = {command.unplaced() for command in executed()}
    page = (ROOT / "README.md").read_text("utf-8")
    commands = {command for line in documents.typed(page) if (command := read(line))}
    own = {command for command in commands if command.session in {"matrix", "verify"}}
    assert len(own) >= 3
    assert own - run == set()


def test_where_a_run_is_written_is_left_out_of_a_comparison():
    whole = Command("matrix", ("--runs", "r", "--preset", "smoke", "--name"))
    assert whole.unplaced() == Command("matrix", ("--preset", "smoke"))


def test_what_a_test_runs_is_read_from_its_calls():
    module = """
CELLS = ("a", "b")
def test():
    files = ["m.onnx"]
    files += ("--same",)
    main.main(["verify", *files, "--name", NAME])
    finish(runs, *CELLS, "--preset", "smoke")
    other("--never")
    run([sys.executable, "-m", "deepmatrix", "merge", "ci"])
"""
    assert set(documents.called(module)) == {
        Command("verify", ("m.onnx", "--same", "--name")),
        Command("matrix", ("a", "b", "--preset", "smoke")),
        Command("merge", ("ci",)),
    }


def test_the_parts_of_lint_are_those_of_pre_commit():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    assert parts_of_lint()
    assert parts_of_lint() == set(re.findall(r"entry: nox -s lint -- (\w+)", hooks))
