"""The study's statements: what may decide one, and what runs say of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix import claims, config, networks, reports
from matrix.claims import Check, Claim, Claims
from matrix.deciding import decide
from matrix.errors import ConfigError
from matrix.plan import all_cells
from matrix.rows import CellRow, NoteRow, PortabilityRow, ProbeRow, Results, StartupRow, TrainingRow
from matrix.statistics import Estimate

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = claims.load()


def cell(name: str, status: str = "ok", **more: Any) -> CellRow:
    jobs = 0 if status == "not-run" else 1
    return CellRow(cell=f"{name}-here-amd64-cpu", name=name, status=status, jobs=jobs, **more)


def startup(name: str, first_step_s: float) -> StartupRow:
    seconds = Estimate(median=first_step_s, low=None, high=None, samples=1, rounds=1)
    return StartupRow(
        cell=f"{name}-here-amd64-cpu",
        workload="digits-conv",
        emulated=False,
        interpreter_s=seconds,
        import_s=seconds,
        build_s=seconds,
        first_forward_s=None,
        first_step_s=seconds,
        second_step_s=None,
    )


def training(name: str, status: str) -> TrainingRow:
    return TrainingRow(
        cell=f"{name}-here-amd64-cpu",
        workload="digits-conv",
        emulated=False,
        status=status,
        reason="" if status == "ok" else "no such layer",
        accuracy_wanted=0.9,
    )


def probed(name: str, verdict: Any) -> ProbeRow:
    error, reason = (1e-7, "") if verdict == "match" else (None, "it cannot")
    return ProbeRow(
        cell=f"{name}-here-amd64-cpu",
        probe="attention",
        emulated=False,
        verdict=verdict,
        error=error,
        reason=reason,
    )


def noted(note: str) -> NoteRow:
    return NoteRow(name="one", about="conv", note=note)


def served(verdict: Any, consumer: str = "onnxruntime-cpp-here-amd64-cpu") -> PortabilityRow:
    return PortabilityRow(
        artifact="one-here-amd64-cpu--digits-conv--onnx",
        consumer=consumer,
        emulated=False,
        verdict=verdict,
        error=1e-7,
        reason="it is wrong",
    )


def run(name: str = "run", **found: Any) -> Results:
    empty: dict[str, Any] = dict.fromkeys(
        (
            "cells",
            "startup",
            "training",
            "passes",
            "idioms",
            "probes",
            "notes",
            "inference",
            "serving",
            "exports",
            "portability",
            "findings",
            "warnings",
            "problems",
        ),
        (),
    )
    facts = {"created": "2026", "version": "1", "preset": "p", "seed": 0, "engines": {}}
    return Results(run=name, **{**empty, **facts, **found})


def outcome(check: Check, *runs: Results) -> str:
    document = Claims(version=1, claims={"interfaces": (Claim(says="so", then=check),)})
    (found,) = decide(document, runs)
    assert found.then is not None
    return found.then.outcome


PROBE = Check(probe="attention", of="one")
NETWORK = Check(network="digits-conv", of="one")
NOTED = Check(note="conv", of="one", words="side is two")
SLOWER = Check(figure="first step", of="one", over="two", workload="digits-conv", at_least=10)
RUNS = Check(cell="one-*-amd64-cpu")
SERVED = Check(artifact="one-*--onnx", consumer="onnxruntime-*")


@pytest.mark.parametrize(
    ("check", "yes", "no"),
    [
        (PROBE, {"probes": (probed("one", "match"),)}, {"probes": (probed("one", "failed"),)}),
        (NETWORK, {"training": (training("one", "ok"),)}, {"training": (training("one", "bad"),)}),
        (
            SLOWER,
            {"startup": (startup("one", 5.0), startup("two", 0.4))},
            {"startup": (startup("one", 5.0), startup("two", 0.6))},
        ),
        (SERVED, {"portability": (served("match"),)}, {"portability": (served("drift"),)}),
        (NOTED, {"notes": (noted("one side is two"),)}, {"notes": (noted("turned"),)}),
    ],
    ids=["probe", "network", "figure", "artifact", "note"],
)
def test_a_statement_holds_where_its_evidence_says_so(
    check: Check, yes: dict[str, Any], no: dict[str, Any]
) -> None:
    cells = (cell("one"), cell("two"))
    refused = check.model_copy(update={"expect": False})
    for found, holds in ((yes, True), (no, False)):
        one = run(cells=cells, **found)
        assert outcome(check, one) == ("holds" if holds else "no longer holds")
        assert outcome(refused, one) == ("no longer holds" if holds else "holds")


def test_a_cell_that_did_not_run_is_evidence_with_its_reason() -> None:
    one = run(cells=(cell("one", "not-run", reason="no wheels"),))
    document = Claims(version=1, claims={"interfaces": (Claim(says="so", now=RUNS),)})
    ((found),) = decide(document, [one])
    assert found.now is not None
    assert found.now.outcome == "no longer holds"
    assert found.now.why == "one-here-amd64-cpu: no wheels"


@pytest.mark.parametrize("check", [PROBE, NETWORK, NOTED, SLOWER, RUNS, SERVED])
def test_without_evidence_nothing_is_decided(check: Check) -> None:
    assert outcome(check) == "undecided"
    assert outcome(check, run()) == "undecided"


def test_one_wrong_answer_of_many_is_no_match() -> None:
    rows = (served("match"), served("match", "onnxruntime-node-here-amd64-cpu"), served("error"))
    assert outcome(SERVED, run(portability=rows)) == "no longer holds"
    assert outcome(SERVED, run(portability=(served("not-run"),))) == "undecided"


def test_the_last_run_that_can_decides() -> None:
    yes = run("yes", cells=(cell("one"),), probes=(probed("one", "match"),))
    no = run("no", cells=(cell("one"),), probes=(probed("one", "failed"),))
    assert outcome(PROBE, yes, no) == "no longer holds"
    assert outcome(PROBE, no, yes) == "holds"
    assert outcome(PROBE, yes, run("neither")) == "holds"


@given(st.floats(0.01, 100), st.floats(0.01, 100))
def test_at_least_and_at_most_of_one_ratio_agree_but_where_it_is_the_bound(
    one: float, two: float
) -> None:
    found = run(
        cells=(cell("one"), cell("two")), startup=(startup("one", one), startup("two", two))
    )
    least = SLOWER.model_copy(update={"at_least": 2.0})
    most = SLOWER.model_copy(update={"at_least": None, "at_most": 2.0})
    if one / two != 2.0:
        assert outcome(least, found) != outcome(most, found)


# The document ---------------------------------------------------------------------------------


def test_there_are_about_forty_statements_of_every_area() -> None:
    counts = Counter(
        {area: len(found) for area, found in DOCUMENT.claims.items()},
    )
    assert set(counts) == set(claims.AREAS)
    assert counts.total() >= 40


def test_every_statement_names_systems_workloads_and_cells_that_there_are() -> None:
    matrix = config.load(ROOT / "matrix.yaml", networks=networks.NETWORKS)
    ids = [one.id for one in all_cells(matrix)]
    checks = [
        check
        for found in DOCUMENT.claims.values()
        for claim in found
        for check in (claim.then, claim.now)
        if check
    ]
    for check in checks:
        for system in filter(None, (check.of, check.over)):
            assert system in matrix.systems()
        for workload in filter(None, (check.network, check.workload)):
            assert workload in matrix.workloads
        for glob in filter(None, (check.cell, check.consumer)):
            assert any(Path(one).match(glob) for one in ids), glob


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("says: x", "nothing decides it: write 'then', 'now' or both"),
        ("{says: x, now: {probe: attention}}", "a check of kind 'probe' needs 'of'"),
        ("{says: x, now: {probe: atention, of: torch}}", "did you mean 'attention'?"),
        ("{says: x, now: {of: torch}}", "found none"),
        ("{says: x, now: {cell: a, probe: attention}}", "found probe and cell"),
        ("{says: x, now: {cell: a, over: torch}}", "a check of kind 'cell' has no 'over'"),
        ("{says: x, now: {note: conv, of: torch}}", "a check of kind 'note' needs 'words'"),
        ("{says: x, now: {figure: step, of: torch}}", "needs one of 'at_least' and 'at_most'"),
        ("{says: x, now: {figure: stp, of: torch, at_most: 1}}", "'stp' is not one of"),
        ("{says: x, noww: {cell: a}}", "unknown key 'noww'; did you mean 'now'?"),
    ],
)
def test_a_statement_that_nothing_can_decide_is_refused_at_its_place(
    tmp_path: Path, body: str, said: str
) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text(f"version: 1\nclaims:\n  interfaces:\n    - {body}\n")
    with pytest.raises(ConfigError) as caught:
        claims.load(path)
    assert said in caught.value.message
    assert caught.value.message.startswith("claims.yaml:4:")


def test_an_area_that_the_study_has_not_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text("version: 1\nclaims:\n  interface:\n    - {says: x, now: {cell: a}}\n")
    with pytest.raises(ConfigError, match="no area 'interface'; did you mean 'interfaces'"):
        claims.load(path)


def test_the_page_has_every_statement_with_what_became_of_it() -> None:
    page = reports.claims_page(decide(DOCUMENT, [run()]))
    for found in DOCUMENT.claims.values():
        for claim in found:
            assert claim.says in page
    assert "none of these runs tried it" in page
