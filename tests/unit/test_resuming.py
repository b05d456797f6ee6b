"""What an interrupted run says about going on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deepmatrix.execution.interrupting import how_to_go_on, interrupted
from deepmatrix.planning.plan import Plan
from deepmatrix.store.runs import Run
from tests.unit.examples import new_run, planned

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
