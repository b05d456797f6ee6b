"""Lines of code: how much a user writes for a network in each framework.

The counted code is in ``harness/frameworks/<framework>/idioms/<network>.py``; the harness proves
that it is the same network.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from deepmatrix.paths import HARNESS
from deepmatrix.workloads.programs import idiom_files


def logical_lines(source: str) -> int:
    """Return how many logical lines a module has.

    A logical line is a statement, or the head of a compound one (``def``, ``class``, ``for``,
    ``else``, ``case``, a decorator), however many lines it is broken over. Imports and docstrings
    do not count, nor do comments and blank lines.
    """
    return sum(_heads(node) for node in _statements(ast.parse(source)))


def _statements(tree: ast.AST) -> Iterator[ast.stmt]:
    for node in ast.walk(tree):
        for body in (getattr(node, name, ()) for name in ("body", "orelse", "finalbody")):
            if isinstance(body, list):
                yield from (
                    statement for statement in body if not _is_docstring(statement, body, node)
                )


def _is_docstring(statement: ast.stmt, body: list[ast.stmt], owner: ast.AST) -> bool:
    return (
        isinstance(owner, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and statement is body[0]
        and isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _heads(node: ast.stmt) -> int:
    """Return the logical lines of a statement without those inside it."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return 0
    lines = 1 + len(getattr(node, "decorator_list", ()))
    otherwise = getattr(node, "orelse", None)
    if otherwise and not (isinstance(node, ast.If) and isinstance(otherwise[0], ast.If)):
        lines += 1  # the line `else:`
    lines += len(getattr(node, "handlers", ())) + len(getattr(node, "cases", ()))
    return lines + bool(getattr(node, "finalbody", None))


@cache
def line_counts() -> dict[tuple[str, str], int]:
    """Return logical lines by (network, framework); the network ``training`` is the loop."""
    return {
        key: logical_lines(_defining(path).read_text(encoding="utf-8"))
        for key, path in idiom_files().items()
    }


#: How the new layer of the probe ``own_layer`` is called: a class or a function.
LAYER = {"Round", "_round"}


@cache
def layer_lines() -> dict[str, int]:
    """Return by framework the logical lines of the probes' new layer with its own gradient.

    They are those of the statements that define it or set it up, without the ones that use it.
    """
    return {
        path.parent.name: sum(
            logical_lines(ast.unparse(statement))
            for statement in _layer_program(path)
            if _defines_layer(statement)
        )
        for path in HARNESS.glob("frameworks/*/probes.py")
    }


def _layer_program(path: Path) -> list[ast.stmt]:
    """Return the statements of the probes of a framework, or of the one that it takes them from."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    imports = (statement for statement in body if isinstance(statement, ast.ImportFrom))
    for statement in imports:
        if statement.module and "own_layer" in {alias.name for alias in statement.names}:
            source = HARNESS.parent.joinpath(*statement.module.split("."))
            return _layer_program(source.with_suffix(".py"))
    return body


def _defines_layer(statement: ast.stmt) -> bool:
    if getattr(statement, "name", "") in LAYER:
        return True
    names = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
    return isinstance(statement, ast.Expr) and bool(names & LAYER)


def _defining(path: Path) -> Path:
    """Return the idiom that defines what *path* does: it may only name another framework's."""
    match ast.parse(path.read_text(encoding="utf-8")).body:
        case [ast.Expr(), ast.ImportFrom(module=str(module))] if module.startswith("harness."):
            return HARNESS.parent.joinpath(*module.split(".")).with_suffix(".py")
    return path


def network_name(network: str) -> str:
    """Return a network's name without its size: ``vgg-a`` of ``vgg-a-small``."""
    return network.rsplit("-", 1)[0]
