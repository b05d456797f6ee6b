"""Inputs made from the schemas themselves: valid, nearly valid and absurd ones of any JSON file.

A document of a real file is changed in a few places. Each place gets a value that its own schema
allows, with a preference for the bounds; or what no schema allows; or is lost, or changes places
with another. Some inputs are bytes that are no document at all.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

Schema = Mapping[str, Any]
Path = tuple[str | int, ...]

#: Stands for text that Python itself cannot write as JSON.
RAW = "\0raw:"

ABSURD: Sequence[Any] = (
    None, True, False, 0, -1, 1, 2**31, 2**53 + 1, -(2**63), 2**64, 10**400, 0.0, -0.0, 1e-320,
    1e308, -1e308, float("inf"), float("-inf"), float("nan"), "", "x" * 5000, "../../../zz", "/etc",
    "[/bold]", "\x1b[31m\r\n", "\u202e\u2066", "<script>", "ok", "1" * 300, [], {}, [[]], [None],
    {"": None}, {"a": {"b": [1]}}, f"{RAW}{'9' * 5000}", f"{RAW}-{'9' * 400}.5", f"{RAW}1e99999",
    f"{RAW}{'[' * 300}{']' * 300}", f"{RAW}\"\\ud800\"",
)  # fmt: skip

#: Numbers near the ends of the range of float64, where arithmetic overflows.
EXTREMES = (5e-324, 1e-300, 1e300, 1.5e308, -1.5e308)

#: Contents that stand for what is no file: see `tests.fuzzed_places`.
SPECIAL = {b"\0special: pipe": "pipe", b"\0special: folder": "folder", b"\0special: link": "link"}

CUTS = (
    "truncated",
    "flipped",
    "empty",
    "binary",
    "deep",
    "doubled",
    "repeated key",
)


@dataclass(frozen=True)
class Reader:
    """What reads one kind of file: real documents of it, its schema, and the way behind the door.

    *read* takes the bytes of a file. It returns, or raises an error that a person understands.
    """

    name: str
    documents: Sequence[Any]
    schema: Schema
    read: Callable[[bytes], object]


def inputs(reader: Reader) -> st.SearchStrategy[bytes]:
    """Return a strategy of files for a reader: mostly documents, sometimes bytes."""
    documents = st.sampled_from(list(reader.documents))
    changed = st.builds(_Change, st.just(reader.schema), documents, st.data())
    changed_bytes = changed.map(lambda change: render(change.document()))
    whole = from_schema(reader.schema, reader.schema).map(render)
    damaged = st.builds(_damage, documents, st.sampled_from(CUTS), st.data())
    kinds = [changed_bytes] * 6 + [whole, damaged, st.sampled_from(list(SPECIAL))]
    return st.sampled_from(range(len(kinds))).flatmap(kinds.__getitem__)


@dataclass(frozen=True)
class _Change:
    """A document, changed in one to three places."""

    root: Schema
    original: Any
    data: st.DataObject

    def document(self) -> Any:
        changed = copy.deepcopy(self.original)
        for _ in range(self.data.draw(st.integers(1, 3))):
            places = list(paths(changed))
            if not places:
                break
            self._change(changed, self._place(places), places)
        return changed

    def _place(self, places: Sequence[Path]) -> Path:
        """Draw a place: every field is as likely as another, however many items a list has."""
        fields: dict[Path, list[Path]] = {}
        for place in places:
            fields.setdefault(tuple("*" if isinstance(s, int) else s for s in place), []).append(
                place
            )
        draw = self.data.draw
        return draw(st.sampled_from(draw(st.sampled_from(list(fields.values())))))

    def _fitting(self, place: Path, document: Any) -> st.SearchStrategy[Any]:
        """Return what may stand at a place. It is made once for each field: that takes long."""
        field = (id(self.root), *("*" if isinstance(step, int) else step for step in place))
        if field not in _FITTING:
            _FITTING[field] = from_schema(schema_at(self.root, place, document), self.root)
        return _FITTING[field]

    def _change(self, document: Any, place: Path, places: Sequence[Path]) -> None:
        draw = self.data.draw
        *parents, last = place
        holder = at(document, parents)
        kind = draw(st.sampled_from(("fitting",) * 4 + ("absurd", "absurd", "drop", "add", "swap")))
        if kind == "fitting":
            holder[last] = draw(self._fitting(place, document))
        elif kind == "absurd":
            holder[last] = copy.deepcopy(draw(st.sampled_from(ABSURD)))
        elif kind == "drop":
            del holder[last]
        elif kind == "add" and isinstance(holder, dict):
            holder[draw(st.sampled_from(("", "x", "y" * 500, "\x1b", "__class__")))] = holder[last]
        elif kind == "add":
            holder.extend(copy.deepcopy(holder[last]) for _ in range(draw(st.integers(1, 50))))
        else:
            holder[last] = copy.deepcopy(at(document, draw(st.sampled_from(places))))


_FITTING: dict[tuple[str | int, ...], st.SearchStrategy[Any]] = {}


def paths(document: Any, start: Path = ()) -> Iterator[Path]:
    """Yield the path of every value in a document but itself."""
    items: Any = ()
    if isinstance(document, dict):
        items = document.items()
    elif isinstance(document, list):
        items = list(enumerate(document))[:20]
    for key, value in items:
        yield (*start, key)
        yield from paths(value, (*start, key))


def at(document: Any, path: Sequence[str | int]) -> Any:
    """Return the value at a path."""
    for step in path:
        document = document[step]
    return document


def render(document: Any) -> bytes:
    """Return a document as JSON, with the texts that stand for what Python cannot write."""
    text = json.dumps(document)
    marker = json.dumps(RAW)[1:-1]
    if marker in text:
        for absurd in ABSURD:
            if isinstance(absurd, str) and absurd.startswith(RAW):
                text = text.replace(json.dumps(absurd), absurd.removeprefix(RAW))
    return text.encode()


def _damage(document: Any, cut: str, data: st.DataObject) -> bytes:
    """Return the bytes of a file that a disk, or somebody, has spoilt."""
    content = render(document)
    place = data.draw(st.integers(0, max(len(content) - 1, 0)))
    if cut == "truncated":
        return content[:place]
    if cut == "flipped":
        changed = bytearray(content)
        changed[place] ^= data.draw(st.integers(1, 255))
        return bytes(changed)
    if cut == "binary":
        return data.draw(st.binary(max_size=200))
    if cut == "deep":
        return b"[" * 100_000
    if cut == "repeated key":
        return b'{"a": 1, "a": [' + content + b"]}"
    return b"" if cut == "empty" else content + content


def schema_at(root: Schema, path: Sequence[str | int], document: Any) -> Schema:
    """Return the schema of the value at a path of a document, the empty one if there is none.

    Of several alternatives those count whose constants the document has.
    """
    schemas = [root]
    for step in path:
        branches = [branch for schema in schemas for branch in _branches(schema, root)]
        meant = [branch for branch in branches if _has_constants(document, branch)]
        inner = [_step(branch, step) for branch in meant]
        schemas = list(filter(None, inner))
        document = document[step]
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas} if schemas else {}


def _has_constants(document: Any, schema: Schema) -> bool:
    constants = {
        name: inner["const"]
        for name, inner in schema.get("properties", {}).items()
        if "const" in inner
    }
    if not isinstance(document, dict):
        return True
    return all(document.get(name) == value for name, value in constants.items())


def _branches(schema: Schema, root: Schema) -> Iterator[Schema]:
    """Yield a schema's alternatives, references followed."""
    schema = _resolved(schema, root)
    inner = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    if not inner:
        yield schema
    for branch in inner:
        yield from _branches(branch, root)


def _resolved(schema: Schema, root: Schema) -> Schema:
    while reference := schema.get("$ref"):
        schema = root["$defs"][reference.rpartition("/")[2]]
    return schema


def _step(schema: Schema, step: str | int) -> Schema | None:
    if isinstance(step, int):
        inner: Any = schema.get("items")
    else:
        inner = schema.get("properties", {}).get(step, _further(schema))
    return inner if isinstance(inner, dict) else None


def _further(schema: Schema) -> Any:
    """Return the schema of the values of a mapping whose keys are not fixed."""
    by_pattern = schema.get("patternProperties", {})
    return next(iter(by_pattern.values()), schema.get("additionalProperties"))


def from_schema(schema: Schema, root: Schema, depth: int = 0) -> st.SearchStrategy[Any]:
    """Return a strategy of values that a JSON Schema allows, its bounds more often than others."""
    schema = _resolved(schema, root)
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    branches = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    if branches:
        return st.deferred(
            lambda: st.one_of([from_schema(branch, root, depth) for branch in branches])
        )
    return _BY_TYPE.get(schema.get("type", ""), _anything)(schema, root, depth)


def _anything(_: Schema, __: Schema, ___: int) -> st.SearchStrategy[Any]:
    return st.sampled_from([None, True, 1, 2.5, "text", [1, "x"], {"a": [1]}]).map(copy.deepcopy)


def _integer(schema: Schema, _: Schema, __: int) -> st.SearchStrategy[Any]:
    low = schema.get("minimum", schema.get("exclusiveMinimum", -(2**70) - 1) + 1)
    high = schema.get("maximum", schema.get("exclusiveMaximum", 2**70 + 1) - 1)
    edges = [value for value in (low, low + 1, 1, 2, high - 1, high) if low <= value <= high]
    return st.one_of(st.sampled_from(edges), st.integers(low, high))


def _number(schema: Schema, _: Schema, __: int) -> st.SearchStrategy[Any]:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    open_low, open_high = "exclusiveMinimum" in schema, "exclusiveMaximum" in schema
    bounds = [
        value for value, is_open in (
            (low, open_low), (high, open_high), (0.0, False), (1.0, False)
        )
        if value is not None and not is_open
        and (low is None or value >= low) and (high is None or value <= high)
    ]  # fmt: skip
    drawn = st.floats(
        low, high, exclude_min=open_low, exclude_max=open_high,
        allow_nan=low is None and high is None,
    )  # fmt: skip
    least, most = -math.inf if low is None else low, math.inf if high is None else high
    extremes = [value for value in EXTREMES if least < value < most]
    kinds = [st.sampled_from(values) for values in (bounds, extremes) if values]
    return st.one_of(*kinds, drawn)


def _string(schema: Schema, _: Schema, __: int) -> st.SearchStrategy[Any]:
    if pattern := schema.get("pattern"):
        return st.from_regex(pattern, fullmatch=True).map(lambda text: text.rstrip("\n"))
    longest = min(schema.get("maxLength", 3000), 3000)
    shortest = schema.get("minLength", 0)
    texts = ["a", "a b", "x" * longest, "[/bold]", "\x1b[2J", "\n\n", "é\u202e"]
    fitting = [text for text in texts if shortest <= len(text) <= longest]
    return st.one_of(st.sampled_from(fitting), st.text(min_size=shortest, max_size=20))


def _array(schema: Schema, root: Schema, depth: int) -> st.SearchStrategy[Any]:
    if "prefixItems" in schema:
        parts = [from_schema(item, root, depth + 1) for item in schema["prefixItems"]]
        return st.tuples(*parts).map(list)
    least = schema.get("minItems", 0)
    longest = min(schema.get("maxItems", 4), max(least, 4 if depth < 6 else 0))
    items = st.deferred(lambda: from_schema(schema.get("items", {}), root, depth + 1))
    lists = st.lists(items, min_size=least, max_size=max(longest, least))
    if longest < 2:
        return lists
    return st.one_of(lists, items.map(lambda item: [item] * max(longest, least)))


def _object(schema: Schema, root: Schema, depth: int) -> st.SearchStrategy[Any]:
    properties: Mapping[str, Schema] = schema.get("properties", {})
    required = set(schema.get("required", ()))

    def part(name: str) -> st.SearchStrategy[Any]:
        return st.deferred(lambda: from_schema(properties[name], root, depth + 1))

    fixed = st.fixed_dictionaries(
        {name: part(name) for name in properties if name in required},
        optional={name: part(name) for name in properties if name not in required},
    )
    extra = _further(schema)
    if not isinstance(extra, dict) or depth > 6:
        return fixed
    keys = _string(schema.get("propertyNames", {"maxLength": 20}), root, depth)
    if "patternProperties" in schema:
        keys = st.from_regex(next(iter(schema["patternProperties"])), fullmatch=True)
    values = st.deferred(lambda: from_schema(extra, root, depth + 1))
    further = st.dictionaries(keys, values, max_size=3)
    return st.builds(lambda known, unknown: {**unknown, **known}, fixed, further)


_BY_TYPE: Mapping[str, Callable[[Schema, Schema, int], st.SearchStrategy[Any]]] = {
    "integer": _integer,
    "number": _number,
    "string": _string,
    "array": _array,
    "object": _object,
    "boolean": lambda *_: st.booleans(),
    "null": lambda *_: st.none(),
}
