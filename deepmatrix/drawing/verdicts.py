"""How a verdict looks: its mood, and a sign that is told apart without colour."""

from __future__ import annotations

from deepmatrix.drawing.layout import Mood

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

#: The sign of a failure that was expected.
EXPECTED_SIGN = "~"
