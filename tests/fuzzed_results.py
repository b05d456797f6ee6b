"""Readers of what is made of runs, and compared, listed or decided: what the fuzzer tries too."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from ruamel.yaml import YAML

from deepmatrix import reports
from deepmatrix.comparison import accepted
from deepmatrix.comparison.comparing import compare_results
from deepmatrix.comparison.history import lines, series
from deepmatrix.comparison.reading import read_results
from deepmatrix.diagnosis.search.graph import Graph
from deepmatrix.paths import CLAIMS
from deepmatrix.reports import history, html, markdown
from deepmatrix.reports.tables.study import claims
from deepmatrix.results.rows import Results
from deepmatrix.store.reported.phases import TraceData
from deepmatrix.study import decisions, statements
from deepmatrix.study.statements import Statements
from tests.fuzzed_places import put, writer
from tests.fuzzing import SPECIAL, Reader
from tests.unit.examples import MATRIX

NAMES = ("base", "head")


def result_readers(folder: Path, results: Results) -> Iterator[Reader]:
    """Yield the readers, with files of their own below an empty folder."""
    folder.mkdir()
    document = results.model_dump(mode="json", by_alias=True)
    path = folder / "results.json"
    yield Reader(
        "results of a run", [document], _schema(Results),
        writer(path, lambda: _show(results, read_results(path, folder))),
    )  # fmt: skip
    verdicts = folder / "verdicts.yaml"
    known = {"version": 1, "serving": {"a": [{"cell": "c", "verdict": "drift", "error": 1e-5}]}}
    yield Reader(
        "accepted verdicts", [known], json.loads(accepted.schema()),
        writer(verdicts, lambda: _compare_accepted(verdicts, results)),
    )  # fmt: skip
    log = folder / lines.FILE
    measured = [json.loads(line.model_dump_json()) for line in lines.measurements(results)]
    yield Reader(
        "a line of the history", measured[:20], _schema(lines.Measurement),
        lambda content: _show_history(log, [*measured[:3], *measured[:3]], content),
    )  # fmt: skip
    yield _numbers(results)
    yield _statements(folder, results)
    node = {"name": "n", "kind": "Add", "inputs": ["x", "y"], "outputs": ["z"]}
    traced = {"nodes": [node, {**node, "outputs": ["v"]}], "outputs": ["z"], "tensors": ["z", "v"]}
    yield Reader("a traced graph", [traced], _schema(TraceData), _walk_graph)


def _show(base: Results, head: Results) -> None:
    html.run_page(head, html.Evidence())
    markdown.document(head)
    _show_comparison(base, head)


def _show_comparison(base: Results, head: Results) -> None:
    comparison = compare_results(base, head, NAMES)
    comparison.model_dump_json()
    reports.comparison_page(comparison)
    reports.show_comparison(_screen(), comparison)


def _compare_accepted(path: Path, results: Results) -> None:
    known = accepted.load(path)
    accepted.compare_accepted(known, [results], NAMES, 10.0).model_dump_json()
    accepted.update(path, [results])


def _show_history(path: Path, others: list[Any], content: bytes) -> None:
    whole = "".join(json.dumps(other) + "\n" for other in others).encode()
    is_special = content in SPECIAL
    put(path, content if is_special else whole + content.replace(b"\n", b" ") + b"\n")
    found = series.series(lines.read(path))
    history.show_list(_screen(), found)
    for each in found[:2]:
        history.show_series(_screen(), each)


#: The fields of results whose numbers are drawn and compared.
DRAWN = ("portability", "training", "inference", "serving", "timeline", "costs")


def _numbers(results: Results) -> Reader:
    """Return the reader of the numbers of one row at a time, each of which is often changed.

    What is no number is not: the host makes rows itself, of names that it knows.
    """
    whole = results.model_dump(mode="json", by_alias=True)
    for row in whole["portability"]:
        row["verdict"] = "drift"  # those that match are counted, and not drawn
    documents = [{name: _numbers_of(whole[name][:1])} for name in DRAWN if whole[name]]
    schema = _schema(Results)
    fields = {name: schema["properties"][name] for name in DRAWN}
    schema = {**schema, "properties": fields, "required": []}

    def draw(content: bytes) -> None:
        try:
            changed = Results.model_validate(_with_numbers(whole, json.loads(content)))
        except (ValueError, RecursionError):
            return  # the reader of whole results says that clearly
        _show(results, changed)

    return Reader("the numbers of results", documents, schema, draw)


def _numbers_of(document: Any) -> Any:
    """Return what of a document leads to numbers, None where there are none."""
    if isinstance(document, dict):
        inner = {key: _numbers_of(value) for key, value in document.items()}
        return {key: value for key, value in inner.items() if value is not None} or None
    if isinstance(document, list):
        items = [_numbers_of(value) for value in document]
        return None if all(item is None for item in items) else items
    return document if isinstance(document, float) else None


def _with_numbers(original: Any, changed: Any) -> Any:
    """Return a document with the numbers of another one, and with what is missing there."""
    if isinstance(original, dict) and isinstance(changed, dict):
        return {key: _with_numbers(value, changed.get(key)) for key, value in original.items()}
    if isinstance(original, list) and isinstance(changed, list):
        given = [*changed, *[None] * len(original)]
        return [_with_numbers(*pair) for pair in zip(original, given, strict=False)]
    is_number = isinstance(original, float) and isinstance(changed, int | float)
    return changed if is_number else original


def _statements(folder: Path, results: Results) -> Reader:
    path = folder / "claims.yaml"
    whole = json.loads(json.dumps(YAML(typ="safe").load(CLAIMS.read_text("utf-8"))))
    whole["claims"] = {area: listed[:6] for area, listed in whole["claims"].items()}

    def decide() -> None:
        decided = decisions.decide(statements.load(path), [results], MATRIX)
        reports.show_tables(_screen(), claims.tables(decided))

    return Reader("the statements", [whole], _schema(Statements), writer(path, decide))


def _walk_graph(content: bytes) -> None:
    try:
        traced = TypeAdapter(TraceData).validate_json(content)
    except ValidationError:
        return  # what is not even that is a torn output, which another reader tries
    graph = Graph(nodes=traced.nodes, inputs=["x"], outputs=traced.outputs, tensors=traced.tensors)
    graph.ancestors(graph.outputs)
    graph.ordered(graph.observable)


def _screen() -> Console:
    return Console(file=io.StringIO(), width=160)


def _schema(kind: Any) -> dict[str, Any]:
    return TypeAdapter(kind).json_schema(by_alias=True)
