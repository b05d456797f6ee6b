"""What several runs say together of a change: whether it passes, and what is wrong first."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from deepmatrix.comparison.changes import Comparison
from deepmatrix.results import remarks
from deepmatrix.results.rows import ModelRow, PortabilityRow, Results


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """A verdict that is not as expected. *source*: the model's file. *place*: where it ran."""

    judged: PortabilityRow
    source: str
    place: str


@dataclass(frozen=True, kw_only=True)
class Review:
    """The results of one change, from one run or several, and what changed against a baseline.

    Where there is a *comparison*, its limits decide on verdicts; else a verdict that is not as
    expected fails. Broken budgets, models that no cell serves, and what is *lost* always fail.

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
            lines = [*self.comparison.broken, *self.over_budget, *self.unserved]
        return tuple(dict.fromkeys((*self.lost, *lines)))

    @property
    def over_budget(self) -> tuple[str, ...]:
        """A line for each broken budget."""
        return tuple(dict.fromkeys(line for results in self.runs for line in results.over_budget))

    @property
    def unserved(self) -> tuple[str, ...]:
        """The problems that are neither a verdict nor a budget: nothing was served, or built."""
        return tuple(dict.fromkeys(line for results in self.runs for line in _unserved(results)))

    def accepts(self, cell: str, subject: str) -> bool:
        """Return whether a comparison knows a failure of a cell: it is no worse than before."""
        return self.comparison is not None and (cell, subject) not in self._worse

    @cached_property
    def _worse(self) -> frozenset[tuple[str, str]]:
        compared = self.comparison
        changes = (*compared.failures, *compared.drifts) if compared else ()
        return frozenset((change.cell, change.subject) for change in changes)

    def models(self) -> list[tuple[ModelRow, list[PortabilityRow]]]:
        """Return each model, once for all runs, with its verdicts in all of them."""
        grouped: dict[tuple[str, str], tuple[ModelRow, list[PortabilityRow]]] = {}
        for results in self.runs:
            for model in results.served_models:
                rows = results.verdicts_of(model.artifact)
                grouped.setdefault((model.source, model.name), (model, []))[1].extend(rows)
        return list(grouped.values())

    def wrong(self) -> list[Wrong]:
        """Return the verdicts that fail, the worst first; those alike follow the one searched."""
        wrong = [
            entry
            for results in self.runs
            for entry in _wrong(results)
            if not self.accepts(entry.judged.consumer, entry.judged.title)
        ]
        return sorted(wrong, key=lambda entry: -_badness(entry.judged))


def _unserved(results: Results) -> Iterator[str]:
    verdicts = {remarks.verdict_problem(judged) for judged in results.portability}
    for problem in results.problems:
        if problem not in verdicts and problem not in results.over_budget:
            yield problem


def _wrong(results: Results) -> Iterator[Wrong]:
    sources = {model.artifact: model.source for model in results.models}
    for judged in results.portability:
        if remarks.verdict_problem(judged) in results.problems:
            source = sources.get(judged.artifact, "")
            yield Wrong(judged=judged, source=source, place=_place(results))


def _place(results: Results) -> str:
    """Return where the cells of a run ran, empty for containers."""
    places = {
        f"{facts['engine']} on {facts.get('system', '').partition('-')[0]}"
        for facts in results.engines.values()
        if facts["engine"] != "docker"
    }
    return ", ".join(sorted(places))


def _badness(judged: PortabilityRow) -> float:
    """Return how often an error uses up its tolerance; what has no number is worst."""
    share = judged.share_of_tolerance
    return math.inf if share is None or not math.isfinite(share) else share
