"""The file of accepted verdicts: what a team has reviewed, committed beside its models."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import replace
from decimal import ROUND_CEILING, Context
from pathlib import Path
from typing import Any

from pydantic import Field
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from deepmatrix.boundary.bounds import path_text
from deepmatrix.boundary.opening import is_there
from deepmatrix.boundary.writing import write_named
from deepmatrix.comparison import verdicts
from deepmatrix.comparison.changes import Comparison, Key, Kind, Side
from deepmatrix.comparison.comparing import side
from deepmatrix.comparison.verdicts import Outcome
from deepmatrix.config import documents
from deepmatrix.config.documents import Problem, Section, Text, did_you_mean
from deepmatrix.config.reading.bounds import Bounds
from deepmatrix.errors import ArgumentError
from deepmatrix.results.rows import ModelRow, Results

HEADER = """\
Accepted verdicts. `compare --baseline FILE RUN` fails on what is worse than this.
`--update-baseline` writes what RUN shows; review the difference, then commit it.
Comments, reasons and what RUN does not have are kept.
"""


#: Verdicts of a file: a run of the default preset has four hundred. A verdict has up to nine
#: nodes, and its subject two.
MOST = 5_000
LIMITS = Bounds(size=1 << 20, lines=4 * MOST, nodes=12 * MOST)


#: How errors are rounded.
ROUNDED_UP = Context(prec=2, rounding=ROUND_CEILING)


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
    document = documents.load(path, AcceptedVerdicts, _problems, limits=LIMITS)
    return {
        (kind, subject, entry.cell): Outcome(
            verdict=entry.verdict, subject=subject, error=entry.error, reason=entry.reason or ""
        )
        for kind in verdicts.KINDS
        for subject, entries in getattr(document, kind).items()
        for entry in entries
    }


def _problems(document: AcceptedVerdicts) -> Iterator[Problem]:
    """Yield verdicts that there are not or too many, and cells that a subject has twice."""
    if _count(getattr(document, kind) for kind in verdicts.KINDS) > MOST:
        yield (), f"it has more than {MOST} verdicts", False
    for kind in verdicts.KINDS:
        words = verdicts.WORDS[kind]
        for subject, entries in getattr(document, kind).items():
            cells: set[str] = set()
            for number, entry in enumerate(entries):
                place = (kind, subject, number)
                if entry.verdict not in words:
                    message = f"'{entry.verdict}' is no verdict{did_you_mean(entry.verdict, words)}"
                    yield (*place, "verdict"), message, False
                if entry.cell in cells:
                    message = f"'{entry.cell}' is listed twice for {subject}; keep one entry"
                    yield (*place, "cell"), message, False
                cells.add(entry.cell)


def compare_accepted(
    accepted: dict[Key, Outcome], heads: Sequence[Results], names: tuple[str, str], growth: float
) -> Comparison:
    """Return what differs in some runs from the accepted verdicts; no times and sizes are known.

    A verdict that is accepted may be what it is, or better.

    Raises:
        ArgumentError: two runs are of different models with one name.
    """
    _check_names(heads)
    if any(results.models or not results.cells for results in heads):  # all may be refused
        accepted = dict(_by_model(accepted))
    judged = verdicts.compare_verdicts(accepted, verdicts.all_outcomes(*heads), growth)
    return Comparison(
        base=Side(name=names[0]),
        head=side(heads[0], names[1]) if len(heads) == 1 else Side(name=names[1]),
        failures=tuple(judged.failures),
        changes=tuple(judged.changes),
        drifts=tuple(judged.drifts),
        accepted=tuple(judged.accepted),
        unchanged=judged.unchanged,
        added=judged.added,
        gone=judged.gone,
        compared=judged.compared,
    )


def _by_model(accepted: dict[Key, Outcome]) -> Iterator[tuple[Key, Outcome]]:
    """Yield accepted verdicts of users' own models, whose subjects people know by the name."""
    for key, outcome in accepted.items():
        _, name, _ = key[1].rsplit("--", 2) if key[1].count("--") > 1 else ("", key[1], "")
        yield key, replace(outcome, subject=name)


def _check_names(heads: Sequence[Results]) -> None:
    """Raise ArgumentError where one name has two models."""
    by_artifact: dict[str, ModelRow] = {}
    for model in (model for results in heads for model in results.models if model.sha256):
        other = by_artifact.setdefault(model.artifact, model)
        if other.sha256 != model.sha256 and Path(other.source) != Path(model.source):
            raise ArgumentError(
                f"{other.source} and {model.source} are other models, and both are called "
                f"{model.name}",
                hint="verify them in one run, or list both in deepmatrix.yaml: then each has a "
                "name of its own",
            )


def update(path: Path, heads: Sequence[Results]) -> bool:
    """Write the verdicts of some runs as the accepted ones; return whether the file changed.

    An entry stays as it is, its comments and its reason too, where the runs agree with it, or have
    lost it: they may be of some models or cells only. One whose error alone grew keeps its reason.

    Raises:
        ConfigError: the file is there, and wrong.
        ArgumentError: two runs are of different models with one name, or nothing ran in any.
    """
    _check_names(heads)
    outcomes = verdicts.worst_outcomes(*heads)
    if all(outcome.verdict == verdicts.NOT_RUN for outcome in outcomes.values()):
        raise ArgumentError(
            f"{path_text(path)} is not written: no cell served or trained anything in what is "
            "named, so nothing could be compared with it",
            hint="name a run that has verdicts; its report says why a cell has none",
        )
    accepted = load(path) if is_there(path) else {}
    document = _read(path) if is_there(path) else _new()
    for kind in verdicts.KINDS:
        for subject in sorted({key[1] for key in outcomes if key[0] == kind}):
            part = document.setdefault(kind, CommentedMap())
            _update_subject(part, kind, subject, accepted, outcomes)
    text = _dump(document)
    _check_size(path, document, text)
    before = path.read_text("utf-8") if is_there(path) else ""
    if text != before:
        write_named(path, text)
    return text != before


def _check_size(path: Path, document: CommentedMap, text: str) -> None:
    """Raise ArgumentError for a file that `load` would refuse, before it is written."""
    count = _count(document.get(kind, {}) for kind in verdicts.KINDS)
    if count > MOST or len(text.encode()) > LIMITS.size or len(text.splitlines()) > LIMITS.lines:
        raise ArgumentError(
            f"{path}: {count} verdicts are more than a file of accepted ones holds",
            hint="give the runs of each preset, or of each group of models, a file of their own",
        )


def _count(kinds: Iterable[Mapping[str, Sized]]) -> int:
    return sum(len(entries) for subjects in kinds for entries in subjects.values())


def count_unseen(path: Path, heads: Sequence[Results]) -> int:
    """Return how many accepted verdicts of a file some runs do not have, or did not run.

    Raises:
        ArgumentError: the file is not there.
        ConfigError: it is wrong.
    """
    outcomes = verdicts.worst_outcomes(*heads)
    return sum(
        verdicts.is_lost(outcome, outcomes.get(key)) or key not in outcomes
        for key, outcome in load(path).items()
    )


def count_bare(path: Path) -> int:
    """Return how many accepted failures of a file have no reason. Raises as `load` does."""
    return sum(entry.failed and not entry.reason for entry in load(path).values())


def _update_subject(
    part: CommentedMap,
    kind: Kind,
    subject: str,
    accepted: dict[Key, Outcome],
    outcomes: dict[Key, Outcome],
) -> None:
    """Replace the entries of a subject that changed; the cells stay sorted."""
    present = {entry["cell"]: entry for entry in part.get(subject, ())}
    current = {key[2]: outcome for key, outcome in outcomes.items() if key[:2] == (kind, subject)}
    entries = []
    for cell in sorted({*present, *current}):
        before, after = accepted.get((kind, subject, cell)), current.get(cell)
        if after is None or (before and verdicts.is_lost(before, after)):
            entries.append(present[cell])
        elif before is None or before.verdict != after.verdict:
            entries.append(_entry(cell, after))
        else:
            if verdicts.has_grown(before, after):
                _set_error(present[cell], after)
            entries.append(present[cell])
    if entries != list(part.get(subject, ())):
        part[subject] = entries


def _entry(cell: str, outcome: Outcome) -> CommentedMap:
    entry = CommentedMap(cell=cell, verdict=outcome.verdict)
    _set_error(entry, outcome)
    entry.fa.set_flow_style()
    return entry


def _set_error(entry: CommentedMap, outcome: Outcome) -> None:
    """Write the error of what is no match, rounded up: no limit is broken by the run itself."""
    if outcome.rank and outcome.error is not None:
        entry["error"] = float(ROUNDED_UP.create_decimal_from_float(outcome.error))
    else:
        entry.pop("error", None)


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
