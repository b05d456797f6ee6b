"""What several runs say together of a change: whether it passes, and what is wrong first."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from deepmatrix.comparison import verdicts
from deepmatrix.comparison.changes import Comparison, Key, VerdictChange
from deepmatrix.comparison.limits import describe_broken
from deepmatrix.results import remarks
from deepmatrix.results.rows import ModelRow, PortabilityRow, Results, TrainingRow


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """A verdict that fails. *source*: the model's file. *place*: where it ran.

    *line*: what it is among the review's failures.
    """

    judged: PortabilityRow
    line: str
    source: str
    place: str

    @property
    def explanation(self) -> str:
        """What is known of it: the cause, else the error's message, or the reason."""
        judged = self.judged
        return (judged.cause.text if judged.cause else judged.message or judged.reason) or self.line


@dataclass(frozen=True, kw_only=True)
class Review:
    """The results of one change, from one run or several, and what changed against a baseline.

    Where there is a *comparison*, its limits decide on the verdicts that it has; any other that is
    not as expected fails. Broken budgets, models that no cell serves, cells that were not built or
    have not done all their jobs, and what is *lost* always fail.

    *lost*: a line for each job of CI that left no results.
    """

    runs: tuple[Results, ...]
    comparison: Comparison | None = None
    lost: tuple[str, ...] = ()

    @property
    def failures(self) -> tuple[str, ...]:
        """A line for everything that fails, each once."""
        lines = [line for results in self.runs for line in results.problems]
        if self.comparison:
            wrong = (entry.line for entry in self.wrong)
            lines = [*self.comparison.broken, *wrong, *self.over_budget, *self.unserved]
        return tuple(dict.fromkeys((*self.lost, *lines)))

    @property
    def over_budget(self) -> tuple[str, ...]:
        """A line for each broken budget."""
        return tuple(dict.fromkeys(line for results in self.runs for line in results.over_budget))

    @property
    def unserved(self) -> tuple[str, ...]:
        """The problems that are neither a verdict nor a budget: nothing was served, or built."""
        lines = (line for results in self.runs for line in self._unserved(results))
        return tuple(dict.fromkeys(lines))

    def _unserved(self, results: Results) -> Iterator[str]:
        row_lines = set(map(remarks.row_problem, results.portability))
        compared = (row for row in results.training if self._change(row))
        row_lines.update(map(remarks.row_problem, compared))
        row_lines.update(results.over_budget)
        return (line for line in results.problems if line not in row_lines)

    def failure(self, results: Results, row: TrainingRow | PortabilityRow) -> str:
        """Return the line by which a row of some results fails, empty where it does not."""
        if isinstance(row, PortabilityRow) and row.judges:
            return ""
        if change := self._change(row):
            return describe_broken(change) if change.breaks else ""
        line = remarks.row_problem(row)
        if line not in self._problems[id(results)]:
            return ""
        return f"not compared: {line}" if self.comparison else line

    @cached_property
    def _problems(self) -> dict[int, frozenset[str]]:
        """The problems of each run, to look one up; two runs may have one name."""
        return {id(results): frozenset(results.problems) for results in self.runs}

    def excuse(self, row: TrainingRow | PortabilityRow) -> str:
        """Return why a row that did not succeed fails nothing, empty without a comparison."""
        change = self._change(row)
        if change is None:
            return ""
        return "accepted" if change in self._accepted else "it breaks no limit"

    @cached_property
    def _accepted(self) -> frozenset[VerdictChange]:
        return frozenset(self.comparison.accepted if self.comparison else ())

    def _change(self, row: TrainingRow | PortabilityRow) -> VerdictChange | None:
        """Return what the comparison says of the verdict of a row, None where it does not have it.

        It tells nothing of what is good before and after.
        """
        if isinstance(row, TrainingRow):
            return self._changes.get((verdicts.key_of(row), row.status, None, row.reason))
        told = (verdicts.key_of(row), row.verdict, row.finite_error, row.reason)
        return self._changes.get(told)

    @cached_property
    def _changes(self) -> dict[tuple[Key, str, float | None, str], VerdictChange]:
        """The verdicts of the comparison; where it has one twice, what may break a limit counts."""
        told = self.comparison
        parts = (told.accepted, told.changes, told.drifts, told.failures) if told else ()
        return {
            (change.key, change.head, change.head_error, change.reason): change
            for change in itertools.chain(*parts)
        }

    def models(self) -> list[tuple[ModelRow, list[PortabilityRow], bool]]:
        """Return each model, once for all runs, its verdicts in all of them, and if one fails."""
        grouped: dict[tuple[str, str], tuple[ModelRow, list[PortabilityRow]]] = {}
        failing = set()
        for results in self.runs:
            for model in results.served_models:
                key, rows = (model.source, model.name), results.verdicts_of(model.artifact)
                grouped.setdefault(key, (model, []))[1].extend(rows)
                if any(self.failure(results, row) for row in rows):
                    failing.add(key)
        return [(model, rows, key in failing) for key, (model, rows) in grouped.items()]

    @cached_property
    def wrong(self) -> list[Wrong]:
        """The verdicts that fail, the worst first; those alike follow the one searched."""
        wrong = [entry for results in self.runs for entry in self._wrong(results)]
        return sorted(wrong, key=lambda entry: -_badness(entry.judged))

    def faults(self) -> list[list[Wrong]]:
        """Return the verdicts that fail by their cause, the worst first.

        The consumers of a fault are wrong alike: by the same cause, or for the same reason. An
        error without a cause stands for itself.
        """
        grouped: dict[tuple[str, str, str, str], list[Wrong]] = {}
        for entry in self.wrong:
            judged = entry.judged
            is_known = judged.cause or not judged.share_of_tolerance
            alone = "" if is_known else f"{judged.consumer} {judged.error} {entry.place}"
            key = (judged.title, judged.verdict, entry.explanation, alone)
            grouped.setdefault(key, []).append(entry)
        return list(grouped.values())

    def _wrong(self, results: Results) -> Iterator[Wrong]:
        sources = {model.artifact: model.source for model in results.models}
        for judged in results.portability:
            line = self.failure(results, judged)
            if line and judged.verdict not in remarks.SUCCESS:
                source = sources.get(judged.artifact, "")
                yield Wrong(judged=judged, line=line, source=source, place=_place(results))


def _place(results: Results) -> str:
    """Return where the cells of a run ran, empty for containers."""
    places = {
        f"{facts['engine']} on {facts.get('system', '').partition('-')[0]}"
        for facts in results.engines.values()
        if facts.get("engine", "docker") != "docker"
    }
    return ", ".join(sorted(places))


def _badness(judged: PortabilityRow) -> float:
    """Return how often an error uses up its tolerance; what has no number is worst."""
    share = judged.share_of_tolerance
    return math.inf if share is None or not math.isfinite(share) else share
