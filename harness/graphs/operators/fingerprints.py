"""Fingerprints of definitions: what was proven of an earlier one says nothing of a changed one.

They are of whole modules, with those that they import from this package. Comments, blank space and
docstrings do not count, and every version of Python gives the same.
"""

import ast
import functools
import hashlib
import importlib
import inspect
import io
import tokenize
from typing import Any, Iterator, List, Set

PACKAGE = "harness.graphs.operators"

_BLANK = (tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER)
_LAYOUT = (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)


@functools.lru_cache(maxsize=None)
def fingerprint(module: str) -> str:
    """Return the fingerprint of a module of this package, by its full name."""
    digest = hashlib.sha256()
    for name in sorted(_closure(module)):
        digest.update("\n".join([name, *tokens(_source(name))]).encode("utf-8"))
    return digest.hexdigest()[:16]


def tokens(source: str) -> Iterator[str]:
    """Yield what counts of a source: its tokens, and where blocks begin and end."""
    line: List[Any] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in _BLANK:
            continue
        if token.type not in _LAYOUT:
            line.append(token)
            continue
        is_docstring = [word.type for word in line] == [tokenize.STRING]
        if not is_docstring:
            yield from (word.string for word in line)
            yield tokenize.tok_name[token.type]
        line = []


def _closure(module: str) -> Set[str]:
    """Return a module and all of this package that it imports, at once or later."""
    names: Set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in names:
            names.add(name)
            waiting += _imported(_source(name))
    return names


def _imported(source: str) -> List[str]:
    nodes = ast.walk(ast.parse(source))
    names = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return [name for name in names if name.startswith(PACKAGE + ".")]


@functools.lru_cache(maxsize=None)
def _source(module: str) -> str:
    return inspect.getsource(importlib.import_module(module))
