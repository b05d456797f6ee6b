"""The package: what it needs, and the commands that its messages name."""

from __future__ import annotations

import re
import tomllib

import pytest

from deepmatrix import invocation
from deepmatrix.paths import ROOT


def test_the_noxfile_needs_what_the_package_needs_and_nox() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    block = (ROOT / "noxfile.py").read_text("utf-8").split("# ///")[1]
    listed = re.findall(r'"([^"]+)"', block.split("dependencies")[1])
    assert [name for name in listed if not name.startswith("nox==")] == project["dependencies"]


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


def test_a_command_without_arguments_has_no_dashes() -> None:
    assert invocation.command_line("engine") == "nox -s engine"
