"""Why a runtime refuses an ONNX model: its IR version, its opset, or operators it does not know.

Nothing is read from the runtime's message. The runtime is asked again, by models of one node: with
the IR version and the opset of the model, and with each of its operators. An operator is unknown
where the runtime says the same of it as of one that does not exist. The file is scanned as
protocol buffers, so that no ``onnx`` package is needed; the numbers are the fields of
``onnx.proto``.
"""

import mmap
import os
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

#: Asks the runtime to load a model of some bytes; returns what it says, or nothing where it does.
Ask = Callable[[bytes], str]

#: An operator that does not exist.
NONE = "NoSuchOperator"

#: What every runtime reads.
OLD_IR, OLD_OPSET = 3, 7

#: No IR version and no opset is larger: a model may claim any.
MOST = 200

Operator = Tuple[str, str]  # its domain and its name


class Needs(NamedTuple):
    """What a model needs of a runtime: *opsets* by their domains, "" being the standard's."""

    ir: int
    opsets: Dict[str, int]
    operators: Set[Operator]


def explain(path: str, ask: Ask) -> str:
    """Return in one line why a runtime refuses a model, or nothing where that is not known.

    Args:
        path: the model's file, which the runtime has refused.
        ask: asks the runtime to load another one.
    """
    needs = read_needs(path)
    if needs is None:
        return ""
    if ask(one_node(needs.ir, OLD_OPSET)):
        known = _largest(needs.ir, OLD_IR, lambda ir: one_node(ir, OLD_OPSET), ask)
        return f"IR version {needs.ir}; supported up to {known}" if known else ""
    opset = needs.opsets.get("", OLD_OPSET)
    if ask(one_node(needs.ir, opset)):
        known = _largest(opset, OLD_OPSET, lambda opset: one_node(needs.ir, opset), ask)
        return f"opset {opset}; supported up to {known}" if known else ""
    unknown = [operator for operator in sorted(needs.operators) if _unknown(operator, needs, ask)]
    names = [f"{domain}.{name}" if domain else name for domain, name in unknown]
    return f"it does not know the operator{'s' * (len(names) > 1)} {', '.join(names)}" * bool(names)


def _largest(above: int, least: int, make: Callable[[int], bytes], ask: Ask) -> int:
    """Return the largest number below *above* whose model is read, or 0."""
    numbers = range(min(above - 1, MOST), least - 1, -1)
    return next((number for number in numbers if not ask(make(number))), 0)


def _unknown(operator: Operator, needs: Needs, ask: Ask) -> bool:
    domain, name = operator
    answers = [
        ask(one_node(needs.ir, needs.opsets.get("", OLD_OPSET), (domain, kind), needs.opsets))
        for kind in (name, NONE)
    ]
    return bool(answers[0]) and answers[0].replace(name, NONE) == answers[1]


def one_node(
    ir: int,
    opset: int,
    operator: Operator = ("", "Relu"),
    opsets: Optional[Dict[str, int]] = None,
) -> bytes:
    """Return the bytes of a model ``y = operator(x)`` of float32 (2,).

    *opsets*: those of other domains.
    """
    domain, name = operator
    node = _text(1, "x") + _text(2, "y") + _text(4, name) + _text(7, domain)
    graph = _field(1, node) + _text(2, "one")
    for number, tensor in ((11, "x"), (12, "y")):
        shape = _field(2, _field(1, _number(1, 2)))
        graph += _field(number, _text(1, tensor) + _field(2, _field(1, _number(1, 1) + shape)))
    versions = {**(opsets or {}), "": opset}
    imports = [_field(8, _text(1, key) + _number(2, versions[key])) for key in sorted(versions)]
    return _number(1, ir) + _field(7, graph) + b"".join(imports)


def read_needs(path: str) -> Any:
    """Return the `Needs` of a model's file, or None where it is none."""
    if not os.path.getsize(path):
        return None
    with open(path, "rb") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            try:
                return _needs(content)
            except (IndexError, ValueError, RecursionError):
                return None


def _needs(content: Any) -> Needs:
    ir, opsets, operators, functions = 0, {}, set(), set()  # type: ignore[var-annotated]
    for field, value in _fields(content, 0, len(content)):
        if field == 1:
            ir = value
        elif field == 8:
            entry = dict(_fields(content, *value))
            domain = _string(content, entry.get(1))
            opsets["" if domain == "ai.onnx" else domain] = entry.get(2, 0)
        elif field == 7:
            operators.update(_operators(content, value, 1))
        elif field == 25:
            entry = dict(_fields(content, *value))
            functions.add((_string(content, entry.get(10)), _string(content, entry.get(1))))
            operators.update(_operators(content, value, 7))
    return Needs(ir, opsets, operators - functions)


def _operators(content: Any, place: Tuple[int, int], node_field: int) -> Iterator[Operator]:
    """Yield the operators of a graph, or of a function, inner graphs included."""
    for field, value in _fields(content, *place):
        if field != node_field:
            continue
        name = domain = ""
        for part, inner in _fields(content, *value):
            if part == 4:
                name = _string(content, inner)
            elif part == 7:
                domain = _string(content, inner)
            elif part == 5:
                for attribute, graph in _fields(content, *inner):
                    if attribute in (6, 11):
                        for operator in _operators(content, graph, 1):
                            yield operator
        yield ("" if domain == "ai.onnx" else domain, name)


def _fields(content: Any, place: int, end: int) -> Iterator[Tuple[int, Any]]:
    """Yield number and value of a message's fields: an integer, or the places of its content.

    Raises ValueError or IndexError where it is not a message.
    """
    while place < end:
        key, place = _varint(content, place)
        wire = key & 7
        if wire == 0:
            value, place = _varint(content, place)
            yield key >> 3, value
            continue
        size = {1: 8, 5: 4}.get(wire, 0)
        if wire == 2:
            size, place = _varint(content, place)
        elif not size:
            raise ValueError("this is not a protocol buffer")
        if place + size > end:
            raise ValueError("a field is longer than its message")
        yield key >> 3, (place, place + size)
        place += size


def _varint(content: Any, place: int) -> Tuple[int, int]:
    """Return an integer and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = content[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise ValueError("an integer is too long")


def _string(content: Any, place: Any) -> str:
    return content[place[0] : place[1]].decode("utf-8", "replace") if place else ""


def _number(field: int, value: int) -> bytes:
    return _varint_bytes(field << 3) + _varint_bytes(value)


def _field(field: int, content: bytes) -> bytes:
    return _varint_bytes(field << 3 | 2) + _varint_bytes(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _field(field, text.encode())


def _varint_bytes(value: int) -> bytes:
    low: List[int] = []
    while value > 127:
        low.append(value & 127 | 128)
        value >>= 7
    return bytes(low + [value])
