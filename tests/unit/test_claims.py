"""The study's statements: the checks that decide them, and what runs say."""

from __future__ import annotations

import ast
import fnmatch
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepmatrix import reports
from deepmatrix.config import matrix_file
from deepmatrix.errors import ConfigError
from deepmatrix.planning.cells import all_cells
from deepmatrix.reports.tables.study import editions
from deepmatrix.reports.tables.study.claims import tables as claim_tables
from deepmatrix.results.expressiveness.rows import FactRow, IdiomRow, ProbeRow
from deepmatrix.results.rows import (
    CellRow,
    PortabilityRow,
    Results,
    TrainingRow,
)
from deepmatrix.results.timing.rows import StartupRow
from deepmatrix.results.timing.statistics import Estimate
from deepmatrix.study import statements
from deepmatrix.study.checks import (
    ArtifactCheck,
    BaseCheck,
    CellCheck,
    Check,
    FactCheck,
    FigureCheck,
    IdiomCheck,
    NetworkCheck,
    NoCheck,
    ProbeCheck,
    UntriedCheck,
)
from deepmatrix.study.decisions import Decision, decide
from deepmatrix.study.presets import PresetFinder
from deepmatrix.study.rating import systems
from deepmatrix.study.rating.systems import Period
from deepmatrix.study.statements import EarlierStatement, Statement, Statements
from deepmatrix.workloads import networks

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = statements.load()
MATRIX = matrix_file.load(ROOT / "matrix.yaml", networks=networks.NETWORKS)


def cell(name: str, status: str = "ok", **facts: Any) -> CellRow:
    jobs = 0 if status == "not-run" else 1
    return CellRow(cell=f"{name}-here-amd64-cpu", name=name, status=status, jobs=jobs, **facts)


def seconds(median: float, reach: float = 0.0, rounds: int = 3) -> Estimate:
    """Return the time of rounds that differ by *reach* to both sides of the median."""
    medians = [median + reach * (number % 3 - 1) for number in range(rounds)]
    return Estimate(
        median=median,
        low=min(medians),
        high=max(medians),
        samples=rounds,
        rounds=rounds,
        round_medians=tuple(medians),
    )


def startup(name: str, first_step: Estimate, **changes: Any) -> StartupRow:
    facts: dict[str, Any] = {
        "emulated": False,
        "interpreter_s": first_step,
        "import_s": first_step,
        "build_s": first_step,
        "first_forward_s": first_step,
        "first_step_s": first_step,
        "second_step_s": None,
    }
    facts["workload"] = "digits-conv"
    return StartupRow(cell=f"{name}-here-amd64-cpu", **{**facts, **changes})


def started(first_s: float, second_s: float, reach: float = 0.0, rounds: int = 3) -> Results:
    """Return a run of two systems, whose first steps took so long."""
    rows = (
        startup("one", seconds(first_s, reach, rounds)),
        startup("two", seconds(second_s, reach, rounds)),
    )
    return run(cells=both(), startup=rows)


def origin(reason: str) -> dict[str, str]:
    """Return the fields that a record's phase and error give beside their text."""
    phase, error_type, *message = [*reason.split(": ", 2), ""]
    return {"failed_phase": phase, "error_type": error_type} if message[:-1] else {}


def training(
    name: str, status: str = "ok", workload: str = "digits-conv", **changes: Any
) -> TrainingRow:
    facts: dict[str, Any] = {
        "accuracy_wanted": 0.9,
        "accuracy": 0.9 if status == "ok" else None,
        **origin(changes.get("reason", "")),
        **changes,
    }
    return TrainingRow(
        cell=f"{name}-here-amd64-cpu",
        workload=workload,
        emulated=False,
        status=status,
        **facts,
    )


def probed(
    name: str, verdict: Any, reason: str = "it cannot", ran: str = "", outside: str = ""
) -> ProbeRow:
    error, reason = (1e-7, "") if verdict == "match" else (None, reason)
    return ProbeRow(
        cell=f"{name}-here-amd64-cpu",
        probe="attention",
        workload="digits-conv",
        emulated=False,
        verdict=verdict,
        error=error,
        reason=reason,
        ran=ran,
        outside=outside,
    )


def fact(name: str, holds: bool | None) -> FactRow:
    return FactRow(
        cell=f"{name}-here-amd64-cpu",
        fact="all_c_is_in_strings",
        workload="digits-conv",
        holds=holds,
        evidence="" if holds is None else "3 files of C",
        reason="OSError: no such file" if holds is None else "",
    )


def written(name: str, lines: int, status: str = "ok") -> IdiomRow:
    return IdiomRow(
        cell=f"{name}-here-amd64-cpu",
        workload="digits-conv",
        emulated=False,
        status=status,
        reason="" if status == "ok" else "it differs",
        lines=lines,
        error=1e-7,
    )


def served(verdict: Any, reason: str = "it is wrong", **changes: Any) -> PortabilityRow:
    facts: dict[str, Any] = {
        "consumer": "onnxruntime-cpp-here-amd64-cpu",
        "emulated": False,
        **origin(reason),
        **changes,
    }
    return PortabilityRow(
        artifact="one-here-amd64-cpu--digits-conv--onnx",
        verdict=verdict,
        error=1e-7,
        reason=reason,
        **facts,
    )


def run(name: str = "run", **parts: Any) -> Results:
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
    consumers = {row.consumer for row in parts.get("portability", ())}
    names = sorted(consumer.removesuffix("-here-amd64-cpu") for consumer in consumers)
    parts.setdefault("cells", tuple(map(cell, names)))
    return Results(run=name, **{**empty, **facts, **parts})


def both(**facts: Any) -> tuple[CellRow, ...]:
    return tuple(cell(name, **facts) for name in SYSTEMS)


def stated(**checks: Check) -> Statement:
    return Statement(says="so", lines=(80,), quote="so it is", **checks)


def decision(check: Check, *runs: Results) -> Decision:
    document = Statements(version=1, claims={"interfaces": (stated(then=check),)})
    (decided,) = decide(document, runs, MATRIX)
    assert decided.then is not None
    return decided.then


def outcome(check: Check, *runs: Results) -> str:
    return decision(check, *runs).outcome


SYSTEMS = ("one", "two")
PROBE = ProbeCheck(probe="attention", of="one")
NETWORK = NetworkCheck(networks=("digits-conv",), of="one")
NETWORKS = NETWORK.model_copy(update={"networks": ("digits-conv", "digits-lstm")})
FACT = FactCheck(fact="all_c_is_in_strings", of="one")
RAN = ProbeCheck(probe="attention", of="one", ran="*Conv2D*")
SLOWER = FigureCheck(
    figure="first step", of="one", over="two", workloads=("digits-conv",), at_least=10
)
SLOWER_ON_BOTH = SLOWER.model_copy(update={"workloads": ("digits-conv", "digits-lstm")})
STEP = SLOWER.model_copy(update={"figure": "step"})
LONGER = FigureCheck(figure="lines", of="one", over="two", workloads=("digits-conv",), at_least=2)
WRITTEN = IdiomCheck(idiom="digits-conv", of="one")
RUNS = CellCheck(cell="one-*-amd64-cpu")
SERVED = ArtifactCheck(artifact="one-*--onnx", consumer="onnxruntime-*")

LACKING = "train: Unsupported: layer kind lstm"
LOADING = "startup: InvalidGraph: no such operation"
RECORD = "run/records/one-here-amd64-cpu/digits-conv/r0.json"


def of_probe(*rows: ProbeRow) -> Results:
    return run(cells=both(), probes=rows)


def of_fact(*rows: FactRow) -> Results:
    return run(cells=both(), facts=rows)


def of_network(*rows: TrainingRow) -> Results:
    return run(cells=both(), training=rows)


def of_served(*rows: PortabilityRow) -> Results:
    return run(portability=rows)


def of_lines(first: IdiomRow, second: IdiomRow) -> Results:
    return run(cells=both(), idioms=(first, second))


@pytest.mark.parametrize(
    ("check", "yes", "no"),
    [
        (PROBE, of_probe(probed("one", "match")), of_probe(probed("one", "unsupported"))),
        (FACT, of_fact(fact("one", True), fact("two", False)), of_fact(fact("one", False))),
        (
            RAN,
            of_probe(probed("one", "match", ran="Conv2D, Pad")),
            of_probe(probed("one", "match", ran="Conv1D, Pad")),
        ),
        (
            NETWORK,
            of_network(training("one")),
            of_network(training("one", "unsupported", reason=LACKING)),
        ),
        (SLOWER, started(5.0, 0.3), started(5.0, 0.8)),
        (
            LONGER,
            of_lines(written("one", 20), written("two", 10)),
            of_lines(written("one", 19), written("two", 10)),
        ),
        (SERVED, of_served(served("match")), of_served(served("error", LOADING))),
    ],
    ids=["probe", "fact", "ran", "network", "figure", "lines", "artifact"],
)
def test_a_statement_holds_where_its_evidence_says_so(
    check: Check, yes: Results, no: Results
) -> None:
    refused = check.model_copy(update={"expect": False})
    for results, holds in ((yes, True), (no, False)):
        assert outcome(check, results) == ("holds" if holds else "does not hold")
        assert outcome(refused, results) == ("does not hold" if holds else "holds")


@pytest.mark.parametrize("expect", [True, False])
@pytest.mark.parametrize(
    ("check", "results", "reason"),
    [
        (PROBE, of_probe(probed("one", "failed", "NameError: x")), "failed: NameError: x"),
        (PROBE, of_probe(probed("one", "wrong")), "wrong: it cannot"),
        (FACT, of_fact(fact("one", None)), "one-here-amd64-cpu: OSError: no such file"),
        (RAN, of_probe(probed("one", "failed", ran="Conv2D")), "failed: it cannot"),
        (RAN, of_probe(probed("one", "match")), "it did not report what it called"),
        (
            PROBE,
            of_probe(probed("one", "match", outside="Python repeats the net")),
            "1.0e-07 from gold, but Python repeats the net",
        ),
        *(
            (NETWORK, of_network(training("one", status, reason="no luck")), "no luck")
            for status in ("failed", "oom", "timeout", "crashed", "lost", "torn", "not-run")
        ),
        (
            NETWORK,
            of_network(
                training("one", "failed", reason="off", expected_failure="its pooling drifts")
            ),
            "its pooling drifts",
        ),
        (
            NETWORK,
            of_network(training("one", "unsupported", reason="deploy: Unsupported: no")),
            "deploy: Unsupported: no",
        ),
        (NETWORK, of_network(training("one", accuracy=None)), "it was not trained to the end"),
        (NETWORK, of_network(training("one", accuracy_wanted=0.0)), "no accuracy is asked of it"),
        (
            NETWORK,
            of_network(training("one", accuracy=0.55, accuracy_wanted=0.2, guessed_accuracy=0.15)),
            "its accuracy, 55.0 %, is not well above chance",
        ),
        (
            NETWORK,
            of_network(training("one", greedy_accuracy=0.3)),
            "its accuracy, 30.0 %, is not well above chance",
        ),
        (NETWORKS, of_network(training("one")), "digits-lstm not in this run"),
        (
            NETWORKS,
            of_network(training("one"), training("one", "oom", "digits-lstm", reason="no room")),
            "digits-lstm: oom: no room",
        ),
        (RUNS, run(cells=both(status="not-run", excluded=True, reason="no wheel")), "no wheel"),
        (WRITTEN, of_lines(written("one", 20, "failed"), written("two", 9)), "it differs"),
        (RUNS, run(cells=(cell("one", "not-run", reason="no emulation"),)), "no emulation"),
        (RUNS, run(cells=(cell("one", "oom", reason="killed"),)), "killed"),
        (SERVED, of_served(served("drift")), "drift: it is wrong"),
        (
            SERVED,
            of_served(served("match"), served("drift")),
            "1 of 2 pairs of a model and a runtime match",
        ),
        (SERVED, of_served(served("error", "infer: E: no")), "infer: E: no"),
        (SERVED, of_served(served("error", "startup: WrongDevice: x")), "WrongDevice"),
        (SERVED, of_served(served("unsupported"), served("error", "oom")), "oom"),
        (SERVED, of_served(served("not-run", "not reached")), "not reached"),
        (SLOWER, started(50.0, 0.4, rounds=2), "125.0×, 2 of the 3 rounds that it takes"),
        (SLOWER, started(5.0, 0.51, reach=0.1), "on both sides of 10: inconclusive"),
        (
            SLOWER,
            started(50.0, 0.4).model_copy(
                update={"noisy": ("two-here-amd64-cpu--digits-conv--r1",)}
            ),
            "the machine was slower meanwhile",
        ),
        (
            SLOWER,
            run(cells=both(), startup=(startup("one", seconds(5.0)),)),
            "no first step of two",
        ),
        (SLOWER_ON_BOTH, started(5.0, 0.3), "digits-lstm: not in this run"),
        (SLOWER, of_network(training("two", "crashed", reason="exit code 3")), "exit code 3"),
    ],
)
def test_unrelated_failures_and_near_bounds_decide_nothing(
    check: Check, results: Results, reason: str, expect: bool
) -> None:
    undecided = decision(check.model_copy(update={"expect": expect}), results)
    assert undecided.outcome == "undecided"
    assert reason in undecided.reason


@pytest.mark.parametrize("check", [PROBE, RAN, NETWORK, WRITTEN, SLOWER, LONGER, RUNS, SERVED])
def test_a_check_without_evidence_is_not_tried(check: Check) -> None:
    assert outcome(check) == "not tried"
    assert outcome(check, run()) == "not tried"


def test_a_ratio_is_not_tried_where_a_run_has_only_one_of_its_systems() -> None:
    alone = run(cells=(cell("one"),), startup=(startup("one", seconds(1.0)),))
    assert outcome(SLOWER, alone) == "not tried"


def test_every_check_of_the_document_that_is_not_tried_names_a_preset_that_tries_it() -> None:
    decisions = [
        decision
        for statement in decide(DOCUMENT, [run()], MATRIX)
        for check, decision in (
            (statement.statement.then, statement.then),
            (statement.statement.now, statement.now),
        )
        if decision and decision.outcome == "not tried" and not isinstance(check, UntriedCheck)
    ]
    commands = {decision.reason for decision in decisions}
    assert len(decisions) > 35
    assert commands <= {f"nox -s matrix -- --preset {preset} tries it" for preset in MATRIX.presets}


@pytest.mark.parametrize(
    ("check", "preset"),
    [
        (NetworkCheck(networks=("digits-conv",), of="torch"), "smoke"),
        (NetworkCheck(networks=("vgg-a-small", "rnn-small"), of="caffe"), "heritage"),
        (ProbeCheck(probe="attention", of="cntk"), "heritage-probes"),
        (FactCheck(fact="device_stays", of="theano"), "heritage-probes"),
        (FigureCheck(figure="image", of="theano", over="torch", at_most=1), "heritage"),
        (
            FigureCheck(
                figure="forward and backward",
                of="jax",
                over="torch",
                workloads=("alexnet-imagenet",),
                at_most=1,
            ),
            "imagenet",  # heritage-imagenet comes before it, and has one round
        ),
        (CellCheck(cell="cntk-*-arm64-cpu"), "heritage-arm64"),
        (ArtifactCheck(artifact="torch-*--onnx", consumer="*_wine-*"), "deploy"),
        (ArtifactCheck(artifact="torch-*--caffe", consumer="*"), None),
        (NetworkCheck(networks=("digits-conv",), of="onnxruntime_lua"), None),
        (IdiomCheck(idiom="alexnet-small", of="caffe"), "heritage"),
    ],
    ids=lambda value: value.kind if isinstance(value, BaseCheck) else value,
)
def test_the_first_preset_that_has_systems_workload_and_phase_tries_a_check(
    check: Check, preset: str | None
) -> None:
    assert PresetFinder(matrix=MATRIX).find(check) == preset


def test_without_a_preset_the_reason_says_to_add_one() -> None:
    assert decision(PROBE).reason == "no preset of the matrix file tries it; add one"


def test_a_cell_decides_by_having_run_and_no_exclusion_decides() -> None:
    excluded = cell("one", "not-run", reason="not here", excluded=True)
    there = cell("one").model_copy(update={"cell": "one-there-amd64-cpu"})
    assert outcome(RUNS, run(cells=(excluded,))) == "undecided"
    assert outcome(RUNS, run(cells=(excluded, there))) == "holds"
    assert outcome(RUNS.model_copy(update={"expect": False}), run(cells=(there,))) == (
        "does not hold"
    )


def test_a_probe_is_decided_with_what_it_called_and_how_far_from_gold() -> None:
    results = of_probe(probed("one", "match", ran="Conv2D of 2 dimensions"))
    ended = "Conv2D of 2 dimensions, 1.0e-07 from gold"
    assert decision(PROBE, results).reason == f"one-here-amd64-cpu, attention: by {ended}"
    assert decision(RAN, results).reason == f"one-here-amd64-cpu, attention: it called {ended}"


def test_an_idiom_that_equals_gold_decides() -> None:
    results = of_lines(written("one", 20), written("two", 9))
    refused = decision(WRITTEN.model_copy(update={"expect": False}), results)
    assert (refused.outcome, refused.record) == ("does not hold", RECORD)
    assert refused.reason == "one-here-amd64-cpu: 20 lines of digits-conv, 1.0e-07 from gold"


def test_a_disturbed_job_of_another_network_disturbs_nothing() -> None:
    results = started(50.0, 0.4).model_copy(
        update={"noisy": ("two-here-amd64-cpu--digits-conv-large--r1",)}
    )
    assert outcome(SLOWER, results) == "holds"


def on_both(first_s: float, second_s: float) -> Results:
    """Return a run in which system one takes so long on two networks, system two 1 s."""
    rows = [
        startup(name, seconds(median), workload=workload)
        for workload, median_s in (("digits-conv", first_s), ("digits-lstm", second_s))
        for name, median in (("one", median_s), ("two", 1.0))
    ]
    return run(cells=both(), startup=tuple(rows))


@pytest.mark.parametrize(
    ("first_s", "second_s", "wanted"),
    [(20.0, 30.0, "holds"), (2.0, 3.0, "does not hold"), (20.0, 3.0, "undecided")],
)
def test_a_ratio_decides_where_all_networks_point_the_same_way(
    first_s: float, second_s: float, wanted: str
) -> None:
    decided = decision(SLOWER_ON_BOTH, on_both(first_s, second_s))
    assert decided.outcome == wanted
    assert ("it depends on the network" in decided.reason) == (wanted == "undecided")


def test_a_decided_ratio_says_where_its_bound_is_from() -> None:
    check = SLOWER.model_copy(update={"bound_from": "line 137"})
    assert decision(check, started(50.0, 0.4)).reason.endswith(", bound 10: line 137")


def test_all_networks_have_to_be_trained_and_one_that_cannot_be_decides() -> None:
    conv, lstm = training("one", output_error=1e-7), training("one", workload="digits-lstm")
    assert decision(NETWORKS, of_network(conv, lstm)).reason == (
        "one-here-amd64-cpu trained digits-conv (90.0 %), digits-lstm (90.0 %), at most 1.0e-07 "
        "from gold"
    )
    lacking = training("one", "unsupported", "digits-lstm", reason=LACKING)
    assert outcome(NETWORKS, of_network(conv, lacking)) == "does not hold"


@pytest.mark.parametrize(
    ("statuses", "wanted"),
    [
        (("ok", "ok"), "holds"),
        (("ok", "unsupported"), "does not hold"),
        (("oom", "unsupported"), "does not hold"),
        (("ok", "oom"), "undecided"),
        (("ok",), "undecided"),
    ],
)
def test_a_network_that_is_lacking_decides_and_an_unclear_one_does_not(
    statuses: tuple[str, ...], wanted: str
) -> None:
    rows = [
        training("one", status, workload, reason=LACKING if status == "unsupported" else "no room")
        for workload, status in zip(NETWORKS.networks, statuses, strict=False)
    ]
    assert outcome(NETWORKS, of_network(*rows)) == wanted


def test_what_no_run_tries_yet_is_not_tried_and_says_what() -> None:
    check = UntriedCheck(untried="Lua's Torch is not run")
    assert decision(check, of_network()) == Decision(
        outcome="not tried", reason="Lua's Torch is not run"
    )
    assert PresetFinder(matrix=MATRIX).find(check) is None


def test_what_files_of_one_platform_leave_open_those_of_another_do_not_decide() -> None:
    emulated = cell("one", emulated=True).model_copy(update={"cell": "one-here-arm64-cpu"})
    holds = fact("one", True).model_copy(update={"cell": emulated.cell})
    results = run(cells=(emulated, cell("one")), facts=(holds, fact("one", None)))
    assert outcome(FACT, results) == "undecided"
    assert outcome(FACT, run(cells=(emulated,), facts=(holds,))) == "holds"


def test_an_artifact_that_one_consumer_does_not_know_matches_on_the_others() -> None:
    assert outcome(SERVED, of_served(served("unsupported"), served("match"))) == "holds"
    known = served("error", expected_failure="it has no such layer")
    assert outcome(SERVED, of_served(known, served("match"))) == "holds"
    assert outcome(SERVED, of_served(served("unsupported"), served("error", LOADING))) == (
        "does not hold"
    )


@pytest.mark.parametrize(
    ("first_s", "reach", "rounds", "wanted"),
    [
        (50.0, 0.0, 1, "undecided"),
        (50.0, 0.0, 2, "undecided"),
        (0.5, 0.0, 2, "undecided"),
        (5.2, 0.005, 3, "holds"),
        (5.2, 0.1, 3, "undecided"),
        (5.2, 0.015, 9, "holds"),
        (4.8, 0.005, 3, "does not hold"),
    ],
)
def test_a_ratio_decides_where_all_of_its_interval_is_past_the_bound(
    first_s: float, reach: float, rounds: int, wanted: str
) -> None:
    assert outcome(SLOWER, started(first_s, 0.5, reach, rounds)) == wanted


@given(st.floats(0.01, 100), st.floats(0.01, 100), st.floats(0, 0.009), st.integers(1, 4))
def test_at_least_and_at_most_of_one_ratio_never_agree(
    first_s: float, second_s: float, reach: float, rounds: int
) -> None:
    results = started(first_s, second_s, reach, rounds)
    at_least_outcome = outcome(SLOWER.model_copy(update={"at_least": 2.0}), results)
    at_most_outcome = outcome(SLOWER.model_copy(update={"at_least": None, "at_most": 2.0}), results)
    assert {at_least_outcome, at_most_outcome} in (
        {"holds", "does not hold"},
        {"undecided"},
    ) or first_s / second_s == 2.0


def test_the_time_of_a_start_is_the_sum_of_its_parts() -> None:
    check = SLOWER.model_copy(update={"figure": "start", "at_least": 1})
    rows = (startup("one", seconds(0.4, 0.001)), startup("two", seconds(0.2)))
    decided = decision(check, run(cells=both(), startup=rows))
    assert (decided.outcome, decided.record) == ("holds", RECORD)
    assert " ".join(decided.reason.split()) == (
        "start one-here-amd64-cpu 2 s, two-here-amd64-cpu 1 s: 2.000× [1.988, 2.012]"
    )
    lacking = (startup("one", seconds(0.4), import_s=None), rows[1])
    assert "no start of one" in decision(check, run(cells=both(), startup=lacking)).reason


def test_emulated_cells_and_wrong_trainings_have_no_figures() -> None:
    emulated = (cell("one", emulated=True), cell("two"))
    results = started(5.0, 0.1).model_copy(update={"cells": emulated})
    assert "no first step of one" in decision(SLOWER, results).reason
    rows = (training("one", step_s=seconds(5.0)), training("two", "failed", step_s=seconds(0.1)))
    assert "no step of two" in decision(STEP, of_network(*rows)).reason
    unproven = of_lines(written("one", 30), written("two", 10, "failed"))
    assert "no lines of two" in decision(LONGER, unproven).reason


def test_both_figures_are_of_one_run() -> None:
    apart = [run(cells=both(), startup=(startup(name, seconds(1.0)),)) for name in SYSTEMS]
    assert outcome(SLOWER, *apart) == "undecided"


def test_a_later_inconclusive_figure_replaces_an_earlier_one() -> None:
    clear, unclear = started(50.0, 1.0), started(10.0, 1.0, reach=0.5)
    assert outcome(SLOWER, unclear, clear) == "holds"
    assert outcome(SLOWER, clear, unclear) == "undecided"
    assert outcome(SLOWER, clear, run("neither")) == "holds"


def test_the_last_run_that_can_decides() -> None:
    yes, no = of_probe(probed("one", "match")), of_probe(probed("one", "unsupported"))
    failed = of_probe(probed("one", "failed"))
    assert outcome(PROBE, yes, no) == "does not hold"
    assert outcome(PROBE, no, yes) == "holds"
    assert outcome(PROBE, yes, failed, run("neither")) == "holds"
    assert outcome(PROBE, failed, yes) == "holds"


@pytest.mark.parametrize(
    ("check", "results", "record"),
    [
        (PROBE, of_probe(probed("one", "match")), RECORD),
        (FACT, of_fact(fact("one", True)), RECORD),
        (NETWORK, of_network(training("one")), RECORD),
        (SLOWER, started(5.0, 0.3), RECORD),
        (RUNS, started(5.0, 0.3), RECORD),
        (RUNS, run(cells=both(status="not-run")), "run/plan.json"),
        (
            SERVED,
            of_served(served("match")),
            "run/records/onnxruntime-cpp-here-amd64-cpu/one-here-amd64-cpu--digits-conv--onnx"
            "/r0.json",
        ),
    ],
)
def test_the_evidence_is_a_file_of_the_run(check: Check, results: Results, record: str) -> None:
    assert decision(check, results).record == record


# The document ---------------------------------------------------------------------------------


def test_there_are_statements_of_every_area_each_once() -> None:
    says = [claim.says for claims in DOCUMENT.claims.values() for claim in claims]
    assert list(DOCUMENT.claims) == list(statements.AREAS)
    assert len(says) > 50
    assert len(says) == len(set(says))


def test_a_fact_about_an_index_of_packages_has_its_date() -> None:
    reasons = [
        check.undecided if isinstance(check, NoCheck) else check.untried
        for _, _, check in checks_of_today()
        if isinstance(check, NoCheck | UntriedCheck)
    ]
    facts = [reason for reason in reasons if "PyPI" in reason]
    assert facts
    for fact in facts:
        assert re.search(r" on 20\d\d-\d\d-\d\d\b", fact), fact


def test_a_time_of_theanos_convolutions_is_that_of_its_own_pooling() -> None:
    convolutional = ("digits-conv", "alexnet", "vgg", "googlenet", "resnet", "conv")
    for claims in DOCUMENT.claims.values():
        for check in (check for claim in claims for check in (claim.then, claim.now)):
            if isinstance(check, FigureCheck) and check.figure != "lines":
                for system in {check.of, check.over} & {"theano", "pytensor"}:
                    assert not [w for w in check.workloads if w.startswith(convolutional)], system


def test_every_statement_names_systems_workloads_and_cells_that_exist() -> None:
    ids = [cell.id for cell in all_cells(MATRIX)]
    checks = [
        check
        for claims in DOCUMENT.claims.values()
        for claim in claims
        for check in (claim.then, claim.now)
        if check
    ]
    for check in checks:
        fields = check.model_dump()
        for system in filter(None, (fields.get("of"), fields.get("over"))):
            assert system in MATRIX.systems()
        idiom = filter(None, [fields.get("idiom")])
        for workload in (*fields.get("networks", ()), *fields.get("workloads", ()), *idiom):
            assert workload in MATRIX.workloads
        for glob in filter(None, (fields.get("cell"), fields.get("consumer"))):
            assert fnmatch.filter(ids, glob), glob
        if isinstance(check, CellCheck):
            names = {cell_id.rsplit("-", 3)[0] for cell_id in fnmatch.filter(ids, check.cell)}
            assert len(names) == 1, "evidence of another system"


def test_every_statement_names_a_fact_that_its_system_has() -> None:
    checks = [check for _, _, check in checks_of_today() if isinstance(check, FactCheck)]
    assert checks
    for check in checks:
        folder = ROOT / "harness" / "frameworks" / check.of.partition("_")[0]
        module = ast.parse((folder / "facts.py").read_text("utf-8"))
        names = {node.name for node in ast.walk(module) if isinstance(node, ast.FunctionDef)}
        names |= {node.name for node in ast.walk(module) if isinstance(node, ast.alias)}
        assert check.fact in names


def test_statements_about_torch_in_2016_name_the_stand_in() -> None:
    for claims in DOCUMENT.claims.values():
        for claim in claims:
            fields = claim.then.model_dump() if claim.then else {}
            systems = {fields.get("of"), fields.get("over")}
            if claim.then and any(str(system).startswith("torch") for system in systems):
                assert "torch 1.0.0" in str(claim.then.stand_in)


def test_every_statement_is_of_the_systems_then() -> None:
    for claims in DOCUMENT.claims.values():
        for claim in claims:
            assert claim.then, claim.says


def test_what_came_with_pytorch_decides_nothing_on_torch_then() -> None:
    """Autograd, which gives a loop in Python its gradient, and the recurrent layers did."""
    checks = [check for _, period, check in checks_of_today() if period == "then"]
    of_torch = [check for check in checks if str(getattr(check, "of", "")).startswith("torch1")]
    assert of_torch
    for check in of_torch:
        assert getattr(check, "probe", "") not in ("derived_gradient", "python_loop")
        assert not isinstance(check, FigureCheck | ArtifactCheck)
        names = getattr(check, "networks", ())
        assert not [name for name in names if name.startswith(("rnn", "lstm", "gru", "bilstm"))]


def test_a_statement_that_a_gpu_is_missing_for_is_decided_by_no_cpu() -> None:
    claims = [claim for claims in DOCUMENT.claims.values() for claim in claims]
    missing = [claim for claim in claims if "no GPU here" in str(claim.then)]
    assert missing
    for claim in missing:
        assert claim.now is None or isinstance(claim.now, NoCheck), claim.says


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "nothing decides it: write 'then', 'now' or both"),
        ("now: {probe: attention}", "missing key 'of'"),
        ("now: {probe: atention, of: torch}", "did you mean 'attention'?"),
        ("now: {of: torch}", "found none"),
        ("now: {cell: a, probe: attention}", "found probe and cell"),
        ("now: {cell: a, over: torch}", "unknown key 'over'"),
        ("now: {cell: a, ran: conv}", "unknown key 'ran'"),
        ("now: {note: conv, of: torch}", "found none"),
        ("now: {cell: a, expct: false}", "did you mean 'expect'?"),
        ("now: cell", "'now' must be a mapping, found 'cell'"),
        ("now: {networks: [], of: torch}", "'networks' must not be empty"),
        ("now: {figure: step, of: torch, over: jax}", "needs one of 'at_least' and 'at_most'"),
        ("now: {figure: step, of: torch, over: jax, at_most: 2}", "where the bound 2 comes from"),
        ("now: {figure: stp, of: torch, over: jax, at_most: 1}", "'stp' is not one of"),
        ("now: {figure: step, of: torch, at_most: 1}", "missing key 'over'"),
        ("noww: {cell: a}", "unknown key 'noww'; did you mean 'now'?"),
    ],
)
def test_a_statement_that_nothing_can_decide_is_refused_at_its_place(
    tmp_path: Path, body: str, message: str
) -> None:
    assert message in refusal(tmp_path, f"{{says: x, lines: [80], quote: y, {body}}}")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{says: x, quote: y, now: {cell: a}}", "missing key 'lines'"),
        ("{says: x, lines: [], quote: y, now: {cell: a}}", "'lines' must not be empty"),
        ("{says: x, lines: [80], now: {cell: a}}", "missing key 'quote'"),
        (
            "{says: x, lines: [80, 97], quote: y, now: {cell: a}}",
            "line 97 is not of the study's interfaces, lines 77 to 96",
        ),
        (
            "{says: x, lines: [80], quote: " + "y " * 26 + ", now: {cell: a}}",
            "the quote has 26 words, more than 25",
        ),
    ],
)
def test_a_statement_that_does_not_quote_the_study_is_refused_at_its_place(
    tmp_path: Path, body: str, message: str
) -> None:
    assert message in refusal(tmp_path, body)


def refusal(tmp_path: Path, body: str) -> str:
    path = tmp_path / "claims.yaml"
    path.write_text(f"version: 1\nclaims:\n  interfaces:\n    - {body}\n")
    with pytest.raises(ConfigError) as caught:
        statements.load(path)
    assert caught.value.message.startswith(f"{path}:4:")
    return caught.value.message


def test_an_unknown_area_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "claims.yaml"
    statement = "{says: x, lines: [80], quote: y, now: {cell: a}}"
    path.write_text(f"version: 1\nclaims:\n  interface:\n    - {statement}\n")
    with pytest.raises(ConfigError, match="no area 'interface'; did you mean 'interfaces'"):
        statements.load(path)


def test_the_page_has_every_statement_with_its_decision() -> None:
    page = reports.tables_page("Statements", claim_tables(decide(DOCUMENT, [run()], MATRIX)))
    for claims in DOCUMENT.claims.values():
        for claim in claims:
            assert claim.says in page
            assert f"“{claim.quote}”" in page
    assert "now: nox -s matrix -- --preset probes tries it" in page
    assert "| not tried |" in page


def test_the_page_of_the_results_has_the_statements_of_today() -> None:
    page = (ROOT / "docs" / "results" / "claims.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \| lines? ", page, flags=re.MULTILINE)
    assert rows == [claim.says for claims in DOCUMENT.claims.values() for claim in claims]


def test_the_page_names_stand_ins_and_both_outcomes() -> None:
    check = PROBE.model_copy(update={"stand_in": "PyTorch for Torch"})
    document = Statements(version=1, claims={"interfaces": (stated(then=PROBE, now=check),)})
    page = reports.tables_page(
        "Statements",
        claim_tables(decide(document, [of_probe(probed("one", "unsupported"))], MATRIX)),
    )
    assert "| so | line 80: “so it is” | does not hold | does not hold |" in page
    assert "then: one-here-amd64-cpu, attention: unsupported: it cannot" in page
    assert "now (PyTorch for Torch): one-here-amd64-cpu, attention: unsupported" in page
    assert RECORD in page
    assert "| cannot be decided here | 0 | 0 |" in page


def test_only_what_stands_for_a_system_decides_what_is_said_of_it() -> None:
    """JAX did for Theano once, and PyTorch for Torch then."""
    for says, period, check in checks_of_today():
        named = [system for system in systems.SYSTEMS if system.name in says]
        stand_ins = {system.frameworks.get(period, "") for system in named}
        for framework in (getattr(check, "of", None), getattr(check, "over", None)):
            if framework:
                own = framework.partition("_")[0]
                assert own in stand_ins, (says, period)


def checks_of_today() -> Iterator[tuple[str, Period, Check]]:
    for claims in DOCUMENT.claims.values():
        for claim in claims:
            if claim.then:
                yield claim.says, "then", claim.then
            if claim.now:
                yield claim.says, "now", claim.now


# The first edition ----------------------------------------------------------------------------

FIRST_EDITION = (ROOT / "tests" / "unit" / "recorded" / "first-edition.txt").read_text("utf-8")


def test_every_statement_of_the_first_edition_is_accounted_for() -> None:
    assert [earlier.says for earlier in DOCUMENT.earlier] == FIRST_EDITION.splitlines()


def test_the_page_tells_what_became_of_every_earlier_statement() -> None:
    (table,) = editions.tables(DOCUMENT)
    fates = {line.texts[0]: line.texts[1:] for line in table.rows}
    for earlier in DOCUMENT.earlier:
        fate, now, because = fates[earlier.says]
        if earlier.says in DOCUMENT.today:
            assert (fate, now) == ("stayed", "the same")
        else:
            assert fate == ("restated" if earlier.restated else "taken out")
            assert because == earlier.because
        assert all(says in now for says in earlier.restated)


def test_what_no_earlier_statement_became_was_added() -> None:
    document = Statements(
        version=1,
        claims={
            "interfaces": (
                stated(now=PROBE),
                stated(now=PROBE).model_copy(update={"says": "so too"}),
                stated(now=PROBE).model_copy(update={"says": "else"}),
            )
        },
        earlier=(
            EarlierStatement(says="so"),
            EarlierStatement(says="too", restated=("so too",), because="its words"),
            EarlierStatement(says="never", because="not in the study"),
        ),
    )
    (table,) = editions.tables(document)
    assert [line.texts for line in table.rows] == [
        ("so", "stayed", "the same", "–"),
        ("too", "restated", "so too", "its words"),
        ("never", "taken out", "–", "not in the study"),
        ("–", "added", "else", "–"),
    ]
    assert "Of the 3 statements of the first edition: 1 stayed, 1 restated, 1 taken out." in (
        table.note
    )
    assert not editions.tables(document.model_copy(update={"earlier": ()}))


@pytest.mark.parametrize(
    ("earlier", "message"),
    [
        ("{says: y}", "say why it was restated or taken out"),
        ("{says: y, restated: [z], because: w}", "no statement 'z'"),
        ("{says: x, restated: [x]}", "it stayed in the same words"),
        ("{says: x}, {says: x}", "says: 'x' is listed twice"),
    ],
)
def test_an_account_that_does_not_add_up_is_refused_at_its_place(
    tmp_path: Path, earlier: str, message: str
) -> None:
    path = tmp_path / "claims.yaml"
    statement = "{says: x, lines: [80], quote: y, now: {cell: a}}"
    path.write_text(f"version: 1\nclaims: {{interfaces: [{statement}]}}\nearlier: [{earlier}]\n")
    with pytest.raises(ConfigError) as caught:
        statements.load(path)
    assert message in caught.value.message
    assert caught.value.message.startswith(f"{path}:3:")


def test_the_page_of_the_results_tells_what_became_of_every_earlier_statement() -> None:
    page = (ROOT / "docs" / "results" / "claims.md").read_text(encoding="utf-8")
    (table,) = editions.tables(DOCUMENT)
    for line in table.rows:
        assert f"| {' | '.join(line.texts)} |" in page
