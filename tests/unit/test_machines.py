"""Rows of a run that was measured on several machines: only times of one machine are compared."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from deepmatrix.comparison import limits
from deepmatrix.comparison.changes import Comparison
from deepmatrix.comparison.comparing import compare_results
from deepmatrix.comparison.history.lines import measurements
from deepmatrix.execution.sessions.placing import measured_on, measuring, places
from deepmatrix.planning.cells import Capabilities, joint
from deepmatrix.planning.plan import WAVES, Plan
from deepmatrix.reports import html, tables
from deepmatrix.reports.tables import cells, deployment, speed
from deepmatrix.results import merging
from deepmatrix.results.rows import Results
from deepmatrix.store.runs import Run
from tests.unit.examples import CANARY, new_run, output, planned, record
from tests.unit.test_results import write_gold

CELLS = ("torch-debian12-amd64-cpu", "tensorflow-debian12-amd64-cpu", "jax-debian12-amd64-cpu")


def test_a_training_is_compared_with_those_of_its_machine_only(tmp_path: Path) -> None:
    plan = planned(*CELLS)
    for several in (False, True):
        run = new_run(tmp_path, plan, name="one" if several else "same")
        for job in plan.jobs("produce"):
            machine = "other" if several and job.cell == CELLS[2] else "usual"
            run.save(job, record(job, run=run.id, machine=machine, attempt=job.id))
        results = merging.merge([run])
        table = speed.training(results)
        assert ("machine" in table.titles) == several
        rows = [row.texts for row in table.rows if row.texts[0] == "digits-conv"]
        slowdowns = [texts[table.titles.index("slowdown")] for texts in rows]
        assert slowdowns.count("–") == (2 if several else 1)
    assert {row.cell: row.machine for row in results.cells if row.jobs} == {
        CELLS[0]: "usual",
        CELLS[1]: "usual",
        CELLS[2]: "other",
    }


def test_the_cells_name_each_processor_and_what_its_matrix_product_reached(tmp_path: Path) -> None:
    plan = planned(*CELLS)
    run = new_run(tmp_path, plan)
    processors = {
        CELLS[0]: ("Old", 1, 6e10),
        CELLS[1]: ("Old", 1, 7e10),
        CELLS[2]: ("New", 2, 9e10),
    }
    for job in plan.jobs("produce"):
        processor, cpus, flops = processors[job.cell]
        environment = {"versions": {"torch": "1.0"}, "processor": processor, "cpus": cpus}
        canary = {**CANARY, "matmul_flops_best": flops}
        answer = output(job, environment=environment, canaries=[canary])
        run.save(job, record(job, run=run.id, output=answer, attempt=job.id))
    note = cells.cells(merging.merge([run])).note
    assert note.startswith(
        "Measured on New with 2 CPUs a job, which multiplied NumPy matrices at up to 90 GFLOP/s. "
        "Measured on Old with 1 CPU a job, which multiplied NumPy matrices at up to 70 GFLOP/s. "
    )


def parts_of(folder: Path, plan: Plan, *machines: str) -> dict[str, Run]:
    """Return the parts of one run that several machines are to do."""
    planned_run = new_run(folder, plan, name="plan")
    for machine in machines:
        shutil.copytree(planned_run.path, folder / machine)
    return {machine: Run.open(folder / machine) for machine in machines}


def test_a_cell_that_was_measured_on_two_machines_stands_as_two_rows(tmp_path: Path) -> None:
    plan = replace(planned(*CELLS), rounds_native=2)
    parts = parts_of(tmp_path, plan, "first", "second")
    for job in (job for wave in WAVES for job in plan.jobs(wave)):
        machine = "second" if job.cell == CELLS[0] and job.round else "first"
        part = parts[machine]
        part.save(job, record(job, run=part.id, machine=machine, attempt=job.id))
    results = merging.merge(list(parts.values()))
    for table in (speed.training(results), *speed.inference(results)):
        titles = [table.titles.index(name) for name in ("cell", "machine")]
        rows = [tuple(row.texts[place] for place in titles) for row in table.rows]
        assert (CELLS[0], "first") in rows
        assert (CELLS[0], "second") in rows
        assert {machine for cell, machine in rows if cell == CELLS[1]} <= {"first", "–"}
    timed = [row.step_s for row in results.training if row.cell == CELLS[0] and row.machine]
    assert {len(step.round_medians) for step in timed if step} == {1}


def test_a_job_that_two_machines_did_stands_as_two_rows_too(tmp_path: Path) -> None:
    plan = planned(CELLS[0])
    parts = parts_of(tmp_path, plan, "first", "second")
    for machine, part in parts.items():
        for job in plan.jobs("produce"):
            part.save(job, record(job, run=part.id, machine=machine, attempt=job.id))
    results = merging.merge(list(parts.values()))
    machines = [row.machine for row in results.training if row.workload == "digits-conv"]
    assert machines == ["first", "second"]


def test_what_each_cell_trained_on_a_machine_of_its_own_is_not_compared(tmp_path: Path) -> None:
    plan = planned(*CELLS)
    run = new_run(tmp_path, plan)
    for wave in WAVES:
        for job in plan.jobs(wave):
            machine = f"{wave}-{job.cell}"
            run.save(job, record(job, run=run.id, machine=machine, attempt=job.id))
    table = speed.training(merging.merge([run]))
    rows = [row.texts for row in table.rows if row.texts[0] == "digits-conv"]
    assert {texts[table.titles.index("machine")] for texts in rows} == {
        f"produce-{cell}" for cell in CELLS
    }
    assert {texts[table.titles.index("slowdown")] for texts in rows} == {"–"}


def test_a_cell_whose_machine_is_not_known_makes_no_second_one(tmp_path: Path) -> None:
    plan = planned(*CELLS)
    run = new_run(tmp_path, plan)
    for job in plan.jobs("produce"):
        machine = "" if job.cell == CELLS[1] else "usual"
        run.save(job, record(job, run=run.id, machine=machine, attempt=job.id))
    assert "machine" not in speed.training(merging.merge([run])).titles


def test_what_is_measured_already_may_be_left_by_its_machine(tmp_path: Path) -> None:
    plan = planned(CELLS[0])
    run = new_run(tmp_path, plan)
    jobs = [job for wave in WAVES for job in plan.jobs(wave)]
    timed = [job for job in jobs if plan.is_timed(job)]
    assert measured_on(run) == {}
    for job in timed[:-1]:
        run.save(job, record(job, run=run.id, machine="usual"))
    assert measured_on(run) == {("amd64", "cpu"): "usual"}
    run.save(timed[-1], record(timed[-1], run=run.id, machine="usual"))
    assert len(timed) < len(jobs)
    assert measured_on(run) == {}


def test_a_cell_is_emulated_only_where_no_machine_runs_it_natively() -> None:
    laptop = Capabilities(
        engine="docker", native=frozenset({"amd64"}), emulated=frozenset({"arm64"}), cpus=2
    )
    board = Capabilities(engine="docker", native=frozenset({"arm64"}), cpus=4)
    desk = replace(laptop, cpus=8)
    cells = planned("torch-debian12-amd64-cpu", "torch-debian13-arm64-cpu").cells
    amd64, arm64 = sorted(cells, key=lambda cell: cell.architecture)
    able = [laptop, board, desk]
    assert places(cells, able) == [[amd64], [arm64], [amd64]]
    assert not joint(able).emulated_ids(cells)
    assert joint([laptop, desk]).emulated_ids(cells) == {arm64.id}
    ready = [{amd64.id: amd64}, {arm64.id: arm64}, {amd64.id: amd64}]
    machines = ["laptop", "board", "desk"]
    assert measuring(ready, able, machines, {}) == [set(), {arm64.id}, {amd64.id}]
    before = {("amd64", "cpu"): "laptop"}
    assert measuring(ready, able, machines, before) == [{amd64.id}, {arm64.id}, set()]


#: Two machines, and how many times as long as on the first all takes there.
MACHINES = {"board": 1.0, "desk": 0.5}

#: When every job starts, seconds since 1970.
STARTED_AT = 1e9


def measured_results(
    folder: Path, machines: Mapping[str, float], *, processor: str = "", failed: str = ""
) -> Results:
    """Return results of a cell that each machine measured, in so many times the seconds.

    *processor*: that of the first machine, if it is not called like the machine. What the machine
    *failed* trained first is out of memory.
    """
    plan = replace(planned(CELLS[0]), rounds_native=3)
    for machine, part in (parts := parts_of(folder, plan, *machines)).items():
        write_gold(part)
        factor = machines[machine]
        canary = {name: rate / MACHINES.get(machine, factor) for name, rate in CANARY.items()}
        for job in (job for wave in WAVES for job in plan.jobs(wave)):
            is_first = machine == next(iter(machines))
            named = {"processor": processor if processor and is_first else machine}
            document = output(job, canaries=[canary] * 2).model_dump(mode="json", by_alias=True)
            document["environment"] = {"cpus": 2, **named}
            for phase in document["records"]:
                for batch in phase["data"].get("batches", {}).values():
                    batch["latency_s"] = [seconds * factor for seconds in batch["latency_s"]]
                if phase["phase"] == "startup":
                    seconds = phase["data"]["import_s"] * factor
                    phase["data"].update(import_s=seconds, answered_at=STARTED_AT + seconds)
            told = type(output(job)).model_validate(document)
            is_lost = machine == failed and job.wave == "produce" and job.round == 0
            status = {"status": "oom", "cause": "out of memory"} if is_lost else {}
            changes = {"machine": machine, "attempt": job.id, "output": told, **status}
            part.save(job, record(job, run=part.id, started_at=STARTED_AT, **changes))
    return merging.merge(list(parts.values()))


def compared(base: Results, head: Results) -> Comparison:
    return compare_results(base, head, ("base", "head"))


def test_times_of_a_cell_are_compared_on_each_of_its_machines(tmp_path: Path) -> None:
    base = measured_results(tmp_path / "base", MACHINES)
    head = measured_results(tmp_path / "head", {"board": 2.0, "desk": 0.5})
    for quantity in ("inference", "first inference"):
        changes = [each for each in compared(base, head).times if each.quantity == quantity]
        ratios = {(each.machine, round(each.ratio, 3)) for each in changes}
        assert ratios == {("board", 2.0), ("desk", 1.0)}


def test_the_starts_of_a_cell_on_two_machines_stand_as_two_rows(tmp_path: Path) -> None:
    results = measured_results(tmp_path, MACHINES)
    for table in (cells.startup(results), deployment.deployment(results)):
        place = table.titles.index("machine")
        places = {row.texts[place] for row in table.rows if CELLS[0] in row.texts}
        assert places - {"–"} == {*MACHINES}  # what is only checked has no machine
    for rows in (results.startup, results.serving):
        imports = {row.machine: row.import_s for row in rows if row.import_s}
        medians = {machine: each.median for machine, each in imports.items()}
        assert medians["desk"] / medians["board"] == pytest.approx(MACHINES["desk"])
        assert {len(each.round_medians) for each in imports.values()} == {3}
    (cell,) = (row for row in results.cells if row.cell == CELLS[0])
    assert cell.import_s
    assert set(cell.import_s.round_medians) == {0.5, 0.505, 0.51}  # of the first one


def test_what_is_drawn_names_the_machines_where_there_are_several(tmp_path: Path) -> None:
    for several, machines in enumerate(({"board": 1.0}, MACHINES)):
        results = measured_results(tmp_path / str(several), machines)
        page = html.run_page(results, html.Evidence())
        for part in ("latency", "starts"):
            section = page.partition(f'id="{part}"')[2].partition("</section>")[0]
            assert section
            assert all((f", on {machine}<" in section) == bool(several) for machine in machines)


def test_a_machine_that_became_slower_is_named(tmp_path: Path) -> None:
    base = measured_results(tmp_path / "base", MACHINES)
    head = measured_results(tmp_path / "head", {"board": 1.2, "desk": 0.5})
    comparison = compared(base, head)
    assert {change.machine for change in comparison.slower} == {"board"}
    (limit,) = limits.parse("slower:5%")
    lines = limits.broken(comparison, [limit])
    assert lines
    assert all(line.startswith(f"slower: {CELLS[0]} on board, ") for line in lines)
    (table,) = tables.comparison.tables(comparison)
    assert {row.texts[0] for row in table.rows} == {f"{CELLS[0]} on board"}


def test_a_machine_that_the_later_run_lacks_is_not_compared_with_another(tmp_path: Path) -> None:
    base = measured_results(tmp_path / "base", MACHINES)
    head = measured_results(tmp_path / "head", {"board": 1.0})
    comparison = compared(base, head)
    assert {change.machine for change in comparison.times} == {"board"}
    assert [(each.cells, each.reason) for each in comparison.untimed] == [
        ((CELLS[0],), "on desk: the later run did not measure there")
    ]
    lost = [change for change in comparison.failures if change.kind == "training"]
    assert {change.machine for change in lost} == {"desk"}
    back = compared(head, base)
    assert {change.machine for change in back.times} == {"board"}
    assert not back.failures
    assert back.added == len(lost)


def test_a_training_that_fails_on_one_of_two_machines_is_a_new_failure(tmp_path: Path) -> None:
    base = measured_results(tmp_path / "base", MACHINES, failed="desk")
    head = measured_results(tmp_path / "head", MACHINES, failed="board")
    comparison = compared(base, head)
    failures = {(each.machine, each.base, each.head) for each in comparison.failures}
    assert failures == {("board", "ok", "oom")}
    better = {(each.machine, each.base, each.head) for each in comparison.changes}
    assert better == {("desk", "oom", "ok")}


@pytest.mark.parametrize("several", [False, True])
def test_a_machine_of_another_name_and_the_same_kind_is_compared(
    tmp_path: Path, *, several: bool
) -> None:
    both = {"desk": 0.5} if several else {}
    base = measured_results(tmp_path / "base", {"board": 1.0, **both})
    head = measured_results(tmp_path / "head", {"other": 1.0, **both}, processor="board")
    comparison = compared(base, head)
    assert not comparison.untimed
    assert not comparison.failures
    assert {each.machine for each in comparison.times} == ({"other", "desk"} if several else {""})


def test_the_last_machine_of_both_runs_is_compared_without_its_times(tmp_path: Path) -> None:
    base = measured_results(tmp_path / "base", {"board": 1.0, "desk": 0.5})
    head = measured_results(tmp_path / "head", {"board": 1.0, "laptop": 0.5})
    comparison = compared(base, head)
    assert not comparison.failures
    assert {each.machine for each in comparison.times} == {"board"}
    assert [each.reason for each in comparison.untimed] == [
        "on laptop: processor: desk, now laptop"
    ]


def test_a_share_of_peak_is_one_of_the_machine_that_measured(tmp_path: Path) -> None:
    results = measured_results(tmp_path, MACHINES)
    shares = {
        (row.machine, row.subject, row.batch): row.efficiency
        for row in results.inference
        if row.efficiency
    }
    assert shares
    for (machine, *about), share in shares.items():
        assert share == pytest.approx(shares["board", *about]), machine


def test_a_slower_machine_makes_no_round_noisy(tmp_path: Path) -> None:
    plan = replace(planned(CELLS[0]), rounds_native=3)
    run = new_run(tmp_path, plan)
    for place, job in enumerate(plan.jobs("produce")):
        machine = "desk" if job.round else "board"
        canary = {name: rate / MACHINES[machine] for name, rate in CANARY.items()}
        told = output(job, canaries=[canary] * 2)
        begin = {"attempt": job.id, "started_at": 10.0 * place}
        run.save(job, record(job, run=run.id, machine=machine, output=told, **begin))
    results = merging.merge([run])
    assert not results.noisy
    assert not any(span.noisy for span in results.timeline)
    assert {span.rate for span in results.timeline if span.rate} == {1.0}
    assert not any("noisy" in warning for warning in results.warnings)


def test_a_cell_has_the_environment_of_the_machine_that_measured_it(tmp_path: Path) -> None:
    plan = planned(CELLS[0])
    run = new_run(tmp_path, plan)
    jobs = [job for wave in WAVES for job in plan.jobs(wave)]
    for job in (job for job in jobs if job.wave == "consume" or not plan.is_timed(job)):
        machine = "board" if plan.is_timed(job) else "desk"
        told = output(job, environment={"processor": machine})
        run.save(job, record(job, run=run.id, machine=machine, attempt=job.id, output=told))
    (row,) = (row for row in merging.merge([run]).cells if row.jobs)
    assert (row.machine, row.environment["processor"]) == ("board", "board")


def test_each_machine_of_a_cell_has_a_history_of_its_own(tmp_path: Path) -> None:
    lines = [
        line for line in measurements(measured_results(tmp_path, MACHINES)) if line.unit == "s"
    ]
    of_inference = {line.machine for line in lines if line.quantity == "inference"}
    assert of_inference == {f"{machine}, docker, 2 CPUs" for machine in MACHINES}
