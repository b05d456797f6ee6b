"""Generation: what the loop inside a cell gives, and what the host concludes."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from deepmatrix.cli import main
from deepmatrix.comparison.times import times_of
from deepmatrix.judging import generation as judging
from deepmatrix.judging.verdicts import judge
from deepmatrix.reports.tables import speed
from deepmatrix.results import merging
from deepmatrix.results.rows import Results
from deepmatrix.results.timing import generation as rows
from deepmatrix.store import artifacts
from deepmatrix.store.arrays import Unreadable
from deepmatrix.store.records import Agreement, JobRecord
from deepmatrix.store.reported.output import Generation
from deepmatrix.store.reported.phases import InferData
from harness.phases import generation
from harness.runtimes.onnxruntime import adapter
from tests import generating
from tests.unit.examples import new_run, output, planned, record, save_producer, store_model
from tests.unit.test_machines import parts_of
from tests.unit.test_verdicts import TERMS

GENERATIONS = 3
RIGHT = generating.right_tokens()
DESCRIBED = Generation.model_validate(generating.description())
JOB = next(planned("torch-debian12-amd64-cpu", "onnxruntime-*").jobs("consume"))


@pytest.fixture(scope="module", autouse=True)
def _runtime() -> None:
    adapter.start()
    adapter.configure("cpu", 1)


def generate(model: Path, answer: Any = adapter.answer, **changes: Any) -> dict[str, Any]:
    """Generate with ONNX Runtime as a job does; return the entry for the record."""
    loaded = adapter.load("onnx", str(model))
    artifact = {"generation": {**DESCRIBED.request(), **changes}}
    job = SimpleNamespace(
        adapter=SimpleNamespace(answer=answer),
        document={"artifact": artifact, "infer": {"generations": GENERATIONS}},
        model=lambda: (loaded, 0.0),
    )
    return generation.generate(job)


def test_a_cache_gives_the_tokens_that_follow_from_all_before(tmp_path: Path) -> None:
    entry = generate(generating.save(tmp_path))
    assert entry["tokens"] == RIGHT
    assert len(set(RIGHT)) > 3
    assert entry["repeatable"]
    logits = generating.logits([*generating.PROMPT, *RIGHT[:-1]])[len(generating.PROMPT) - 1 :]
    ordered = np.sort(logits)
    np.testing.assert_allclose(entry["margins"], ordered[:, -1] - ordered[:, -2], atol=1e-5)
    np.testing.assert_allclose(entry["scales"], np.abs(logits).max(1), rtol=1e-5)
    assert entry["runners_up"] == np.argsort(logits)[:, -2].tolist()


def test_every_call_has_its_seconds_and_the_cache_its_bytes(tmp_path: Path) -> None:
    entry = generate(generating.save(tmp_path))
    assert len(entry["prefill_s"]) == len(entry["step_s"]) == GENERATIONS
    assert {len(steps) for steps in entry["step_s"]} == {generating.STEPS - 1}
    assert min(entry["prefill_s"]) > 0
    tokens = len(generating.PROMPT) + generating.STEPS - 1
    assert entry["cache_bytes"] == 2 * generating.LAYERS * tokens * generating.WIDTH * 4


def test_outputs_without_names_are_taken_in_their_order(tmp_path: Path) -> None:
    def numbered(model: Any, inputs: Any) -> Any:
        return {str(at): x for at, x in enumerate(adapter.answer(model, inputs).values())}

    def fewer(model: Any, inputs: Any) -> Any:
        return dict(list(numbered(model, inputs).items())[:2])

    model = generating.save(tmp_path)
    assert generate(model, numbered)["tokens"] == RIGHT
    with pytest.raises(ValueError, match="the model's outputs are 0, 1; generation needs logits"):
        generate(model, fewer)


def test_of_equal_logits_the_first_counts_at_the_last_position_alone() -> None:
    logits = np.array([[[9, 0, 0], [-4, 2, 2]]], np.float32)
    assert generation.choose(logits) == (1, 2, 0.0, 4.0)


@pytest.mark.parametrize(
    "logits", [[[[0, np.nan]]], [[[0, np.inf]]], [[0, 1]], [[[0, 1]]] * 2, [[[1]]]]
)
def test_logits_that_nothing_can_be_chosen_by_are_refused(logits: Any) -> None:
    with pytest.raises(generation.BadLogits):
        generation.choose(np.array(logits, np.float32))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"expected": RIGHT[:-1]}, "11 tokens are expected of 12 steps"),
        ({"shapes": {}}, "the cache and its shapes have different inputs"),
        ({"prompt": []}, "at least 1 item"),
        ({"steps": 10**9}, "less than or equal to 10000"),
    ],
)
def test_a_description_that_does_not_hold_together_is_refused(
    tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValidationError, match=problem):
        Generation.model_validate(generating.description() | change)
    (tmp_path / "model").mkdir()
    path = tmp_path / "model" / "generation.json"
    path.write_text(json.dumps(generating.description() | change))
    with pytest.raises(Unreadable, match=r"^generation\.json: "):
        artifacts.check_generation(tmp_path)


def test_the_right_tokens_stay_on_the_host(tmp_path: Path) -> None:
    plan = planned("torch-debian12-amd64-cpu", "onnxruntime-*")
    run = new_run(tmp_path, plan)
    exported = next(iter(plan.artifacts()))
    store_model(run, exported, np.ones((1, 2), np.float32), b"model")
    control = tmp_path / "control"
    control.mkdir()
    assert "generation" not in artifacts.hand_over(run, exported, control)
    shutil.rmtree(control)
    control.mkdir()
    description = run.artifact_path(exported) / "artifact.json"
    path = run.artifact_path(exported) / "model" / "generation.json"
    path.write_text(json.dumps(generating.description()))
    stored = artifacts.read_description(run.artifact_path(exported))
    file = artifacts.describe_file(path, run.artifact_path(exported))
    description.write_text(stored.changed(files=(*stored.files, file)).model_dump_json())
    save_producer(run, exported)
    handed = artifacts.hand_over(run, exported, control)["generation"]
    assert handed == DESCRIBED.request()
    assert "expected" not in handed
    assert [path.name for path in (control / "artifact" / "model").iterdir()] == ["model.onnx"]


def entry(tokens: list[int] = RIGHT, *, margin: float = 1.0, **changes: Any) -> dict[str, Any]:
    """Return what a consumer reports; each right token comes second where another is first."""
    count = len(tokens)
    runners = [
        right if token != right else right + 1 for token, right in zip(tokens, RIGHT, strict=False)
    ]
    return {
        "tokens": tokens,
        "runners_up": runners,
        "margins": [margin] * count,
        "scales": [10.0] * count,
        "repeatable": True,
        "cache_bytes": 2048,
        "prefill_s": [9.0, 0.01, 0.01],
        "step_s": [[9.0] * (count - 1), [0.002] * (count - 1), [0.002] * (count - 1)],
    } | changes


def wrong_at(step: int) -> list[int]:
    return [*RIGHT[:step], RIGHT[step] + 1, *RIGHT[step + 1 :]]


def served(reported: dict[str, Any] | None, **changes: Any) -> JobRecord:
    """Return the record of a consumer whose answers match, with what it generated."""
    data = {"generation": reported, "outputs": ["logits"], "batches": {}}
    answered = output(JOB)
    records = [
        phase.model_dump() | ({"data": data} if phase.phase == "infer" else {})
        for phase in answered.records
    ]
    agreement = Agreement(error=2e-7, producer_error=1e-7, from_producer=0.0, scale=10.0)
    return record(
        JOB,
        agreement=agreement,
        output=output(JOB, records=records),
        generated=judging.compare(InferData.model_validate(data), DESCRIBED),
        **changes,
    )


@pytest.mark.parametrize(
    ("reported", "word", "reason"),
    [
        (entry(), "match", ""),
        # The tolerance is 1e-6: two logits may change places up to 2e-6 of the largest, 10.
        (entry(wrong_at(4), margin=1.9e-5), "match", ""),
        (
            entry(wrong_at(4), margin=2.1e-5),
            "drift",
            f"token 5 of 12 is {RIGHT[4] + 1}, not {RIGHT[4]}, by a margin of 2.1e-06",
        ),
        (
            entry(wrong_at(0), margin=0.0, runners_up=[99] * 12),
            "drift",
            f"token 1 of 12 is {RIGHT[0] + 1}, not {RIGHT[0]}, by a margin of 0.0e+00",
        ),
        (entry(repeatable=False), "drift", "generated again, the tokens are others"),
        (entry(RIGHT[:5]), "drift", "it gave 5 tokens, not 12"),
        (None, "drift", "its runner generated nothing"),
    ],
)
def test_another_token_is_a_drift_unless_rounding_decides(
    reported: dict[str, Any] | None, word: str, reason: str
) -> None:
    verdict = judge([served(reported)], TERMS, "")
    assert (verdict.name, verdict.reason) == (word, reason)


def test_a_near_tie_is_said_with_its_token_and_the_worst_round_counts() -> None:
    group = [served(entry()), served(entry(wrong_at(4), margin=1.9e-5), round=1)]
    (row,) = rows.generated(group, TERMS, is_timed=True)
    assert (row.equal, row.steps, row.fault) == (4, 12, "")
    assert row.near_tie.startswith(f"near tie: token 5 of 12 is {RIGHT[4] + 1}, not {RIGHT[4]};")
    assert "differ by 1.9e-06, and rounding may cost 2.0e-06" in row.near_tie
    assert [*rows.near_ties([row])] == [f"{JOB.subject} on {JOB.cell}: {row.near_tie}"]


@pytest.mark.parametrize(
    "wrong",
    [entry(repeatable=False), entry(wrong_at(7), margin=1.0)],
)
def test_a_round_with_a_fault_is_worse_than_one_with_a_near_tie(wrong: dict[str, Any]) -> None:
    group = [served(entry(wrong_at(4), margin=1.9e-5)), served(wrong, round=1)]
    (row,) = rows.generated(group, TERMS, is_timed=True)
    assert row.fault == judge(group, TERMS, "").reason != ""
    assert row.near_tie == ""


def test_times_are_those_after_the_warm_up_and_checked_cells_have_none() -> None:
    (row,) = rows.generated([served(entry())], TERMS, is_timed=True)
    assert row.prefill_tokens_per_s == pytest.approx(len(generating.PROMPT) / 0.01)
    assert row.decode_tokens_per_s == pytest.approx(500)
    assert row.cache_bytes == 2048
    (checked,) = rows.generated([served(entry())], TERMS, is_timed=False)
    assert (checked.prefill_s, checked.step_s, checked.decode_tokens_per_s) == (None, None, None)
    assert checked.equal == 12


def test_prefill_and_decode_are_compared_with_those_of_another_run() -> None:
    (row,) = rows.generated([served(entry())], TERMS, is_timed=True)
    nothing = dict.fromkeys(Results.model_fields, ())
    results = Results.model_construct(**{**nothing, "generation": (row,)})
    assert times_of(results).estimates == {
        ("prefill", row.cell, "", row.artifact, 0): row.prefill_s,
        ("decode", row.cell, "", row.artifact, 0): row.step_s,
    }


def test_the_tokens_of_two_machines_stand_as_two_rows(tmp_path: Path) -> None:
    plan = planned("torch-debian12-amd64-cpu", "onnxruntime-*")
    parts = parts_of(tmp_path, plan, "one", "two")
    timed = next(job for job in plan.jobs("consume") if plan.is_timed(job))
    names = {name: getattr(timed, name) for name in ("cell", "subject", "workload")}
    for machine, part in parts.items():
        own = served(entry(), run=part.id, machine=machine)
        part.save(timed, own.changed(job=timed.id, **names))
    results = merging.merge(list(parts.values()))
    assert [(row.machine, row.step_s.rounds) for row in results.generation if row.step_s] == [
        ("one", 1),
        ("two", 1),
    ]
    table = speed.generation(results)
    place = table.titles.index("machine")
    assert [row.texts[place] for row in table.rows] == ["one", "two"]


def test_what_does_not_generate_has_no_row() -> None:
    assert [*rows.generated([record(JOB)], TERMS, is_timed=True)] == []


def verify(parent: Path, name: str, *options: str, **changes: Any) -> dict[str, Any]:
    """Verify the example with the standard's evaluator; return the results."""
    folder = parent / "model"
    folder.mkdir(exist_ok=True)
    model = generating.save(folder, **changes)
    np.savez(parent / "in.npz", **generating.example())
    given = ["--inputs", str(parent / "in.npz"), "--engine", "here"]
    run_options = ["--runs", str(parent / "runs"), "--name", name, *options]
    main.main(["verify", str(model), *given, "--only", "onnx-debian12-amd64-cpu", *run_options])
    results: dict[str, Any] = json.loads((parent / "runs" / name / "results.json").read_text())
    return results


has_evaluator = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="no cell of the evaluator has this Python"
)


@has_evaluator
def test_answers_that_are_taken_over_are_compared_with_the_tokens_that_are_right_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepmatrix.execution.reuse.provenance.CHANGEABLE", frozenset())
    assert verify(tmp_path, "one")["generation"][0]["equal"] == 12
    again = verify(tmp_path, "two", "--reuse", "one", expected=wrong_at(7))
    assert again["reused"]
    assert again["generation"][0]["equal"] == 7
    assert again["portability"][0]["verdict"] == "drift"


@has_evaluator
@pytest.mark.parametrize("fault", ["", "expected", "cache"])
def test_a_users_model_generates_and_a_fault_is_a_drift(tmp_path: Path, fault: str) -> None:
    expected = wrong_at(7) if fault == "expected" else None
    results = verify(tmp_path, "one", reads_cache=fault != "cache", expected=expected)
    run = tmp_path / "runs" / "one"
    (row,) = results["portability"]
    (generated,) = results["generation"]
    assert (row["verdict"], generated["equal"]) == {
        "": ("match", 12),
        "expected": ("drift", 7),
        "cache": ("drift", 1),
    }[fault]
    assert generated["step_s"] is None  # nothing of the evaluator is timed
    assert ("token" in row["reason"]) == bool(fault)
    assert row["cause"] is None  # all outputs of a call are right: no node is wrong
    report = (run / "report.md").read_text()
    assert "# Generation\n" in report
    assert f"{generated['equal']} of 12" in report
    assert "Generation" in (run / "report.html").read_text()
