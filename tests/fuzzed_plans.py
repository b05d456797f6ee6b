"""Plans that are resumed: what a run's ``plan.json`` makes of its jobs, up to their processes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import TypeAdapter

from deepmatrix.cli.resuming import describe_rest
from deepmatrix.config.sections import Infer
from deepmatrix.execution.runner import missing_jobs
from deepmatrix.execution.sessions.lanes import Lane
from deepmatrix.execution.sessions.splitting import split
from deepmatrix.execution.sessions.staging import plan_stages
from deepmatrix.execution.tasks import TaskMaker
from deepmatrix.planning.cells import Capabilities
from deepmatrix.planning.model_plan import plan_models
from deepmatrix.planning.plan import WAVES
from deepmatrix.planning.selection import Selection
from deepmatrix.store.manifests import Manifest
from deepmatrix.store.runs import Run
from tests.fuzzed_places import writer
from tests.fuzzing import Reader
from tests.unit.examples import DOCKER, MATRIX, new_run, planned

#: So many jobs of a wave are made ready.
TRIED = 20

NATIVE = Capabilities(engine="docker", native=frozenset({"amd64"}))
INFER = Infer(batches=(1,), samples=1, min_s=0, warmup=0, repeats=2)


def plan_readers(folder: Path) -> Iterator[Reader]:
    """Yield the reader of the plan of a run that is resumed: of a matrix, of models, of both."""
    models = [("first", "onnx", "a.onnx"), ("second", "onnx", "b.onnx")]
    selection = Selection(include=("onnxruntime-debian12-amd64-cpu",), preset="default")
    plans = (
        planned("torch-debian12-amd64-cpu", "onnxruntime-debian12-amd64-cpu"),
        plan_models(MATRIX, models, selection, DOCKER, seed=0, infer=INFER, first="same"),
    )
    runs = [new_run(folder, plan, f"resumed{number}") for number, plan in enumerate(plans)]
    paths = [run.path / "plan.json" for run in runs]
    documents = [json.loads(path.read_bytes()) for path in paths]
    of_matrix, of_models = (document["plan"] for document in documents)
    cells = [*of_matrix["cells"][:1], *of_models["cells"]]
    of_both = {**of_matrix, "imports": of_models["imports"], "cells": cells}
    documents.append({**documents[0], "plan": of_both})
    (folder / "control").mkdir()
    yield Reader(
        "a plan that is resumed", documents, TypeAdapter(Manifest).json_schema(),
        writer(paths[0], lambda: resume(Run.open(runs[0].path), folder / "control")),
    )  # fmt: skip


def resume(run: Run, control: Path) -> None:
    """Do what resuming a run does before a process starts."""
    describe_rest(run)
    plan = run.manifest.plan
    cells = {cell.id: cell for cell in plan.cells}
    for wave in WAVES:
        jobs = missing_jobs(run, wave, ())
        for stage in plan_stages(plan, jobs, lambda staged: split(plan, staged, lanes=2)):
            stage.open()
        for job in itertools.islice(jobs, TRIED):
            cell = cells[job.cell]
            emulated = job.cell in plan.emulated
            lane = Lane((0,), 1 << 30)
            maker = TaskMaker(run=run, capabilities=NATIVE, emulated=emulated, lane=lane)
            maker.task(job, cell, control)
            maker.write_input(job, cell, control, {})
