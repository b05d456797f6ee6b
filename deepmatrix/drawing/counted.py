"""The signs of what verdicts are counted as.

They are apart from those of verdicts, which a command shows before it needs any results.
"""

from __future__ import annotations

from deepmatrix.drawing.verdicts import EXPECTED_SIGN, SIGNS
from deepmatrix.results.counting import EXPECTED, counted_as
from deepmatrix.results.rows import PortabilityRow

#: The signs of all that verdicts are counted as.
COUNTED_SIGNS = {**SIGNS, EXPECTED: EXPECTED_SIGN}


def sign(judged: PortabilityRow) -> str:
    """Return the sign of a verdict, or of an expected failure."""
    return COUNTED_SIGNS[counted_as(judged)]
