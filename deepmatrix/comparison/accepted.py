"""The file of accepted verdicts: what a team has reviewed, committed beside its models."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from deepmatrix.boundary.opening import is_there
from deepmatrix.boundary.writing import write_named
from deepmatrix.comparison import verdicts
from deepmatrix.comparison.changes import Comparison, Kind, Side
from deepmatrix.comparison.comparing import side
from deepmatrix.comparison.verdicts import Key, Outcome
from deepmatrix.config import documents
from deepmatrix.config.documents import Section, Text
from deepmatrix.results.rows import Results

HEADER = """\
Accepted verdicts. `compare --baseline FILE RUN` fails on what is worse than this.
`--update-baseline` writes what RUN shows; review the difference, then commit it.
Comments and reasons are kept.
"""


class Accepted(Section):
    """One accepted verdict. *error*: of one that is no match. *reason*: why it is accepted."""

    cell: Text
    verdict: Text
    error: float | None = Field(default=None, ge=0)
    reason: Text | None = None


class AcceptedVerdicts(Section):
    """The whole file: accepted verdicts by their kind and what they are of.

    That is an artifact's id where it is served, else a workload or a probe.
    """

    version: int = Field(ge=1, le=1)
    serving: dict[Text, tuple[Accepted, ...]] = Field(default_factory=dict)
    training: dict[Text, tuple[Accepted, ...]] = Field(default_factory=dict)
    idiom: dict[Text, tuple[Accepted, ...]] = Field(default_factory=dict)
    probe: dict[Text, tuple[Accepted, ...]] = Field(default_factory=dict)


def schema() -> str:
    """Return the JSON Schema of the file, as published in the repository."""
    return documents.json_schema(AcceptedVerdicts, "deepmatrix accepted verdicts")


def load(path: Path) -> dict[Key, Outcome]:
    """Load a file of accepted verdicts.

    Raises:
        ArgumentError: the file is not there.
        ConfigError: it is wrong; one line a problem.
    """
    document = documents.load(path, AcceptedVerdicts, lambda _: iter(()))
    return {
        (kind, subject, entry.cell): Outcome(
            verdict=entry.verdict, subject=subject, error=entry.error, reason=entry.reason or ""
        )
        for kind in verdicts.KINDS
        for subject, entries in getattr(document, kind).items()
        for entry in entries
    }


def compare_accepted(
    accepted: dict[Key, Outcome], heads: Sequence[Results], names: tuple[str, str], growth: float
) -> Comparison:
    """Return what differs in some runs from the accepted verdicts; no times and sizes are known.

    A verdict that is accepted may be what it is, or better.
    """
    judged = verdicts.compare_verdicts(accepted, verdicts.worst_outcomes(heads), growth)
    return Comparison(
        base=Side(name=names[0]),
        head=side(heads[0], names[1]) if len(heads) == 1 else Side(name=names[1]),
        failures=tuple(judged.failures),
        changes=tuple(judged.changes),
        drifts=tuple(judged.drifts),
        unchanged=judged.unchanged,
        added=judged.added,
    )


def update(path: Path, heads: Sequence[Results]) -> bool:
    """Write the verdicts of some runs as the accepted ones; return whether the file changed.

    An entry stays as it is, its comments and its reason too, where the runs agree with it.

    Raises:
        ConfigError: the file is there, and wrong.
    """
    known = load(path) if is_there(path) else {}
    document = _read(path) if is_there(path) else _new()
    outcomes = verdicts.worst_outcomes(heads)
    entries = {(kind, subject) for kind, subject, _ in outcomes}
    for kind in verdicts.KINDS:
        subjects = sorted(subject for entry_kind, subject in entries if entry_kind == kind)
        _keep(document, kind, subjects)
        for subject in subjects:
            _update_subject(document[kind], kind, subject, known, outcomes)
    text = _dump(document)
    before = path.read_text("utf-8") if is_there(path) else ""
    if text != before:
        write_named(path, text)
    return text != before


def _keep(document: CommentedMap, kind: str, subjects: list[str]) -> None:
    """Leave these subjects in the part of a kind, and drop the part where there are none."""
    if not subjects:
        document.pop(kind, None)
        return
    part = document.setdefault(kind, CommentedMap())
    for subject in [name for name in part if name not in subjects]:
        del part[subject]


def _update_subject(
    part: CommentedMap,
    kind: Kind,
    subject: str,
    known: dict[Key, Outcome],
    outcomes: dict[Key, Outcome],
) -> None:
    """Replace the entries of a subject that changed; the cells stay sorted."""
    present = {entry["cell"]: entry for entry in part.get(subject, ())}
    entries = []
    for cell in sorted(
        name for entry_kind, about, name in outcomes if (entry_kind, about) == (kind, subject)
    ):
        outcome, before = outcomes[kind, subject, cell], known.get((kind, subject, cell))
        is_same = before is not None and verdicts.agree(before, outcome)
        entries.append(present[cell] if is_same else _entry(cell, outcome))
    if entries != list(part.get(subject, ())):
        part[subject] = entries


def _entry(cell: str, outcome: Outcome) -> CommentedMap:
    entry = CommentedMap(cell=cell, verdict=outcome.verdict)
    if outcome.rank and outcome.error is not None:
        entry["error"] = float(f"{outcome.error:.1e}")
    entry.fa.set_flow_style()
    return entry


def _new() -> CommentedMap:
    document = CommentedMap(version=1)
    document.yaml_set_start_comment(HEADER)
    return document


def _yaml() -> YAML:
    yaml = YAML()
    yaml.width = 1000  # an entry stays on its line
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _read(path: Path) -> Any:
    return _yaml().load(path.read_text("utf-8"))


def _dump(document: CommentedMap) -> str:
    text = io.StringIO()
    _yaml().dump(document, text)
    return text.getvalue()
