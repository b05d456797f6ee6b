"""Faults of one cause are searched once, and each has a command that shows it."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from deepmatrix.boundary.writing import write_text
from deepmatrix.cli.parser import build_parser
from deepmatrix.diagnosis.faults import Fault, find_answers, find_faults
from deepmatrix.diagnosis.grouping import group_alike
from deepmatrix.planning.subjects import Artifact
from deepmatrix.results import merging
from deepmatrix.store.artifacts import reproduction
from deepmatrix.store.causes import CAUSE_FILE, Cause
from deepmatrix.store.records import Agreement, Deviation
from deepmatrix.store.runs import Run
from tests.unit.examples import new_run, record
from tests.unit.test_models import verification

EVERYWHERE = verification(("net", "onnx", "model.onnx"), only="onnx*")


def agreement(error: float | None, row: int = 0) -> Agreement:
    output = Deviation(name="y", error=error, row=row, producer_error=1e-7)
    return Agreement(
        error=error, producer_error=1e-7, from_producer=error, scale=1.0, outputs=(output,)
    )


def answered(tmp_path: Path, errors: dict[str, float | None]) -> Run:
    run = new_run(tmp_path, EVERYWHERE)
    for job in EVERYWHERE.jobs("consume"):
        error = errors.get(job.cell, 1e-7)
        run.save(job, record(job, agreement=agreement(error)))
    return run


def groups(run: Run) -> list[list[str]]:
    return [[fault.consumer.id for fault in group] for group in group_alike(find_faults(run))]


NATIVE, CPP = "onnxruntime-debian12-amd64-cpu", "onnxruntime-cpp-debian13-amd64-cpu"
ARM, WEB = "onnxruntime-debian13-arm64-cpu", "onnxruntime-web-debian13-amd64-cpu"


def test_one_runtime_that_drifts_alike_in_several_cells_is_searched_once_natively(
    tmp_path: Path,
) -> None:
    run = answered(tmp_path, {ARM: 0.301, NATIVE: 0.3, CPP: 0.3})
    (group,) = groups(run)
    assert sorted(group) == sorted([ARM, NATIVE, CPP])
    assert group[-1] == ARM


def test_other_errors_are_another_cause(tmp_path: Path) -> None:
    run = answered(tmp_path, {NATIVE: 0.3, CPP: 0.9, WEB: None})
    assert sorted(groups(run)) == sorted([[NATIVE], [CPP], [WEB]])


def fault(run: Run, consumer: str) -> Fault:
    return next(answer for answer in find_answers(run) if answer.consumer.id == consumer)


def test_runtimes_of_different_make_are_alike_only_to_the_last_digit(tmp_path: Path) -> None:
    run = answered(tmp_path, {NATIVE: 0.3})
    first = fault(run, NATIVE)
    system = replace(first.consumer, name="openvino")
    same = replace(first, consumer=system)
    close = replace(same, agreement=agreement(0.3000001))
    assert len(group_alike([first, same])) == 1
    assert len(group_alike([first, close])) == 2


def cause_of(example: Fault, **fields: object) -> Cause:
    names = {"artifact": example.artifact.id, "consumer": example.consumer.id}
    return Cause.model_validate({**names, "kind": "runtime", "text": "it is wrong", **fields})


def command_words(run: Run, example: Fault, **fields: object) -> list[str]:
    cause = cause_of(example, **fields)
    return shlex.split(reproduction(run, cause, example.artifact, example.consumer))


@pytest.mark.parametrize("is_alone", [True, False])
def test_every_fault_has_a_command_that_the_parser_takes(tmp_path: Path, is_alone: bool) -> None:
    run = answered(tmp_path, {NATIVE: 0.3})
    example = fault(run, NATIVE)
    folder = run.cause_path(example.artifact.id, example.consumer.id)
    words = command_words(run, example, alone=is_alone)
    assert words[:4] == ["nox", "-s", "verify", "--"]
    options = build_parser().parse_args(["verify", *words[4:]])
    place = folder if is_alone else run.artifact_path(example.artifact)
    model = place / "model.onnx" if is_alone else place / "model" / "model.onnx"
    assert options.models == [model]
    assert options.inputs == [str(place / "inputs.npz")]
    assert options.reference == place / "gold.npz"
    assert options.only == [NATIVE]


def test_a_format_that_verify_does_not_read_is_shown_by_a_matrix_of_two_cells(
    tmp_path: Path,
) -> None:
    run = answered(tmp_path, {NATIVE: 0.3})
    example = replace(
        fault(run, NATIVE),
        artifact=Artifact(producer="torch-debian12-amd64-cpu", workload="w", format="theano"),
    )
    words = command_words(run, example)
    assert words[:4] == ["nox", "-s", "matrix", "--"]
    options = build_parser().parse_args(["matrix", *words[4:]])
    assert options.globs == ["torch-debian12-amd64-cpu", NATIVE]


def test_a_copied_run_shows_a_fault_again_with_its_own_files(tmp_path: Path) -> None:
    run = answered(tmp_path, {NATIVE: 0.3, CPP: 0.3})
    for consumer, as_on in ((NATIVE, ""), (CPP, NATIVE)):
        example = fault(run, consumer)
        cause = cause_of(example, alone=True, as_on=as_on, reproduce="verify gone/model.onnx")
        folder = run.cause_path(example.artifact.id, consumer)
        write_text(folder / CAUSE_FILE, cause.model_dump_json())
    copy = tmp_path / "elsewhere" / "copy"
    shutil.copytree(run.path, copy)
    results = merging.merge([Run.open(copy)])
    rows = {row.consumer: row for row in results.portability if row.cause}
    assert set(rows) == {NATIVE, CPP}
    for consumer, row in rows.items():
        assert row.cause
        words = shlex.split(row.cause.reproduce)
        place = Run.open(copy).cause_path(row.artifact, NATIVE)
        assert {str(place / name) for name in ("model.onnx", "inputs.npz")} <= set(words)
        assert words[-1] == consumer
