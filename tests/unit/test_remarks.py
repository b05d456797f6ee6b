"""Remarks on a run's rows."""

from __future__ import annotations

import pytest

from deepmatrix.results import remarks
from deepmatrix.results.rows import PortabilityRow
from deepmatrix.store.records import Deviation
from harness.record import BASELINE, CONTESTED
from tests.unit.verifications import MODEL


@pytest.mark.timeout(30)
def test_the_sources_of_very_many_outputs_are_said_in_seconds() -> None:
    names = [f"y{number}" for number in range(10_000)]
    judged_by = {name: f"the outputs of {name}" for name in names}
    model = MODEL.model_copy(update={"judged_by": judged_by, "random": ("y1", *names[5:5000])})
    lines = list(remarks.gold_sources([model]))
    assert len(lines) == 5004
    assert "the right values of y0 are from: the outputs of y0;" in lines[0]


def test_workers_that_share_a_machine_are_said_and_others_are_not() -> None:
    facts = [("one", "laptop"), ("two", "laptop"), ("board", "arm"), ("board", "arm")]
    engines = {
        str(number): {"worker": worker, "machine": machine}
        for number, (worker, machine) in enumerate(facts)
    }
    nowhere = {"here": {"machine": "laptop"}, "unknown": {"worker": "three"}}
    (line,) = remarks.shared_machines({**engines, **nowhere})
    assert line.startswith("one, two were workers on one machine: ")


@pytest.mark.parametrize("source", [BASELINE, CONTESTED])
def test_what_onnx_runtime_judges_says_nothing_of_its_own_kernels(source: str) -> None:
    model = MODEL.model_copy(update={"judged_by": {"y": source, "z": "the outputs of another"}})
    other, own = sorted(remarks.gold_sources([model]), key=lambda line: "ONNX Runtime" in line)
    assert own.endswith("a match of ONNX Runtime does not say that its kernels are right")
    assert "kernels" not in other


def row(artifact: str, consumer: str, caution: str = "") -> PortabilityRow:
    """Return a match of one output."""
    return PortabilityRow(
        artifact=artifact,
        consumer=consumer,
        emulated=False,
        verdict="match",
        outputs=(Deviation(name="y", error=0.0, caution=caution),),
    )


def test_models_with_the_same_caution_stand_in_one_remark() -> None:
    rows = [row(name, cell, "all zero") for name in "abcde" for cell in ("first", "second")]
    assert list(remarks.cautions(rows)) == [
        "a, b, c and 2 more: a match of output y proves little: all zero"
    ]


def test_a_caution_of_some_cells_names_them_and_not_those_that_refuse_the_model() -> None:
    refusing = row("a", "third").model_copy(update={"outputs": (), "verdict": "unsupported"})
    rows = [row("a", "first", "wide"), row("a", "second"), row("b", "first", "wide"), refusing]
    assert list(remarks.cautions(rows)) == [
        "a: a match of output y on first proves little: wide",
        "b: a match of output y proves little: wide",
    ]
