"""Fingerprints of the judge's definitions: a changed definition is not the one that was proven."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

from harness.graphs.operators import definitions, fingerprints
from harness.runtimes.onnx import proven
from tests.unit.one_node import Case, drawn, floats

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted({definition.__module__ for definition in definitions()})
SOFTMAX = drawn("SOFTMAX", lambda: Case("Softmax", [floats(2, 3)])).model()


@pytest.mark.parametrize("module", MODULES)
def test_a_definition_is_the_one_that_was_proven(module: str) -> None:
    kept = proven.states()["fingerprints"].get(module)
    assert fingerprints.fingerprint(module) == kept, (
        f"{module} has changed since its tests were run: run `nox -s benchmark -- judge --keep`, "
        "which tries the standard's tests again, and commit harness/graphs/proven.json"
    )


def test_the_page_of_the_judge_says_what_is_proven() -> None:
    versions = {
        f"{name}-{version}": state
        for domain in proven.states()["operators"].values()
        for name, states in domain.items()
        for version, (state, _) in states.items()
    }
    page = (ROOT / "docs" / "results" / "judge.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| (\d+) \|", page, re.MULTILINE)
    assert {state: int(count) for state, count in rows} == Counter(versions.values())
    (wrong,) = re.findall(r"^Wrong for one of the reasons above: (.*)\. An$", page, re.MULTILINE)
    assert sorted(wrong.split(", ")) == sorted(
        name for name, state in versions.items() if state == "wrong"
    )


def test_a_definition_that_has_changed_is_not_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    assert proven.unproven_operators(SOFTMAX) == []
    table = proven.states()
    table["fingerprints"]["harness.graphs.operators.selection"] = "of another definition"
    monkeypatch.setattr(proven, "states", lambda: table)
    assert proven.unproven_operators(SOFTMAX) == ["Softmax"]


def test_a_definition_that_is_new_is_not_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    table = proven.states()
    del table["fingerprints"]["harness.graphs.operators.selection"]
    monkeypatch.setattr(proven, "states", lambda: table)
    assert proven.unproven_operators(SOFTMAX) == ["Softmax"]


def test_what_a_definition_imports_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    selection, source = "harness.graphs.operators.selection", fingerprints._source

    def edited(name: str) -> str:
        return source(name) + ("\nEDITED = 1\n" if name.endswith(".base") else "")

    monkeypatch.setattr(fingerprints, "_source", edited)
    changed = fingerprints.fingerprint.__wrapped__(selection)
    assert changed != fingerprints.fingerprint(selection)


def test_only_what_is_computed_counts() -> None:
    plain = "def f(x):\n    return x + 1\n"
    described = 'def f(x):  # a comment\n\n    """Text."""\n    # more\n    return  x+1\n'
    assert list(fingerprints.tokens(plain)) == list(fingerprints.tokens(described))
    for changed in ("x + 2", "x - 1", "1"):
        edited = plain.replace("x + 1", changed)
        assert list(fingerprints.tokens(plain)) != list(fingerprints.tokens(edited))


@pytest.mark.parametrize("module", MODULES)
def test_no_definition_has_what_versions_of_python_split_differently(module: str) -> None:
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    assert not any(isinstance(node, ast.JoinedStr) for node in ast.walk(tree))
