"""YAML documents that people write: models of them, and one clear error when they do not fit."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints, Tag, ValidationError
from pydantic_core import ErrorDetails

from deepmatrix.config import source
from deepmatrix.config.source import Location, Source, shown
from deepmatrix.errors import ConfigError

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+(-[a-z0-9_]+)*$", max_length=40)]
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$", min_length=1)]
Image = Annotated[str, StringConstraints(pattern=r"^\S+$", min_length=1)]
Version = Annotated[str, StringConstraints(pattern=r"^\d+\.\d+$")]
ImportString = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]

PATTERN_HELP = {
    Name: "use lower-case letters, digits, '_' and single '-'",
    Text: "write it on one line",
    Image: "write the name of an image, without spaces",
    Version: 'write major.minor in quotes, like "3.11"',
    ImportString: "write a dotted module name, like harness.frameworks.torch.adapter",
}

#: By pydantic's type of error, where the name and what was found say all.
MESSAGES = {
    "missing": "missing key '{name}'",
    "model_type": "'{name}' must be a mapping, found {given}",
    "dict_type": "'{name}' must be a mapping, found {given}",
    "tuple_type": "'{name}' must be a list, found {given}",
    "int_type": "'{name}' must be a whole number, found {given}",
    "float_type": "'{name}' must be a number, found {given}",
    "string_type": "'{name}' must be text, found {given}",
    "too_short": "'{name}' must not be empty",
    "string_too_short": "'{name}' must not be empty",
    "byte_size": '{given} is not a size; write it like "4 GiB"',
    "byte_size_unit": '{given} is not a size; write it like "4 GiB"',
}


class Section(BaseModel):
    """A mapping of a document: frozen, unknown keys and near-enough types refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Problem = tuple[Location, str, bool]
"""Where, what, and whether the place meant is that of the key and not of its value."""


M = typing.TypeVar("M", bound=Section)


def load(path: Path, model: type[M], check: Callable[[M], Iterable[Problem]]) -> M:
    """Load a document and check it: first its form, then by *check* what only a reader knows.

    Raises:
        ArgumentError: the file is not there.
        ConfigError: it is wrong; one line a problem, each ``name:line:column: what``.
    """
    text = source.read(path)
    document = _plain(text.document)
    if odd := list(_odd_keys(document)):
        _raise(text, odd)
    try:
        found = model.model_validate(document)
    except ValidationError as error:
        _raise(text, (_explain(text, one, model) for one in _causes(error.errors(), model)))
    if problems := list(_repeated(document)) or list(check(found)):
        _raise(text, problems)
    return found


def _raise(text: Source, problems: Iterable[Problem]) -> typing.NoReturn:
    """Raise one ConfigError that lists the problems in the order of the file."""
    placed = {(text.place(location, key=key), message) for location, message, key in problems}
    ordered = sorted(placed, key=lambda one: [int(n) for n in one[0].rsplit(":", 2)[1:]])
    raise ConfigError("\n".join(f"{place}: {message}" for place, message in ordered))


def _plain(node: Any) -> Any:
    """Turn ruamel's commented nodes into plain dicts and tuples."""
    if isinstance(node, Mapping):
        return {key: _plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return tuple(_plain(value) for value in node)
    return node


def _walk(node: Any, location: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield a plain document and everything inside it, each with where it stands."""
    yield location, node
    if isinstance(node, dict | tuple):
        for name, inner in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _walk(inner, (*location, name))


def _odd_keys(document: Any) -> Iterator[Problem]:
    """Yield the keys that YAML reads as something else than text."""
    for location, node in _walk(document):
        for key in node if isinstance(node, dict) else ():
            if not isinstance(key, str):
                said = f"the key {shown(key)} is not text; write it in quotes"
                yield (*location, key), said, True


def _repeated(document: Any) -> Iterator[Problem]:
    """Yield the items that a list already has."""
    for location, node in _walk(document):
        for index, item in enumerate(node if isinstance(node, tuple) else ()):
            if item in node[:index]:
                yield (*location, index), f"{shown(item)} is listed twice", False


def _causes(details: list[ErrorDetails], model: type[Section]) -> Iterator[ErrorDetails]:
    """Leave out what only follows from another problem.

    A misspelt key is also a missing one, and a list of wrong items is also too short.
    """
    misspelt: set[Location] = set()
    for one in details:
        if one["type"] == "extra_forbidden":
            *above, name = one["loc"]
            near = difflib.get_close_matches(str(name), list(_fields_at(model, above)), n=1)
            misspelt |= {(*above, *near)}
    for one in details:
        follows = one["type"] == "missing" and one["loc"] in misspelt
        follows |= one["type"] == "too_short" and any(
            other["loc"][: len(one["loc"])] == one["loc"] for other in details if other is not one
        )
        if not follows:
            yield one


def _explain(text: Source, detail: ErrorDetails, model: type[Section]) -> Problem:
    of_key = "[key]" in detail["loc"]
    location: Location = [part for part in detail["loc"] if not _is_tag(part)]
    unknown = detail["type"] == "extra_forbidden"
    return location, _message(text, location, detail, model), of_key or unknown


def _message(text: Source, location: Location, detail: ErrorDetails, model: type[Section]) -> str:
    """Say what is wrong with a value, or a key."""
    name = str(location[-1]) if location else "the document"
    given = detail["input"]
    match detail["type"]:
        case "extra_forbidden":
            return (
                f"unknown key '{name}'{did_you_mean(name, _fields_at(model, detail['loc'][:-1]))}"
            )
        case "complete":
            return detail["msg"]
        case "string_type" if isinstance(given, int | float):
            written = text.text(location)
            sort = "truth value" if isinstance(given, bool) else "number"
            return f"'{name}' is the {sort} {written}; quote it: \"{written}\""
        case "int_type" | "float_type" if isinstance(given, str) and _is_number(given):
            return f"'{name}' is the text \"{given}\"; write it without quotes"
        case "string_pattern_mismatch":
            return f"{shown(given)} is not valid here; {_pattern_help(detail)}"
        case "literal_error":
            expected = str(detail["ctx"]["expected"])
            words = [word.strip("'") for word in expected.replace(" or ", ", ").split(", ")]
            near = did_you_mean(str(given), words)
            return f"{shown(given)} is not one of {expected}{near}"
        case "string_too_long":
            most = detail["ctx"]["max_length"]
            return f"'{name}' may have {most} characters at most, found {len(given)}"
        case "less_than_equal" | "greater_than_equal" if isinstance(given, str):
            [(bound, limit)] = detail["ctx"].items()  # of sizes: the only text with a bound
            end = {"le": "most", "ge": "least"}[bound]
            return f"'{name}' must be at {end} {_size(limit)}, found {shown(given)}"
    if detail["type"] in MESSAGES:
        return MESSAGES[detail["type"]].format(name=name, given=shown(given))
    said = detail["msg"].replace("Input should be", "must be").replace("Input", "value")
    return f"'{name}': {said[0].lower()}{said[1:]}, found {shown(given)}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _size(count: int) -> str:
    """Return bytes as they are written in the file: ``1 PiB``."""
    power = (count.bit_length() - 1) // 10
    return f"{count >> 10 * power} {('bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB')[power]}"


def _pattern_help(detail: ErrorDetails) -> str:
    for annotated, advice in PATTERN_HELP.items():
        constraint = typing.get_args(annotated)[1]
        if constraint.pattern == detail["ctx"]["pattern"]:
            return advice
    return f"it must match {detail['ctx']['pattern']}"


def _fields_at(model: type[Section], location: Location) -> Iterable[str]:
    """Return the keys known at a place, by walking the models."""
    kind: Any = model
    for part in location:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = kind.model_fields[str(part)].annotation
        elif _is_tag(part):
            kind = _tagged(kind, str(part))
        else:
            kind = [arg for arg in typing.get_args(kind) if arg is not Ellipsis][-1]
    return kind.model_fields if isinstance(kind, type) and issubclass(kind, BaseModel) else ()


def _is_tag(part: object) -> bool:
    """Return whether a part of a pydantic location is a tag: ``[key]``, or a class of a union."""
    return isinstance(part, str) and part.startswith("[")


def _tagged(kind: Any, tag: str) -> Any:
    """Return the class that has a tag in a union, None if it has none."""
    arguments = typing.get_args(kind)
    if any(isinstance(argument, Tag) and argument.tag == tag for argument in arguments):
        return arguments[0]
    classes = (_tagged(argument, tag) for argument in arguments)
    return next((found for found in classes if found), None)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the nearest known word, else what is known."""
    words = sorted(set(known))
    near = difflib.get_close_matches(word, words, n=1)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; known: {', '.join(words)}" if words else ""
