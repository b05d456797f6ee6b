"""What judges a user's own model once its consumers have answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepmatrix.boundary.writing import write_bytes, write_text
from deepmatrix.config.sections import Infer
from deepmatrix.execution.settling import NO_JUDGE, UNCONFIRMED, UNDECIDED, settle
from deepmatrix.judging import consensus, deviations
from deepmatrix.judging.consensus import Vote
from deepmatrix.judging.quantisation import costs
from deepmatrix.planning.model_plan import plan_models
from deepmatrix.planning.plan import Plan
from deepmatrix.planning.selection import Selection
from deepmatrix.results import merging
from deepmatrix.store import answers, artifacts, truths
from deepmatrix.store.reported.output import Exported
from deepmatrix.store.runs import Run
from deepmatrix.workloads.inputs import npz_bytes
from harness.record import (
    BASELINE,
    CONTESTED,
    FLOAT64,
    OWN_PRECISION,
    UNDEFINED_VALUE,
    UNPROVEN,
)
from tests.unit.examples import DOCKER, MATRIX, new_run, output, record

PLAN: Plan = plan_models(
    MATRIX,
    [("net", "onnx", "model.onnx")],
    Selection(include=("*-debian12-amd64-cpu", "*-debian13-amd64-cpu")),
    DOCKER,
    seed=0,
    infer=Infer(batches=(1,), samples=5, min_s=0.0, max_s=1.0, warmup=1),
)
ARTIFACT = PLAN.imports[0].artifact
CONSUMERS = [cell for cell in PLAN.consumers("onnx") if cell.precision == "float32"]
RIGHT, WRONG = np.array([[1.0, 2.0]], np.float32), np.array([[1.0, 7.0]], np.float32)

# The largest group ----------------------------------------------------------------------------


def votes(values: Mapping[str, float]) -> list[Vote]:
    """One vote a library, named ``library`` or ``library/cell``."""
    return [
        Vote(cell=name, library=name.split("/")[0], value=np.array([value]))
        for name, value in values.items()
    ]


def test_more_libraries_count_before_more_cells() -> None:
    values = {"a/1": 1.0, "a/2": 1.0, "a/3": 1.0, "b": 2.0, "c": 2.0}
    group = consensus.largest_group(votes(values), 1e-4)
    assert group is not None
    assert {vote.cell for vote in group.votes} == {"b", "c"}


def test_a_stray_cell_does_not_speak_for_its_library() -> None:
    values = {"a/1": 1.0, "a/2": 1.0, "a/3": 2.0, "b": 2.0, "c": 1.0}
    group = consensus.largest_group(votes(values), 1e-4)
    assert group is not None
    assert group.libraries == {"a", "c"}
    assert {vote.cell for vote in group.votes} == {"a/1", "a/2", "c"}
    alone = consensus.largest_group(votes({"a/1": 1.0, "a/2": 2.0, "b": 2.0}), 1e-4)
    assert alone is not None
    assert alone.libraries == {"b"}  # no two libraries agree


def test_votes_of_another_type_do_not_agree() -> None:
    floats, whole = votes({"a": 1.0, "b": 1.0})
    whole = replace(whole, value=whole.value.astype(np.int64))
    assert consensus.largest_group([floats, whole], 1e-4) is None


def test_the_most_central_vote_speaks_for_its_group() -> None:
    group = consensus.largest_group(votes({"a": 1.01, "b": 1.0, "c": 1.0}), 2e-2)
    assert group is not None
    assert group.libraries == {"a", "b", "c"}
    assert group.value == 1.0


def test_libraries_that_all_differ_agree_on_nothing() -> None:
    assert consensus.largest_group(votes({"a": 1.0, "b": 2.0}), 1e-4) is None
    assert consensus.largest_group([], 1e-4) is None


@given(st.lists(st.sampled_from([1.0, 2.0, 3.0]), min_size=1, max_size=8), st.randoms())
def test_the_largest_group_does_not_depend_on_the_order(
    values: list[float], random: Random
) -> None:
    ballot = votes({str(number): value for number, value in enumerate(values)})
    first = consensus.largest_group(ballot, 1e-4)
    random.shuffle(ballot)
    second = consensus.largest_group(ballot, 1e-4)
    assert (first is None) == (second is None)
    if first and second:
        assert first.weight == second.weight
        assert values.count(float(first.value[0])) == max(map(values.count, values))


# Settled --------------------------------------------------------------------------------------


def answered(tmp_path: Path, gold: np.ndarray | None, outputs: Mapping[str, np.ndarray]) -> Run:
    """Return a run in which consumers answered, by their names; all others as the first does."""
    run = new_run(tmp_path, PLAN)
    folder = run.artifact_path(ARTIFACT)
    exported = Exported.model_validate(
        {
            "format": "onnx",
            "files": [{"path": "model.onnx", "bytes": 1, "sha256": "0" * 64}],
            "gold": {"y": FLOAT64} if gold is not None else {},
            "export_s": 0.0,
        }
    )
    if gold is not None:
        for name in (artifacts.GOLD, artifacts.PRODUCED):
            write_bytes(folder / name, npz_bytes({"y": gold}))
    write_bytes(folder / "inputs.npz", npz_bytes({"x": RIGHT}))
    described = artifacts.describe(exported, ARTIFACT.id, folder)
    write_text(folder / "artifact.json", described.model_dump_json())
    for job in PLAN.jobs("consume"):
        name = next(cell.name for cell in CONSUMERS + PLAN.consumers("onnx") if cell.id == job.cell)
        values = {"y": outputs.get(name, next(iter(outputs.values())))}
        answers.store(run, ARTIFACT, job.cell, values)
        truth = truths.read(folder)
        agreement = deviations.compare(values, truth) if truth.gold else None
        run.save(job, record(job, output=output(job), agreement=agreement))
    for job in PLAN.jobs("produce"):
        run.save(job, record(job, output=output(job)))
    return run


def verdicts(run: Run) -> dict[str, str]:
    merged = merging.merge([run])
    names = {cell.id: cell.name for cell in PLAN.cells}
    return {names[row.consumer]: row.verdict for row in merged.portability}


def test_a_model_that_nothing_could_evaluate_is_judged_by_the_libraries_that_agree(
    tmp_path: Path,
) -> None:
    run = answered(tmp_path, None, {"onnxruntime": RIGHT, "opencv": WRONG})
    assert set(verdicts(run).values()) == {"not-run"}
    settle(run)
    words = verdicts(run)
    assert words.pop("opencv") == "drift"
    assert set(words.values()) == {"match"}
    (source,) = artifacts.read_description(run.artifact_path(ARTIFACT)).gold.values()
    assert source.startswith("agreement of ")
    assert "openvino" in source


def test_a_wrong_evaluation_accuses_no_runtime(tmp_path: Path) -> None:
    run = answered(tmp_path, WRONG, {"onnxruntime": RIGHT, "onnx": WRONG})
    settle(run)
    words = verdicts(run)
    assert words.pop("onnx") == "drift"
    assert set(words.values()) == {"match"}
    merged = merging.merge([run])
    assert [problem for problem in merged.problems if "drift" in problem] == []
    assert any("about the evaluator" in finding for finding in merged.findings)
    (remark,) = artifacts.read_description(run.artifact_path(ARTIFACT)).gold_remarks
    assert remark.startswith("output y: the evaluator gives way to the libraries")


def test_no_judge_gives_way_where_no_value_is_compared(tmp_path: Path) -> None:
    run = answered(tmp_path, RIGHT, {"onnxruntime": WRONG, "onnx": RIGHT})
    masked = np.full(RIGHT.shape, UNDEFINED_VALUE, np.uint8)
    folder = run.artifact_path(ARTIFACT)
    write_bytes(folder / artifacts.UNDEFINED, npz_bytes({"y": masked}))
    described(run)
    measure(run)
    settle(run)
    assert set(verdicts(run).values()) == {"not-run"}
    assert artifacts.read_description(folder).gold_remarks == ()


def test_a_wrong_runtime_is_accused_and_the_evaluation_stands(tmp_path: Path) -> None:
    run = answered(tmp_path, RIGHT, {"onnxruntime": RIGHT, "openvino": WRONG})
    settle(run)
    words = verdicts(run)
    assert words.pop("openvino") == "drift"
    assert set(words.values()) == {"match"}
    assert truths.read(run.artifact_path(ARTIFACT)).evaluations == {}


def test_one_library_alone_does_not_overrule_an_evaluation(tmp_path: Path) -> None:
    right_answers = dict.fromkeys(("openvino", "opencv", "onnx"), RIGHT)
    run = answered(tmp_path, RIGHT, {"onnxruntime": WRONG, **right_answers})
    settle(run)
    assert verdicts(run)["onnxruntime"] == "drift"
    assert truths.read(run.artifact_path(ARTIFACT)).evaluations == {}


def test_libraries_that_are_each_a_little_wrong_do_not_overrule_an_evaluation(
    tmp_path: Path,
) -> None:
    """Their errors are within the tolerance of gold in float32, which nothing judges here."""
    below, above = (RIGHT + np.float32([[0, x]]) for x in (-6e-5, 6e-5))
    run = answered(tmp_path, RIGHT, {"onnxruntime": below, "openvino": above, "onnx": RIGHT})
    silence(run, "opencv-python-headless")
    settle(run)
    words = verdicts(run)
    assert words["openvino"] == words["onnxruntime"] == "drift"
    assert truths.read(run.artifact_path(ARTIFACT)).evaluations == {}


def test_a_baseline_that_confirms_an_evaluation_votes_for_it(tmp_path: Path) -> None:
    run = answered(tmp_path, RIGHT, {"onnxruntime": WRONG, "onnx": RIGHT})
    described(run, confirmed=["y"])
    settle(run)
    words = verdicts(run)
    assert words.pop("onnx") == "match"
    assert set(words.values()) == {"drift"}


def test_a_majority_does_not_overrule_an_evaluation(tmp_path: Path) -> None:
    values = {"onnxruntime": WRONG, "openvino": WRONG, "opencv": RIGHT * 5, "onnx": RIGHT}
    run = answered(tmp_path, RIGHT, values)
    settle(run)
    words = verdicts(run)
    assert words["onnxruntime"] == words["openvino"] == words["opencv"] == "drift"


def test_a_majority_does_not_decide_between_two_judges(tmp_path: Path) -> None:
    values = {"onnxruntime": WRONG, "openvino": WRONG, "opencv": RIGHT * 5, "onnx": RIGHT}
    run = contested(answered(tmp_path, WRONG, values), RIGHT, CONTESTED)
    settle(run)
    assert set(verdicts(run).values()) == {"not-run"}


@pytest.mark.parametrize("has_gold", [False, True])
def test_the_spread_of_those_that_agree_in_float16_is_no_rounding_error(
    tmp_path: Path, *, has_gold: bool
) -> None:
    one = np.ones((1, 2), np.float16)
    values = {"onnxruntime": one, "openvino": one * np.float16(1.008), "opencv": one}
    run = answered(tmp_path, one * np.float16(3) if has_gold else None, values)
    settle(run)
    assert "drift" not in {verdicts(run)[name] for name in values}
    for cell in (cell for cell in CONSUMERS if cell.name == "opencv"):
        answers.store(run, ARTIFACT, cell.id, {"y": one * np.float16(1.1)})
    measure(run)
    assert verdicts(run)["opencv"] == "drift"


def test_a_decision_for_float64_leaves_the_runtimes_in_float32(tmp_path: Path) -> None:
    values = {"onnxruntime": WRONG, "openvino": RIGHT, "onnx": RIGHT}
    run = contested(answered(tmp_path, WRONG, values), RIGHT.astype(np.float64))
    silence(run, "opencv-python-headless")
    settle(run)
    precisions = {row.consumer: row.precision for row in merging.merge([run]).portability}
    assert {precisions[cell.id] for cell in CONSUMERS} == {"float32"}


@pytest.mark.parametrize(("growth", "verdict"), [({}, "drift"), ({"y": 15.0}, "match")])
def test_rounding_may_cost_more_in_a_long_sum(
    tmp_path: Path, growth: dict[str, float], verdict: str
) -> None:
    turn = RIGHT + np.float32([[0, 5e-6]])
    run = answered(tmp_path, RIGHT, {"onnxruntime": RIGHT, "openvino": turn})
    described(run, growth=growth)
    measure(run)
    settle(run)
    assert verdicts(run)["openvino"] == verdict


OWN = RIGHT + np.float32([[0, 2e-3]])


@pytest.mark.parametrize("openvino", [RIGHT, OWN])
def test_an_error_of_the_baseline_widens_the_tolerance_unless_another_library_does_better(
    tmp_path: Path, openvino: np.ndarray
) -> None:
    run = answered(tmp_path, RIGHT, {"onnxruntime": OWN, "openvino": openvino, "onnx": RIGHT})
    described(run, baseline_errors={"y": 1e-3})
    measure(run)
    silence(run, "opencv-python-headless")
    settle(run)
    words = verdicts(run)
    expected = "drift" if openvino is RIGHT else "match"
    assert words["onnxruntime"] == words["onnxruntime-cpp"] == expected
    assert words["openvino"] == "match"
    settle(run)
    assert verdicts(run) == words


def test_an_error_of_the_baseline_is_allowed_where_it_alone_answers(tmp_path: Path) -> None:
    run = answered(tmp_path, RIGHT, {"onnxruntime": OWN, "onnx": RIGHT})
    described(run, baseline_errors={"y": 1e-3})
    measure(run)
    silence(run, "opencv-python-headless", "openvino")
    settle(run)
    assert verdicts(run)["onnxruntime"] == "match"


def test_a_cell_of_onnx_runtime_that_is_right_narrows_no_tolerance_of_the_others(
    tmp_path: Path,
) -> None:
    values = {"onnxruntime": RIGHT, "onnxruntime-cpp": OWN, "onnx": RIGHT}
    run = answered(tmp_path, RIGHT, values)
    described(run, baseline_errors={"y": 1e-3})
    measure(run)
    silence(run, "opencv-python-headless", "openvino")
    settle(run)
    assert verdicts(run)["onnxruntime-cpp"] == "match"


def test_libraries_agree_within_the_tolerance_of_a_long_sum(tmp_path: Path) -> None:
    turn = RIGHT + np.float32([[0, 5e-6]])
    run = answered(tmp_path, WRONG, {"onnxruntime": RIGHT, "openvino": turn, "onnx": WRONG})
    described(run, growth={"y": 15.0})
    measure(run)
    settle(run)
    words = verdicts(run)
    assert words.pop("onnx") == "drift"
    assert set(words.values()) == {"match"}


@pytest.mark.parametrize(
    "changes", [{"random": ["y"]}, {"reshaped": {"y": "rounding decides its shape"}}]
)
def test_draws_and_shapes_that_are_open_overrule_no_evaluation(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    """Libraries may share a generator or a way to round: that says nothing of the evaluator."""
    gold, other = np.ones((1, 99), np.float32), np.full(99, 5, np.float32)
    answer = other[None] if "random" in changes else other
    run = answered(tmp_path, gold, {"onnxruntime": answer, "onnx": gold})
    described(run, **changes)
    measure(run)
    settle(run)
    truth = truths.read(run.artifact_path(ARTIFACT))
    np.testing.assert_array_equal(truth.gold["y"], gold)
    assert truth.remarks == ()


def contested(run: Run, evaluation: np.ndarray, source: str = BASELINE) -> Run:
    """Let a baseline judge a run that an evaluation contradicts."""
    folder = run.artifact_path(ARTIFACT)
    write_bytes(folder / artifacts.EVALUATION, npz_bytes({"y": evaluation}))
    described(run, gold={"y": source}, rounded=["y"])
    return run


def test_a_wrong_baseline_does_not_accuse_a_library_that_the_evaluation_confirms(
    tmp_path: Path,
) -> None:
    right_answers = dict.fromkeys(("openvino", "opencv", "onnx"), RIGHT)
    run = contested(answered(tmp_path, WRONG, {"onnxruntime": WRONG, **right_answers}), RIGHT)
    settle(run)
    words = verdicts(run)
    assert [words[name] for name in right_answers] == ["match"] * 3
    assert words["onnxruntime"] == words["onnxruntime-cpp"] == "drift"
    settle(run)
    assert verdicts(run) == words


def test_a_wrong_evaluation_with_an_unproven_operator_accuses_no_runtime(tmp_path: Path) -> None:
    run = contested(answered(tmp_path, RIGHT, {"onnxruntime": RIGHT, "onnx": WRONG}), WRONG)
    settle(run)
    words = verdicts(run)
    assert words.pop("onnx") == "drift"
    assert set(words.values()) == {"match"}


@pytest.mark.parametrize("source", [FLOAT64, UNPROVEN, OWN_PRECISION, BASELINE])
def test_whatever_judges_gives_way_to_libraries_that_agree_but_for_a_reference(
    tmp_path: Path, source: str
) -> None:
    onnxruntime = WRONG if source == BASELINE else RIGHT
    values = {"onnxruntime": onnxruntime, "openvino": RIGHT, "opencv": RIGHT, "onnx": WRONG}
    run = answered(tmp_path, WRONG, values)
    described(run, gold={"y": source}, rounded=["y"])
    measure(run)
    settle(run)
    words = verdicts(run)
    assert words["openvino"] == words["opencv"] == "match"
    assert words["onnxruntime"] == ("drift" if source == BASELINE else "match")
    settle(run)
    assert verdicts(run) == words
    (remark,) = artifacts.read_description(run.artifact_path(ARTIFACT)).gold_remarks
    judge = "baseline" if source == BASELINE else "evaluator"
    assert remark.startswith(f"output y: the {judge} gives way to the libraries")


def test_a_baseline_is_no_second_library_and_stays_where_nothing_is_decided(
    tmp_path: Path,
) -> None:
    run = answered(tmp_path, RIGHT, {"onnxruntime": RIGHT, "openvino": WRONG, "onnx": RIGHT})
    described(run, gold={"y": BASELINE}, rounded=["y"])
    silence(run, "opencv-python-headless")
    measure(run)
    settle(run)
    assert verdicts(run)["onnxruntime"] == "match"
    assert verdicts(run)["openvino"] == "drift"


@pytest.mark.parametrize("silent", [(), ("openvino",)])
def test_an_evaluation_in_the_models_own_precision_by_itself_accuses_nobody(
    tmp_path: Path, silent: tuple[str, ...]
) -> None:
    run = answered(tmp_path, WRONG, {"onnxruntime": RIGHT, "openvino": RIGHT * 3, "onnx": WRONG})
    described(run, gold={"y": OWN_PRECISION}, rounded=["y"])
    silence(run, "opencv-python-headless", *silent)
    measure(run)
    settle(run)
    assert verdicts(run)["onnxruntime"] == "not-run"


def measure(run: Run) -> None:
    """Compare the consumers' answers with what judges them now."""
    truth = truths.read(run.artifact_path(ARTIFACT))
    for job in PLAN.jobs("consume"):
        agreement = deviations.compare(answers.read(run, ARTIFACT, job.cell), truth)
        run.save(job, record(job, output=output(job), agreement=agreement))


def silence(run: Run, *libraries: str) -> None:
    """Remove the answers of some libraries."""
    for cell in PLAN.consumers("onnx"):
        if cell.library in libraries:
            answers.path(run, ARTIFACT, cell.id).unlink()


@pytest.mark.parametrize("answer", [WRONG, RIGHT])
def test_one_library_alone_is_neither_right_nor_wrong_against_a_proven_evaluation(
    tmp_path: Path, answer: np.ndarray
) -> None:
    evaluation = RIGHT if answer is WRONG else WRONG
    run = contested(answered(tmp_path, answer, {"onnxruntime": answer}), evaluation, CONTESTED)
    silence(run, "openvino", "opencv-python-headless", "onnx")
    settle(run)
    reasons = {row.reason for row in merging.merge([run]).portability if row.error is None}
    assert f"y: {UNDECIDED}" in reasons
    assert verdicts(run)["onnxruntime"] == "not-run"


def test_an_unproven_evaluation_by_itself_accuses_nobody(tmp_path: Path) -> None:
    run = answered(tmp_path, WRONG, {"onnxruntime": RIGHT, "onnx": WRONG})
    described(run, gold={"y": UNPROVEN})
    silence(run, "openvino", "opencv-python-headless")
    settle(run)
    settle(run)
    assert verdicts(run)["onnxruntime"] == "not-run"
    reasons = {row.reason for row in merging.merge([run]).portability if row.error is None}
    assert f"y: {UNCONFIRMED}" in reasons


def test_an_unproven_evaluation_that_a_library_confirms_accuses_another(tmp_path: Path) -> None:
    run = answered(tmp_path, RIGHT, {"onnxruntime": WRONG, "openvino": RIGHT, "onnx": RIGHT})
    described(run, gold={"y": UNPROVEN})
    silence(run, "opencv-python-headless")
    settle(run)
    assert verdicts(run)["onnxruntime"] == "drift"
    assert verdicts(run)["openvino"] == "match"


def test_a_second_library_decides_for_a_proven_evaluation(tmp_path: Path) -> None:
    answers_of = {"onnxruntime": WRONG, "openvino": RIGHT, "onnx": RIGHT}
    run = contested(answered(tmp_path, WRONG, answers_of), RIGHT, CONTESTED)
    silence(run, "opencv-python-headless")
    settle(run)
    words = verdicts(run)
    assert words["onnxruntime"] == "drift"
    assert words["openvino"] == words["onnx"] == "match"


@pytest.mark.parametrize("opencv", [WRONG, RIGHT * 5])
def test_where_the_sources_cannot_decide_nobody_is_accused(
    tmp_path: Path, opencv: np.ndarray
) -> None:
    openvino = RIGHT if opencv is WRONG else RIGHT * 3
    values = {"onnxruntime": WRONG, "opencv": opencv, "openvino": openvino, "onnx": RIGHT}
    run = contested(answered(tmp_path, WRONG, values), RIGHT)
    settle(run)
    assert set(verdicts(run).values()) == {"not-run"}
    settle(run)
    reasons = {row.reason for row in merging.merge([run]).portability}
    assert reasons == {f"y: {UNDECIDED}"}


def test_where_no_two_libraries_agree_nobody_is_accused_and_the_user_is_asked_for_a_reference(
    tmp_path: Path,
) -> None:
    different = {name: RIGHT * number for number, name in enumerate(("openvino", "opencv"), 3)}
    run = answered(tmp_path, None, {"onnxruntime": RIGHT, **different})
    settle(run)
    assert set(verdicts(run).values()) == {"not-run"}
    reasons = {row.reason for row in merging.merge([run]).portability}
    assert f"y: {NO_JUDGE}" in reasons


def test_settling_again_changes_nothing(tmp_path: Path) -> None:
    run = answered(tmp_path, None, {"onnxruntime": RIGHT, "opencv": WRONG})
    settle(run)
    before = merging.merge([run])
    settle(run)
    assert merging.merge([run]) == before


def test_a_run_that_ended_while_it_was_settled_is_settled_to_the_end(tmp_path: Path) -> None:
    run = answered(tmp_path, WRONG, {"onnxruntime": RIGHT, "onnx": WRONG})
    before = {job.id: run.record(job) for job in PLAN.jobs("consume")}
    settle(run)
    settled = merging.merge([run])
    for job in PLAN.jobs("consume"):
        run.save(job, before[job.id])
    settle(run)
    assert merging.merge([run]) == settled


def test_an_evaluation_that_gave_way_is_kept_where_its_description_was_not_written(
    tmp_path: Path,
) -> None:
    run = answered(tmp_path, WRONG, {"onnxruntime": RIGHT, "onnx": WRONG})
    description = run.artifact_path(ARTIFACT) / "artifact.json"
    before = description.read_bytes(), {job.id: run.record(job) for job in PLAN.jobs("consume")}
    settle(run)
    description.write_bytes(before[0])
    for job in PLAN.jobs("consume"):
        run.save(job, before[1][job.id])
    settle(run)
    truth = truths.read(run.artifact_path(ARTIFACT))
    np.testing.assert_array_equal(truth.evaluations["y"], WRONG)
    np.testing.assert_array_equal(truth.gold["y"], RIGHT)


def described(run: Run, **changes: object) -> None:
    """Change what is said of the outputs."""
    folder = run.artifact_path(ARTIFACT)
    document = artifacts.read_description(folder).model_dump() | changes
    changed = type(artifacts.read_description(folder)).model_validate(document)
    write_text(folder / "artifact.json", changed.model_dump_json())


def test_values_that_the_standard_leaves_undefined_take_no_part_in_an_agreement(
    tmp_path: Path,
) -> None:
    undefined = np.array([[3.0, 0.0, 9.0]])
    right, wrong = (np.array([[a, 2.0, 4.0]]) for a in (1.0, 7.0))
    run = answered(
        tmp_path, wrong, {"onnxruntime": right, "openvino": right + undefined * [0, 1, 1]}
    )
    mask = np.array([[0, 0, UNDEFINED_VALUE]], np.uint8)
    write_bytes(run.artifact_path(ARTIFACT) / artifacts.UNDEFINED, npz_bytes({"y": mask}))
    settle(run)
    assert "drift" not in set(verdicts(run).values())


def test_quantised_outputs_agree_by_their_steps(tmp_path: Path) -> None:
    wrong, right, next_step = (np.array([[value, 100]], np.uint8) for value in (90, 10, 11))
    run = answered(tmp_path, wrong, {"onnxruntime": right, "openvino": next_step, "onnx": wrong})
    described(run, quantised={"y": {"step": 1.0, "steps": 1, "scale": 0.1, "zero_point": 0}})
    settle(run)
    words = verdicts(run)
    assert words.pop("onnx") == "drift"
    assert set(words.values()) == {"match"}


# Referenced -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("runtimes", "doubts"), [(RIGHT, 1), (WRONG, 0)])
def test_a_reference_that_all_runtimes_differ_from_is_doubted_with_its_largest_difference(
    tmp_path: Path, runtimes: np.ndarray, doubts: int
) -> None:
    run = answered(tmp_path, WRONG, {"onnxruntime": runtimes})
    described(run, gold={"y": truths.REFERENCE}, rounded=["y"])
    settle(run)
    settle(run)
    remarks = truths.read(run.artifact_path(ARTIFACT)).remarks
    assert (
        remarks
        == (
            "output y: every runtime differs from the reference, and they agree; the largest "
            "difference is at [0, 1]: 7, not 2: check --reference",
        )[:doubts]
    )
    assert sum("check --reference" in line for line in merging.merge([run]).warnings) == doubts


# Followed -------------------------------------------------------------------------------------

SAME: Plan = plan_models(
    MATRIX,
    [("net", "onnx", "model.onnx"), ("copy", "onnx", "model.onnx")],
    Selection(include=("*-debian12-amd64-cpu",)),
    DOCKER,
    seed=0,
    infer=PLAN.infer,
    first="same",
)


def followed(tmp_path: Path, gold: np.ndarray | None, wrong: str, **changes: object) -> Run:
    """Return a run with a model and its copy, whose output is called ``z``: all answer RIGHT."""
    run = new_run(tmp_path, SAME)
    names = {model.artifact: name for model, name in zip(SAME.imports, "yz", strict=True)}
    for artifact, name in names.items():
        folder = run.artifact_path(artifact)
        document = {
            "format": "onnx",
            "files": [{"path": "model.onnx", "bytes": 1, "sha256": "0" * 64}],
            "gold": {name: FLOAT64} if gold is not None else {},
            "export_s": 0.0,
            **(changes if name == "y" else {}),
        }
        if gold is not None:
            for file in (artifacts.GOLD, artifacts.PRODUCED):
                write_bytes(folder / file, npz_bytes({name: gold}))
        write_bytes(folder / "inputs.npz", npz_bytes({"x": RIGHT}))
        described = artifacts.describe(Exported.model_validate(document), artifact.id, folder)
        write_text(folder / "artifact.json", described.model_dump_json())
    cells = {cell.id: cell.name for cell in SAME.cells}
    for job in SAME.jobs("consume"):
        assert job.artifact is not None
        value = WRONG if cells[job.cell] == wrong else RIGHT
        answers.store(run, job.artifact, job.cell, {names[job.artifact]: value})
        run.save(job, record(job, output=output(job), agreement=None))
    return run


def verdicts_of_the_copy(run: Run) -> dict[str, str]:
    rows = merging.merge([run]).portability
    return {row.consumer.split("-")[0]: row.verdict for row in rows if row.model == "copy"}


def test_a_model_follows_the_first_one_whose_gold_its_consumers_settled(tmp_path: Path) -> None:
    run = followed(tmp_path, None, "opencv")
    settle(run)
    copied = truths.read(run.artifact_path(SAME.imports[1].artifact))
    np.testing.assert_array_equal(copied.gold["z"], RIGHT)
    words = verdicts_of_the_copy(run)
    assert words.pop("opencv") == "drift"
    assert set(words.values()) == {"match"}


def test_a_model_follows_the_first_one_whose_evaluation_gave_way(tmp_path: Path) -> None:
    run = followed(tmp_path, WRONG, "onnx")
    settle(run)
    words = verdicts_of_the_copy(run)
    assert words.pop("onnx") == "drift"
    assert set(words.values()) == {"match"}


def test_a_model_follows_the_first_one_in_what_is_random_undefined_or_in_steps(
    tmp_path: Path,
) -> None:
    grid = {"step": 1.0, "steps": 2, "scale": 0.5, "zero_point": 0}
    errors = {"y": 1e-3}  # other libraries do better
    run = followed(
        tmp_path, RIGHT, "none", random=["y"], quantised={"y": grid}, baseline_errors=errors
    )
    mask = np.array([[0, UNDEFINED_VALUE]], np.uint8)
    folder = run.artifact_path(SAME.imports[0].artifact)
    write_bytes(folder / artifacts.UNDEFINED, npz_bytes({"y": mask}))
    settle(run)
    copied = truths.read(run.artifact_path(SAME.imports[1].artifact))
    assert copied.random == {"z"}
    assert copied.quantised["z"].steps == 2
    assert copied.baseline_errors == {"z": 0.0}
    np.testing.assert_array_equal(copied.masks["z"], mask)


def test_what_is_random_or_undefined_is_no_cost_of_quantisation(tmp_path: Path) -> None:
    run = followed(tmp_path, RIGHT, "none")
    first, second = (model.artifact for model in SAME.imports)
    assert [cost.error for cost in costs.costs(run, first, second)] == [0.0]
    write_bytes(run.artifact_path(second) / artifacts.GOLD, npz_bytes({"z": WRONG}))
    assert [(cost.error or 0) > 1 for cost in costs.costs(run, first, second)] == [True]
    mask = np.array([[0, UNDEFINED_VALUE]], np.uint8)
    write_bytes(run.artifact_path(first) / artifacts.UNDEFINED, npz_bytes({"y": mask}))
    assert [cost.error for cost in costs.costs(run, first, second)] == [0.0]
    (run.artifact_path(first) / artifacts.GOLD).unlink()
    assert costs.costs(run, first, second) == []
