"""Import contracts hold for modules that are still to come; modules and packages stay small."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepmatrix.paths import HARNESS, PACKAGE, ROOT

#: The most lines of a module and of a function, and the most modules of a package with its own.
MODULE_LINES, FUNCTION_LINES, MODULES = 400, 50, 12

#: Names that do not say what they are: a public function and its arguments have others.
VAGUE = """
one ones other others each this that these those thing things what which why it them some nothing
more most rest far near left had got seen found said told asked given taken made kept done came
make keep form
"""

#: What the host may import of the harness.
SHARED = {"formats", "record"}


def test_every_other_module_of_the_harness_is_forbidden_to_the_host() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (forbidden,) = (
        contract["forbidden_modules"]
        for contract in contracts
        if "harness.__main__" in contract.get("forbidden_modules", ())
    )
    names = {path.stem for path in HARNESS.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert {f"harness.{name}" for name in names - SHARED - {"__init__", "__pycache__"}} == set(
        forbidden
    )


def folders() -> Iterator[Path]:
    """Yield all folders that hold modules of the host or of the harness."""
    yield from sorted({path.parent for root in (PACKAGE, HARNESS) for path in root.rglob("*.py")})


def test_every_folder_of_modules_is_a_package_that_the_contracts_see() -> None:
    assert [folder for folder in folders() if not (folder / "__init__.py").is_file()] == []


@pytest.mark.parametrize("command", ["plan", "matrix", "verify"])
def test_a_command_begins_without_what_it_needs_in_the_end(command: str) -> None:
    reads = f"import sys, deepmatrix.cli.commands.{command}; print(*sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", reads], cwd=ROOT, capture_output=True, text=True, check=True
    )
    late = {"jinja2", "scipy", "deepmatrix.reports", "deepmatrix.results.rows"}
    assert late & set(answer.stdout.split()) == set()


def is_defined(name: str, folder: Path) -> bool:
    """Return whether a name is a module in or below a folder, a dotted one, or what one defines."""
    path = Path(*name.split("."))
    below = [child for child in folder.rglob("*") if child.is_dir()]
    modules = [place / path for place in (ROOT, folder, *below)]
    if any(module.with_suffix(".py").is_file() or module.is_dir() for module in modules):
        return True
    owner = (folder / path.parent).with_suffix(".py")
    return owner.is_file() and f"def {path.name}(" in owner.read_text(encoding="utf-8")


def test_every_module_that_a_package_names_exists() -> None:
    unknown = []
    for folder in folders():
        text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8"))) or ""
        names = re.findall(r"(?<!`)`([a-z_.]+)`(?!`)", text)
        unknown += [(folder, name) for name in names if not is_defined(name, folder)]
    assert unknown == []


def test_packages_are_small() -> None:
    """Idioms apart: a framework has one for each network."""
    counts = {folder: len(list(folder.glob("*.py"))) for folder in folders()}
    full = {folder: count for folder, count in counts.items() if count > MODULES}
    assert [folder for folder in full if folder.name != "idioms"] == []


def test_modules_and_functions_are_short() -> None:
    long = []
    for path in (path for folder in folders() for path in folder.glob("*.py")):
        source = path.read_text("utf-8")
        if source.count("\n") > MODULE_LINES:
            long.append(str(path))
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES:
                    long.append(f"{path}:{node.lineno} {node.name}")
    assert long == []


def named(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Return the names of a function and of its arguments."""
    own = function.args
    arguments = [*own.posonlyargs, *own.args, *own.kwonlyargs, own.vararg, own.kwarg]
    return [function.name, *(argument.arg for argument in arguments if argument)]


def test_public_functions_and_their_arguments_have_names_that_say_what_they_are() -> None:
    """Definitions of the judge apart: under another name they would have to be proven again."""
    judge = HARNESS / "graphs" / "operators"
    vague = []
    for path in (path for folder in folders() for path in folder.glob("*.py")):
        if judge in path.parents:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name[0] != "_":
                names = set(VAGUE.split()).intersection(named(node))
                vague += [f"{path}:{node.lineno} {node.name}: {name}" for name in sorted(names)]
    assert vague == []


def unhelped(source: str) -> Iterator[str]:
    """Yield the errors about what a user wrote that neither have a hint nor name a right word."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            error = ast.unparse(node.exc)
            is_users = error.startswith(("ArgumentError(", "ConfigError("))
            if is_users and "hint=" not in error and "did_you_mean(" not in error:
                yield error


def test_an_error_about_what_a_user_wrote_says_what_to_do() -> None:
    paths = (path for folder in folders() for path in folder.glob("*.py"))
    silent = [f"{path}: {error}" for path in paths for error in unhelped(path.read_text("utf-8"))]
    assert silent == []
