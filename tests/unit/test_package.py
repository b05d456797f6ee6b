"""The package: what it needs, and the commands that its messages name."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from deepmatrix import invocation
from deepmatrix.machine.packages.indexes import hashes_by_project, normalized
from deepmatrix.paths import ROOT


def test_the_noxfile_needs_what_the_package_needs_and_nox() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    block = (ROOT / "noxfile.py").read_text("utf-8").split("# ///")[1]
    listed = re.findall(r'"([^"]+)"', block.split("dependencies")[1])
    assert [name for name in listed if not name.startswith("nox==")] == project["dependencies"]


def test_the_locks_have_a_hash_for_everything_that_sessions_install() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    needed = set(project["project"]["dependencies"])
    nox = set((ROOT / ".ci/nox.in").read_text("utf-8").split())
    groups = {*project["dependency-groups"]["test"], *project["dependency-groups"]["lint"]}
    for name, requirements in (("nox", needed | nox), ("groups", needed | groups)):
        locked = hashes_by_project((ROOT / f".ci/{name}.txt").read_text("utf-8"))
        assert all(locked.values())
        pins = (requirement.partition(";")[0] for requirement in requirements)
        wanted = {tuple(pin.split("==")) for pin in pins}
        assert locked.keys() >= {(normalized(name), version) for name, version in wanted}, (
            "run `nox -s lock`"
        )


def test_ci_installs_only_by_hashes() -> None:
    """A build without isolation fetches nothing: its backend is among what is locked."""
    files = [ROOT / ".ci/run", ROOT / "action.yml", *(ROOT / ".github/workflows").glob("*.yml")]
    lines = [line.strip() for path in files for line in path.read_text("utf-8").splitlines()]
    builds = [line for line in lines if "uv build" in line or "--no-deps" in line]
    assert len(builds) == 2
    assert all("--no-build-isolation" in line for line in builds)
    called = ("pip inst", '"${install[@]}"')
    installs = [line for line in lines if any(word in line for word in called)]
    fetching = [line for line in installs if line not in builds and "install=(" not in line]
    assert len(fetching) > 10
    locked = re.compile(r'--require-hashes --requirement ("\$ACTION/)?\.ci/nox\.txt')
    assert all(locked.search(line) for line in fetching)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    nox = (ROOT / ".ci/nox.in").read_text("utf-8").split()
    assert set(project["build-system"]["requires"]) <= set(nox)


@pytest.mark.parametrize(
    ("is_checkout", "expected"),
    [
        (True, "nox -s verify -- 'my model.onnx' --native"),
        (False, "deepmatrix verify 'my model.onnx' --native"),
    ],
)
def test_a_suggested_command_is_of_the_program_that_runs(
    monkeypatch: pytest.MonkeyPatch, is_checkout: bool, expected: str
) -> None:
    monkeypatch.setattr(invocation, "IS_CHECKOUT", is_checkout)
    assert invocation.command_line("verify", "my model.onnx", "--native") == expected


def test_outside_the_checkout_no_session_is_suggested(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invocation.command_line("init") == "deepmatrix init"
    assert invocation.listing_line() == "deepmatrix --help"
    tmp_path.rmdir()
    assert invocation.command_line("init") == "deepmatrix init"


def test_a_command_without_arguments_has_no_dashes() -> None:
    assert invocation.command_line("engine") == "nox -s engine"
