"""What an interrupted run says about going on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from deepmatrix.errors import Interrupted, RecordError
from deepmatrix.execution.interrupting import how_to_go_on, interrupted
from deepmatrix.execution.runner import Runner
from deepmatrix.planning.plan import Plan
from deepmatrix.store.runs import Run
from tests.unit.examples import new_run, planned
from tests.unit.test_reuse import (
    FACTS,
    ORT,
    AnsweringEngine,
    Told,
    small_matrix,
    small_plan,
)
from tests.unit.test_reuse import TORCH as TRAINING

TORCH = planned("torch-debian12-amd64-cpu")
CASES = [
    (TORCH, "go on with: {} matrix --resume one --runs {}"),
    (replace(TORCH, compares=True), "runs of compare are not resumed: start it again"),
    (replace(TORCH, phases=()), "runs of conformance are not resumed: start it again"),
]


@pytest.fixture(params=CASES, ids=["matrix", "compare", "conformance"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Run, str]:
    plan: Plan
    plan, hint = request.param
    return new_run(tmp_path, plan), hint.format("nox -s", tmp_path)


def test_an_interrupted_run_names_a_command_only_if_that_resumes_it(case: tuple[Run, str]) -> None:
    run, hint = case
    assert interrupted(run).hint.replace("-- ", "") == hint
    assert how_to_go_on(run).replace("-- ", "") == hint


def run_on_machines(run: Run, images: Sequence[str], limit: int = 1000) -> None:
    """Do what is left of a run on machines of a fleet, whose cells have images of their own."""
    machines = [
        AnsweringEngine(
            images={TRAINING: image, ORT: image},
            facts={**FACTS, "machine": f"machine-{number}"},
            is_here=False,
            limit=limit,
        )
        for number, image in enumerate(images)
    ]
    Runner(run=run, engine=machines[0], watcher=Told(), others=machines[1:]).execute()


@pytest.fixture
def unfinished(tmp_path: Path) -> Run:
    """A run of two machines, one of which made its images in another way."""
    run = Run.create(
        tmp_path, small_plan(TRAINING, ORT), small_matrix(), version="1", name="unfinished"
    )
    with pytest.raises(Interrupted):
        run_on_machines(run, ["debian", "registry"], limit=3)
    return Run.open(run.path)


@pytest.mark.parametrize("newcomers", [[], ["debian"], ["registry"]])
def test_machines_go_on_with_images_of_their_own_or_as_another_had(
    unfinished: Run, newcomers: list[str]
) -> None:
    run_on_machines(unfinished, ["debian", "registry", *newcomers])
    records = list(unfinished.records())
    assert {record.status for record in records} == {"ok"}
    assert {record.machine for record in records} == {"machine-0"}


@pytest.mark.parametrize(
    "images",
    [["changed", "registry"], ["registry", "registry"], ["debian", "registry", "changed"]],
)
def test_no_machine_goes_on_with_an_image_that_is_not_its_own_and_that_no_other_had(
    unfinished: Run, images: list[str]
) -> None:
    with pytest.raises(RecordError, match="would go on with"):
        run_on_machines(unfinished, images)
