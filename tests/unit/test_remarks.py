"""Remarks on a run's rows."""

from __future__ import annotations

import time

from deepmatrix.results import remarks
from tests.unit.verifications import MODEL


def test_the_sources_of_very_many_outputs_are_said_in_a_second() -> None:
    names = [f"y{number}" for number in range(10_000)]
    judged_by = {name: f"the outputs of {name}" for name in names}
    model = MODEL.model_copy(update={"judged_by": judged_by, "random": ("y1", *names[5:5000])})
    begin = time.perf_counter()
    lines = list(remarks.gold_sources([model]))
    assert time.perf_counter() - begin < 1
    assert len(lines) == 5004
    assert "the right values of y0 are from: the outputs of y0;" in lines[0]
