"""The bounds of a YAML document, checked on its events, before anything is built from it.

A short document can be huge when it is built: an alias repeats what its anchor holds, and that may
hold aliases. Keys that are no text and values with a tag of their own are refused here too.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
)
from ruamel.yaml.parser import RoundTripParser

#: Mappings and lists inside one another; the matrix file needs four.
DEEPEST = 20

#: The key that takes over what another mapping has: no part of YAML 1.2.
MERGE = "<<"

#: The largest whole number.
LARGEST_WHOLE = 2**64


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How large a document may be: its bytes and lines, and its *nodes*.

    These are values and keys, each alias counted as what it stands for. A comment, and lines
    without anything, take a time that grows with the square of their length.
    """

    size: int
    lines: int
    nodes: int


#: Of what people write: ten times the size, and six times the nodes, of the matrix file.
BY_PEOPLE = Bounds(size=1 << 18, lines=10_000, nodes=10_000)


@dataclass
class _Open:
    """A mapping or list that has begun: its anchor, and how many nodes it has until now."""

    anchor: str | None
    mapping: bool
    nodes: int = 1
    children: int = 0


@dataclass
class _Counter:
    """Counts the nodes of a document while its events come in."""

    most_nodes: int
    sizes: dict[str, int] = field(default_factory=dict)
    anchors: set[str] = field(default_factory=set)
    stack: list[_Open] = field(default_factory=lambda: [_Open(anchor=None, mapping=False, nodes=0)])

    def take(self, event: Event) -> None:
        """Take one event. Raises MarkedYAMLError where the document leaves a bound."""
        if isinstance(event, CollectionEndEvent):
            ended = self.stack.pop()
            self._add(ended.nodes, ended.anchor, event)
        elif isinstance(event, NodeEvent):
            self._check(event)
            if isinstance(event, CollectionStartEvent):
                mapping = isinstance(event, MappingStartEvent)
                self.stack.append(_Open(anchor=event.anchor, mapping=mapping))
                if len(self.stack) - 1 > DEEPEST:
                    raise _error("nested too deeply", event)
            elif isinstance(event, AliasEvent):
                if event.anchor not in self.sizes:
                    raise _error(f"nothing before it, and not around it, is &{event.anchor}", event)
                self._add(self.sizes[event.anchor], None, event)
            else:
                self._add(1, event.anchor, event)

    def _add(self, nodes: int, anchor: str | None, event: Event) -> None:
        parent = self.stack[-1]
        parent.nodes += nodes
        parent.children += 1
        if anchor:
            self.sizes[anchor] = nodes
        if sum(part.nodes for part in self.stack) > self.most_nodes:
            raise _error(f"more than {self.most_nodes} values, with what aliases repeat", event)

    def _check(self, event: NodeEvent) -> None:
        parent = self.stack[-1]
        at_key = parent.mapping and parent.children % 2 == 0
        if at_key and isinstance(event, ScalarEvent) and event.value == MERGE and not event.style:
            raise _error("the key << is not used here; write out what it stands for", event)
        if at_key and not isinstance(event, ScalarEvent):
            raise _error("a key must be text, not a list, a mapping or an alias", event)
        if isinstance(event, ScalarEvent | CollectionStartEvent):
            if event.anchor in self.anchors:
                raise _error(f"the anchor &{event.anchor} stands twice", event)
            if event.anchor:
                self.anchors.add(event.anchor)
            if event.tag not in (None, "!"):
                raise _error(f"the tag {event.tag} is not used here; leave it out", event)


class BoundedParser(RoundTripParser):
    """A parser that raises MarkedYAMLError, with its place, where a document leaves a bound.

    It looks at each event as it is made, so that nothing is built from those after it.
    """

    most_nodes = BY_PEOPLE.nodes

    _event: Event | None = None
    _counter: _Counter | None = None

    @property  # type: ignore[override]  # the parent sets None first, which is all mypy sees
    def current_event(self) -> Event | None:
        """The event that is read next, None before it is made."""
        return self._event

    @current_event.setter
    def current_event(self, event: Event | None) -> None:
        if event is not None:
            self._counter = self._counter or _Counter(self.most_nodes)
            self._counter.take(event)
        self._event = event


def parser_with(bounds: Bounds) -> type[BoundedParser]:
    """Return the parser of documents that may be so large."""
    return type("Parser", (BoundedParser,), {"most_nodes": bounds.nodes})


def _error(problem: str, event: Event) -> MarkedYAMLError:
    return MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
