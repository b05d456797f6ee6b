"""Reading YAML so that every value still knows where it is in its file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import ConstructorError, DuplicateKeyError, RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, StreamMark, YAMLError
from ruamel.yaml.nodes import Node
from ruamel.yaml.scanner import RoundTripScanner

from deepmatrix.boundary.opening import open_plain
from deepmatrix.config.reading import bounds
from deepmatrix.config.reading.bounds import BY_PEOPLE, Bounds
from deepmatrix.errors import ArgumentError, ConfigError
from deepmatrix.paths import short_path
from deepmatrix.sizes import binary_size

#: The longest value in a message, in characters.
LONGEST_VALUE = 80

Location = Sequence[str | int]
"""Keys and indices from the top of the document down to a value."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A YAML document, its text, and the way from a value to its line and column."""

    path: Path
    text: str
    limits: Bounds

    @cached_property
    def document(self) -> CommentedMap:
        """What the text says; parsing takes some 0.2 ms a line.

        Raises:
            ConfigError: it is not YAML, not a mapping, too deep, or repeats a key.
        """
        document = _parse(self.path, self.text, self.limits)
        if not isinstance(document, CommentedMap):
            raise ConfigError(
                f"{_place(self.path)}: expected a mapping with 'version', found {shown(document)}",
                hint="begin the file with: version: 1",
            )
        return document

    def place(self, location: Location, *, key: bool = False) -> str:
        """Return ``path:line:column`` of a value, or of its key when *key* is set.

        Follows *location* as far as the document goes, so that the place of a missing key is
        that of the mapping it is missing from.
        """
        line, column = self._position(location, key=key)
        return _place(self.path, line + 1, column + 1)

    def word(self, location: Location) -> str:
        """Return a number, or another scalar of one word, as it is written in the file."""
        line, column = self._position(location, key=False)
        return re.split(r"[\s,\]}]", self.text.splitlines()[line][column:], maxsplit=1)[0]

    def _position(self, location: Location, *, key: bool) -> tuple[int, int]:
        node: object = self.document
        position = (self.document.lc.line or 0, self.document.lc.col or 0)
        for step, name in enumerate(location):
            last = step == len(location) - 1
            if isinstance(node, CommentedMap) and name in node:
                position = node.lc.key(name) if key and last else node.lc.value(name)
                if isinstance(node[name], CommentedMap | CommentedSeq) and not (key and last):
                    inner = node[name].lc
                    position = (inner.line, inner.col)
            elif isinstance(node, CommentedSeq) and isinstance(name, int) and name < len(node):
                position = node.lc.item(name)
            else:
                break
            node = node[name]
        return position


def read(path: Path, limits: Bounds = BY_PEOPLE) -> Source:
    """Read a YAML 1.2 file; it is parsed when its document is asked for.

    Raises:
        ArgumentError: the file does not exist or cannot be read.
        ConfigError: it is not UTF-8, or too large.
    """
    try:
        with open_plain(path) as file:
            content = file.read(limits.size + 1)
        text = content.decode("utf-8")
    except FileNotFoundError:
        raise ArgumentError(
            f"{path}: no such file", hint="name one that is there, from the current folder"
        ) from None
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8").split("\n")
        place = _place(path, len(before), len(before[-1]) + 1)
        raise ConfigError(
            f"{place}: not UTF-8 text ({error.reason})", hint="save it as UTF-8"
        ) from None
    except OSError as error:
        raise ArgumentError(
            f"{path}: cannot be read ({error.strerror})", hint="name a file that you may read"
        ) from None
    if len(content) > limits.size:
        largest = binary_size(limits.size)
        raise ConfigError(
            f"{_place(path)}: the file is larger than {largest}, the most that is read",
            hint="is it the right file?",
        )
    if len(text.splitlines()) > limits.lines:
        raise ConfigError(
            f"{_place(path)}: more than {limits.lines} lines", hint="is it the right file?"
        )
    return Source(path=path, text=text, limits=limits)


def _place(path: Path, line: int = 1, column: int = 1) -> str:
    return f"{short_path(path)}:{line}:{column}"


def shown(value: object) -> str:
    """Return a value of a document in the words of a message."""
    match value:
        case Mapping():
            return "a mapping" if value else "an empty mapping"
        case list() | tuple():
            return "a list" if value else "an empty list"
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case str():
            return repr(shortened(str(value)))
    return shortened(str(value))


def shortened(text: str) -> str:
    """Return a value as long as a message can show it."""
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


class _Constructor(RoundTripConstructor):
    """Gives the place of a scalar that cannot be read, like the date 2001-99-99."""

    def construct_object(self, node: Node, deep: bool = False) -> object:
        try:
            value = super().construct_object(node, deep=deep)
        except (ValueError, KeyError) as error:
            raise ConstructorError(problem=str(error), problem_mark=node.start_mark) from None
        if isinstance(value, int) and abs(value) > bounds.LARGEST_WHOLE:
            message = f"a whole number beyond {bounds.LARGEST_WHOLE}"
            raise ConstructorError(problem=message, problem_mark=node.start_mark)
        return value


class _Scanner(RoundTripScanner):
    """Gives the place of an escape that stands for no character."""

    def fetch_more_tokens(self) -> object:
        try:
            return super().fetch_more_tokens()
        except (ValueError, OverflowError) as error:
            mark = self.reader.get_mark()
            raise MarkedYAMLError(problem=str(error), problem_mark=mark) from None


def _parse(path: Path, text: str, limits: Bounds) -> object:
    yaml = YAML(typ="rt")
    yaml.Parser = bounds.parser_with(limits)
    yaml.Constructor = _Constructor
    yaml.Scanner = _Scanner
    try:
        return yaml.load(text)
    except DuplicateKeyError as error:
        mark = error.problem_mark
        name = str(error.problem).split('"')[1]
        raise ConfigError(
            f"{_place(path, mark.line + 1, mark.column + 1)}: duplicate key '{name}'",
            hint="keep one of the two",
        ) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ConfigError(
            f"{_place(path, mark.line + 1, mark.column + 1)}: not YAML: {error.problem}",
            hint=_hint(text, error.context_mark, error.problem_mark),
        ) from None
    except YAMLError as error:
        raise ConfigError(
            f"{_place(path)}: not YAML: {str(error).splitlines()[0]}",
            hint="remove what is not text",
        ) from None


def _hint(text: str, *marks: StreamMark | None) -> str:
    """Return how to write a glob, which YAML takes for an alias, or an indent."""
    for mark in filter(None, marks):
        if text[mark.index :].startswith("\t"):
            return "indent with spaces instead of tabs"
        if word := re.match(r"\*[^\s,\]}]*", text[mark.index :]):
            return f'quote what begins with *: "{shortened(word[0])}"'
    return ""
