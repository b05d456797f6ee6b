"""How a verdict looks: its mood, and a sign that is told apart without colour."""

from __future__ import annotations

from deepmatrix.drawing.layout import Mood
from deepmatrix.results.counting import EXPECTED, counted_as
from deepmatrix.results.rows import PortabilityRow

MOODS: dict[str, Mood] = {
    "match": "good",
    "drift": "bad",
    "error": "bad",
    "unsupported": "warned",
    "not-run": "muted",
}

#: One sign for each verdict, told apart without colour.
SIGNS: dict[str, str] = {
    "match": "✓",
    "drift": "≠",
    "error": "✗",
    "unsupported": "⊘",
    "not-run": "–",
}

#: The signs of all that verdicts are counted as.
COUNTED_SIGNS = {**SIGNS, EXPECTED: "~"}


def sign(judged: PortabilityRow) -> str:
    """Return the sign of a verdict, or of an expected failure."""
    return COUNTED_SIGNS[counted_as(judged)]
