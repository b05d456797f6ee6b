"""What SECURITY.md says of the workflows, held against their YAML."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from typing import Any

import pytest
from ruamel.yaml import YAML

from deepmatrix.paths import ROOT
from tests.workflows import NOT_RUN, is_left_out, load

WORKFLOWS = {path.name: load(path) for path in sorted((ROOT / ".github/workflows").glob("*.yml"))}

#: What a job may write, by workflow: nothing else does.
WRITES = {
    "comment.yml": {"pull-requests"},
    "release.yml": {"id-token", "attestations"},
    "site.yml": {"pages", "id-token"},
}

#: How a test loads a workflow, and runs a job of it.
LOADED = re.compile(r'^(\w+) = load\(ROOT / "\.github/workflows/([\w-]+\.yml)"\)$', re.MULTILINE)
RAN = re.compile(r'\.job\((\w+), "(\w+)"')

PINNED = re.compile(r"[\w./-]+@[0-9a-f]{40}")
YAML_BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def steps_of(workflow: Any) -> Iterator[Any]:
    for job in workflow["jobs"].values():
        yield from job.get("steps", ())


def jobs_that_tests_run() -> set[tuple[str, str]]:
    """Return the workflow and the name of each job that a test gives a runner."""
    pages = [path.read_text("utf-8") for path in (ROOT / "tests").glob("*/test_*.py")]
    return {
        (names[name], job)
        for page in pages
        if (names := dict(LOADED.findall(page)))
        for name, job in RAN.findall(page)
        if name in names
    }


def test_every_step_runs_in_a_test_or_is_listed_with_the_reason() -> None:
    """A runner runs all steps of a job but those of `NOT_RUN`."""
    steps = {
        (name, job): [step for step in document.get("steps", ()) if "run" in step]
        for name, workflow in WORKFLOWS.items()
        for job, document in workflow["jobs"].items()
    }
    wanted = {place for place, own in steps.items() if not all(map(is_left_out, own))}
    assert wanted - jobs_that_tests_run() == set()
    scripts = [step["run"] for own in steps.values() for step in own]
    for begin in NOT_RUN:
        assert any(script.startswith(begin) for script in scripts), "it is listed and not there"


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_job_may_write_only_what_it_has_to(name: str) -> None:
    workflow = WORKFLOWS[name]
    assert workflow["permissions"] == {}
    written = {
        scope
        for job in workflow["jobs"].values()
        for scope, access in job["permissions"].items()
        if access != "read"
    }
    assert written == WRITES.get(name, set())


def test_what_signs_a_release_runs_nothing_that_is_installed_or_built() -> None:
    release = WORKFLOWS["release.yml"]
    signing = [job for job in release["jobs"].values() if "attestations" in job["permissions"]]
    (steps,) = (job["steps"] for job in signing)
    assert [step["uses"].split("@")[0] for step in steps] == [
        "actions/download-artifact",
        "actions/attest-build-provenance",
    ]
    assert release["jobs"]["build"]["permissions"] == {"contents": "read"}


@pytest.mark.parametrize(("tag", "is_released"), [("v1.2.3", True), ("v1", False), ("v1.2", False)])
def test_a_tag_that_moves_releases_nothing(tag: str, is_released: bool) -> None:
    (pattern,) = WORKFLOWS["release.yml"]["on"]["push"]["tags"]
    assert fnmatch.fnmatch(tag, pattern) == is_released


def test_the_action_leaves_the_python_of_later_steps_alone() -> None:
    (setup,) = (
        step for step in load(ROOT / "action.yml")["runs"]["steps"] if step.get("id") == "python"
    )
    assert setup["with"]["update-environment"] is False


def test_a_pipe_fails_where_one_of_its_programs_does() -> None:
    """GitHub starts a shell that it is told with `pipefail`, and its default without."""
    for workflow in WORKFLOWS.values():
        runs = [step["run"] for step in steps_of(workflow) if "run" in step]
        if any(" | " in run for run in runs):
            assert workflow["defaults"]["run"]["shell"] == "bash"


def test_nothing_of_a_fork_runs_with_rights() -> None:
    for name, workflow in WORKFLOWS.items():
        assert not {"pull_request_target", "workflow_run"} & set(workflow["on"])
        if WRITES.get(name):
            assert "pull_request" not in workflow["on"]
    used = [step.get("uses", "").split("@")[0] for step in steps_of(WORKFLOWS["comment.yml"])]
    assert set(used) == {"actions/download-artifact", ""}, "a checkout would bring foreign code"


def test_every_action_is_pinned_by_a_commit() -> None:
    action = load(ROOT / "action.yml")["runs"]["steps"]
    steps = [*action, *(step for workflow in WORKFLOWS.values() for step in steps_of(workflow))]
    used = [step["uses"] for step in steps if "uses" in step]
    assert len(used) > 20
    for name in used:
        assert PINNED.fullmatch(name) or name == "./.deepmatrix"


def test_the_documents_start_the_workflows_as_security_says() -> None:
    page = (ROOT / "docs" / "ci.md").read_text("utf-8")
    documents = [YAML(typ="safe").load(text) for text in YAML_BLOCK.findall(page)]
    by_name = {
        job["uses"].split("/")[-1].split("@")[0]: document
        for document in documents
        for job in document.get("jobs", {}).values()
        if "uses" in job
    }
    assert by_name["verify.yml"]["on"] == "pull_request"
    assert by_name["verify.yml"]["permissions"] == {"contents": "read"}
    assert list(by_name["comment.yml"]["on"]) == ["workflow_run"]
    wanted = WORKFLOWS["comment.yml"]["jobs"]["comment"]["permissions"]
    assert by_name["comment.yml"]["permissions"] == wanted
