"""The schedule: sites in threads that share stages, give sessions back and are put aside."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from deepmatrix.execution.sessions.lanes import run_together
from deepmatrix.execution.sessions.schedule import Schedule, Stage, Suits
from deepmatrix.execution.sessions.splitting import Session
from deepmatrix.planning.plan import Job

#: What no schedule here takes, by far: a site that waits for so long waits for ever.
ENDS_S = 20.0


def job(cell: str, number: int = 0) -> Job:
    return Job(wave="produce", cell=cell, subject="model", round=number, phases=("train",))


def stage_of(
    *cells: str, after: Sequence[Stage] = (), is_timed: bool = False, is_done: bool = False
) -> Stage:
    """Return a stage with a session of each cell; none where all *is_done* before."""

    def sessions_of(jobs: Sequence[Job]) -> list[Session]:
        return [] if is_done else [Session(jobs=(each,), is_timed=is_timed) for each in jobs]

    jobs = [job(cell) for cell in cells]
    return Stage(jobs, is_timed=is_timed, after=after, sessions_of=sessions_of)


def suits_cell(cell: str) -> Suits:
    return lambda session: session.cell == cell


def work_together(works: Sequence[Callable[[], None]], cancel: threading.Event) -> None:
    """Do works in threads, all of which have to end."""
    errors: list[BaseException] = []

    def work() -> None:
        try:
            run_together(works, cancel)
        except BaseException as error:  # raised again below
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(ENDS_S)
    assert not thread.is_alive()
    if errors:
        raise errors[0]


def test_a_stage_opens_after_one_that_stands_later_and_has_nothing_to_do() -> None:
    produced = stage_of("torch", is_done=True)
    middle = stage_of("torch", after=[produced], is_done=True)
    served = stage_of("onnx", after=[middle])
    cells: list[str] = []

    def serve(stage: Stage) -> None:
        cells.extend(session.cell for session in stage.sessions_for(lambda _: True))

    Schedule([served, middle, produced], threading.Event()).enter(lambda _: True, serve)()
    assert cells == ["onnx"]


def test_a_site_that_looks_first_waits_for_those_that_have_yet_to_look() -> None:
    produced = stage_of("torch")
    schedule = Schedule([produced, stage_of("onnx", after=[produced])], threading.Event())
    cells: list[str] = []

    def enter(cell: str) -> Callable[[], None]:
        def serve(stage: Stage) -> None:
            cells.extend(session.cell for session in stage.sessions_for(suits_cell(cell)))

        return schedule.enter(suits_cell(cell), serve)

    produce, consume = enter("torch"), enter("onnx")

    def produce_later() -> None:
        time.sleep(0.1)
        produce()

    work_together([consume, produce_later], threading.Event())
    assert cells == ["torch", "onnx"]


def test_an_error_as_a_stage_opens_ends_all_sites() -> None:
    def sessions_of(jobs: Sequence[Job]) -> list[Session]:
        raise ZeroDivisionError(jobs[0].id)

    produced = stage_of("torch")
    broken = Stage([job("onnx")], is_timed=False, after=[produced], sessions_of=sessions_of)
    cancel = threading.Event()
    schedule = Schedule([produced, broken], cancel)

    def serve(stage: Stage) -> None:
        list(stage.sessions_for(lambda _: True))

    works = [schedule.enter(lambda _: True, serve) for _ in range(3)]
    with pytest.raises(ZeroDivisionError):
        work_together(works, cancel)


def test_ctrl_c_ends_a_site_that_waits() -> None:
    produced = stage_of("torch")
    cancel = threading.Event()
    schedule = Schedule([produced, stage_of("onnx", after=[produced])], cancel)

    def serve(stage: Stage) -> None:
        list(stage.sessions_for(suits_cell("torch")))
        cancel.wait(ENDS_S)

    works = [
        schedule.enter(suits_cell("torch"), serve),
        schedule.enter(suits_cell("onnx"), pytest.fail),
    ]
    threading.Timer(0.1, cancel.set).start()
    work_together(works, cancel)
    assert cancel.is_set()


@dataclass(kw_only=True)
class RandomSite:
    """A site of a random trial: it loses sessions, and is put aside, as it is drawn."""

    cells: set[str]
    measures: set[str]
    draw: random.Random
    trial: Trial
    has_lanes: bool
    lost: set[str] = field(default_factory=set)
    is_aside: bool = False

    def suits(self, session: Session) -> bool:
        cells = self.measures if session.is_timed else self.cells
        is_new = self.lost.isdisjoint(each.id for each in session.jobs)
        return not self.is_aside and session.cell in cells and is_new

    def suits_alone(self, session: Session) -> bool:
        return session.is_alone and self.suits(session)

    def suits_beside(self, session: Session) -> bool:
        return not session.is_alone and self.suits(session)

    def enter(self, schedule: Schedule, cancel: threading.Event) -> Callable[[], None]:
        if not self.has_lanes:
            return schedule.enter(self.suits, self.serving(self.suits))
        alone, beside = self.suits_alone, self.suits_beside
        works = [
            schedule.enter(alone, self.serving(alone), only_timed=True),
            schedule.enter(beside, self.serving(beside)),
        ]

        def work_off() -> None:
            run_together(works, cancel)
            schedule.enter(self.suits, self.serving(self.suits))()

        return work_off

    def serving(self, suits: Suits) -> Callable[[Stage], None]:
        def serve(stage: Stage) -> None:
            for session in stage.sessions_for(suits):
                self.trial.begin(stage)
                time.sleep(self.draw.choice((0, 0, 0.0005)))
                self.end(stage, session)

        return serve

    def end(self, stage: Stage, session: Session) -> None:
        """Do a session, or a part of it: the others are given back, lost or to be repeated."""
        if self.draw.random() > 0.2:
            self.trial.done.update(each.id for each in session.jobs)
            return
        first, *later = session.jobs
        self.trial.done.update(each.id for each in later)
        if self.draw.random() < 0.5 and not session.is_alone:
            repeated = Session(jobs=(first,), is_timed=False, is_repeated=True)
            stage.give_back(repeated)
            return
        self.lost.add(first.id)
        self.is_aside = self.draw.random() < 0.3 and self.trial.may_put_aside(self)
        stage.give_back(replace(session, jobs=(first,)))


@dataclass(kw_only=True)
class Trial:
    """What happened in a random trial: *early* has what was served before it was produced."""

    stages: list[Stage] = field(default_factory=list)
    after: dict[int, list[Stage]] = field(default_factory=dict)
    sites: list[RandomSite] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    early: list[Stage] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, stage: Stage) -> None:
        before = [each.id for earlier in self.after[id(stage)] for each in earlier.jobs]
        if any(not self.done[job_id] for job_id in before):
            self.early.append(stage)

    def may_put_aside(self, site: RandomSite) -> bool:
        """The first site, which can do all, stays."""
        return site is not self.sites[0]


CELLS = ("torch", "jax", "onnx", "tflite")


def random_trial(draw: random.Random) -> Trial:
    trial = Trial()
    for number in range(draw.randint(1, 7)):
        after = draw.sample(trial.stages, draw.randint(0, min(2, len(trial.stages))))
        is_timed = draw.random() < 0.4
        cells = draw.choices(CELLS, k=draw.randint(1, 6))
        jobs = [job(cell, 100 * number + place) for place, cell in enumerate(cells)]

        def sessions_of(
            jobs: Sequence[Job], is_timed: bool = is_timed, is_done: bool = draw.random() < 0.2
        ) -> list[Session]:
            if is_done:
                trial.done.update(each.id for each in jobs)
                return []
            by_cell = {cell: tuple(each for each in jobs if each.cell == cell) for cell in CELLS}
            return [Session(jobs=each, is_timed=is_timed) for each in by_cell.values() if each]

        stage = Stage(jobs, is_timed=is_timed, after=after, sessions_of=sessions_of)
        trial.stages.append(stage)
        trial.after[id(stage)] = after
    for number in range(draw.randint(1, 4)):
        trial.sites.append(
            RandomSite(
                cells=set(CELLS) if not number else set(draw.sample(CELLS, draw.randint(0, 3))),
                measures=set(),
                draw=random.Random(draw.random()),
                trial=trial,
                has_lanes=draw.random() < 0.4,
            )
        )
    return trial


def share_measuring(trial: Trial, draw: random.Random) -> None:
    for site in trial.sites:
        site.measures = set()
    for cell in CELLS:
        able = [site for site in trial.sites if cell in site.cells and not site.is_aside]
        draw.choice(able).measures.add(cell)


@pytest.mark.parametrize("seed", range(60))
def test_whatever_fails_every_job_is_done_once_and_nothing_before_its_time(seed: int) -> None:
    draw = random.Random(seed)
    trial = random_trial(draw)
    cancel = threading.Event()
    placed = draw.sample(trial.stages, len(trial.stages))
    schedule = Schedule(placed, cancel)
    for _ in range(200):
        share_measuring(trial, draw)
        work_together([site.enter(schedule, cancel) for site in trial.sites], cancel)
        if not schedule.waiting():
            break
        for site in trial.sites:
            site.lost.clear()
    assert all(stage.is_over for stage in trial.stages)
    assert trial.done == Counter(each.id for stage in trial.stages for each in stage.jobs)
    assert not trial.early
