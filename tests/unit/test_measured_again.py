"""What seems slower between two runs is measured again, both in turn, before it counts."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from deepmatrix.boundary.files import Damaged
from deepmatrix.cli import main, resuming
from deepmatrix.cli.side_by_side import trying
from deepmatrix.comparison import limits
from deepmatrix.comparison.trials import (
    NOT_MEASURED,
    OWN_WORK,
    confirmed,
    key_of,
    split_suspects,
    suspects,
)
from deepmatrix.engines import Prepared, venv
from deepmatrix.errors import EngineError
from deepmatrix.execution.runner import Runner
from deepmatrix.execution.sessions.splitting import split
from deepmatrix.images import inspection
from deepmatrix.machine import locks, processes
from deepmatrix.paths import SCHEMAS
from deepmatrix.planning.plan import Plan
from deepmatrix.planning.subjects import Artifact, Kept
from deepmatrix.planning.trials import NAMES, plan_repeat
from deepmatrix.store.reported.output import Output
from deepmatrix.store.runs import Run
from tests.unit.examples import MATRIX, new_run, planned
from tests.unit.test_compare import compared, rounds_run
from tests.unit.test_reuse import JAX, ORT, TORCH, WORKLOAD, AnsweringEngine, Told, small_matrix
from tests.unit.test_reuse import small_plan as two_rounds

OLD, NEW = f"deepmatrix/{ORT}:old", f"deepmatrix/{ORT}:new"
ROUNDS = 4


@dataclass
class PacedEngine(AnsweringEngine):
    """An engine on which ONNX Runtime takes longer on some days, or in some images.

    *day*: how many times as long as usual. *paces*: the same, by image.
    """

    day: float = 1.0
    paces: dict[str, float] = field(default_factory=dict)
    isolates: bool = True

    def timed(self, answered: Output, cell: str) -> Output:
        if not cell.startswith("onnxruntime"):
            return answered
        factor = self.day * self.paces.get(self._image(cell), 1.0)
        document = answered.model_dump(mode="json", by_alias=True)
        for phase in document["records"]:
            for batch in phase["data"].get("batches", {}).values():
                batch["latency_s"] = [factor * seconds for seconds in batch["latency_s"]]
        return Output.model_validate(document)


def small_plan(**changes: Any) -> Plan:
    """Return a plan in which ONNX Runtime serves what two frameworks export."""
    return replace(two_rounds(TORCH, JAX, ORT), rounds_native=ROUNDS, **changes)


def run_on(engine: AnsweringEngine, parent: Path, name: str, plan: Plan) -> None:
    run = Run.create(parent, plan, small_matrix(), version="1", name=name)
    Runner(run=run, engine=engine, watcher=Told()).execute()


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with two runs, ``base`` and ``head``, of other images on another day."""
    monkeypatch.setattr(locks, "SAMPLING", tmp_path / "sampling.lock")  # it waits for no other run
    engine = PacedEngine(images={ORT: OLD})
    run_on(engine, tmp_path, "base", small_plan())
    engine.images[ORT], engine.day = NEW, 1.2
    run_on(engine, tmp_path, "head", small_plan())
    return tmp_path


@dataclass
class Compared:
    """What the command said: its exit code, the document and the screen."""

    code: int
    document: dict[str, Any]
    screen: str

    def times(self, *keys: str) -> list[dict[str, Any]]:
        """Return the times that seemed slower, of which one of some keys is told."""
        return [time for time in self.document["times"] if any(time[key] for key in keys)]


Compare = Callable[..., Compared]


@pytest.fixture
def compare(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Compare:
    """Return the command, with an engine that answers it."""
    monkeypatch.setenv("COLUMNS", "500")

    def run(engine: AnsweringEngine | None, *words: str) -> Compared:
        def choose(*_: object, **__: object) -> AnsweringEngine:
            if engine is None:
                raise EngineError("no container engine answers")
            return engine

        monkeypatch.setattr(resuming, "choose", choose)
        path = runs / "comparison.json"
        path.unlink(missing_ok=True)
        sides = (str(runs / "base"), str(runs / "head"))
        where = ("--json", str(path), "--runs", str(runs))
        code = main.main(["compare", *sides, "--fail-on", "slower:5%", *where, *words])
        shown = capsys.readouterr()
        document = json.loads(path.read_text("utf-8")) if path.exists() else {}
        return Compared(code=code, document=document, screen=shown.out + shown.err)

    return run


def test_a_slow_day_is_no_slowdown(compare: Compare) -> None:
    engine = PacedEngine()
    done = compare(engine, "--rounds", "3")
    assert done.code == 0, done.screen
    assert not done.document["broken"]
    suspected = done.times("again", "unrepeated")
    assert {time["quantity"] for time in suspected} == {"inference", "all"}
    assert {time["subject"] for time in suspected if time["subject"]} == {
        f"{cell}--{WORKLOAD}--onnx" for cell in (TORCH, JAX)
    }
    for time in suspected:
        assert (time["again"], time["word"]) == (True, "cannot tell")
        assert (time["cell"], time["rounds"]) == (ORT, [3, 3])
        assert time["ratio"] == pytest.approx(1)
    # Each artifact of each run, three rounds, by the image of its own run; old and new in turn.
    assert len(engine.ran) == 2 * 2 * 3
    for _, jobs in itertools.groupby(engine.ran, key=lambda job: job.rpartition("--")[2]):
        assert {job.split("-")[0] for job in jobs} == {"onnxruntime_base", "onnxruntime_head"}
    for job in engine.ran:
        name = job.split("-")[0].removeprefix("onnxruntime_")
        assert f"--{name}-" in job
    served = {name: engine.images[f"onnxruntime_{name}-debian12-amd64-cpu"] for name in NAMES}
    assert served == {"base": OLD, "head": NEW}


def test_the_new_run_can_be_looked_at_and_is_not_resumed(runs: Path, compare: Compare) -> None:
    compare(PacedEngine())
    (again,) = (path.parent for path in runs.glob("2*/plan.json"))
    assert main.main(["show", str(again)]) == 0
    assert main.main(["merge", str(again)]) == 1  # its answers are made up
    assert (again / "report.html").is_file()
    assert main.main(["matrix", "--resume", again.name, "--runs", str(runs)]) == 2


def test_a_slowdown_that_new_rounds_show_too_counts_with_their_numbers(compare: Compare) -> None:
    done = compare(PacedEngine(paces={NEW: 1.1}))
    assert done.code == 1
    assert done.document["broken"]
    for time in done.times("again"):
        assert time["word"] == "slower"
        assert time["ratio"] == pytest.approx(1.1)  # not the 1.2 of the first measurement
        assert time["rounds"] == [trying.ROUNDS, trying.ROUNDS]
    assert "measured again, old and new in turn" in done.screen
    schema = json.loads((SCHEMAS / "comparison.schema.json").read_text("utf-8"))
    jsonschema.validate(done.document, schema)


@pytest.mark.parametrize("seed", range(6))
def test_what_opens_a_process_opens_it_again_in_both_runs(seed: int) -> None:
    """The time to the first inference is of what opens a process."""
    plan = small_plan(seed=seed)
    served = {ORT: [artifact.id for artifact in plan.artifacts()]}
    known = dict.fromkeys(served[ORT], "0" * 64)
    again, _ = plan_repeat([plan, plan], ["a", "b"], served, [known, known], 1)

    def opening(of: Plan) -> list[str]:
        sessions = split(of, [job for job in of.jobs("consume") if job.round == 0])
        ids = [session.jobs[0].subject for session in sessions]
        return [kept.origin if (kept := of.kept_as(name)) else name for name in ids]

    assert opening(again) == 2 * opening(plan)


def test_without_a_repeat_the_first_measurement_counts(compare: Compare) -> None:
    engine = PacedEngine()
    done = compare(engine, "--no-repeat")
    assert done.code == 1
    assert engine.ran == []
    assert not done.times("again", "unrepeated")


def remove_image(runs: Path, engine: PacedEngine) -> None:
    del runs
    engine.gone.add(OLD)


def remove_artifact(runs: Path, engine: PacedEngine) -> None:
    del engine
    for cell in (TORCH, JAX):
        (runs / "base" / "artifacts" / f"{cell}--{WORKLOAD}--onnx" / "inputs.npz").unlink()


def change_machine(runs: Path, engine: PacedEngine) -> None:
    del runs
    engine.facts["machine"] = "another"


def forget_provenance(runs: Path, engine: PacedEngine) -> None:
    del engine
    for path in (runs / "head" / "records" / ORT).rglob("r1.json"):
        document = json.loads(path.read_text("utf-8"))
        path.write_text(json.dumps({**document, "provenance": {}}), "utf-8")


def change_limits(runs: Path, engine: PacedEngine) -> None:
    del engine
    path = runs / "base" / "plan.json"
    document = json.loads(path.read_text("utf-8"))
    document["matrix"]["limits"]["deadline_s"] = 1234.0
    path.write_text(json.dumps(document), "utf-8")


def leave_results_alone(runs: Path, engine: PacedEngine) -> None:
    del engine
    assert main.main(["merge", str(runs / "base")]) in (0, 1)
    (runs / "base" / "plan.json").unlink()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (remove_image, f"/base: {OLD} is gone ("),
        (remove_artifact, "--onnx, inputs.npz: it is missing, or no plain file ("),
        (change_machine, "/base: machine changed ("),
        (forget_provenance, "/head: its record does not say what made it: an older version"),
        (change_limits, "the runs differ in their limits ("),
        (leave_results_alone, "/base has the results of a run, and not the run ("),
    ],
)
def test_what_is_not_at_hand_counts_as_it_was_and_says_why_in_a_line(
    change: Callable[[Path, PacedEngine], None], reason: str, runs: Path, compare: Compare
) -> None:
    engine = PacedEngine()
    change(runs, engine)
    done = compare(engine)
    assert done.code == 1, done.screen
    assert engine.ran == []
    assert done.document["broken"]
    assert not done.times("again")
    assert {time["word"] for time in done.times("unrepeated")} == {"slower"}
    said = [line for line in done.screen.splitlines() if line.startswith("not measured again")]
    assert any(reason in line and f"({ORT})" in line for line in said), done.screen
    assert len(said) <= 2  # a line for each reason: here of two artifacts at most


def test_one_version_of_this_program_measures_what_two_had_measured(
    runs: Path, compare: Compare
) -> None:
    for path in (runs / "base" / "records" / ORT).rglob("r*.json"):
        document = json.loads(path.read_text("utf-8"))
        provenance = {**document["provenance"], "program": "0" * 16, "harness": "1" * 16}
        path.write_text(json.dumps({**document, "provenance": provenance}), "utf-8")
    done = compare(PacedEngine())
    assert done.times("again")
    assert not done.times("unrepeated")


def test_where_no_engine_answers_the_first_measurement_counts(compare: Compare) -> None:
    done = compare(None)
    assert done.code == 1
    said = "not measured again, so the first measurement counts: head began on the engine docker"
    assert f"{said}: no container engine answers ({ORT})" in done.screen


def test_ctrl_c_ends_the_repeat_and_says_to_start_again(compare: Compare) -> None:
    done = compare(PacedEngine(limit=3))
    assert done.code == 130
    assert "runs of compare are not resumed: start it again" in done.screen
    assert not done.document


def test_artifacts_of_cells_with_the_longest_names_are_served_again(tmp_path: Path) -> None:
    name = "torch_with_our_own_compiler_flags_and_mk"
    plan = planned(TORCH, ORT)
    cells = [replace(cell, name=name) if cell.name == "torch" else cell for cell in plan.cells]
    plan, longest = replace(plan, cells=tuple(cells)), TORCH.replace("torch", name)
    names = [artifact.id for artifact in plan.artifacts() if artifact.format == "onnx"]
    known = [dict.fromkeys(names, digit * 64) for digit in "12"]
    again, _ = plan_repeat([plan, plan], ["one", "two"], {ORT: names[:2]}, known, 5)
    run = Run.create(tmp_path, again, MATRIX, version="1", name="again")
    assert {kept.artifact.producer for kept in run.manifest.plan.kept} == {
        f"base-{longest}",
        f"head-{longest}",
    }


def test_an_artifact_is_served_by_the_cells_of_its_own_run_only(tmp_path: Path) -> None:
    plan = planned(TORCH, ORT)
    names = [artifact.id for artifact in plan.artifacts() if artifact.format == "onnx"]
    known = [dict.fromkeys(names, digit * 64) for digit in "12"]
    again, (base, head) = plan_repeat([plan, plan], ["one", "two"], {ORT: names[:2]}, known, 5)
    jobs = list(again.jobs("consume"))
    assert not list(again.jobs("produce"))
    assert len(jobs) == again.size("consume") == 2 * 2 * 5
    for trial, digit in ((base, "1"), (head, "2")):
        ((own, cell),) = trial.cells
        assert (own.id, cell.environment, cell.options) == (ORT, own.environment, own.options)
        assert {kept.fingerprint for kept in trial.kept} == {digit * 64}
        mine = [job for job in jobs if job.cell == cell.id]
        assert {job.round for job in mine} == set(range(5))
        assert {job.subject for job in mine} == {kept.artifact.id for kept in trial.kept}
    run = new_run(tmp_path, again)
    assert Run.open(run.path).manifest.plan == again
    assert again.command == "compare"
    assert MATRIX.limits == run.manifest.matrix.limits


@pytest.mark.parametrize(
    "change",
    [
        {"artifact": Artifact(producer="../x", workload="w", format="onnx")},
        {"artifact": Artifact(producer="x", workload="../w", format="onnx")},
        {"artifact": Artifact(producer="x", workload="w", format="../onnx")},
        {"consumers": ("nobody",)},
        {"fingerprint": "1"},
    ],
)
def test_a_plan_whose_kept_artifacts_leave_the_run_is_refused(
    change: dict[str, Any], tmp_path: Path
) -> None:
    right = Kept(
        artifact=Artifact(producer="x", workload="w", format="onnx"),
        origin="x",
        consumers=(ORT,),
        fingerprint="1" * 64,
    )
    plan = replace(planned(ORT), workloads=(), phases=(), kept=(right,))
    run = new_run(tmp_path, plan)
    document = run.manifest.model_copy(
        update={"plan": replace(plan, kept=(replace(right, **change),))}
    )
    (run.path / "plan.json").write_text(document.model_dump_json(), "utf-8")
    with pytest.raises(Damaged):
        _ = Run(path=run.path).manifest


def test_training_is_not_repeated_and_a_mean_needs_all_that_it_is_of(tmp_path: Path) -> None:
    first = compared(rounds_run(tmp_path, "one", 1), rounds_run(tmp_path, "two", 2, slower=1.1))
    (mean,) = (time for time in first.slower if time.quantity == "all")
    inferences = {time.subject for time in first.times if time.cell == mean.cell and time.batch}
    served, refused = split_suspects(first, [mean], lambda *_: "")
    assert (served, refused) == ({mean.cell: inferences}, {})
    lost = sorted(inferences)[0]
    served, refused = split_suspects(
        first, [mean], lambda _, subject: "gone" if subject == lost else ""
    )
    assert (served, refused) == ({}, {key_of(mean): "gone"})
    step = mean.model_copy(update={"quantity": "training step", "subject": "digits"})
    assert split_suspects(first, [step], lambda *_: "") == ({}, {key_of(step): OWN_WORK})


def test_a_suspect_without_a_second_measurement_stays_slower(tmp_path: Path) -> None:
    base = rounds_run(tmp_path, "one", 1)
    first = compared(base, rounds_run(tmp_path, "two", 2, slower=1.1))
    calm = compared(base, rounds_run(tmp_path, "three", 3))
    wanted = limits.parse("slower:5%")
    suspected = suspects(first, wanted)
    refused = {key_of(suspected[0]): "its image is gone"}
    decided = {key_of(time): time for time in confirmed(first, calm, suspected, refused).times}
    kept = decided[key_of(suspected[0])]
    assert (kept.word, kept.again, kept.unrepeated) == ("slower", False, "its image is gone")
    assert all(decided[key_of(time)].again for time in suspected[1:])
    nothing = confirmed(first, calm.model_copy(update={"times": ()}), suspected)
    assert limits.broken(nothing, wanted) == limits.broken(first, wanted)
    assert {time.unrepeated for time in nothing.times if time.word == "slower"} <= {
        NOT_MEASURED,
        "",
    }


def test_only_an_image_of_ours_with_the_same_content_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    same, other = (f"sha256:{digit * 64}" for digit in "12")
    listed = f"{OLD}\n{NEW}\n"

    def answer(command: list[str], **_: object) -> str:
        return listed if "ls" in command else json.dumps([1, same, {}]) + "\n"

    monkeypatch.setattr(processes, "run", answer)
    earlier = Prepared(cell_id=ORT, reference=OLD, image_id=same, built=True, build_s=3.0)
    assert inspection.absence(earlier, {}) == ""
    changed = replace(earlier, image_id=other)
    assert inspection.absence(changed, {}) == f"{OLD} is another image by now"
    foreign = replace(earlier, reference="debian:12")
    assert inspection.absence(foreign, {}) == "the image debian:12 is not here any more"
    taken = earlier.adopted("renamed", "")
    assert (taken.cell_id, taken.built, taken.build_s, taken.error) == (
        "renamed",
        False,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("reference", "is_here"),
    [("whole", True), ("part", False), ("gone", False), ("..", False), ("../whole", False)],
)
def test_only_a_whole_environment_of_ours_is_taken(
    reference: str, is_here: bool, tmp_path: Path
) -> None:
    for name in ("venvs/whole", "venvs/part", "whole"):
        (tmp_path / name).mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "whole", tmp_path / "venvs" / "whole"):
        (folder / venv.COMPLETE).write_text('{"bytes": 1, "seconds": 1.0}', "utf-8")
    engine = venv.VenvEngine(root=tmp_path / "venvs")
    (cell,) = planned(ORT).cells
    taken = engine.adopt(cell, Prepared(cell_id=ORT, reference=reference))
    assert taken.error == (None if is_here else f"the environment {reference} is not here any more")
