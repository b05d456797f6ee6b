"""The user's YAML documents: how they are loaded and checked, and how errors read."""

from __future__ import annotations

import difflib
import itertools
import json
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints, Tag, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from deepmatrix.config.reading import cached, source
from deepmatrix.config.reading.bounds import BY_PEOPLE, Bounds
from deepmatrix.config.reading.source import Location, Source, shortened, shown
from deepmatrix.errors import ConfigError
from deepmatrix.sizes import binary_size

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+(-[a-z0-9_]+)*$", max_length=40)]
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$", min_length=1)]
Image = Annotated[str, StringConstraints(pattern=r"^\S+$", min_length=1)]
_LABEL = r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?"
_PORT = r":(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})"
#: A host with a dot or a port, or localhost, as Docker tells it from a path; and a path.
REGISTRY = (
    rf"^((localhost|{_LABEL}(\.{_LABEL})+)({_PORT})?|{_LABEL}{_PORT}"
    rf"|\[[0-9a-fA-F:]+\]({_PORT})?)(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$"
)
LONGEST_REGISTRY = 200
Registry = Annotated[str, StringConstraints(pattern=REGISTRY, max_length=LONGEST_REGISTRY)]
Version = Annotated[str, StringConstraints(pattern=r"^\d+\.\d+$")]
ImportString = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=200)]

REGISTRY_HELP = (
    "write HOST.DOMAIN, HOST:PORT (1 to 65535) or one of them with a /path in lower-case letters"
)

PATTERN_HELP = {
    Name: "use lower-case letters, digits, '_' and single '-'",
    Text: "write it on one line",
    Image: "write the name of an image, without spaces",
    Registry: REGISTRY_HELP,
    Version: 'write major.minor in quotes, like "3.11"',
    Variable: "write the name of an environment variable",
    ImportString: "write a dotted module name, like harness.frameworks.torch.adapter",
}

#: By pydantic's type of error: messages that need only the name and the value.
MESSAGES = {
    "missing": "missing key {name}",
    "model_type": "{name} must be a mapping, found {value}",
    "dict_type": "{name} must be a mapping, found {value}",
    "tuple_type": "{name} must be a list, found {value}",
    "int_type": "{name} must be a whole number, found {value}",
    "float_type": "{name} must be a number, found {value}",
    "string_type": "{name} must be text, found {value}",
    "bool_type": "{name} must be true or false, found {value}",
    "too_short": "{name} must not be empty",
    "string_too_short": "{name} must not be empty",
    "byte_size": '{value} is not a size; write it like "4 GiB"',
    "byte_size_unit": '{value} is not a size; write it like "4 GiB"',
}

#: Words that YAML 1.1 read as truth values, and YAML 1.2 reads as text.
YAML_1_1 = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}


#: So many problems of one file are listed. Finding more takes time, and helps nobody.
MOST_PROBLEMS = 20


class Section(BaseModel):
    """A mapping of a document: frozen; unknown keys and almost right types are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Problem = tuple[Location, str, bool]
"""The location, the message, and whether the place is that of the key instead of its value."""


Document = dict[str, Any]
"""A document as plain dicts, tuples and scalars."""


@dataclass(frozen=True, kw_only=True)
class Completed:
    """A document with what follows from it filled in.

    *inherited* are the places of values that stand elsewhere in the document too, and are reported
    there where they are wrong. *problems* stop the loading.
    """

    document: Document
    inherited: frozenset[tuple[str, ...]] = frozenset()
    problems: tuple[Problem, ...] = ()

    def has_inherited(self, location: Location) -> bool:
        """Return whether a place is one of the inherited values, or inside one."""
        path = tuple(location)
        return any(path[:length] in self.inherited for length in range(1, len(path) + 1))


M = typing.TypeVar("M", bound=Section)


def load(
    path: Path,
    model: type[M],
    check: Callable[[M], Iterable[Problem]],
    *,
    complete: Callable[[Document], Completed] = lambda document: Completed(document=document),
    limits: Bounds = BY_PEOPLE,
) -> M:
    """Load a document that may be as large as *limits*, complete it, and check it.

    Its form is checked by *model*, then by *check* what the model cannot know.

    Raises:
        ArgumentError: the file is not there.
        ConfigError: it is wrong; one line a problem, each ``path:line:column: what``.
    """
    text = source.read(path, limits)
    cached_document = cached.load(text)
    written = _plain(text.document if cached_document is None else cached_document)
    if odd := list(_odd_keys(written)):
        _raise(text, odd)
    completed = complete(written)
    if completed.problems:
        _raise(text, completed.problems)
    try:
        document = model.model_validate(completed.document)
    except ValidationError as error:
        details = list(_causes(error.errors(), model))
        own = [detail for detail in details if not completed.has_inherited(detail["loc"])]
        _raise(text, (_explain(text, detail, model) for detail in own or details))
    if problems := _first(_repeated(written)) or _first(check(document)):
        own_problems = [problem for problem in problems if not completed.has_inherited(problem[0])]
        _raise(text, own_problems or problems)
    if cached_document is None:
        cached.save(text, written)
    return document


def _first(problems: Iterable[Problem]) -> list[Problem]:
    """Return as many problems as are listed, and one more where there are more."""
    return list(itertools.islice(problems, MOST_PROBLEMS + 1))


def json_schema(
    kind: Any,
    title: str,
    change: Callable[[dict[str, object]], None] = lambda _: None,
    *,
    written: bool = False,
) -> str:
    """Return the JSON Schema of a document, as text to be published.

    Args:
        kind: the type of the document.
        title: what it is called.
        change: changes the schema.
        written: deepmatrix writes the document, with all its keys; else a user does.
    """
    document = TypeAdapter(kind).json_schema(mode="serialization" if written else "validation")
    change(document)
    document["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    document["title"] = title
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _raise(text: Source, problems: Iterable[Problem]) -> typing.NoReturn:
    """Raise one ConfigError that lists the first problems in the order of the file."""
    first = _first(problems)
    placed = {
        (text.place(location, key=key), message) for location, message, key in first[:MOST_PROBLEMS]
    }
    ordered = sorted(
        placed, key=lambda line: [int(number) for number in line[0].rsplit(":", 2)[1:]]
    )
    hint = "there are more problems than these" if len(first) > MOST_PROBLEMS else ""
    raise ConfigError("\n".join(f"{place}: {message}" for place, message in ordered), hint=hint)


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
                message = f"the key {shown(key)} is not text; write it in quotes"
                yield (*location, key), message, True


def _repeated(document: Any) -> Iterator[Problem]:
    """Yield the items that a list already has; of a mapping, what its first key says.

    That one tells which it is, as `model` of a model.
    """
    for location, node in _walk(document):
        before: set[str] = set()
        for index, item in enumerate(node if isinstance(node, tuple) else ()):
            if repr(item) in before:
                yield (*location, index), f"{_described(item)} is listed twice", False
            before.add(repr(item))


def _described(item: Any) -> str:
    """Return an item in the words of a message, a mapping by its first key and value."""
    if isinstance(item, dict) and item:
        key, value = next(iter(item.items()))
        return f"{shown(item)} with {shortened(str(key))}: {shown(value)}"
    return shown(item)


def _causes(details: list[ErrorDetails], model: type[Section]) -> Iterator[ErrorDetails]:
    """Yield the problems that do not only follow from another one.

    A misspelt key is also a missing one, and a list of wrong items is also too short.
    """
    misspelt: set[Location] = set()
    for detail in details:
        if detail["type"] == "extra_forbidden":
            *above, name = detail["loc"]
            matches = difflib.get_close_matches(str(name), list(_fields_at(model, above)), n=1)
            misspelt |= {(*above, *matches)}
    for detail in details:
        location = detail["loc"]
        follows = detail["type"] == "missing" and location in misspelt
        follows |= detail["type"] == "too_short" and any(
            inner["loc"][: len(location)] == location for inner in details if inner is not detail
        )
        if not follows:
            yield detail


def _explain(text: Source, detail: ErrorDetails, model: type[Section]) -> Problem:
    at_key = "[key]" in detail["loc"] or detail["type"] == "extra_forbidden"
    location: Location = [part for part in detail["loc"] if not _is_tag(part)]
    return location, _message(text, location, detail, model), at_key


def _message(text: Source, location: Location, detail: ErrorDetails, model: type[Section]) -> str:
    """Return what is wrong with a value, or a key."""
    name, value = _named(location), detail["input"]
    match detail["type"]:
        case "extra_forbidden":
            keys = _fields_at(model, detail["loc"][:-1])
            return f"unknown key {name}{did_you_mean(str(location[-1]), keys)}"
        case "model_type" if isinstance(value, str) and (key := _only_key(model, detail["loc"])):
            written = f"{key}: {json.dumps(shortened(value))}"
            return f"{name} must be a mapping, found {shown(value)}; write {written}"
        case "tuple_type" if isinstance(value, str):
            written = f"[{json.dumps(shortened(value))}]"
            return f"{name} must be a list, found {shown(value)}; write {written}"
        case "complete":
            return detail["msg"]
        case "string_type" if isinstance(value, int | float):
            written = text.word(location)
            kind = "truth value" if isinstance(value, bool) else "number"
            return f'{name} is the {kind} {written}; quote it: "{written}"'
        case "int_type" | "float_type" if isinstance(value, str) and _is_number(value):
            return f'{name} is the text "{value}"; write it without quotes'
        case "bool_type" if (word := YAML_1_1.get(str(value).lower())) is not None:
            return f"{name} is the text {shown(value)}, which is {word} in old YAML; write {word}"
        case "string_pattern_mismatch":
            return f"{shown(value)} is not valid here; {_pattern_help(detail)}"
        case "literal_error":
            expected = str(detail["ctx"]["expected"])
            words = [word.strip("'") for word in expected.replace(" or ", ", ").split(", ")]
            suggestion = did_you_mean(str(value), words)
            return f"{shown(value)} is not one of {expected}{suggestion}"
        case "string_too_long":
            max_length = detail["ctx"]["max_length"]
            return f"{name} may have {max_length} characters at most, found {len(value)}"
        case "less_than_equal" | "greater_than_equal" if isinstance(value, str):
            [(bound, limit)] = detail["ctx"].items()  # of sizes: the only text with a bound
            end = {"le": "most", "ge": "least"}[bound]
            return f"{name} must be at {end} {binary_size(limit)}, found {shown(value)}"
    example = _example(detail, model)
    if detail["type"] in MESSAGES:
        return MESSAGES[detail["type"]].format(name=name, value=shown(value)) + example
    message = detail["msg"].replace("Input should be", "must be").replace("Input", "value")
    return f"{name}: {message[0].lower()}{message[1:]}, found {shown(value)}{example}"


def _example(detail: ErrorDetails, model: type[Section]) -> str:
    """Return how a key may be written that has an example, else nothing."""
    *above, name = detail["loc"] or [0]
    field = _fields_at(model, above).get(str(name)) if isinstance(name, str) else None
    examples = field.examples if field else None
    return f"; write {name}: {json.dumps(examples[0])}" if examples else ""


def _named(location: Location) -> str:
    """Return what a message calls a value: by its key, or by the list that it is in."""
    match list(location):
        case [*_, str() as above, int() as index]:
            return f"item {index + 1} of '{above}'"
        case [*_, last]:
            return f"'{last}'"
    return "the document"


def _only_key(model: type[Section], location: Location) -> str:
    """Return the one key that a mapping has to have, nothing where it is not one."""
    fields = _fields_at(model, location)
    required = [name for name, info in fields.items() if info.is_required()]
    return required[0] if len(required) == 1 else ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _pattern_help(detail: ErrorDetails) -> str:
    for annotated, advice in PATTERN_HELP.items():
        constraint = typing.get_args(annotated)[1]
        if constraint.pattern == detail["ctx"]["pattern"]:
            return advice
    return f"it must match {detail['ctx']['pattern']}"


def _fields_at(model: type[Section], location: Location) -> Mapping[str, FieldInfo]:
    """Return the keys known at a place, by walking the models."""
    kind: Any = model
    for part in location:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = kind.model_fields[str(part)].annotation
        elif _is_tag(part):
            kind = _tagged_class(kind, str(part))
        else:
            kind = [inner for inner in typing.get_args(kind) if inner is not Ellipsis][-1]
        if types.NoneType in typing.get_args(kind):
            kind = typing.get_args(kind)[0]
    return kind.model_fields if isinstance(kind, type) and issubclass(kind, BaseModel) else {}


def _is_tag(part: object) -> bool:
    """Return whether a part of a pydantic location is a tag: ``[key]``, or a class of a union."""
    return isinstance(part, str) and part.startswith("[")


def _tagged_class(kind: Any, tag: str) -> Any:
    """Return the class that has a tag in a union, None if it has none."""
    arguments = typing.get_args(kind)
    if any(isinstance(argument, Tag) and argument.tag == tag for argument in arguments):
        return arguments[0]
    classes = (_tagged_class(argument, tag) for argument in arguments)
    return next((model for model in classes if model), None)


#: So many known words are named where none is near.
MOST_KNOWN = 40


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the nearest known word, else what is known."""
    words = sorted(set(known))
    matches = difflib.get_close_matches(word, words, n=1)
    if matches:
        return f"; did you mean '{matches[0]}'?"
    more = f" and {len(words) - MOST_KNOWN} more" if len(words) > MOST_KNOWN else ""
    return f"; known: {', '.join(words[:MOST_KNOWN])}{more}" if words else ""
