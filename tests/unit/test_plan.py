"""Planning is pure: a matrix, a selection and what an engine can do give cells and jobs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from deepmatrix.cli import plan_table
from deepmatrix.config import matrix_file
from deepmatrix.errors import ArgumentError
from deepmatrix.paths import ROOT
from deepmatrix.planning.cells import Capabilities
from deepmatrix.planning.matrix_plan import plan_matrix
from deepmatrix.planning.model_plan import plan_models
from deepmatrix.planning.plan import WAVES, Plan
from deepmatrix.planning.selection import Selection
from deepmatrix.store.runs import Run
from deepmatrix.workloads import programs

MATRIX = matrix_file.load(ROOT / "matrix.yaml")
DOCKER = Capabilities(
    engine="docker", native=frozenset({"amd64"}), emulated=frozenset({"arm64"}), cpus=2
)


def make(
    *include: str,
    preset: str = "default",
    exclude: Iterable[str] = (),
    tags: Iterable[str] = (),
    capabilities: Capabilities = DOCKER,
    seed: int = 0,
) -> Plan:
    selection = Selection(preset=preset, include=include, exclude=tuple(exclude), tags=tuple(tags))
    return plan_matrix(MATRIX, selection, capabilities, seed=seed)


def ids(plan: Plan) -> set[str]:
    return {cell.id for cell in plan.cells}


def test_the_default_preset_has_every_system_on_both_architectures() -> None:
    assert ids(make()) == {
        f"{name}-{platform}"
        for name, system in MATRIX.systems().items()
        for platform in (
            "debian13-amd64-cpu" if system.bases == ("debian13",) else "debian12-amd64-cpu",
            "debian13-arm64-cpu",
        )
        if not {"heritage", "optional", "wine"} & {*system.tags}
        and not MATRIX.exclusion(f"{name}-{platform}")
    }


def test_what_is_optional_is_run_where_it_is_named() -> None:
    assert ids(make("opencv-debian12-amd64-cpu")) == {"opencv-debian12-amd64-cpu"}


def test_every_artifact_is_consumed_by_every_cell_that_reads_it() -> None:
    plan = make()
    judged = {(job.subject, job.cell) for job in plan.jobs("consume")}
    assert judged == {
        (artifact.id, cell.id)
        for artifact in plan.artifacts()
        for cell in plan.cells
        if artifact.format in cell.reads
    }
    assert len(judged) >= 200


def test_what_was_made_under_emulation_is_served_as_often_as_it_was_made() -> None:
    rounds = Counter((job.subject, job.cell) for job in make().jobs("consume"))
    server = "onnxruntime-debian12-amd64-cpu"
    assert rounds["torch-debian12-amd64-cpu--digits-conv--onnx", server] == 3
    assert rounds["torch-debian13-arm64-cpu--digits-conv--onnx", server] == 1
    assert sum(rounds.values()) == make().size("consume")


def test_the_times_of_an_evaluator_do_not_count_so_it_answers_in_one_round() -> None:
    plan = make(
        "torch-debian12-amd64-cpu", "onnx-debian12-amd64-cpu", "onnxruntime-debian12-amd64-cpu"
    )
    jobs = [job for job in plan.jobs("consume") if job.artifact and job.artifact.format == "onnx"]
    rounds = Counter((job.cell, job.workload) for job in jobs)
    assert [job for job in jobs if job.cell.startswith("onnx-") and plan.is_timed(job)] == []
    for workload in plan.workloads:
        is_timed = workload not in plan.checked_workloads
        assert rounds["onnx-debian12-amd64-cpu", workload] == 1
        assert rounds["onnxruntime-debian12-amd64-cpu", workload] == (3 if is_timed else 1)


def test_what_is_only_checked_runs_in_one_round_whose_times_do_not_count() -> None:
    plan = make("torch-debian12-amd64-cpu", "onnxruntime-debian12-amd64-cpu")
    assert plan.checked_workloads == {"seq2seq-tiny", "googlenet-tiny"}
    cells = {cell.id: cell for cell in plan.cells}
    for wave in WAVES:
        for job in plan.jobs(wave):
            if job.workload in plan.checked_workloads:
                assert job.round == 0
                assert not plan.is_timed(job)
                assert not plan.is_cold(job, cells[job.cell])
        timed = {job.workload for job in plan.jobs(wave) if plan.is_timed(job)}
        assert timed == set(plan.workloads) - plan.checked_workloads


def test_the_table_of_a_plan_names_what_is_only_checked() -> None:
    plan = make("torch-debian12-amd64-cpu")
    note = " Only checked, not timed: seq2seq-tiny, googlenet-tiny."
    assert plan_table.table(plan, "docker").note.endswith(note)
    assert (
        "checked"
        not in plan_table.table(replace(plan, checked_workloads=frozenset()), "docker").note
    )


def test_programs_in_other_languages_serve_several_artifacts_in_one_process() -> None:
    served = {cell.id: cell.serves_sessions for cell in make(preset="full").cells if cell.command}
    assert served["onnxruntime-node-debian13-amd64-cpu"]
    assert served["onnxruntime-cpp-debian13-amd64-cpu"]
    assert all(is_served == ("_wine" not in name) for name, is_served in served.items())


def test_a_run_of_more_jobs_than_can_be_run_is_not_made(tmp_path: Path) -> None:
    plan = replace(make(preset="full"), rounds_native=1000)
    with pytest.raises(ArgumentError, match=r"it has [\d,]+ jobs, more than 200,000") as raised:
        Run.create(tmp_path, plan, MATRIX, version="0.1.0")
    assert raised.value.hint.startswith("select fewer cells or models")
    assert list(tmp_path.iterdir()) == []
    assert not make().oversize


def test_a_cell_that_the_engine_cannot_run_is_kept_with_the_reason() -> None:
    reasons = {skip.cell.id: skip.reason for skip in make().skipped}
    assert reasons["torch-debian12-amd64-cuda"] == "the engine has no NVIDIA runtime"


def test_without_emulation_foreign_cells_are_not_run() -> None:
    native = Capabilities(engine="docker", native=frozenset({"amd64"}))
    reasons = {skip.cell.id: skip.reason for skip in make(capabilities=native).skipped}
    assert reasons["torch-debian13-arm64-cpu"] == (
        "no arm64 emulation where this engine runs: install qemu-user-static there"
    )


def test_virtual_environments_run_only_pythons_that_are_there() -> None:
    venv = Capabilities(engine="venv", native=frozenset({"amd64"}), pythons=frozenset({"3.13"}))
    plan = make(capabilities=venv)
    assert not plan.cells
    reasons = {skip.cell.id: skip.reason for skip in plan.skipped}
    assert reasons["torch-debian12-amd64-cpu"] == (
        "no Python 3.11 on this machine; a container engine brings it"
    )
    assert reasons["torch-debian13-arm64-cpu"] == "the venv engine runs only its own architecture"


def test_an_excluded_cell_shows_the_reason_of_the_matrix_file() -> None:
    skipped = {skip.cell.id: skip.reason for skip in make("torch-debian12-arm64-cuda").skipped}
    assert skipped == {"torch-debian12-arm64-cuda": "the CUDA images are built for amd64 only"}


def test_globs_choose_instead_of_the_preset_and_exclude_drops() -> None:
    assert ids(make("torch-*-cpu", exclude=["*-debian13-*"])) <= {
        "torch-debian12-amd64-cpu",
        "torch-debian12-arm64-cpu",
    }


def test_tags_narrow() -> None:
    assert ids(make(preset="smoke", tags=["arm64", "runtime"])) == {
        "onnxruntime-debian13-arm64-cpu"
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "smoek"}, "no preset 'smoek'; did you mean 'smoke'?"),
        ({"tags": ["arm46"]}, "no cell has the tag 'arm46'; did you mean 'arm64'?"),
        (
            {"exclude": ["*"]},
            "the selection leaves no cell: none matches all globs and tags",
        ),
        (
            {"exclude": ["torch-debian12-amd46-cpu"]},
            "'torch-debian12-amd46-cpu' matches no cell; did you mean 'torch-debian12-amd64-cpu'?",
        ),
    ],
)
def test_a_selection_of_nothing_is_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        make(**arguments)
    assert caught.value.message == message


def test_the_order_of_jobs_depends_on_the_seed_alone() -> None:
    assert list(make(seed=1).jobs("produce")) == list(make(seed=1).jobs("produce"))
    assert list(make(seed=1).jobs("produce")) != list(make(seed=2).jobs("produce"))


def test_a_model_is_exported_in_the_first_round_only() -> None:
    deploying = [job.round for job in make().jobs("produce") if "deploy" in job.phases]
    assert set(deploying) == {0}


def test_an_idiom_is_planned_where_one_is_written() -> None:
    written = {("lstm-small", "torch"), ("gru-small", "jax"), ("lstm-small", "onnxruntime")}
    plan = plan_matrix(MATRIX, Selection(preset="small"), DOCKER, seed=0, idioms=written)
    planned = {(job.cell, job.subject) for job in plan.jobs("produce") if "idiom" in job.phases}
    assert planned == {
        ("torch-debian12-amd64-cpu", "lstm-small"),
        ("jax-debian12-amd64-cpu", "gru-small"),
    }


def test_what_generates_is_also_exported_with_past_and_served_by_what_reads_the_format() -> None:
    selection = ("torch-debian12-amd64-*", "jax-debian12-amd64-*", "onnxruntime-debian12-amd64-*")
    plan = make(*selection, preset="small")
    with_past = {one.id for one in plan.artifacts() if one.format.endswith("-with-past")}
    torch = "torch-debian12-amd64-cpu"
    assert with_past == {
        f"{torch}--decoder-small--onnx-with-past",
        f"{torch}--decoder-small--torch-export-with-past",
    }
    served = {(job.cell, job.subject) for job in plan.jobs("consume") if job.subject in with_past}
    assert served == {
        ("onnxruntime-debian12-amd64-cpu", f"{torch}--decoder-small--onnx-with-past"),
        (torch, f"{torch}--decoder-small--torch-export-with-past"),
    }
    assert plan.size("consume") == len(list(plan.jobs("consume")))


def test_probes_are_planned_where_the_folder_of_the_adapter_has_them() -> None:
    frameworks = ("torch-debian12-amd64-cpu", "theano_own-*-amd64-*", "pytensor-*-amd64-*")
    selection = Selection(preset="heritage-probes", include=frameworks)
    written = programs.available_probes() - {"harness.frameworks.pytensor"}
    plan = plan_matrix(MATRIX, selection, DOCKER, seed=0, probes=written)
    phases = {job.cell: job.phases for job in plan.jobs("produce")}
    assert phases == {
        "torch-debian12-amd64-cpu": ("startup", "probe"),
        "theano_own-debian11-amd64-cpu": ("startup", "probe"),  # theano's folder
        "pytensor-debian13-amd64-cpu": ("startup",),
    }


def test_every_package_with_probes_can_be_named_and_serves_a_framework() -> None:
    """And every framework has probes, but those that only the presets of their names measure."""
    written = programs.available_probes()
    adapters = {framework.adapter for framework in MATRIX.frameworks.values()}
    adapters -= {f"harness.frameworks.{name}.adapter" for name in ("keras", "flax", "paddle")}
    assert {f"{package}.adapter" for package in written} == adapters


def test_a_plan_is_the_same_after_its_way_through_a_run(tmp_path: Path) -> None:
    plan = make(preset="full")
    run = Run.create(tmp_path, plan, MATRIX, version="0.1.0", name="one")
    manifest = Run.open(run.path).manifest
    assert (manifest.plan, manifest.matrix) == (plan, MATRIX)
    assert manifest.matrix.expected_failures


def test_a_cell_that_only_inspects_serves_nothing(tmp_path: Path) -> None:
    infer = MATRIX.presets["smoke"].infer
    server = Selection(include=("onnxruntime-debian12-amd64-cpu",))
    plan = plan_models(MATRIX, [("net", "onnx", "model.onnx")], server, DOCKER, seed=0, infer=infer)
    run = Run.create(tmp_path, plan, MATRIX, version="0.1.0", name="one")
    assert {cell.id: cell.reads for cell in Run.open(run.path).manifest.plan.cells} == {
        "onnxruntime-debian12-amd64-cpu": ("onnx", "ort"),
        "onnx-debian12-amd64-cpu": (),
    }


def test_a_format_that_only_optional_cells_read_is_served_by_them() -> None:
    infer = MATRIX.presets["smoke"].infer
    model = ("net", "executorch", "model.pte")
    plan = plan_models(MATRIX, [model], Selection(), DOCKER, seed=0, infer=infer)
    serving = {cell.id for cell in plan.cells if cell.reads}
    assert serving == {"executorch-debian13-amd64-cpu", "executorch-debian13-arm64-cpu"}
    fewer = Selection(exclude=("*-arm64-*",))
    plan = plan_models(MATRIX, [model], fewer, DOCKER, seed=0, infer=infer)
    assert {cell.id for cell in plan.cells if cell.reads} == {"executorch-debian13-amd64-cpu"}


cell_globs = st.sampled_from(["*", "torch-*", "*-amd64-*", "onnxruntime-*", "*-arm64-cpu"])


@given(
    include=st.lists(cell_globs, max_size=3),
    preset=st.sampled_from(["smoke", "default", "full"]),
    native=st.sets(st.sampled_from(["amd64", "arm64"]), min_size=1),
    emulated=st.sets(st.sampled_from(["amd64", "arm64"])),
    seed=st.integers(),
)
def test_every_plan_keeps_its_promises(
    include: list[str], preset: str, native: set[str], emulated: set[str], seed: int
) -> None:
    capabilities = Capabilities(
        engine="docker", native=frozenset(native), emulated=frozenset(emulated - native)
    )
    plan = make(*include, preset=preset, capabilities=capabilities, seed=seed)
    cells = {cell.id: cell for cell in plan.cells}
    assert not set(cells) & {skip.cell.id for skip in plan.skipped}
    assert all(skip.reason for skip in plan.skipped)
    assert sum(1 for _ in plan.artifacts()) == plan.artifact_counts().total()
    for wave in ("produce", "consume"):
        jobs = list(plan.jobs(wave))
        assert len({job.id for job in jobs}) == len(jobs) == plan.size(wave)
        assert [job.round for job in jobs] == sorted(job.round for job in jobs)
        for job in jobs:
            assert job.round < plan.rounds(cells[job.cell])
            if job.artifact:
                assert job.artifact.read_as in cells[job.cell].reads
                assert job.artifact.format in cells[job.artifact.producer].exports


def test_a_plan_of_an_earlier_version_says_what_is_only_checked_by_other_names() -> None:
    plan = make("torch-debian12-amd64-cpu", "onnx-debian12-amd64-cpu")
    assert plan.checked_cells
    assert plan.checked_workloads
    kind = TypeAdapter(Plan)
    document = kind.dump_python(plan, mode="json")
    document["untimed"] = document.pop("checked_cells")
    document["checked"] = document.pop("checked_workloads")
    assert kind.validate_json(json.dumps(document)) == plan
