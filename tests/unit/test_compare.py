"""Comparing two runs names what changed, and nothing that did not."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import random
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import scipy.stats

from deepmatrix import reports
from deepmatrix.cli import main
from deepmatrix.cli.side_by_side import trying
from deepmatrix.comparison import accepted, limits
from deepmatrix.comparison.changes import ABSENT, Comparison, Side, SizeChange, TimeChange
from deepmatrix.comparison.comparing import compare_results
from deepmatrix.comparison.history.lines import measurements
from deepmatrix.comparison.reading import read_results
from deepmatrix.comparison.significance import compare_rounds, holm
from deepmatrix.comparison.trials import confirmed, side_of, suspects
from deepmatrix.comparison.verdicts import WORDS, Outcome, compare_verdicts, worst_outcomes
from deepmatrix.errors import ArgumentError, ConfigError, EngineError, RecordError
from deepmatrix.images import build, pins
from deepmatrix.images.recipes import Recipe, recipe_for
from deepmatrix.machine.packages import indexes
from deepmatrix.paths import ROOT, RUNS, SCHEMAS
from deepmatrix.planning import trials
from deepmatrix.planning.cells import all_cells
from deepmatrix.planning.plan import Plan
from deepmatrix.planning.selection import Selection
from deepmatrix.reports.comparison import headline, remarks, sides
from deepmatrix.reports.exports.measurements import measurements as exported
from deepmatrix.results import merging
from deepmatrix.results.rows import Results
from deepmatrix.results.timing import statistics
from deepmatrix.results.timing.rows import GenerationRow, StepRow
from deepmatrix.store.runs import Run
from tests.unit import verifications
from tests.unit.examples import DOCKER, MATRIX, new_run, planned, record
from tests.unit.test_recorded import unpack
from tests.unit.test_results import all_jobs, whole, write_gold

ONNXRUNTIME = "onnxruntime-debian12-amd64-cpu"
CPP = "onnxruntime-cpp-debian13-amd64-cpu"
PLAN = planned("torch-debian12-amd64-cpu", "jax-debian12-amd64-cpu", ONNXRUNTIME)

#: Medians of real rounds of one cell, in seconds: see bench/aa.py.
ROUNDS = json.loads((ROOT / "bench" / "recorded" / "aa.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the recorded run."""
    folder = tmp_path_factory.mktemp("recorded")
    unpack(folder)
    return folder / "recorded"


def changed(
    recorded: Path, folder: Path, change: Callable[[Any], None], cell: str = ONNXRUNTIME
) -> Path:
    """Return a copy of a recorded run in which the records of a cell are changed."""
    head = folder / "head"
    shutil.copytree(recorded, head)
    for path in head.glob(f"records/{cell}/*/r?.json"):
        document = json.loads(path.read_text("utf-8"))
        change(document)
        path.write_text(json.dumps(document), "utf-8")
    return head


def compared(base: Path, head: Path) -> Comparison:
    results = (merging.merge([Run(path=base)]), merging.merge([Run(path=head)]))
    return compare_results(*results, ("base", "head"))


def rounds_run(
    folder: Path,
    name: str,
    seed: int,
    slower: float = 1.0,
    operators: Mapping[str, float] | None = None,
    plan: Plan = PLAN,
) -> Path:
    """Return a run whose rounds vary as real ones do; onnxruntime is slower by a factor.

    *operators*: the share that each kind has of the time before it became slower.
    """
    random_rounds = random.Random(seed).sample(ROUNDS, len(ROUNDS))
    run = new_run(folder, plan, name)
    write_gold(run)
    for job, seconds in zip(all_jobs(plan), random_rounds, strict=False):
        job_record = record(job, run=name)
        document = job_record.model_dump(mode="json", by_alias=True)
        factor = seconds * (slower if job.cell == ONNXRUNTIME else 1.0)
        for phase in document["output"]["records"]:
            for batch in phase["data"].get("batches", {}).values():
                batch["latency_s"] = [factor] * 20
            if operators and job.cell == ONNXRUNTIME and "batches" in phase["data"]:
                timed = {kind: share * seconds for kind, share in operators.items()}
                phase["data"]["operators"] = dict.fromkeys(phase["data"]["batches"], timed)
        run.save(job, type(job_record).model_validate(document))
    return run.path


def is_unchanged(comparison: Comparison) -> bool:
    return headline(comparison)[0].startswith("✓ nothing changed")


def test_the_same_run_twice_has_no_change(recorded: Path) -> None:
    comparison = compared(recorded, recorded)
    assert is_unchanged(comparison)
    assert comparison.unchanged == 57
    assert len(comparison.times) > 100
    assert {change.word for change in comparison.times} == {"cannot tell"}


def test_cells_in_another_version_are_named_first_wherever_a_comparison_is_shown(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def upgrade(document: Any) -> None:
        versions = document["output"]["environment"]["versions"]
        versions["onnxruntime"] = "99.1.0"

    head = changed(recorded, tmp_path, upgrade)
    base = merging.merge([Run(path=recorded)])
    old = next(cell.version for cell in base.cells if cell.cell == ONNXRUNTIME)
    line = f"another version: {old}, now 99.1.0 ({ONNXRUNTIME})"
    html, markdown = tmp_path / "page.html", tmp_path / "page.md"
    written = ["--html", str(html), "--markdown", str(markdown)]
    main.main(["compare", str(recorded), str(head), *written])
    assert line in capsys.readouterr().out
    assert line in html.read_text()[: html.read_text().index("<main")]
    assert line in markdown.read_text()
    assert "another version" not in reports.comparison_html(compared(recorded, recorded))


def test_two_runs_whose_rounds_only_vary_have_no_change(tmp_path: Path) -> None:
    comparison = compared(rounds_run(tmp_path, "one", 1), rounds_run(tmp_path, "two", 2))
    assert is_unchanged(comparison)


def test_a_slowdown_by_a_tenth_is_found_and_its_cell_named(tmp_path: Path) -> None:
    base, head = rounds_run(tmp_path, "one", 1), rounds_run(tmp_path, "two", 2, slower=1.1)
    comparison = compared(base, head)
    assert {change.cell for change in comparison.slower} == {ONNXRUNTIME}
    assert not comparison.faster
    assert any(change.low < 1.1 < change.high for change in comparison.slower)
    (line, *_) = limits.broken(comparison, limits.parse("slower:5%"))
    assert line.startswith(f"slower: {ONNXRUNTIME}, ")
    assert not limits.broken(comparison, limits.parse("slower:20%"))
    better = compared(head, base)
    assert {change.cell for change in better.faster} == {ONNXRUNTIME}
    assert headline(better)[1] == "good"


def generating(results: Results, slower: float = 1.0) -> Results:
    """Return results in which a model generates and steps are timed; after the prompt slower."""

    def spent(factor: float) -> statistics.Estimate | None:
        return statistics.estimate([np.full(9, factor * share) for share in (1.0, 1.01, 1.02)])

    artifact = next(row.artifact for row in results.portability if row.consumer == ONNXRUNTIME)
    generated = GenerationRow(
        cell=ONNXRUNTIME,
        artifact=artifact,
        workload="digits-conv",
        emulated=False,
        prompt=4,
        steps=8,
        equal=8,
        prefill_s=spent(0.02),
        step_s=spent(0.004 * slower),
    )
    trained, step_s = results.training[0], spent(0.01 * slower)
    assert step_s is not None
    step = StepRow(
        cell=trained.cell, workload=trained.workload, emulated=False, batch=8, step_s=step_s
    )
    return results.model_copy(update={"generation": (generated,), "steps": (step,)})


def test_tokens_and_steps_of_each_batch_that_become_slower_are_found(tmp_path: Path) -> None:
    results = merging.merge([whole(tmp_path)])
    base, head = generating(results), generating(results, slower=1.5)
    slower = compare_results(base, head, ("base", "head")).slower
    assert {(change.quantity, change.cell, change.batch) for change in slower} == {
        ("decode", ONNXRUNTIME, 0),
        ("training step", results.training[0].cell, 8),
    }
    assert {"prefill", "decode"} <= {line.quantity for line in measurements(base)}


def test_the_operators_of_a_slower_cell_are_named_what_adds_most_first(tmp_path: Path) -> None:
    before = {"Conv": 0.5, "Tanh": 0.2, "Add": 0.2, "Gone": 0.1}
    after = {"Conv": 0.5, "Tanh": 0.3, "Add": 0.5, "FusedConv": 0.2}
    base = rounds_run(tmp_path, "one", 1, operators=before)
    head = rounds_run(tmp_path, "two", 1, slower=1.5, operators=after)
    comparison = compared(base, head)
    named = [change for change in comparison.times if change.operators]
    assert {change.cell for change in named} == {ONNXRUNTIME}
    for change in named:
        kinds = [operator.kind for operator in change.operators]
        assert kinds == ["Add", "FusedConv", "Tanh"]
        assert change.operators[0].head_s == pytest.approx(2.5 * change.operators[0].base_s)
        assert change.operators[1].base_s is None
    page = reports.comparison_page(comparison)
    table = page[page.index("#### Slower operators") :].split("\n\n")[1]
    lines = [line for line in table.splitlines() if ONNXRUNTIME in line]
    assert [line.split(" | ")[2] for line in lines] == ["Add", "FusedConv", "Tanh"]
    assert all(f"| {len(named)} times; inference: " in line for line in lines)
    less = {**before, "Add": 0.2 + 1e-7 / max(ROUNDS)}
    coarse = compared(base, rounds_run(tmp_path, "four", 1, slower=1.5, operators=less))
    assert coarse.slower
    assert not any(change.operators for change in coarse.times)
    same = compared(base, rounds_run(tmp_path, "three", 2, operators=before))
    assert not any(change.operators for change in same.times)


def test_where_no_operators_were_timed_none_are_named(tmp_path: Path) -> None:
    base = rounds_run(tmp_path, "one", 1)
    head = rounds_run(tmp_path, "two", 2, slower=1.5, operators={"Conv": 1.0})
    comparison = compared(base, head)
    assert comparison.slower
    assert not any(change.operators for change in comparison.times)


def test_a_model_that_was_served_with_other_inputs_is_named() -> None:
    base = verifications.results()
    (model,) = base.models
    first, *rest = model.inputs
    wider = first.model_copy(update={"high": 255.0})
    head = base.model_copy(
        update={"models": (model.model_copy(update={"inputs": (wider, *rest)}),)}
    )
    same = compare_results(base, base, ("base", "head"))
    assert not any("inputs" in line for line in reports.comparison.remarks(same))
    comparison = compare_results(base, head, ("base", "head"))
    assert comparison.other_inputs == ("resnet50",)
    line = "served with other inputs, so errors and times may differ by that: resnet50"
    assert line in reports.comparison_page(comparison)


def test_a_consumer_that_is_lost_is_a_new_failure(recorded: Path, tmp_path: Path) -> None:
    head = changed(recorded, tmp_path, lambda _: None)
    shutil.rmtree(head / "records" / ONNXRUNTIME)
    comparison = compared(recorded, head)
    assert {(change.cell, change.base, change.head) for change in comparison.failures} == {
        (ONNXRUNTIME, "match", "not-run")
    }
    assert not comparison.changes


def test_a_consumer_that_the_later_run_does_not_have_is_a_new_failure(recorded: Path) -> None:
    results = merging.merge([Run(path=recorded)])
    remaining = tuple(row for row in results.portability if row.consumer != ONNXRUNTIME)
    head = results.model_copy(update={"portability": remaining})
    comparison = compare_results(results, head, ("base", "head"))
    assert {(change.cell, change.head) for change in comparison.failures} == {(ONNXRUNTIME, ABSENT)}
    back = compare_results(head, results, ("base", "head"))
    assert not back.failures
    assert back.added == len(comparison.failures)


def grow(document: Any, factor: float) -> None:
    if document["agreement"]:
        document["agreement"]["error"] *= factor
        for output in document["agreement"]["outputs"]:
            output["error"] *= factor


def test_an_error_grown_tenfold_is_named_under_the_same_verdict(
    recorded: Path, tmp_path: Path
) -> None:
    base = changed(recorded, tmp_path / "a", functools.partial(grow, factor=1e3))
    head = changed(recorded, tmp_path / "b", functools.partial(grow, factor=1e4))
    comparison = compared(base, head)
    grown = comparison.drifts
    assert {change.cell for change in grown} == {ONNXRUNTIME}
    assert [change.growth for change in grown] == pytest.approx([10] * 6)
    assert {change.base for change in grown} == {"drift"}
    assert limits.broken(comparison, limits.parse("drift:10x"))
    assert not limits.broken(comparison, limits.parse("drift:20x"))
    assert not compared(head, base).drifts


@pytest.mark.parametrize(
    ("error", "is_named"), [(1.9e-7, False), (9e-7, False), (1.1e-6, True), (None, True)]
)
def test_an_error_is_named_that_doubled_and_uses_half_of_its_tolerance(
    error: float | None, is_named: bool
) -> None:
    key = ("serving", "artifact", "cell")
    before = Outcome(verdict="match", subject="artifact", error=1e-7, tolerance=2e-6)
    after = dataclasses.replace(before, error=error)
    assert bool(compare_verdicts({key: before}, {key: [after]}).drifts) == is_named


def test_a_worse_verdict_is_a_new_failure_and_a_better_one_another_verdict(
    recorded: Path, tmp_path: Path
) -> None:
    head = changed(recorded, tmp_path, functools.partial(grow, factor=1e4))
    comparison = compared(recorded, head)
    assert {(change.base, change.head) for change in comparison.failures} == {("match", "drift")}
    back = compared(head, recorded)
    assert not back.failures
    assert {(change.base, change.head) for change in back.changes} == {("drift", "match")}


def on_another_machine(document: Any) -> None:
    document["output"]["environment"]["processor"] = "Another(R) Processor"


def test_times_of_two_machines_are_not_compared(recorded: Path, tmp_path: Path) -> None:
    head = changed(recorded, tmp_path, on_another_machine)
    comparison = compared(recorded, head)
    (group,) = comparison.untimed
    assert group.cells == (ONNXRUNTIME,)
    assert group.reason == "processor: Intel(R) Xeon(R) Processor, now Another(R) Processor"
    assert ONNXRUNTIME not in {change.cell for change in comparison.times}
    assert CPP in {change.cell for change in comparison.times}


def test_times_with_and_without_other_work_beside_them_are_not_compared(tmp_path: Path) -> None:
    base, head = (
        merging.merge([Run(path=rounds_run(tmp_path, name, seed))])
        for name, seed in (("one", 1), ("two", 2))
    )
    assert compare_results(base, head, ("base", "head")).times
    crowded = head.model_copy(update={"beside": True})
    comparison = compare_results(base, crowded, ("base", "head"))
    assert not comparison.times
    assert all("ran beside what was timed" in group.reason for group in comparison.untimed)
    assert compare_results(crowded, crowded, ("base", "head")).times


def test_a_slower_machine_with_the_same_processor_is_another_machine(
    recorded: Path, tmp_path: Path
) -> None:
    def slow_down(document: Any) -> None:
        for canary in document["output"]["canaries"]:
            canary["matmul_flops_best"] /= 2

    comparison = compared(recorded, changed(recorded, tmp_path, slow_down))
    (group,) = comparison.untimed
    assert group.reason.startswith("the same processor, but its matrix product reached 151, now 7")


def test_the_memory_of_two_models_is_not_compared_and_has_two_series() -> None:
    run = verifications.results()

    def serving(model: str, peak: int) -> Results:
        update = {"serving_memory_of": model, "serving_memory_bytes": peak}
        cells = tuple(
            row.model_copy(update={**update, "peak_memory_bytes": 2 * peak}) for row in run.cells
        )
        return run.model_copy(update={"cells": cells})

    one, other = serving("resnet50", 100_000_000), serving("vit", 300_000_000)
    assert not compare_results(one, other, ("base", "head")).sizes
    hungrier = compare_results(one, serving("resnet50", 200_000_000), ("base", "head")).sizes
    assert {(size.quantity, size.subject) for size in hungrier} == {("memory", "resnet50")}
    for results, model in ((one, "resnet50"), (other, "vit")):
        lines = [line for line in measurements(results) if line.quantity == "memory"]
        assert lines
        assert all(line.series == f"{line.cell}/{model}/memory" for line in lines)
        drawn = [line for line in exported(results) if line.quantity == "peak-memory"]
        assert drawn
        assert all(line.subject.startswith(f"{model} on ") for line in drawn)


def test_the_memory_of_what_else_opened_a_process_is_not_compared(recorded: Path) -> None:
    base = merging.merge([Run(path=recorded)])
    cells = tuple(
        row.model_copy(update={"peak_memory_bytes": (row.peak_memory_bytes or 0) // 2})
        for row in base.cells
    )
    head = base.model_copy(update={"cells": cells})
    assert not compare_results(base, head, ("base", "head")).sizes


def test_sizes_that_were_measured_otherwise_are_not_compared() -> None:
    run = verifications.results()

    def measured(share: float, **changes: object) -> Results:
        sizes = {"image_bytes": int(3e8 * share), "serving_memory_bytes": int(1e8 * share)}
        update = {"memory_source": "cgroup1", "engine": "docker", "serving_memory_of": "m"}
        cells = [row.model_copy(update={**update, **sizes, **changes}) for row in run.cells]
        return run.model_copy(update={"cells": tuple(cells)})

    def quantities(base: Results, head: Results) -> set[str]:
        return {size.quantity for size in compare_results(base, head, ("base", "head")).sizes}

    assert quantities(measured(1), measured(2)) == {"image", "memory"}
    assert quantities(measured(1), measured(2, engine="venv")) == {"memory"}
    assert quantities(measured(1), measured(2, build_s=9.0)) == {"image"}
    assert quantities(measured(1, build_s=9.0), measured(2)) == {"image"}
    both = quantities(measured(1, build_s=9.0), measured(2, build_s=8.0))
    assert both == {"image", "memory"}, "both read the files first"
    is_process = {"memory_source": "process", "build_s": 9.0}
    alone = quantities(measured(1, memory_source="process"), measured(2, **is_process))
    assert alone == {"image", "memory"}, "no process pays for what the system keeps"
    grown = compare_results(measured(1), measured(2), ("base", "head"))
    images, cells = (sum(x.quantity == name for x in grown.sizes) for name in ("image", "memory"))
    assert headline(grown)[0].endswith(f" {images} larger, {cells} hungrier")
    shrunk = compare_results(measured(2), measured(1), ("base", "head"))
    assert headline(shrunk)[0].endswith(f" {images} smaller, {cells} less hungry")


def test_larger_images_and_more_memory_are_found_beyond_their_noise(recorded: Path) -> None:
    base = merging.merge([Run(path=recorded)])

    def bigger(image: float, memory: float) -> Results:
        cells = (
            row.model_copy(
                update={
                    "image_bytes": int(row.image_bytes * image),
                    "serving_memory_bytes": int((row.serving_memory_bytes or 0) * memory),
                }
            )
            if row.cell == ONNXRUNTIME and row.image_bytes
            else row
            for row in base.cells
        )
        return base.model_copy(update={"cells": tuple(cells)})

    comparison = compare_results(base, bigger(1.2, 1.05), ("base", "head"))
    assert [(size.quantity, size.cell) for size in comparison.sizes] == [("image", ONNXRUNTIME)]
    (line,) = limits.broken(comparison, limits.parse("larger:10%,hungrier:20%"))
    assert line.startswith(f"larger: {ONNXRUNTIME}, image: ")
    comparison = compare_results(base, bigger(1.0, 1.5), ("base", "head"))
    (line,) = limits.broken(comparison, limits.parse("larger:10%,hungrier:20%"))
    assert line.startswith(f"hungrier: {ONNXRUNTIME}, memory digits-conv: ")
    assert not limits.broken(comparison, limits.parse("hungrier:60%"))


def test_one_round_tells_nothing_about_times(tmp_path: Path) -> None:
    results = merging.merge([whole(tmp_path)])
    one_round = tuple(
        row.model_copy(
            update={
                "p50_s": statistics.estimate([np.array([row.p50_s.median * factor])]),
            }
        )
        for factor, row in zip((1.0, 9.0) * len(results.inference), results.inference, strict=False)
    )
    head = results.model_copy(update={"inference": one_round})
    comparison = compare_results(results, head, ("base", "head"))
    assert not [change for change in comparison.times if change.quantity == "inference"]
    assert comparison.single == sum(not row.emulated for row in results.inference)


def test_times_that_only_the_earlier_run_has_are_told(recorded: Path) -> None:
    base = merging.merge([Run(path=recorded)])
    timed = [row for row in base.inference if not row.emulated]
    workload = timed[0].workload
    gone = {(row.cell, row.subject, row.batch) for row in timed if row.workload == workload}
    remaining = tuple(row for row in base.inference if row.workload != workload)
    head = base.model_copy(update={"inference": remaining})
    comparison = compare_results(base, head, ("base", "head"))
    assert {(lost.cell, lost.subject, lost.batch) for lost in comparison.lost_times} == gone
    assert f"does not have {len(gone)} times, such as inference of " in " ".join(
        remarks(comparison)
    )
    assert not compare_results(head, base, ("base", "head")).lost_times


def test_holm_adjusts_as_published() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_a_single_ratio_is_judged_by_students_t() -> None:
    base, head = np.random.default_rng(0).lognormal(0.0, 0.05, (2, 4))
    (ratio,) = compare_rounds([(base.tolist(), head.tolist())])
    assert ratio.p == pytest.approx(scipy.stats.ttest_ind(np.log(head), np.log(base)).pvalue)
    assert (ratio.p < 0.05) == (not ratio.low < 1 < ratio.high)


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_p_values_of_equal_times_are_uniform_where_noise_is_alike_and_where_it_is_not(
    spread: float,
) -> None:
    random_numbers = np.random.default_rng(1)
    scales = 0.02 * np.exp(spread * random_numbers.standard_normal(4000))
    rounds = np.exp(scales[:, None, None] * random_numbers.standard_normal((4000, 2, 3)))
    p_values = [ratio.p for ratio in compare_rounds([(a, b) for a, b in rounds.tolist()])]
    for level in (0.01, 0.05, 0.2):
        assert np.mean(np.array(p_values) < level) == pytest.approx(level, rel=0.35)


def test_many_pairs_tell_what_a_single_one_cannot() -> None:
    rounds = np.exp(0.02 * np.random.default_rng(2).standard_normal((60, 2, 3)))
    rounds[0, 1] *= 1.1
    pairs = [(a, b) for a, b in rounds.tolist()]
    assert compare_rounds(pairs)[0].p < compare_rounds(pairs[:1])[0].p / 10


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("monday", "monday"),
        ("runs/monday", "runs/monday"),
        ("runs/monday/results.json", "runs/monday/results.json"),
        ("main/results.json", "main/results.json (run monday)"),
    ],
)
def test_a_side_names_its_run_where_what_the_user_named_does_not(name: str, title: str) -> None:
    comparison = Comparison(base=Side(name=name, run="monday"), head=Side(name="head"))
    assert sides(comparison) == f"from {title} to head"


def broken_by(text: str, **changes: Any) -> tuple[str, ...]:
    sides = {"base": Side(name="base"), "head": Side(name="head")}
    return limits.broken(Comparison(**sides, compared=1, **changes), limits.parse(text))


@pytest.mark.parametrize("limit", ["drift", "drift:100x"])
def test_an_error_that_is_no_longer_finite_breaks_any_limit_on_drift(limit: str) -> None:
    before, after = Outcome(verdict="drift", subject="m", error=0.1), math.inf
    key = ("serving", "artifact", "cell")
    for error in (after, None):
        later = dataclasses.replace(before, error=error)
        drifts = compare_verdicts({key: before}, {key: [later]}, growth=100).drifts
        (line,) = broken_by(limit, drifts=tuple(drifts))
        assert line.startswith("drift: m on cell: error 1.0e-01, now ")


def test_a_slow_down_breaks_a_limit_by_its_ratio_and_not_by_its_interval() -> None:
    slower = TimeChange(
        cell="cell",
        quantity="inference",
        rounds=(10, 10),
        ratio=1.06,
        low=1.01,
        high=1.11,
        p=0.001,
        word="slower",
    )
    assert broken_by("slower:5%", times=(slower,))
    assert not broken_by("slower:7%", times=(slower,))


def test_an_exported_model_that_is_larger_breaks_the_limit_and_memory_does_not() -> None:
    model = SizeChange(
        quantity="artifact", cell="cell", subject="net, onnx", base=10**8, head=12 * 10**7
    )
    assert broken_by("larger:10%", sizes=(model,)) == (
        "larger: cell, artifact net, onnx: 100 MB, now 120 MB (1.200×)",
    )
    memory = model.model_copy(update={"quantity": "memory"})
    assert not broken_by("larger:10%", sizes=(memory,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slow:5%", "--fail-on knows no 'slow'; did you mean 'slower'?"),
        ("slower:5", "--fail-on slower:5: '5' is not an amount"),
        ("drift:2%", "--fail-on drift:2%: '2%' is not an amount"),
        ("drift:0.5x", "--fail-on drift:0.5x: the factor is below 1"),
        ("drift,", "--fail-on 'drift,' has an empty limit"),
        ("", "--fail-on '' has an empty limit"),
        ("new-failure:1", "--fail-on new-failure:1: 'new-failure' takes no number"),
    ],
)
def test_a_wrong_limit_says_how_to_write_it(text: str, message: str) -> None:
    with pytest.raises(ArgumentError) as raised:
        limits.parse(text)
    assert raised.value.message == message


def arguments(*words: object) -> list[str]:
    return ["compare", *map(str, words)]


def test_the_command_fails_with_the_lines_that_broke_a_limit_on_one_screen(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    head = changed(recorded, tmp_path, functools.partial(grow, factor=1e4))
    files = ("--json", tmp_path / "c.json", "--markdown", tmp_path / "c.md")
    assert main.main(arguments(recorded, head, "--fail-on", "slower:5%", *files)) == 0
    assert main.main(arguments(recorded, head, "--fail-on", "new-failure", *files)) == 1
    shown = capsys.readouterr()
    assert "limits of --fail-on broken, listed above" in shown.err
    lines = shown.out.splitlines()
    assert max(map(len, lines[: lines.index("New failures") + 4])) <= 80
    assert any(line.startswith("✗ new failure: torch-debian12-amd64-cpu--") for line in lines)
    document = json.loads((tmp_path / "c.json").read_text("utf-8"))
    schema = json.loads((SCHEMAS / "comparison.schema.json").read_text("utf-8"))
    jsonschema.validate(document, schema)
    assert len(document["broken"]) == len(document["failures"])
    page = (tmp_path / "c.md").read_text("utf-8")
    assert page.startswith("### ✗ ")
    assert "#### New failures" in page


def test_results_files_compare_like_their_runs(recorded: Path, tmp_path: Path) -> None:
    results = merging.merge([Run(path=recorded)])
    path = tmp_path / "results.json"
    path.write_text(results.model_dump_json(), "utf-8")
    assert is_unchanged(compare_results(read_results(path, tmp_path), results, ("a", "b")))


@pytest.mark.parametrize("content", ["", "{}", '{"schema_version": 1}', "[1]", "\x00"])
def test_what_is_no_results_file_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(content, "utf-8")
    with pytest.raises(RecordError, match="no results of this version"):
        read_results(path, tmp_path)


def results_with(recorded: Path, folder: Path, field: str, value: object) -> Path:
    """Write the results of a run with another value of a field; return the file."""
    document = json.loads(merging.merge([Run.open(recorded)]).model_dump_json())
    *parents, last = [int(part) if part.isdigit() else part for part in field.split(".")]
    holder = functools.reduce(lambda value, part: value[part], parents, document)
    holder[last] = value
    path = folder / "results.json"
    path.write_text(json.dumps(document), "utf-8")
    return path


@pytest.mark.parametrize(
    ("field", "number"),
    [
        ("cells.0.image_bytes", 10**400),
        ("cells.0.image_bytes", -1),
        ("training.0.step_s.round_medians.0", 1e300),
        ("training.0.step_s.round_medians.0", -1.0),
        ("training.0.step_s.median", float("nan")),
        ("serving.0.start_s.round_medians.0", float("inf")),
        ("inference.0.batch", 2**70),
        ("inference.0.samples_per_s", 1.7e308),
    ],
)
def test_a_number_that_no_run_has_is_one_error_with_its_file_and_field(
    recorded: Path, tmp_path: Path, field: str, number: float
) -> None:
    path = results_with(recorded, tmp_path, field, number)
    with pytest.raises(RecordError) as raised:
        read_results(path, tmp_path)
    assert f"{path}: " in raised.value.message
    assert f"{field}: " in raised.value.message


@pytest.mark.parametrize(
    ("field", "name", "problem"),
    [
        ("portability.0.consumer", "x", "portability: there is no cell 'x'"),
        ("inference.0.cell", "x", "inference: there is no cell 'x'"),
        ("portability.0.artifact", "x", "portability: 'x' is no artifact"),
        ("inference.0.subject", "a--x", "inference: 'a--x' is no artifact"),
    ],
)
def test_a_row_of_something_unknown_is_refused_before_a_table_looks_it_up(
    recorded: Path, tmp_path: Path, field: str, name: str, problem: str
) -> None:
    path = results_with(recorded, tmp_path, field, name)
    with pytest.raises(RecordError) as raised:
        read_results(path, tmp_path)
    assert f"{path}: " in raised.value.message
    assert problem in raised.value.message


def test_times_of_the_shortest_and_the_longest_rounds_that_a_file_may_have_are_compared() -> None:
    ends = [1e-9, 1e15]
    sides = [[first, second] for first in ends for second in ends]
    ratios = compare_rounds([(base, head) for base in sides for head in sides])
    assert all(np.isfinite(dataclasses.astuple(ratio)).all() for ratio in ratios)


def test_the_results_of_a_training_that_diverged_can_be_read_again(
    recorded: Path, tmp_path: Path
) -> None:
    def diverge(document: Any) -> None:
        for phase in (document["output"] or {}).get("records", ()):
            if phase["phase"] == "train" and phase["status"] == "ok":
                phase["data"]["losses"][:3] = [float("nan"), float("inf"), -1.5e308]

    head = changed(recorded, tmp_path, diverge, "torch-debian12-amd64-cpu")
    results = merging.merge([Run.open(head)])
    reports.write(Run.open(head), results)
    read = read_results(head / "results.json", tmp_path)
    assert [row.losses for row in read.training] == [row.losses for row in results.training]
    assert any(None in loss for row in read.training for loss in row.losses)


def entries(path: Path) -> Iterator[str]:
    yield from (line for line in path.read_text("utf-8").splitlines() if "{cell: " in line)


def test_accepted_verdicts_fail_nothing_until_one_is_worse(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    baseline = tmp_path / "baseline.yaml"
    update = arguments("--baseline", baseline, "--update-baseline")
    assert main.main([*update, str(recorded)]) == 0
    assert len(list(entries(baseline))) == 57
    failed = re.compile(r"verdict: (drift|error)")
    bare = sum(bool(failed.search(line)) for line in entries(baseline))
    shown = " ".join(capsys.readouterr().out.split())
    assert f"accepted without a reason: {bare} failure" in shown
    assert main.main(arguments("--baseline", baseline, recorded)) == 0
    head = changed(recorded, tmp_path, functools.partial(grow, factor=1e4))
    assert main.main(arguments("--baseline", baseline, head)) == 1
    before = set(entries(baseline))
    assert main.main([*update, str(head)]) == 0
    assert main.main(arguments("--baseline", baseline, head)) == 0
    assert len(set(entries(baseline)) - before) == 6
    capsys.readouterr()
    assert main.main([*update, str(head)]) == 0
    assert "as the run shows it" in capsys.readouterr().out


def test_where_all_models_are_refused_the_lost_are_called_by_their_names() -> None:
    run = verifications.results("onnxruntime-debian12-amd64-cpu")
    empty = {"models": (), "portability": (), "inference": ()}
    refused, matrix = (
        run.model_copy(update={**empty, "cells": cells}) for cells in ((), run.cells)
    )
    for head, subject in ((refused, "resnet50"), (matrix, verifications.ARTIFACT)):
        known = {
            key: dataclasses.replace(outcome, subject=key[1])
            for key, outcome in worst_outcomes(run).items()
        }
        (lost,) = accepted.compare_accepted(known, [head], ("base", "head"), 2).failures
        assert (lost.subject, lost.head) == (subject, "absent")


def test_what_the_later_side_lost_says_how_a_baseline_of_its_cells_is_made() -> None:
    run = verifications.results("onnxruntime-debian12-amd64-cpu")
    none = run.model_copy(update={"models": (), "portability": (), "inference": (), "cells": ()})
    known = worst_outcomes(run)
    lost = accepted.compare_accepted(known, [none], ("base", "head"), 2)
    (said,) = [line for line in remarks(lost) if line.startswith("the later side does not have")]
    assert "1 verdict: make a baseline from the cells that are served here" in said
    assert "--update-baseline" in said
    (said,) = [
        line
        for line in remarks(compare_results(run, none, ("base", "head")))
        if line.startswith("the later side does not have")
    ]
    assert "baseline" not in said
    assert not [line for line in remarks(compare_results(run, run, ("a", "b"))) if "later" in line]


def test_a_run_that_is_not_there_is_told_with_the_runs_that_are(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parent = ["--runs", str(recorded.parent)]
    for words in (["show", "nosuch"], ["compare", "nosuch", recorded.name]):
        assert main.main([*words, *parent]) == 2
        assert f"runs there: {recorded.name}" in " ".join(capsys.readouterr().err.split())


def test_an_update_keeps_reasons_comments_and_entries_that_agree(
    recorded: Path, tmp_path: Path
) -> None:
    baseline = tmp_path / "baseline.yaml"
    results = merging.merge([Run(path=recorded)])
    accepted.update(baseline, [results])
    text = baseline.read_text("utf-8")
    old = next(line for line in entries(baseline) if "verdict: error" in line)
    new = old.replace("verdict: error}", 'verdict: error, reason: "no opset 20 there"} # seen')
    baseline.write_text(text.replace(old, new, 1), "utf-8")
    assert not accepted.update(baseline, [results])
    assert "no opset 20 there" in baseline.read_text("utf-8")
    assert "# seen" in baseline.read_text("utf-8")


def test_an_update_by_a_run_of_some_models_or_cells_keeps_the_others(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    baseline = tmp_path / "baseline.yaml"
    results = merging.merge([Run(path=recorded)])
    accepted.update(baseline, [results])
    before = accepted.load(baseline)
    (first, *_) = results.portability
    worse = first.model_copy(update={"verdict": "error"})
    part = results.model_copy(update={"portability": (worse,), "training": (), "probes": ()})
    (tmp_path / "part.json").write_text(part.model_dump_json(), "utf-8")
    update = arguments("--baseline", baseline, "--update-baseline", tmp_path / "part.json")
    assert main.main(update) == 0
    after = accepted.load(baseline)
    assert after.keys() == before.keys()
    changed_keys = {key for key in after if after[key].verdict != before[key].verdict}
    assert changed_keys == {("serving", first.artifact, first.consumer)}
    unseen = len(before) - len(worst_outcomes(part))
    assert (
        f"kept: {unseen} verdicts of models or cells that are not in 1 run"
        in capsys.readouterr().out.replace("\n", " ")
    )


@pytest.mark.parametrize("count", [3000, 5001])
def test_what_an_update_writes_can_be_loaded_or_is_refused_before(
    tmp_path: Path, count: int
) -> None:
    results = verifications.results()
    (row, *_) = results.portability
    rows = [row.model_copy(update={"consumer": f"cell-{number}"}) for number in range(count)]
    many = results.model_copy(update={"portability": tuple(rows), "training": (), "probes": ()})
    baseline = tmp_path / "baseline.yaml"
    if count < 5000:
        assert accepted.update(baseline, [many])
        assert len(accepted.load(baseline)) == count
        return
    with pytest.raises(ArgumentError, match="5001 verdicts are more than a file of accepted"):
        accepted.update(baseline, [many])
    assert not baseline.exists()


def test_two_models_of_one_name_are_not_judged_as_one(tmp_path: Path) -> None:
    results = verifications.results()
    (model,) = results.models
    heads = [
        results.model_copy(
            update={"models": (model.model_copy(update={"source": path, "sha256": {"m": digest}}),)}
        )
        for path, digest in (("a/net.onnx", "0" * 64), ("b/net.onnx", "1" * 64))
    ]
    baseline = tmp_path / "baseline.yaml"
    accepted.update(baseline, heads[:1])
    for act in (
        lambda: accepted.update(baseline, heads),
        lambda: accepted.compare_accepted(accepted.load(baseline), heads, ("a", "b"), 2.0),
    ):
        with pytest.raises(ArgumentError, match=r"a/net\.onnx and b/net\.onnx are other models"):
            act()
    retrained = heads[0].models[0].model_copy(update={"sha256": {"m": "2" * 64}})
    again = results.model_copy(update={"models": (retrained,)})
    accepted.update(baseline, [heads[0], again])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version: 2\n", "1:10: 'version'"),
        ("version: 1\nservings: {}\n", "2:1: unknown key 'servings'; did you mean 'serving'?"),
        ("version: 1\nserving: {a: [{cell: b}]}\n", "2:15: missing key 'verdict'"),
        ("[", "not YAML"),
        (
            "version: 1\nserving:\n  a:\n    - {cell: b, verdict: drfit}\n",
            "4:26: 'drfit' is no verdict; did you mean 'drift'?",
        ),
        (
            "version: 1\ntraining:\n  a:\n    - {cell: b, verdict: good}\n",
            "4:26: 'good' is no verdict; known: bad-artifact, crashed, ",
        ),
        (
            "version: 1\nprobe:\n  a:\n    - {cell: b, verdict: match}\n"
            "    - {cell: b, verdict: wrong}\n",
            "5:14: 'b' is listed twice for a; keep one entry",
        ),
    ],
)
def test_a_wrong_baseline_names_its_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "baseline.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as raised:
        accepted.load(path)
    (line,) = raised.value.message.splitlines()
    assert line.startswith(f"{path}:")
    assert message in line


def test_every_verdict_of_a_run_may_be_accepted(recorded: Path) -> None:
    results = merging.merge([Run(path=recorded)])
    for key, outcome in worst_outcomes(results).items():
        assert outcome.verdict in WORDS[key[0]]


@pytest.mark.parametrize(
    ("several", "worst"),
    [
        ([{"error": 1e-3}, {"error": 2e-3}], {"error": 2e-3}),
        ([{"error": 1e-3}, {"error": None}], {"error": None}),
        ([{"error": 2.0}, {"verdict": "error"}], {"verdict": "error"}),
        (
            [{"error": 2.0, "expected_failure": "known"}, {"verdict": "unsupported"}],
            {"verdict": "unsupported"},
        ),
        ([{"verdict": "match", "error": 1e-7}, {"verdict": "not-run"}], {"verdict": "not-run"}),
    ],
)
def test_the_worst_of_several_outcomes_counts_whatever_their_order(
    several: list[dict[str, Any]], worst: dict[str, Any]
) -> None:
    results = verifications.results()
    base = next(row for row in results.portability if row.verdict == "drift")
    base = base.model_copy(update={"expected_failure": ""})
    rows = [base.model_copy(update=values) for values in several]
    key = ("serving", base.artifact, base.consumer)
    for ordered in (rows, rows[::-1]):
        one_run = results.model_copy(update={"portability": tuple(ordered)})
        runs = [results.model_copy(update={"portability": (row,)}) for row in ordered]
        for outcome in (worst_outcomes(one_run)[key], worst_outcomes(*runs)[key]):
            assert {name: getattr(outcome, name) for name in worst} == worst


def void_pairs() -> dict[str, tuple[Results, Results]]:
    """Return pairs of results that have nothing in common that ran."""
    results = verifications.results()
    unmeasured = {"image_bytes": None, "peak_memory_bytes": None, "serving_memory_bytes": None}
    cells = tuple(row.model_copy(update=unmeasured) for row in results.cells)
    alone = {"inference": (), "serving": (), "cells": cells}
    drifts = tuple(
        row.model_copy(update={"expected_failure": "known"})
        for row in results.portability
        if row.verdict == "drift"
    )
    others = tuple(
        row.model_copy(update={"artifact": "other--model--onnx", "verdict": "match"})
        for row in drifts
    )
    idle = tuple(row.model_copy(update={"verdict": "not-run"}) for row in results.portability)
    one, other, empty, unrun = (
        results.model_copy(update={**alone, "portability": rows})
        for rows in (drifts, others, (), idle)
    )
    larger = tuple(
        row.model_copy(update={"image_bytes": int(size * 1.02)})
        if (size := row.image_bytes)
        else row
        for row in results.cells
    )
    imaged = unrun.model_copy(update={"cells": results.cells})
    return {
        "other models": (one, other),
        "nothing": (empty, empty),
        "not run": (unrun, unrun),
        "another image": (imaged, imaged.model_copy(update={"cells": larger})),
    }


@pytest.mark.parametrize("name", ["other models", "nothing", "not run", "another image"])
def test_nothing_compared_is_not_nothing_changed(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sides = []
    for place, results in zip(("base", "head"), void_pairs()[name], strict=True):
        sides.append(tmp_path / f"{place}.json")
        sides[-1].write_text(results.model_dump_json(), "utf-8")
    assert main.main(arguments(*sides)) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("• nothing could be compared")
    assert "nothing changed" not in shown
    assert main.main(arguments(*sides, "--fail-on", "drift")) == 1
    assert capsys.readouterr().out.startswith("✗ nothing could be compared")


def test_a_limit_is_broken_where_there_is_nothing_to_hold_against_it() -> None:
    pairs = void_pairs()
    known = pairs["other models"][0]
    rows = (row.model_copy(update={"expected_failure": ""}) for row in known.portability)
    head = known.model_copy(update={"portability": tuple(rows)})
    comparison = compare_results(pairs["not run"][0], head, ("base", "head"))
    assert comparison.failures
    (line,) = limits.broken(comparison, limits.parse("changed"))
    assert line.startswith("nothing could be compared")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a"], "error: compare takes 2 runs, not 1"),
        (["a", "b", "c"], "error: a is of one run, and there are 2 runs to compare with it"),
        (["--update-baseline", "a"], "error: --update-baseline needs --baseline FILE"),
        (["--baseline", "b.yaml"], "error: compare takes a run with --baseline, not 0"),
        (
            ["--baseline", "b.yaml", "a", "--fail-on", "slower"],
            "error: --fail-on slower and --baseline cannot be combined: a baseline has no times",
        ),
        (["a", "b"], f"error: {RUNS / 'a'} is not there"),
        (["a", "b", "--only", "x"], "error: --only is for what is served: models, with --with"),
        (["a", "b", "--rounds", "5"], "error: --rounds is for what is served: models, with"),
        (["a", "b", "--fail-on", "slower", "--only", "x"], "error: --only is for what is served"),
        (["a", "b", "--fail-on", "drift", "--no-repeat"], "error: --no-repeat is for what is"),
        (["a", "b", "--fail-on", "slower", "--no-repeat", "--trust"], "error: --trust is for what"),
        (["a", "--baseline", "b", "--engine", "venv"], "error: --engine is for what is served"),
        *(
            (
                ["a", "--baseline", "b", "--update-baseline", option, "drift"],
                f"error: {option} and --update-baseline cannot be combined",
            )
            for option in ("--fail-on", "--json", "--markdown", "--html")
        ),
        (
            ["a", "--update-baseline", "--with", "x==1", "--with", "x==2"],
            "error: --update-baseline needs --baseline FILE",
        ),
    ],
)
def test_wrong_arguments_say_what_is_wrong(
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main.main(arguments(*words)) == 2
    assert capsys.readouterr().err.startswith(message)


def test_two_versions_become_two_systems_in_the_same_native_cells() -> None:
    package, versions = trials.parse(["onnxruntime==1.31.0", "onnxruntime==1.32.0"])
    tried = trials.trials(MATRIX, package, versions, Selection(), DOCKER)
    assert [trial.title for trial in tried] == ["onnxruntime==1.31.0", "onnxruntime==1.32.0"]
    for trial in tried:
        assert ONNXRUNTIME in {own.id for own, _ in trial.cells}
        for own, cell in trial.cells:
            assert cell.architecture == "amd64"
            assert cell.pinned == cell.id != own.pinned
            assert (cell.distribution, cell.adapter) == (own.distribution, own.adapter)
    extended = trials.with_trials(MATRIX, tried)
    ids = {cell.id for cell in all_cells(extended)}
    assert {cell.id for trial in tried for _, cell in trial.cells} <= ids


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["m.onnx", "--with", "onnxruntime"], "error: --with onnxruntime: write a package and its"),
        (["m.onnx", "--with", "a==1"], "error: --with takes two versions of one package"),
        (["m.onnx", "--with", "a==1", "--with", "b==2"], "error: --with takes two versions of one"),
        (["m.onnx", "--with", "a==1", "--with", "a==1"], "error: --with takes two versions of one"),
        (
            ["m.onnx", "--with", "onnxruntme==1", "--with", "onnxruntme==2"],
            "error: no cell has the package 'onnxruntme'; did you mean 'onnxruntime'?",
        ),
        (["--with", "a==1", "--with", "a==2"], "error: --with needs a model to serve"),
        (["m", "--baseline", "b.yaml", "--with", "a==1"], "error: --with and --baseline cannot be"),
        (["m", "--rounds", "1"], "error: argument --rounds: '1' is not a whole number from 2"),
    ],
)
def test_wrong_versions_say_what_is_wrong(
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main.main([*arguments(*words), "--engine", "venv"]) == 2
    assert capsys.readouterr().err.startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_a_side_of_a_trial_has_the_rows_of_its_version_only(tmp_path: Path) -> None:
    results = generating(merging.merge([whole(tmp_path)]))
    (cell,) = (cell for cell in PLAN.cells if cell.id == ONNXRUNTIME)
    own = dataclasses.replace(cell, name="renamed")
    side = side_of(results, trials.Trial(title="1.0", cells=((own, cell),)))
    assert {row.cell for row in side.cells} == {own.id}
    assert {row.consumer for row in side.portability} == {own.id}
    assert len(side.inference) == sum(row.cell == ONNXRUNTIME for row in results.inference)
    assert ({row.cell for row in side.generation}, side.steps) == ({own.id}, ())


def test_a_slowdown_counts_only_if_new_rounds_show_it_too(tmp_path: Path) -> None:
    base, head = rounds_run(tmp_path, "one", 1), rounds_run(tmp_path, "two", 2, slower=1.1)
    first, wanted = compared(base, head), limits.parse("new-failure,slower:5%")
    suspected = suspects(first, wanted)
    assert suspected
    assert limits.broken(confirmed(first, first, suspected), wanted)
    calm = confirmed(first, compared(base, rounds_run(tmp_path, "three", 3)), suspected)
    assert not limits.broken(calm, wanted)
    assert sum(change.again for change in calm.times) == len(suspected)
    untold = confirmed(first, first.model_copy(update={"times": ()}), suspected)
    assert limits.broken(untold, wanted) == limits.broken(first, wanted)


def test_a_version_that_cannot_be_locked_is_named_and_leaves_no_pins() -> None:
    (trial, _) = trials.trials(
        MATRIX, "onnxruntime", ["1.0.0rc999", "1.32.0"], Selection(include=(ONNXRUNTIME,)), DOCKER
    )
    with (
        pytest.raises(EngineError, match=r"onnxruntime==1\.0\.0rc999 cannot be locked"),
        trying._locked([trial], MATRIX),
    ):
        raise AssertionError("there is no such version")
    assert not pins.path(trial.cells[0][1].pinned).exists()


def test_a_version_on_trial_is_locked_in_the_users_cache_and_not_in_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    shipped = sorted(pins.FOLDER.rglob("*"))
    (trial, _) = trials.trials(
        MATRIX, "onnxruntime", ["1.31.0", "1.32.0"], Selection(include=(ONNXRUNTIME,)), DOCKER
    )
    cell = trial.cells[0][1]
    with trying._locked([trial], MATRIX):
        assert pins.path(cell.pinned).is_relative_to(tmp_path)
        assert pins.version(cell) == "1.31.0"
        assert sorted(pins.FOLDER.rglob("*")) == shipped
        context = Path(build_context(recipe_for(cell, MATRIX, "debian"), tmp_path))
        assert (context / "pins" / f"{cell.pinned}.txt").read_text("utf-8") == pins.path(
            cell.pinned
        ).read_text("utf-8")
        names = {path.name for path in pins.FOLDER.iterdir() if path.is_file()}
        assert {path.name for path in context.iterdir()} == {*names, "pins"}
    assert not pins.path(cell.pinned).exists()


def build_context(recipe: Recipe, folder: Path) -> str:
    """Return the folder that an image would be built from."""
    (folder / "work").mkdir()
    workshop = build.Workshop(
        folder=folder / "work", sources=indexes.Sources(), architecture="amd64", roots={}
    )
    return workshop.context(recipe)
