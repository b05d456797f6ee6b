"""How verdicts are counted: one rule for screens, reports and pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from deepmatrix.judging.verdicts import ORDER
from deepmatrix.results.rows import PortabilityRow

#: What expected failures are counted as, whatever their verdict.
EXPECTED = "expected failure"


def consumers(rows: Iterable[PortabilityRow]) -> list[PortabilityRow]:
    """Return the rows that count: those of consumers, without the evaluator that gold is from."""
    return [judged for judged in rows if not judged.judges]


def counted_as(judged: PortabilityRow) -> str:
    """Return the word that a verdict is counted by. What did not run has not failed."""
    is_expected = judged.expected_failure and judged.verdict != "not-run"
    return EXPECTED if is_expected else judged.verdict


def verdict_counts(rows: Iterable[PortabilityRow]) -> dict[str, int]:
    """Return how many consumers have each verdict; expected failures are counted apart."""
    words = Counter(map(counted_as, consumers(rows)))
    return {word: words[word] for word in (*ORDER, EXPECTED)}
