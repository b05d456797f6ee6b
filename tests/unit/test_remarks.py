"""Remarks on a run's rows."""

from __future__ import annotations

import time

import pytest

from deepmatrix.results import remarks
from harness.record import BASELINE, CONTESTED
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


@pytest.mark.parametrize("source", [BASELINE, CONTESTED])
def test_what_onnx_runtime_judges_says_nothing_of_its_own_kernels(source: str) -> None:
    model = MODEL.model_copy(update={"judged_by": {"y": source, "z": "the outputs of another"}})
    other, own = sorted(remarks.gold_sources([model]), key=lambda line: "ONNX Runtime" in line)
    assert own.endswith("a match of ONNX Runtime does not say that its kernels are right")
    assert "kernels" not in other
