"""The lines that a run prints while it goes on."""

from __future__ import annotations

import contextlib
import io
import os
import statistics
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from deepmatrix.cli.display import Display
from deepmatrix.cli.spending import Spending
from deepmatrix.config.sections import ExpectedFailure
from deepmatrix.drawing.terminal import Terminal
from deepmatrix.errors import Interrupted
from deepmatrix.planning.plan import WAVES, Job
from deepmatrix.store.records import Agreement
from tests.unit.examples import new_run, planned, record
from tests.unit.test_models import verification


def test_that_another_run_is_measuring_is_said_once_for_all_that_is_planned() -> None:
    console = Console(file=io.StringIO(), width=120)
    display = Display(console)
    for _ in range(3):
        display.waiting_for_cpus(LANE)
    display.planned([], retry=False)
    display.waiting_for_cpus(LANE)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("another run is measuring") == 2


def test_that_another_run_is_measuring_on_a_worker_is_said_once_for_each() -> None:
    console = Console(file=io.StringIO(), width=120)
    display = Display(console)
    for worker in ("board", "board", "laptop"):
        display.waiting_for_cpus((worker, (0,)))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert [line.partition(":")[0] for line in text.splitlines()] == [
        "… another run is measuring on board",
        "… another run is measuring on laptop",
    ]


def test_a_worker_that_is_put_aside_is_named_on_a_line_without_control_characters() -> None:
    console = Console(file=io.StringIO(), width=40)
    Display(console).put_aside("board", "it answers \x1b[2J after a long time of silence")
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text == "! board is put aside: it answers \\x1b[2J after a long time of silence\n"


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such terminals")
def test_a_terminal_that_is_gone_does_not_hide_what_ended_the_run() -> None:
    import pty

    host, terminal = pty.openpty()
    with open(terminal, "w", encoding="utf-8") as file:  # noqa: PTH123

        def lose_the_terminal() -> None:
            with Display(Terminal(file=file, force_terminal=True, width=80)):
                os.close(host)
                raise Interrupted("interrupted")

        with pytest.raises(Interrupted):
            lose_the_terminal()
        with contextlib.suppress(OSError):
            file.flush()
        with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), file.fileno())


def test_what_another_run_did_is_counted_and_what_changed_is_said() -> None:
    console = Console(file=io.StringIO(), width=120)
    display = Display(console)
    jobs = list(PLAN.jobs("consume"))[:16]
    display.planned(jobs, retry=False)
    display.reused("monday", jobs[:1], {})
    display.reused("monday", jobs[1:13], {"image changed": 2, "no record": 1})
    display.without_model(jobs[13:15])
    planned_jobs, *lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert planned_jobs.startswith("consume: 16 jobs on ")
    assert lines == [
        "1 job reused of monday",
        "12 jobs reused of monday; anew: image changed (2), no record (1)",
        "! 2 jobs cannot run, for no model was produced",
    ]
    display.started(jobs[15], LANE)
    display.ended(jobs[15], record(jobs[15]))
    assert console.file.getvalue().splitlines()[-1].startswith("✓ 1/1 ")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("phases", "line"),
    [
        (("startup", "parity"), "… net: gold is trained in float64"),
        (("startup", "passes"), "… net: its data and weights are made"),
    ],
    ids=["trained", "timed only"],
)
def test_gold_is_said_to_be_trained_only_where_it_is(
    tmp_path: Path, phases: tuple[str, ...], line: str
) -> None:
    console = Console(file=io.StringIO(), width=120)
    run = new_run(tmp_path, replace(PLAN, phases=phases))
    display = Display(console, run.manifest)
    display.making_inputs("net")
    display.made_inputs("net")
    assert console.file.getvalue() == f"{line}\n"  # type: ignore[attr-defined]


def test_the_waves_of_a_users_model_are_named_by_what_they_do() -> None:
    plan = verification(("net", "onnx", "model.onnx"))
    console = Console(file=io.StringIO(), width=120)
    display = Display(console)
    display.planned([job for wave in WAVES for job in plan.jobs(wave)], retry=False)
    first, second = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert first == "read the model: 1 job on 1 cell"
    assert second.startswith("serve the model: ")


PLAN = planned("torch-debian1*-a*64-cpu", "onnxruntime-debian1*-a*64-cpu")
NATIVE, EMULATED = "onnxruntime-debian12-amd64-cpu", "onnxruntime-debian13-arm64-cpu"
LANE = ("", (0,))


def jobs_of(cell: str) -> list[Job]:
    """Return the jobs of a cell in the first round, those whose times count first."""
    jobs = [job for job in PLAN.jobs("consume") if job.cell == cell and job.round == 0]
    return sorted(jobs, key=lambda job: not PLAN.is_timed(job))


def display_of(folder: Path) -> tuple[Display, io.StringIO]:
    printed = io.StringIO()
    return Display(Console(file=printed, width=200), new_run(folder, PLAN, "one").manifest), printed


def test_the_line_of_a_job_that_serves_has_its_verdict(tmp_path: Path) -> None:
    display, printed = display_of(tmp_path)
    jobs = jobs_of(NATIVE)[:4]
    wrong = Agreement(error=0.5, producer_error=1e-7, from_producer=0.5, scale=10.0)
    display.planned(jobs, retry=False)
    for job, changes in zip(
        jobs,
        ({}, {"agreement": wrong}, {"agreement": None}, {"status": "oom", "cause": "no memory"}),
        strict=True,
    ):
        display.started(job, LANE)
        display.ended(job, record(job, **changes))
    _, matching, drifting, unjudged, failed = printed.getvalue().splitlines()
    assert matching.startswith("✓ ")
    assert matching.endswith("  match")
    assert drifting.startswith("≠ ")
    assert "  drift: error 5.0e-01 is above " in drifting
    assert unjudged.startswith("– ")
    assert unjudged.endswith("  checked later")
    assert failed.startswith("✗ ")
    assert "  oom: no memory  (logs/" in failed


def test_a_failure_that_was_expected_says_so_and_why(tmp_path: Path) -> None:
    served = jobs_of(NATIVE)[0]
    assert served.artifact
    trained = next(PLAN.jobs("produce"))
    expected = (
        ExpectedFailure(cells=NATIVE, subjects=served.artifact.id, reason="its loop is refused"),
        ExpectedFailure(cells=trained.cell, subjects=trained.workload, reason="it never learns"),
    )
    manifest = new_run(tmp_path, PLAN, "one").manifest
    matrix = manifest.matrix.model_copy(update={"expected_failures": expected})
    console = Console(file=io.StringIO(), width=200)
    display = Display(console, manifest.model_copy(update={"matrix": matrix}))
    display.planned([served], retry=False)
    display.ended(served, record(served, status="unsupported", cause="Loop-15 is refused"))
    display.ended(served, record(served))
    display.planned([trained], retry=False)
    display.ended(trained, record(trained, status="timeout", cause="it took too long"))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    _, refused, passing, _, failed = text.splitlines()
    assert refused.startswith("~ 1/1 ")
    assert refused.endswith("  unsupported, as expected: its loop is refused")
    assert passing.startswith("✓ ")
    assert failed.startswith("~ ")
    assert failed.endswith("  timeout, as expected: it never learns")


def test_what_trains_has_no_verdict(tmp_path: Path) -> None:
    display, printed = display_of(tmp_path)
    for job in PLAN.jobs("produce"):
        display.planned([job], retry=False)
        display.ended(job, record(job))
        time = "emulated" if job.cell in PLAN.emulated else "1.50 s"
        assert printed.getvalue().splitlines()[-1].endswith(f"round {job.round}  {time}")


def test_a_job_that_is_tried_alone_later_leaves_its_lane_to_the_next_one(tmp_path: Path) -> None:
    display, _ = display_of(tmp_path)
    doubtful, following, *_ = jobs_of(NATIVE)
    display.planned([doubtful, following], retry=False)
    display.ended(following, record(following, wall_s=3600.0))
    display.planned([doubtful, following], retry=False)
    display.started(doubtful, LANE)
    display.started(following, LANE)
    assert display.remaining() == "about 120:00 left"  # not half of it: there is one lane
    display.started(doubtful, ("", (1,)))
    assert display.remaining() == "about 60:00 left"


def test_a_job_is_over_whichever_thread_says_so(tmp_path: Path) -> None:
    display, _ = display_of(tmp_path)
    first, following, *_ = jobs_of(NATIVE)
    display.planned([first, following], retry=False)
    display.started(first, LANE)

    def advance() -> None:  # an engine does it in a thread of its own
        display.ended(first, record(first))
        display.started(following, LANE)

    engine = threading.Thread(target=advance)
    engine.start()
    engine.join()
    assert [job for job, _ in display._running.values()] == [following]
    display.ended(following, record(following))
    assert display._running == {}


def test_the_time_left_is_at_least_what_is_known(tmp_path: Path) -> None:
    display, _ = display_of(tmp_path)
    native, (emulated, *_) = jobs_of(NATIVE), jobs_of(EMULATED)
    (other, *_) = jobs_of("torch-debian12-amd64-cpu")
    display.planned([*native[:2], other, emulated], retry=False)
    assert display.remaining() == "estimating …"
    display.ended(native[0], record(native[0], wall_s=60.0))
    assert display.remaining() == "at least 2:00 left"  # the other native cell may take as long
    display.ended(emulated, record(emulated, wall_s=600.0))
    assert display.remaining() == "about 2:00 left"


def of_both_kinds(folder: Path, checked: int) -> tuple[Display, list[Job], list[Job]]:
    """Return a display of three timed jobs and a number of checked ones, and these jobs."""
    plan = planned("torch-debian12-amd64-cpu")
    display = Display(Console(file=io.StringIO()), new_run(folder, plan, "one").manifest)
    jobs = list(plan.jobs("produce"))
    timed = [job for job in jobs if plan.is_timed(job)][:3]
    untimed = [job for job in jobs if not plan.is_timed(job)][:checked]
    display.planned([*timed, *untimed], retry=False)
    return display, timed, untimed


def test_what_is_only_checked_tells_nothing_of_what_timed_work_takes(tmp_path: Path) -> None:
    display, timed, checked = of_both_kinds(tmp_path, checked=2)
    display.ended(timed[0], record(timed[0], wall_s=60.0))
    assert display.remaining() == "at least 2:00 left"
    display.ended(checked[0], record(checked[0], wall_s=3.0))
    assert display.remaining() == "about 2:03 left"


def test_the_time_left_counts_the_lanes_of_each_kind_of_work(tmp_path: Path) -> None:
    display, timed, checked = of_both_kinds(tmp_path, checked=3)
    for job in (timed[0], checked[0]):
        display.started(job, LANE)
        display.ended(job, record(job, wall_s=60.0))
    for number, job in enumerate(checked[1:3]):
        display.started(job, ("", (number,)))
    assert display.remaining() == "about 3:00 left"  # 2 minutes of one lane, 2 of two


def test_the_time_left_takes_as_long_to_reckon_with_many_jobs_as_with_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    display, timed, _ = of_both_kinds(tmp_path, checked=0)
    display.planned(timed, retry=False)
    for _ in range(9):
        display.ended(timed[0], record(timed[0], wall_s=60.0))
        display.planned(timed, retry=False)
    counted, real = list[int](), statistics.median

    def median(values: list[float]) -> float:
        counted.append(len(values))
        return real(values)

    monkeypatch.setattr(statistics, "median", median)
    assert display.remaining() == "about 3:00 left"
    assert counted == [9]


def test_a_job_that_takes_longer_than_others_did_is_said_to(tmp_path: Path) -> None:
    display, _ = display_of(tmp_path)
    first, following, *_ = jobs_of(NATIVE)
    display.planned([first, following], retry=False)
    display.ended(first, record(first, wall_s=0.01))
    display.started(following, LANE)
    time.sleep(0.02)
    assert display.remaining() == "longer than expected"


def test_what_took_the_time_adds_up() -> None:
    now = 0.0
    spending = Spending(clock=lambda: now)
    assert spending.line() == ""
    for who, what, until in (
        ("torch", "making cells ready", 60),
        ("jax", "making cells ready", 180),  # side by side with torch's
    ):
        spending.begin(who, what)
        now = until
    spending.end("torch")
    spending.end("jax")
    now += 30
    spending.begin(1, "timed work")
    now += 240
    spending.begin(2, "emulated producers")  # they share two minutes
    now += 120
    spending.end(1)
    now += 300
    spending.end(2)
    assert spending.line() == (
        "14 min: emulated producers 6 min, timed work 5 min, making cells ready 3 min, "
        "the rest 30 s"
    )


def test_a_run_ends_with_what_took_its_time(tmp_path: Path) -> None:
    display, printed = display_of(tmp_path)
    (job, *_), (emulated, *_) = jobs_of(NATIVE), jobs_of(EMULATED)
    with display:
        display.planned([job, emulated], retry=False)
        for each, seconds in ((job, 0.6), (emulated, 1.6)):
            display.started(each, LANE)
            time.sleep(seconds)
            display.ended(each, record(each))
    assert printed.getvalue().splitlines()[-1] == "2 s: emulated consumers 2 s, timed work 1 s"


def test_lanes_that_end_while_the_panel_is_redrawn_do_not_block_it(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=200, force_terminal=True)
    display = Display(console, new_run(tmp_path, PLAN, "one").manifest)
    jobs = jobs_of(NATIVE)
    done = threading.Event()

    def follow_lane() -> None:
        for _ in range(5):
            display.planned(jobs, retry=False)
            for job in jobs:
                display.started(job, LANE)
                display.ended(job, record(job))
        done.set()

    def redraw() -> None:
        while not done.is_set():
            display._live.refresh()

    display.__enter__()
    threads = [threading.Thread(target=each, daemon=True) for each in (follow_lane, redraw)]
    for thread in threads:
        thread.start()
    assert done.wait(60)  # before the display ends, which would wait too
    for thread in threads:
        thread.join()
    display.__exit__(None, None, None)
