"""What compiling takes and saves, how threads scale, and where dispatch ends: known answers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from deepmatrix.comparison.times import times_of
from deepmatrix.drawing.layout import Table
from deepmatrix.execution.sessions.lanes import timed_lane
from deepmatrix.execution.tasks import TaskMaker
from deepmatrix.planning.matrix_plan import plan_matrix
from deepmatrix.planning.plan import WAVES, Job, Plan
from deepmatrix.planning.selection import Selection
from deepmatrix.reports.tables.execution import compilation, crossovers, scaling
from deepmatrix.results import merging
from deepmatrix.results.rows import Results
from deepmatrix.results.timing.crossover import fit
from deepmatrix.results.timing.rows import CrossoverRow
from deepmatrix.results.timing.statistics import Estimate, estimate
from deepmatrix.store.reported.output import Output
from tests.unit.examples import DOCKER, MATRIX, new_run, output, record

SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


def of_rounds(*rounds: float) -> Estimate:
    made = estimate([np.array([time] * 9) for time in rounds])
    assert made is not None
    return made


def times(fixed: float, each: float, *, noise: float = 0.0, rounds: int = 3) -> dict[int, Estimate]:
    """Return times on a line, with relative noise from round to round."""
    random = np.random.default_rng(5)
    factors = 1 + noise * random.standard_normal((len(SIZES), rounds))
    return {
        size: of_rounds(*((fixed + each * size) * factors[place]))
        for place, size in enumerate(SIZES)
    }


@pytest.mark.parametrize("half", [0.5, 5, 40])
def test_a_line_is_found_again_with_its_interval(half: float) -> None:
    line = fit(times(1e-5 * half, 1e-5, noise=0.02))
    assert line is not None
    assert line.half is not None
    assert line.half.median == pytest.approx(half, rel=0.1)
    assert line.half.low < half < line.half.high
    assert line.each_s.median == pytest.approx(1e-5, rel=0.03)
    assert line.misfit < 0.06


def test_an_exact_line_has_no_misfit_and_no_width() -> None:
    line = fit(times(3e-4, 1e-5))
    assert line is not None
    assert line.half is not None
    assert (line.half.low, line.half.median, line.half.high) == pytest.approx((30, 30, 30))
    assert line.misfit < 1e-9


def test_what_is_only_constant_or_only_proportional_has_one_part() -> None:
    constant, proportional = fit(times(1e-4, 0.0)), fit(times(0.0, 1e-4))
    assert constant is not None
    assert proportional is not None
    assert constant.half is None or constant.half.median > 1e6
    assert proportional.half is not None
    assert proportional.half.median < 1e-6


def test_a_call_that_grows_with_the_square_of_its_size_is_no_line() -> None:
    line = fit({size: of_rounds(1e-6 * size**2) for size in SIZES})
    assert line is not None
    assert line.misfit > crossovers.LARGEST_MISFIT


@pytest.mark.parametrize(("power", "parts"), [(1, "10.0 µs"), (2, "–")])
def test_only_times_on_a_line_are_shown_in_parts(power: int, parts: str) -> None:
    line = fit({size: of_rounds(1e-5 * size**power) for size in SIZES})
    assert line is not None
    crossover = CrossoverRow(
        **vars(line),
        cell="torch-debian12-amd64-cpu",
        workload="digits-conv",
        subject="digits-conv",
        emulated=False,
        measured="training step",
        over="batch",
        times=tuple((size, 1e-5 * size**power) for size in SIZES),
    )
    table = crossovers.crossovers(Results.model_construct(crossovers=(crossover,)))
    (texts_of_line,) = texts(table)
    assert texts_of_line[table.titles.index("each")] == parts


def test_three_sizes_are_too_few_for_a_line() -> None:
    few = dict(list(times(1e-4, 1e-5).items())[:3])
    assert fit(few) is None


def plan(preset: str, *globs: str, threads: Iterable[int] = ()) -> Plan:
    selection = Selection(preset=preset, include=globs, threads=tuple(threads))
    return plan_matrix(MATRIX, selection, DOCKER, seed=0)


def with_data(job: Job, execution: str = "", **phases: Mapping[str, Any]) -> Output:
    """Return what a job wrote with other data of some phases."""
    library = job.cell.partition("-")[0].partition("_")[0]
    environment = {"versions": {library: "1.2.3"}, "execution": execution or None}
    stand_ins = Job(**{**vars(job), "phases": ("probe",) * len(phases)})
    document = output(stand_ins, environment=environment).model_dump(by_alias=True)
    for entry, phase in zip(document["records"], phases, strict=True):
        entry.update(phase=phase, data=phases[phase])
    return Output.model_validate(document)


def texts(table: Table) -> list[tuple[str, ...]]:
    return [row.texts for row in table.rows]


def batches(fixed: float, each: float, sizes: Sequence[int] = SIZES) -> dict[str, Any]:
    return {
        "batches": {
            str(size): {"latency_s": [fixed + each * size] * 20, "warmup": 2} for size in sizes
        }
    }


def saved(
    folder: Path, planned: Plan, make: Any, machines: Mapping[str, str] = MappingProxyType({})
) -> Results:
    """Return the results of trainings; *machines*: of cells by a part of their ids."""
    run = new_run(folder, planned)
    for job in planned.jobs("produce"):
        named = (machine for part, machine in machines.items() if part in job.cell)
        run.save(job, record(job, output=make(job), machine=next(named, "")))
    return merging.merge([run])


#: Where the cells of two systems ran: each on a machine of its own, or both on one.
ON_TWO = {"_": "second", "": "first"}
ON_ONE = {"": "first"}


STEADY = {"eager": 4e-3, "compiled": 1e-3}


def compiling(job: Job) -> Output:
    execution = "compiled" if "compiled" in job.cell else "eager"
    step = STEADY[execution] * (1 + job.round / 1000)
    first = step + (3.0 if execution == "compiled" else 0.03)
    told = {"first_forward_compile_s": 0.9, "first_step_compile_s": 2.5}
    startup = {"import_s": 0.5, "first_forward_s": 1.0032, "first_step_s": first}
    return with_data(
        job,
        execution,
        startup={**startup, **(told if execution == "compiled" else {})},
        train={"step_s": [first, *[step] * 29], "losses": [2.3], "accuracy": 0.97},
        infer=batches(0.0, 1e-4, (1, 32)),
    )


def test_compiling_is_the_first_call_without_a_steady_one_and_pays_off_later(
    tmp_path: Path,
) -> None:
    cells = ("torch-debian12-amd64-cpu", "torch_compiled-debian12-amd64-cpu")
    results = saved(tmp_path, plan("compiled", *cells), compiling)
    eager, compiled = results.compilation[0], results.compilation[-1]
    if eager.execution == "compiled":
        eager, compiled = compiled, eager
    assert compiled.step_s is not None
    assert eager.step_s is not None
    assert compiled.step_s.median == pytest.approx(3.0, rel=1e-3)
    assert compiled.forward_s is not None
    assert compiled.forward_s.median == pytest.approx(1.0)
    assert eager.told_step_s is None
    rows = [row for row in texts(compilation.compilation(results)) if row[0] == "digits-conv"]
    assert [row[2] for row in rows] == ["eager", "compiled"]
    assert rows[1][5] == "3.40 s"
    assert re.fullmatch(r"4\.0\d+×\s\[3\.9\d+,\s4\.\d+\]", rows[1][7])
    assert rows[1][8] == "990 steps"  # (3.0 - 0.03) / (4e-3 - 1e-3)


def test_steps_that_were_compiled_on_another_machine_have_no_speedup(tmp_path: Path) -> None:
    planned = plan("compiled", "torch-debian12-amd64-cpu", "torch_compiled-debian12-amd64-cpu")
    speedups = []
    for machines in (ON_ONE, ON_TWO):
        results = saved(tmp_path / machines[""] / str(len(machines)), planned, compiling, machines)
        rows = texts(compilation.compilation(results))
        speedups.append({row[2]: row[7:] for row in rows if row[0] == "digits-conv"})
    assert [found["eager"] for found in speedups] == [("–", "–")] * 2
    assert speedups[0]["compiled"][1] == "990 steps"
    assert speedups[1]["compiled"] == ("–", "–")


def test_a_library_that_ran_in_one_way_has_no_table_of_compiling(tmp_path: Path) -> None:
    results = saved(tmp_path, plan("compiled", "torch-debian12-amd64-cpu"), compiling)
    assert results.compilation
    assert not compilation.compilation(results).rows


def growing(job: Job) -> Output:
    threads = 2 if "_2threads" in job.cell else 1
    each = 1e-5 * (1 + job.round / 1000)
    data = batches(1e-4, each / threads)
    return with_data(job, startup={"import_s": 0.5}, steps=data, infer=data)


def test_threads_are_compared_with_the_fewest(tmp_path: Path) -> None:
    planned = plan("threads", "jax-debian12-amd64-cpu")
    assert [cell.id for cell in planned.cells] == [
        "jax-debian12-amd64-cpu",
        "jax_2threads-debian12-amd64-cpu",
    ]
    results = saved(tmp_path, planned, growing)
    largest = [row for row in results.scaling if row.batch == 128 and row.workload == "digits-conv"]
    assert {row.measured for row in largest} == {"training step", "inference"}
    for row in largest:
        assert (row.beside_threads, row.threads) == (1, 2)
        assert row.speedup == pytest.approx((1e-4 + 128e-5) / (1e-4 + 64e-5), rel=1e-2)
        assert row.low is not None
        assert row.high is not None
        assert row.low < row.speedup < row.high
    shown = [row for row in texts(scaling.scaling(results)) if row[3] == "128"]
    assert {row[8] for row in shown} == {"93.2 %"}


def test_threads_of_another_machine_are_not_compared(tmp_path: Path) -> None:
    planned = plan("threads", "jax-debian12-amd64-cpu")
    on_one = saved(tmp_path / "one", planned, growing, ON_ONE)
    on_two = saved(tmp_path / "two", planned, growing, ON_TWO)
    assert on_one.scaling
    assert not on_two.scaling


def test_what_is_only_checked_has_no_further_threads(tmp_path: Path) -> None:
    cells = ("jax-debian12-amd64-cpu", "jax-debian13-arm64-cpu", "onnxruntime-debian12-amd64-cpu")
    planned = plan("default", *cells, threads=(2,))
    assert planned.checked_workloads
    subjects: dict[str, set[tuple[str, bool]]] = {}
    for wave in WAVES:
        for job in planned.jobs(wave):
            producer = job.artifact.producer if job.artifact else job.cell
            is_timed = (
                job.workload not in planned.checked_workloads and producer not in planned.emulated
            )
            subjects.setdefault(job.cell, set()).add((job.workload, is_timed))
    threaded = {name for name in subjects if "_2threads" in name}
    assert threaded == {
        "jax_2threads-debian12-amd64-cpu",
        "onnxruntime_2threads-debian12-amd64-cpu",
    }
    for name in threaded:
        timed = {(workload, True) for workload, is_timed in subjects[name] if is_timed}
        assert subjects[name] == timed
        assert timed < subjects[name.replace("_2threads", "")]
    assert sum(1 for _ in planned.jobs("consume")) == planned.size("consume")
    assert sum(1 for _ in planned.jobs("produce")) == planned.size("produce")
    results = merging.merge([new_run(tmp_path, planned)])
    rows = {(row.cell, row.workload) for row in results.training}
    assert not {name for name, workload in rows if workload in planned.checked_workloads} & threaded


def test_each_number_of_threads_has_as_many_cpus_of_the_same_lane(tmp_path: Path) -> None:
    planned = plan("threads", "jax-debian12-amd64-cpu")
    run = new_run(tmp_path, planned)
    lane = timed_lane(MATRIX.limits, DOCKER, max(cell.threads for cell in planned.cells))
    maker = TaskMaker(run=run, capabilities=DOCKER, emulated=False, lane=lane)
    job = next(planned.jobs("produce"))
    given = [
        (
            maker.task(job, cell, tmp_path).limits.cpus,
            maker.document(job, cell, {})["threads"],
            cell.plain.id,
            cell.exports,
        )
        for cell in planned.cells
    ]
    assert given == [
        ((1,), 1, "jax-debian12-amd64-cpu", ("onnx", "jax-export")),
        ((0, 1), 2, "jax-debian12-amd64-cpu", ()),
    ]


def test_more_threads_than_the_engine_has_cpus_are_not_run() -> None:
    planned = plan("threads", "jax-debian12-amd64-cpu", threads=(2, 4))
    assert [cell.threads for cell in planned.cells] == [0, 2]
    (skipped,) = planned.skipped
    assert skipped.reason == "the engine has 2 CPUs for 4 threads"


def test_a_cell_may_fail_where_it_may_with_another_number_of_threads() -> None:
    planned = plan("heritage", "tensorflow1-*", threads=(2,))
    ids = [cell.id for cell in planned.cells]
    assert ids == ["tensorflow1-python37-amd64-cpu", "tensorflow1_2threads-python37-amd64-cpu"]
    reasons = {MATRIX.expected_failure(name, "conv3d-tiny") for name in ids}
    assert len(reasons) == 1
    assert all(reasons)


def test_cells_that_run_emulated_have_no_other_threads() -> None:
    planned = plan("default", "jax-debian13-arm64-cpu", threads=(2,))
    assert [cell.threads for cell in planned.cells] == [0]


def test_steps_of_each_batch_are_compared_with_those_of_another_run(tmp_path: Path) -> None:
    def grows(job: Job) -> Output:
        return with_data(job, startup={"import_s": 0.5}, steps=batches(1e-4, 1e-6))

    results = saved(tmp_path, plan("sweep", "torch-debian12-amd64-cpu"), grows)
    steps = {(row.cell, row.workload, row.batch) for row in results.steps}
    assert {batch for *_, batch in steps} == set(SIZES)
    compared = {
        (cell, subject, batch)
        for quantity, cell, _, subject, batch in times_of(results).estimates
        if quantity == "training step"
    }
    assert compared == steps


def test_steps_of_training_that_are_not_steady_are_warned_of(tmp_path: Path) -> None:
    def differ(job: Job) -> Output:
        return with_data(job, startup={"import_s": 0.5}, steps=batches(1e-4 * 2**job.round, 1e-6))

    results = saved(tmp_path, plan("sweep", "torch-debian12-amd64-cpu"), differ)
    (warning,) = [warning for warning in results.warnings if "the rounds differ" in warning]
    assert warning.startswith("torch-debian12-amd64-cpu: in 72 of 72 measurements")


def test_a_sweep_tells_where_dispatch_ends_over_batches_and_lengths(tmp_path: Path) -> None:
    def grows(job: Job) -> Output:
        network = MATRIX.workloads[job.subject].network
        length = int(network.rpartition("-")[2]) if "-length-" in network else 8
        fixed, each = 1e-4, 1e-6 * length * (1 + job.round / 1000)
        data = batches(fixed, each)
        return with_data(job, startup={"import_s": 0.5}, steps=data, infer=data)

    results = saved(tmp_path, plan("sweep", "torch-debian12-amd64-cpu"), grows)
    found = {
        (row.workload, row.over, row.batch): row
        for row in results.crossovers
        if row.measured == "inference"
    }
    by_batch = found["lstm-length-72", "batch", None]
    assert by_batch.half is not None
    assert by_batch.half.median == pytest.approx(100 / 72, rel=0.01)
    by_length = found["lstm-length", "length", 1]
    assert [size for size, _ in by_length.times] == [8, 24, 72, 216]
    assert by_length.half is not None
    assert by_length.half.median == pytest.approx(100, rel=0.01)
    assert {batch for _, over, batch in found if over == "length"} == {1, 128}
    shown = {row[:4]: row[6] for row in texts(crossovers.crossovers(results))}
    assert (
        shown["lstm-length", "torch-debian12-amd64-cpu", "inference", "length 8 to 216, batch 1"]
        == "99.9 [99.6, 100]"
    )
    wide = list(crossovers.times(results))
    assert [table.title for table in wide] == [
        "Time of one example, batch 1 to 128",
        "Time of one step of a sequence, length 8 to 216",
    ]
