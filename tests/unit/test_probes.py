"""What the probes must answer, by other ways of finding it."""

from __future__ import annotations

import ast
import importlib
import itertools
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepmatrix.paths import ROOT
from deepmatrix.results.expressiveness import outcomes
from deepmatrix.results.expressiveness.rows import ProbeRow
from deepmatrix.store.records import JobRecord
from deepmatrix.store.reported.output import Output
from deepmatrix.workloads import gold, probes
from harness import probes as harness_probes

GIVEN = {
    name: {key: v.astype(np.float64) if v.dtype == np.float32 else v for key, v in own.items()}
    for name, own in probes.inputs().items()
}
EXPECTED = probes.expected_answers()


def slope(function: Any, value: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """Return the gradient of a number by an array, by central differences."""
    gradient = np.zeros_like(value)
    for place in np.ndindex(value.shape):
        change = np.zeros_like(value)
        change[place] = step
        gradient[place] = (function(value + change) - function(value - change)) / (2 * step)
    return gradient


def answer(name: str, part: str, **changes: np.ndarray) -> np.ndarray:
    return probes.EXPECTED[name]({**GIVEN[name], **changes})[part]


#: Probe, its answer that is a gradient, by which input, of the sum of which answer (with `given`).
GRADIENTS = [
    ("derived_gradient", "gradient", "x", "y"),
    ("python_loop", "gradient", "w", "y"),
    ("attention", "query", "query", "y"),
    ("attention", "key", "key", "y"),
    ("attention", "value", "value", "y"),
    ("convolution_of_video", "gradient", "kernel", "y"),
    ("temporal_convolution", "gradient", "kernel", "y"),
    ("different_lengths", "kernel", "kernel", "last"),
    ("different_lengths", "recurrent", "recurrent", "last"),
    ("different_lengths", "bias", "bias", "last"),
    ("weight_sharing", "gradient", "embedding", "loss"),
    ("higher_order_gradients", "w1", "w1", "penalty"),
    ("higher_order_gradients", "w2", "w2", "penalty"),
]


@pytest.mark.parametrize(("name", "gradient", "by", "of"), GRADIENTS)
def test_a_gradient_agrees_with_finite_differences(
    name: str, gradient: str, by: str, of: str
) -> None:
    factor = GIVEN[name].get("upstream", 1.0)
    differences = slope(
        lambda value: (answer(name, of, **{by: value}) * factor).sum(), GIVEN[name][by]
    )
    assert EXPECTED[name][gradient] == pytest.approx(differences, abs=1e-6)


def test_the_gradient_of_a_loop_agrees_with_finite_differences() -> None:
    arrays = GIVEN["data_dependent_loop_gradient"]
    differences = slope(lambda w: probes._loop(arrays["x"], w)[0].sum(), arrays["w"])
    assert EXPECTED["data_dependent_loop_gradient"]["gradient"] == pytest.approx(
        differences, abs=1e-6
    )


def test_the_custom_gradient_is_not_the_true_one() -> None:
    upstream = GIVEN["own_layer"]["upstream"]
    true = slope(
        lambda x: (answer("own_layer", "y", x=x) * upstream).sum(), GIVEN["own_layer"]["x"]
    )
    assert np.all(true == 0)
    assert np.all(EXPECTED["own_layer"]["gradient"] != 0)


def test_the_loops_have_different_lengths_and_end_clearly() -> None:
    arrays = GIVEN["data_dependent_loop"]
    assert len(set(EXPECTED["data_dependent_loop"]["steps"])) == 2
    for x in (arrays["x"], arrays["brief"]):
        sizes = [np.abs(value).max() for value in probes._loop(x, arrays["w"])[1]]
        assert min(abs(size - probes.SMALL) for size in sizes) > 1e-3


def test_the_best_beam_is_the_most_probable_of_all_sequences() -> None:
    arrays = GIVEN["beam_search"]
    best = max(
        itertools.product(range(len(arrays["output"])), repeat=probes.STEPS),
        key=lambda sequence: score(arrays, sequence),
    )
    assert EXPECTED["beam_search"]["sequences"][0].tolist() == list(best)
    assert EXPECTED["beam_search"]["scores"][0] == pytest.approx(score(arrays, best))


def score(arrays: dict[str, np.ndarray], sequence: tuple[int, ...]) -> float:
    total, hidden, token = 0.0, np.zeros(arrays["recurrent"].shape[0]), 0
    for after in sequence:
        hidden = np.tanh(arrays["embedding"][token] + arrays["recurrent"] @ hidden)
        logits = arrays["output"] @ hidden
        total += logits[after] - np.log(np.exp(logits).sum())
        token = after
    return total


def test_padded_steps_do_not_count() -> None:
    x = GIVEN["different_lengths"]["x"].copy()
    for row, length in enumerate(GIVEN["different_lengths"]["lengths"]):
        x[row, length:] = 9.0
    assert answer("different_lengths", "last", x=x) == pytest.approx(
        EXPECTED["different_lengths"]["last"]
    )


def test_the_changed_model_learns_as_gold_does() -> None:
    arrays = GIVEN["changed_model"]
    first = np.tanh(arrays["x"] @ arrays["w1"].T) @ arrays["w2"].T
    losses = EXPECTED["changed_model"]["losses"]
    assert losses[0] == pytest.approx(gold.cross_entropy(first, arrays["y"])[0])
    assert losses[1] != pytest.approx(losses[0])


@pytest.mark.parametrize("name", probes.NAMES)
def test_a_changed_answer_has_a_larger_error(name: str) -> None:
    right = {part: value.astype(np.float32) for part, value in EXPECTED[name].items()}
    error = probes.answer_error(name, right)
    assert error is not None
    assert error < 1e-6
    for part, value in right.items():
        wrong = probes.answer_error(name, {**right, part: value * np.float32(1.001)})
        assert wrong is not None
        assert wrong > 5e-4
        assert probes.answer_error(name, {**right, part: value.ravel()[:0]}) is None
        assert probes.answer_error(name, {**right, part: value * np.float32(np.nan)}) is None


OF_TODAY = ["torch", "tensorflow", "jax"]
OF_MODELS = set(probes.NAMES) - set(probes.PARALLEL)


@pytest.mark.parametrize(
    ("framework", "names"),
    [
        *((framework, set(probes.NAMES)) for framework in OF_TODAY),
        *((name, OF_MODELS) for name in ("tensorflow1", "torch1", "theano", "pytensor", "cntk")),
    ],
)
def test_every_framework_has_a_program_for_every_probe(framework: str, names: set[str]) -> None:
    """Of its own, or imported from another framework's folder."""
    source = (ROOT / "harness" / "frameworks" / framework / "probes.py").read_text()
    programs = {
        getattr(node, "name", "")
        for statement in ast.parse(source).body
        for node in (statement, *getattr(statement, "names", ()))
    }
    assert programs.issuperset(names)


# What ran -------------------------------------------------------------------------------------


def attended(**arrays: np.ndarray) -> dict[str, Any]:
    outside = "Python takes the heads"
    return {"y": arrays["query"], "ran": "Attention of 1 dimension", "outside": outside}


def tried(**programs: Any) -> tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]:
    arrays = {"attention/query": np.zeros((2, 3), np.float32)}
    return harness_probes.try_all(types.SimpleNamespace(**programs), arrays)


def test_a_probe_may_report_what_it_called_and_what_python_did_beside_its_arrays() -> None:
    answers, reports = tried(attention=attended)
    assert list(answers) == ["attention/y"]
    assert reports["attention"]["ran"] == "Attention of 1 dimension"
    assert reports["attention"]["outside"] == "Python takes the heads"
    silent = tried(attention=lambda query: {"y": query})[1]["attention"]
    assert silent["ran"] == silent["outside"] == ""


@pytest.mark.parametrize(
    ("shape", "text"), [((4, 3, 3), "f of 1 dimension"), ((4, 3, 3, 1), "f of 2 dimensions")]
)
def test_the_dimensions_of_a_convolution_are_those_of_its_kernel(
    shape: tuple[int, ...], text: str
) -> None:
    assert harness_probes.called("f", np.zeros(shape)) == text


def test_what_has_no_program_is_not_tried() -> None:
    assert tried() == ({}, {})
    assert not rows_of({})


def test_the_row_of_a_probe_has_its_operations_and_its_job() -> None:
    (row,) = rows_of(tried(attention=attended)[1])
    assert row.probe == "attention"
    assert row.workload == "digits-conv"
    assert row.ran == "Attention of 1 dimension"
    assert row.outside == "Python takes the heads"
    assert row.verdict == "match"


def rows_of(reports: dict[str, dict[str, Any]]) -> list[ProbeRow]:
    """Return the rows of a record with these outcomes, all answers of which are right."""
    phase = {"phase": "probe", "status": "ok", "started_s": 0, "seconds": 1}
    output = {
        "schema": 1,
        "job": "j",
        "harness": "h",
        "environment": {},
        "selftest": [],
        "peak_memory_bytes": None,
        "memory_source": None,
        "records": [{**phase, "data": {"probes": reports}}],
    }
    record = JobRecord(
        run="r",
        job="j",
        wave="produce",
        cell="one-debian12-amd64-cpu",
        subject="digits-conv",
        workload="digits-conv",
        round=0,
        engine="docker",
        emulated=False,
        status="ok",
        wall_s=1.0,
        output=Output.model_validate(output),
        probes={"attention": 1e-7},
    )
    return list(outcomes.probed([record], 1e-4))


# Several processes ----------------------------------------------------------------------------

WORK = """
import os
import time

import numpy


def meet(rank, addresses, arrays):
    return {"sum": arrays["x"].sum(keepdims=True) + rank, "ports": numpy.array(addresses)}


def fail(rank, addresses, arrays):
    if rank == 1:
        raise ValueError("the second cannot")
    return arrays


def fail_alone(rank, addresses, arrays):
    if rank == 0:
        time.sleep(3600)
    raise ValueError("the second cannot")


def vanish(rank, addresses, arrays):
    os._exit(3)
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "work_of_workers.py").write_text(WORK)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("work_of_workers")
    del sys.modules["work_of_workers"]


def test_workers_get_all_arrays_and_different_addresses_and_the_first_answers(work: Any) -> None:
    answers = harness_probes.work_together(work.meet, {"x": np.arange(4.0)})
    assert answers["sum"] == 6.0
    assert len(set(answers["ports"])) == harness_probes.WORKERS == probes.WORKERS


def test_what_fails_in_a_worker_is_the_error_of_the_probe(work: Any) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)worker 1: .*the second cannot"):
        harness_probes.work_together(work.fail, {"x": np.arange(4.0)})


def test_nobody_waits_for_a_worker_that_has_failed(work: Any) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)worker 1: .*the second cannot"):
        harness_probes.work_together(work.fail_alone, {})


def test_a_worker_that_ends_without_answers_is_an_error(work: Any) -> None:
    with pytest.raises(RuntimeError, match="worker 0 ended without answers"):
        harness_probes.work_together(work.vanish, {})


def test_shares_of_a_batch_are_all_of_it() -> None:
    rows = EXPECTED["data_parallel"]["rows"]
    assert rows.sum() == len(GIVEN["data_parallel"]["x"])
    assert len(rows) == probes.WORKERS
