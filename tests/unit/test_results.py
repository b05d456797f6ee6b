"""Merging gives the same results however the records are ordered, split or repeated."""

from __future__ import annotations

import dataclasses
import json
import math
import random
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepmatrix import __version__
from deepmatrix.boundary.files import Damaged
from deepmatrix.comparison.history import lines
from deepmatrix.config.sections import ExpectedFailure
from deepmatrix.errors import RecordError
from deepmatrix.images.prepared import Prepared
from deepmatrix.planning.cells import all_cells
from deepmatrix.planning.plan import Job, Plan
from deepmatrix.reports import html
from deepmatrix.reports.tables import cells as cell_tables
from deepmatrix.reports.tables import speed
from deepmatrix.results import cells, merging
from deepmatrix.results.collecting.groups import groups
from deepmatrix.store.records import JobRecord
from deepmatrix.store.reported.output import Output
from deepmatrix.store.runs import Run
from tests.unit.examples import CANARY, MATRIX, new_run, output, planned, record

PLAN = planned("torch-debian1*-a*64-cpu", "onnxruntime-debian12-amd64-cpu")


def all_jobs(plan: Plan) -> list[Job]:
    return [*plan.jobs("produce"), *plan.jobs("consume")]


RECORDS = [record(job) for job in all_jobs(PLAN)]


def whole(parent: Path, name: str = "one", **changes: object) -> Run:
    run = new_run(parent, PLAN, name)
    write_gold(run)
    for job in all_jobs(PLAN):
        run.save(job, record(job, **changes))
    return run


def write_gold(run: Run) -> None:
    run.inputs.mkdir()
    for workload in PLAN.workloads:
        (run.inputs / f"{workload}.gold.json").write_text(
            json.dumps({"losses": [2.3, 1.2, 0.7], "accuracy": 0.98})
        )


def test_a_whole_run_is_as_expected(tmp_path: Path) -> None:
    merged = merging.merge([whole(tmp_path)])
    assert merged.problems == ()
    assert {row.status for row in merged.training} == {"ok"}
    assert {row.verdict for row in merged.portability} == {"match"}
    row = next(row for row in merged.training if not row.emulated)
    assert row.step_s is not None
    assert row.step_s.low <= row.step_s.median <= row.step_s.high
    assert row.step_s.rounds == 3
    assert row.loss_error == 0.0


def test_a_cell_that_the_matrix_file_excludes_is_told_from_one_that_cannot_run_here(
    tmp_path: Path,
) -> None:
    plan = planned("torch-debian1?-amd64-c*")
    rows = merging.merge([new_run(tmp_path, plan)]).cells
    excluded = {row.cell: row.excluded for row in rows}
    assert excluded["torch-debian13-amd64-cpu"]
    assert not excluded["torch-debian12-amd64-cuda"]  # no such device in these examples
    assert not excluded["torch-debian12-amd64-cpu"]


KNOWN = ExpectedFailure(
    cells="onnxruntime-*", subjects="*--digits-lstm--onnx", reason="no LSTM here"
)


def with_known(parent: Path) -> tuple[Run, Job]:
    """A whole run that knows a failure, and a job that may have it."""
    run = Run.create(
        parent,
        PLAN,
        MATRIX.model_copy(update={"expected_failures": (KNOWN,)}),
        version="0.1.0",
        name="one",
    )
    write_gold(run)
    for job in all_jobs(PLAN):
        run.save(job, record(job))
    artifacts = (job for job in PLAN.jobs("consume") if job.cell.startswith("onnxruntime"))
    return run, next(job for job in artifacts if job.workload == "digits-lstm")


def test_what_is_known_to_fail_is_shown_with_its_reason_and_fails_nothing(tmp_path: Path) -> None:
    run, job = with_known(tmp_path)
    run.save(job, record(job, status="unsupported", cause="no such node", agreement=None))
    merged = merging.merge([run])
    assert merged.problems == ()
    assert merged.findings == (f"{job.subject} on {job.cell}: unsupported: no LSTM here",)
    (row,) = [row for row in merged.portability if row.expected_failure]
    assert (row.verdict, row.reason) == ("unsupported", "no such node")
    (cell,) = [row for row in merged.cells if row.cell == job.cell]
    assert (cell.status, cell.failed, cell.expected_failures) == ("ok", 0, 1)


def test_another_failure_than_the_known_one_still_counts(tmp_path: Path) -> None:
    run, _ = with_known(tmp_path)
    job = next(job for job in PLAN.jobs("consume") if job.workload == "digits-conv")
    run.save(job, record(job, status="crashed", cause="SIGSEGV", agreement=None, output=None))
    assert len(merging.merge([run]).problems) == 1


def test_what_is_known_by_now_can_be_said_of_an_old_run(tmp_path: Path) -> None:
    run = whole(tmp_path)
    job = next(job for job in PLAN.jobs("consume") if job.subject.endswith("--digits-lstm--onnx"))
    run.save(job, record(job, status="unsupported", cause="no such node", agreement=None))
    assert merging.merge([run]).problems
    later = KNOWN.model_copy(update={"cells": "*"})
    merged = merging.merge([run], expected_failures=[later])
    assert merged.problems == ()
    assert merged.findings == (f"{job.subject} on {job.cell}: unsupported: no LSTM here",)
    assert merging.merge([run], expected_failures=[]).problems


def test_what_was_known_to_fail_and_does_not_is_told(tmp_path: Path) -> None:
    run, _ = with_known(tmp_path)
    assert (
        "an expected failure no longer happens; remove it from expected-failures.yaml: no LSTM here"
        in merging.merge([run]).warnings
    )


@pytest.mark.parametrize(
    ("phases", "is_remarked"),
    [(("startup", "train", "deploy"), True), (("startup", "parity", "train"), False)],
)
def test_a_run_without_exports_does_not_show_that_an_expected_failure_is_gone(
    tmp_path: Path, phases: tuple[str, ...], is_remarked: bool
) -> None:
    expected = ExpectedFailure(cells="torch-*", subjects="digits-lstm", reason="no export of LSTM")
    plan = replace(PLAN, phases=phases)
    run = new_run(
        tmp_path, plan, matrix=MATRIX.model_copy(update={"expected_failures": (expected,)})
    )
    write_gold(run)
    for job in plan.jobs("produce"):
        run.save(job, record(job))
    warnings = merging.merge([run]).warnings
    assert any(expected.reason in warning for warning in warnings) == is_remarked


@given(seed=st.integers(0, 10_000), parts=st.integers(1, 4), copies=st.integers(1, 3))
def test_however_records_are_split_and_repeated_each_job_comes_once(
    seed: int, parts: int, copies: int
) -> None:
    shuffled = random.Random(seed)
    streams: list[list[JobRecord]] = [[] for _ in range(parts)]
    for job_record in RECORDS:
        for stream in shuffled.choices(streams, k=copies):
            stream.append(job_record)
    for stream in streams:
        stream.sort(key=lambda job_record: job_record.key)
    shuffled.shuffle(streams)
    merged = [job_record for group in groups(*streams) for job_record in group]
    assert merged == sorted(RECORDS, key=lambda job_record: job_record.key)


@settings(max_examples=3)
@given(seed=st.integers(0, 10_000), parts=st.integers(2, 4), copies=st.integers(1, 3))
def test_directories_merged_in_any_order_give_the_same_results(
    seed: int, parts: int, copies: int
) -> None:
    shuffled = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        expected = merging.merge([whole(Path(folder, "whole"))])
        source = Run.open(Path(folder, "whole", "one"))
        split = []
        for index in range(parts):
            part = Run(path=Path(folder, f"part{index}", "one"))
            part.path.mkdir(parents=True)
            (part.path / "plan.json").write_bytes((source.path / "plan.json").read_bytes())
            split.append(part)
        for job in all_jobs(PLAN):
            for part in shuffled.sample(split, min(copies, parts)):
                part.save(job, record(job))
        (split[0].path / "inputs").mkdir()
        for path in source.inputs.iterdir():
            (split[0].inputs / path.name).write_bytes(path.read_bytes())
        shuffled.shuffle(split)
        assert merging.merge(split) == expected

        lost = all_jobs(PLAN)[-1]
        for number, part in enumerate(split):
            error = "no space" if number == 1 else None
            (part.path / "builds").mkdir()
            for cell in PLAN.cells:
                facts = {"cell_id": cell.id, "reference": "one", "built": number == 0}
                text = json.dumps({**facts, "build_s": float(number), "error": error})
                (part.path / "builds" / f"{cell.id}.json").write_text(text)
            part.save_engine({"engine": "docker", "version": str(number)})
            part.save(lost, record(lost, status="engine-lost", cause=f"{number}", output=None))
        once = merging.merge(split)
        assert all(not row.reason for row in once.cells if row.jobs and row.cell != lost.cell)
        assert {row.image for row in once.cells if row.jobs} == {"one"}
        shuffled.shuffle(split)
        again = merging.merge(split)
        assert again.model_dump_json() == once.model_dump_json()


def test_two_different_records_of_a_job_are_refused(tmp_path: Path) -> None:
    first, second = whole(tmp_path / "a"), whole(tmp_path / "b", wall_s=9.0)
    # The plans carry their time of making, which is not a part of what must be equal.
    with pytest.raises(RecordError, match="two different records of the job"):
        merging.merge([first, second])


def test_parts_of_different_plans_are_refused(tmp_path: Path) -> None:
    first = new_run(tmp_path / "a", PLAN)
    second = new_run(tmp_path / "b", planned("torch-*-cpu", seed=7))
    with pytest.raises(RecordError, match="differ in their plan"):
        merging.merge([first, second])


@pytest.mark.parametrize("status", ["engine-lost", "no-device"])
def test_an_engine_that_failed_gives_way_to_what_was_found_later(
    tmp_path: Path, status: str
) -> None:
    lost, complete = new_run(tmp_path / "a", PLAN), whole(tmp_path / "b")
    job = next(PLAN.jobs("produce"))
    lost.save(job, record(job, status=status, output=None))
    assert not lost.is_done(job)
    assert merging.merge([lost, complete]).problems == ()


def test_a_job_that_failed_is_a_problem_and_its_artifacts_are_not_judged(tmp_path: Path) -> None:
    run = new_run(tmp_path, PLAN)
    for job in PLAN.jobs("produce"):
        run.save(job, record(job, status="oom", cause="too much", output=None))
    merged = merging.merge([run])
    assert any("oom: too much" in problem for problem in merged.problems)
    assert {row.verdict for row in merged.portability} == {"not-run"}
    assert "the producer oom: too much" in merged.portability[0].reason


def trained(job: Job, **changes: Any) -> Output:
    """What a job said, but with other values of its training."""
    document = output(job).model_dump(by_alias=True)
    for phase in document["records"]:
        if phase["phase"] == "train":
            phase["data"].update(changes)
    return Output.model_validate(document)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"accuracy": 0.5}, "accuracy 0.500 is below 0.95"),
        ({"losses": [2.3, 1.3, 0.7]}, "loss differs from gold by 1.0e-01"),
        ({"losses": [2.3, float("nan"), 0.7]}, "loss differs from gold by nan"),
        (
            {"losses": [2.3]},
            "the losses cannot be compared with gold: their number differs",
        ),
    ],
)
def test_a_training_that_went_wrong_fails(tmp_path: Path, change: dict, reason: str) -> None:
    run = whole(tmp_path)
    job = next(job for job in PLAN.jobs("produce") if job.subject == "digits-conv")
    run.save(job, record(job, output=trained(job, **change)))
    merged = merging.merge([run])
    failed = [row for row in merged.training if row.status != "ok"]
    assert [row.reason for row in failed] == [reason]
    assert len(merged.problems) == 1


def without_training(parent: Path, *phases: str) -> tuple[Run, Job]:
    """A whole run of a framework whose plan has only these phases, and one of its jobs."""
    plan = replace(planned("torch-debian12-amd64-cpu"), phases=phases)
    run = Run.create(
        parent,
        plan,
        MATRIX.model_copy(update={"expected_failures": (NO_CONVOLUTION,)}),
        version="0.1.0",
        name="one",
    )
    write_gold(run)
    for job in plan.jobs("produce"):
        run.save(job, record(job))
    return run, next(job for job in plan.jobs("produce") if job.subject == "digits-lstm")


NO_CONVOLUTION = ExpectedFailure(cells="torch-*", subjects="digits-conv", reason="no convolution")


def with_failed(job: Job, phase: str) -> Output:
    """What a job said whose *phase* raised an error."""
    error = {"type": "ValueError", "message": "no such layer", "traceback": ""}
    document = output(job).model_dump(by_alias=True)
    for entry in document["records"]:
        if entry["phase"] == phase:
            entry.update(status="failed", error=error, data={})
    return Output.model_validate(document)


WITHOUT_TRAINING = pytest.mark.parametrize("phase", ["passes", "probe"])


@WITHOUT_TRAINING
def test_a_crash_is_a_problem_whatever_phases_the_preset_has(tmp_path: Path, phase: str) -> None:
    run, job = without_training(tmp_path, "startup", phase)
    assert merging.merge([run]).problems == ()
    run.save(job, record(job, status="crashed", cause="exit code 139", output=None))
    merged = merging.merge([run])
    assert merged.problems == (f"{job.cell}, digits-lstm: crashed: exit code 139",)
    assert merged.training == ()


@WITHOUT_TRAINING
def test_a_failed_phase_is_a_problem_whatever_phases_the_preset_has(
    tmp_path: Path, phase: str
) -> None:
    run, job = without_training(tmp_path, "startup", phase)
    cause = f"{phase}: ValueError: no such layer"
    run.save(job, record(job, status="failed", cause=cause, output=with_failed(job, phase)))
    assert merging.merge([run]).problems == (f"{job.cell}, digits-lstm: failed: {cause}",)


def test_a_fact_that_could_not_be_read_is_a_problem(tmp_path: Path) -> None:
    run, job = without_training(tmp_path, "startup", "probe")
    document = output(job).model_dump(by_alias=True)
    error = {"type": "OSError", "message": "no such file", "traceback": ""}
    facts = {"is_small": {"error": error}, "is_fast": {"evidence": "2 s"}}
    probed = {"phase": "probe", "status": "ok", "error": None, "started_s": 1.0, "seconds": 1.0}
    entry = {**probed, "data": {"probes": {}, "facts": facts}}
    document["records"] = [*document["records"], entry]
    run.save(job, record(job, output=Output.model_validate(document)))
    merged = merging.merge([run])
    assert merged.problems == (f"{job.cell}, is_small: error: OSError: no such file",)


@WITHOUT_TRAINING
def test_an_expected_failure_is_a_finding_whatever_phases_the_preset_has(
    tmp_path: Path, phase: str
) -> None:
    run, _ = without_training(tmp_path, "startup", phase)
    job = next(job for job in run.manifest.plan.jobs("produce") if job.subject == "digits-conv")
    run.save(job, record(job, status="crashed", cause="exit code 139", output=None))
    merged = merging.merge([run])
    assert merged.problems == ()
    assert merged.findings == (f"{job.cell}, digits-conv: crashed: no convolution",)


def test_a_torn_record_is_that_jobs_own_and_says_what_to_do(tmp_path: Path) -> None:
    run = whole(tmp_path)
    job = next(PLAN.jobs("produce"))
    path = run.record_path(job)
    path.write_text(path.read_text()[:100])
    assert run.record(job).status == "damaged"
    assert not run.is_done(job)
    row = next(row for row in merging.merge([run]).cells if row.cell == job.cell)
    assert row.status == "damaged"
    assert row.reason.startswith(
        f"records/{job.cell}/{job.subject}/r{job.round}.json: Invalid JSON"
    )
    assert row.reason.endswith("run again with --resume")


def test_a_record_reads_back_as_it_was_written() -> None:
    job_record = record(next(PLAN.jobs("consume")))
    assert JobRecord.model_validate_json(job_record.model_dump_json(by_alias=True)) == job_record


def test_a_loss_that_is_not_a_number_survives_the_file(tmp_path: Path) -> None:
    run = new_run(tmp_path, PLAN)
    job = next(PLAN.jobs("produce"))
    run.save(job, record(job, output=trained(job, losses=[2.3, float("nan"), 0.7])))
    (back,) = run.records()
    assert back.output is not None
    training = back.output.train()
    assert training is not None
    assert math.isnan(training.losses[1])


def test_more_than_ten_rounds_come_in_their_order_and_once(tmp_path: Path) -> None:
    plan = dataclasses.replace(planned("torch-debian12-amd64-cpu"), rounds_native=12)
    first, second = new_run(tmp_path / "a", plan), Run(path=tmp_path / "b" / "one")
    second.path.mkdir(parents=True)
    write_gold(first)
    (second.path / "plan.json").write_bytes((first.path / "plan.json").read_bytes())
    for job in all_jobs(plan):
        first.save(job, record(job))
        if job.round in (0, 1, 9, 10, 11):
            second.save(job, record(job))
    (row,) = (row for row in merging.merge([first, second]).cells if row.jobs)
    assert row.jobs == len(all_jobs(plan))
    assert row.missing == 0


def test_a_job_on_a_slowed_machine_is_named(tmp_path: Path) -> None:
    run = whole(tmp_path)
    assert merging.merge([run]).noisy == ()
    jobs = [job for job in PLAN.jobs("produce") if job.cell == "torch-debian12-amd64-cpu"]
    timed = next(job for job in jobs if PLAN.is_timed(job))
    checked = next(job for job in jobs if not PLAN.is_timed(job))
    for job in (timed, checked):
        slow = {**CANARY, "matmul_flops": CANARY["matmul_flops"] / 2}
        run.save(job, record(job, output=output(job, canaries=[slow])))
    assert merging.merge([run]).noisy == (timed.id,)


def test_what_is_only_checked_has_no_times(tmp_path: Path) -> None:
    merged = merging.merge([whole(tmp_path)])
    native = [row for row in merged.training if not row.emulated]
    timed = {row.workload for row in native if row.step_s}
    assert timed == {row.workload for row in native} - PLAN.checked_workloads
    assert timed == {row.workload for row in merged.inference}
    assert timed == {row.workload for row in merged.startup if row.import_s and not row.emulated}


def test_where_times_stand_it_is_said_what_has_none(tmp_path: Path) -> None:
    merged = merging.merge([whole(tmp_path)])
    said = f"Only checked, not timed: {', '.join(sorted(PLAN.checked_workloads))}."
    assert speed.training(merged).note.endswith(said)
    assert cell_tables.startup(merged).note.endswith(said)
    latency = html.run_page(merged, html.Evidence()).split('id="latency"')[1]
    assert said in latency.split("<details", 1)[0]
    untrained = [row.model_copy(update={"step_s": None, "losses": ()}) for row in merged.training]
    assert speed.only_checked(untrained) == "", "what is not trained may be timed otherwise"


def test_rounds_that_are_missing_are_a_problem(tmp_path: Path) -> None:
    run = whole(tmp_path)
    for path in (run.path / "records").rglob("r2.json"):
        path.unlink()
    merged = merging.merge([run])
    assert (
        "torch-debian12-amd64-cpu: 6 of 40 jobs have not run; finish with --resume"
        in merged.problems
    )


def test_a_record_that_was_not_planned_is_refused(tmp_path: Path) -> None:
    run = whole(tmp_path)
    job = next(PLAN.jobs("produce"))
    run.record_path(job).parent.rename(run.record_path(job).parent.with_name("digits-cnov"))
    stray = record(replace(job, subject="digits-cnov"))
    path = run.record_path(job).parent.with_name("digits-cnov") / f"r{job.round}.json"
    path.write_text(stray.model_dump_json(by_alias=True))
    with pytest.raises(RecordError, match="is not in the plan of one"):
        merging.merge([run])


def test_a_second_round_of_what_is_only_checked_is_refused(tmp_path: Path) -> None:
    run = whole(tmp_path)
    jobs = (job for job in PLAN.jobs("produce") if job.workload in PLAN.checked_workloads)
    second = replace(next(jobs), round=1)
    run.save(second, record(second))
    with pytest.raises(RecordError, match="is not in the plan of one"):
        merging.merge([run])


def test_a_record_in_another_jobs_place_is_damaged(tmp_path: Path) -> None:
    run = whole(tmp_path)
    first, second = (job for job in all_jobs(PLAN)[:2])
    run.record_path(second).write_bytes(run.record_path(first).read_bytes())
    assert f"it is the record of {first.id}" in run.record(second).cause
    assert not run.is_done(second)
    assert merging.merge([run]).problems


def test_a_record_that_gives_its_job_another_name_is_damaged(tmp_path: Path) -> None:
    run = whole(tmp_path)
    job = next(PLAN.jobs("consume"))
    run.save(job, run.record(job).changed(job="x", reused="r0"))
    assert "it is the record of x" in run.record(job).cause
    assert list(lines.measurements(merging.merge([run])))


def test_a_record_that_nothing_planned_is_named(tmp_path: Path) -> None:
    run = whole(tmp_path)
    stray = run.path / "records" / "torch-debian12-amd64-cpu" / "no-such" / "r0.json"
    stray.parent.mkdir()
    stray.write_text("{")
    (problem,) = merging.merge([run]).problems
    assert problem.startswith(f"{stray}: Invalid JSON")


def test_a_run_keeps_its_name_wherever_its_directory_lies(tmp_path: Path) -> None:
    run = whole(tmp_path)
    moved = Run(path=run.path.rename(tmp_path / "elsewhere"))
    assert moved.id == "one"
    assert merging.merge([moved]).problems == ()


def test_a_preparation_that_fails_later_does_not_replace_what_ran(tmp_path: Path) -> None:
    run = new_run(tmp_path, PLAN)
    good = Prepared(cell_id="x", reference="image", built=True, build_s=9.0)
    for worse in (
        Prepared(cell_id="x", reference="", error="no emulation"),
        Prepared(cell_id="x", reference="image", built=False),
    ):
        run.save_prepared({"x": good})
        run.save_prepared({"x": worse})
        assert run.prepared()["x"] == good
    another = Prepared(cell_id="x", reference="another", built=True)
    run.save_prepared({"x": another})
    assert run.prepared()["x"] == another


def test_a_record_of_another_run_is_damaged(tmp_path: Path) -> None:
    run = whole(tmp_path)
    job = next(PLAN.jobs("produce"))
    run.save(job, record(job, run="two"))
    assert "it is of the run two" in run.record(job).cause


def test_records_of_two_harnesses_are_a_problem(tmp_path: Path) -> None:
    run = whole(tmp_path)
    job = next(PLAN.jobs("produce"))
    run.save(job, record(job, output=output(job, harness="1" * 16)))
    (problem,) = merging.merge([run]).problems
    assert problem.startswith("the records are of different harnesses: ")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("builds/x.json", "{"),
        ("builds/x.json", '{"cell": 1}'),
        ("engines/x.json", '["docker"]'),
        ("inputs/digits-conv.gold.json", "{}"),
        ("causes/x/cause.json", "[]"),
        ("nodes/x.json", "{}"),
    ],
)
def test_a_torn_file_of_a_run_is_a_problem_and_the_rest_is_merged(
    tmp_path: Path, name: str, text: str
) -> None:
    run = whole(tmp_path)
    rows = merging.merge([run]).portability
    (run.path / name).parent.mkdir(exist_ok=True, parents=True)
    (run.path / name).write_text(text)
    merged = merging.merge([Run(path=run.path)])
    problem = next(line for line in merged.problems if line.startswith(str(run.path / name)))
    assert problem.endswith("or leave the file out")
    assert merged.portability == rows


def test_a_torn_plan_names_itself(tmp_path: Path) -> None:
    run = whole(tmp_path)
    (run.path / "plan.json").write_text("{")
    with pytest.raises(Damaged, match=r"plan\.json: Invalid JSON") as caught:
        merging.merge([Run(path=run.path)])
    assert caught.value.hint == "without its plan a run cannot go on: start a new one"


@pytest.mark.parametrize(
    ("version", "hint"),
    [("0.0.1", "use the version that wrote it"), (__version__, "without its plan")],
)
def test_the_version_is_blamed_for_a_plan_of_another_one_only(
    tmp_path: Path, version: str, hint: str
) -> None:
    run = whole(tmp_path)
    written = json.loads((run.path / "plan.json").read_bytes()) | {"version": version, "plan": 1}
    (run.path / "plan.json").write_text(json.dumps(written))
    with pytest.raises(Damaged) as caught:
        merging.merge([Run(path=run.path)])
    assert caught.value.hint.startswith(hint)


def test_a_copy_of_results_with_other_verdicts_forgets_those_it_had(tmp_path: Path) -> None:
    merged = merging.merge([whole(tmp_path)])
    artifact = merged.portability[0].artifact
    assert merged.verdicts_of(artifact)
    assert not merged.model_copy(update={"portability": ()}).verdicts_of(artifact)
    assert list(merged.verdicts_of(artifact)) == [
        judged for judged in merged.portability if judged.artifact == artifact
    ]


def test_files_that_are_no_records_are_left_alone(tmp_path: Path) -> None:
    run = whole(tmp_path)
    (run.path / "records" / "notes.txt").write_text("mine")
    (run.path / "records" / "torch-debian12-amd64-cpu" / ".DS_Store").write_text("")
    assert merging.merge([run]).problems == ()


@pytest.mark.parametrize(
    ("cell_id", "versions", "expected"),
    [
        ("torch-debian12-amd64-cpu", {"torch": "2.13.0", "cuda": "13", "numpy": "2.4.6"}, "2.13.0"),
        ("torch_edge-debian12-amd64-cpu", {"torch": "2.13.0", "numpy": "2.4.6"}, "2.13.0"),
        ("onnxruntime-node-debian13-amd64-cpu", {"onnxruntime": "1.24", "node": "24"}, "1.24"),
        ("litert-debian12-amd64-cpu", {"litert": "2.3.0", "numpy": "2.4.6"}, "2.3.0"),
        ("libtorch-cpp-debian12-amd64-cpu", {"libtorch": "2.13.0"}, "2.13.0"),
        ("torch-debian12-amd64-cpu", {"numpy": "2.4.6"}, ""),
    ],
)
def test_the_version_of_a_cell_is_that_of_its_library(
    cell_id: str, versions: dict[str, str], expected: str
) -> None:
    cell = next(cell for cell in all_cells(MATRIX) if cell.id == cell_id)
    assert cells._version(cell, versions) == expected


def test_an_emulated_training_is_compared_as_far_as_it_goes_and_has_no_times(
    tmp_path: Path,
) -> None:
    short = replace(PLAN, steps_emulated=2)
    run = new_run(tmp_path, short)
    write_gold(run)
    for job in all_jobs(short):
        is_short = job.wave == "produce" and job.cell in short.emulated
        changes = {"losses": [2.3, 1.2], "step_s": [1.0, 1.0], "accuracy": 0.1} if is_short else {}
        run.save(job, record(job, output=trained(job, **changes)))
    merged = merging.merge([run])
    assert merged.problems == ()
    rows = [row for row in merged.training if row.emulated]
    assert rows
    for row in rows:
        assert (row.status, row.loss_error, row.accuracy, row.step_s) == ("ok", 0.0, None, None)
    assert not any(row.emulated for row in merged.inference)
    assert all(row.import_s is None for row in merged.cells if row.emulated)


def test_a_start_counts_for_what_came_first_in_its_process(tmp_path: Path) -> None:
    run = whole(tmp_path)
    consumer = "onnxruntime-debian12-amd64-cpu"
    jobs = [job for job in PLAN.jobs("consume") if job.cell == consumer]
    first = next(job for job in jobs if PLAN.is_timed(job))
    for job in jobs:
        place = 1 if job.subject == first.subject else 2
        data = {"answered_at": 1000.5, "import_s": 0.25 if place == 1 else 0.0}
        document = output(job, place=place).model_dump(by_alias=True)
        document["records"][0]["data"].update(data)
        served = record(job, output=Output.model_validate(document))
        run.save(job, served.model_copy(update={"started_at": 1000.0}))
    merged = merging.merge([run])
    starts = {row.subject: row.start_s for row in merged.serving if row.cell == consumer}
    assert [subject for subject, start in starts.items() if start] == [first.subject]
    start = starts[first.subject]
    assert start is not None
    assert start.median == 0.5
    (cell,) = [row for row in merged.cells if row.cell == consumer]
    assert cell.import_s is not None
    assert cell.import_s.median == 0.25


def test_files_that_a_first_round_reads_are_no_memory_of_serving(tmp_path: Path) -> None:
    run = whole(tmp_path)
    timed = {(job.cell, job.subject) for job in PLAN.jobs("consume") if job.round}
    for job in PLAN.jobs("consume"):
        is_new = job.round == 0 and (job.cell, job.subject) in timed
        run.save(job, record(job, output=output(job, peak_memory_bytes=900 if is_new else 100)))
    several = {cell for cell, _ in timed}
    rows = [row for row in merging.merge([run]).cells if row.cell in several]
    assert rows
    assert {row.serving_memory_bytes for row in rows} == {100}


def test_a_model_of_one_round_tells_no_memory_beside_those_of_several(tmp_path: Path) -> None:
    run = whole(tmp_path)
    jobs = list(PLAN.jobs("consume"))
    several = {(job.cell, job.workload) for job in jobs if job.round}
    for job in jobs:
        run.save(job, record(job, output=output(job, peak_memory_bytes=100 if job.round else 900)))
    timed = {(job.cell, job.subject) for job in jobs if PLAN.is_timed(job)}
    assert any(
        (job.cell, job.workload) in several and (job.cell, job.subject) not in timed for job in jobs
    )
    rows = [
        row for row in merging.merge([run]).cells if (row.cell, row.serving_memory_of) in several
    ]
    assert rows
    assert {row.serving_memory_bytes for row in rows} == {100}


def test_what_serving_takes_is_told_of_the_same_network_for_all_cells(tmp_path: Path) -> None:
    run = whole(tmp_path)
    opening = min(PLAN.workloads, key=PLAN.lot)
    for job in PLAN.jobs("consume"):
        served = output(job, peak_memory_bytes=100 if job.workload == opening else 900)
        run.save(job, record(job, output=served))
    rows = [row for row in merging.merge([run]).cells if row.serving_memory_of]
    assert {row.cell for row in rows} == {job.cell for job in PLAN.jobs("consume")}
    assert {(row.serving_memory_of, row.serving_memory_bytes) for row in rows} == {(opening, 100)}
    assert len(PLAN.workloads) > 1
