"""Evidence: what a producer's files prove of its first step, its idiom and its probes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deepmatrix.judging import deviations, parity
from deepmatrix.planning.plan import Job
from deepmatrix.store import arrays
from deepmatrix.store.arrays import Floats
from deepmatrix.store.records import Parity
from deepmatrix.store.reported.output import Output
from deepmatrix.store.reported.phases import ProbeData
from deepmatrix.store.runs import Run
from deepmatrix.workloads import inputs, networks, probes
from harness.record import FIRST_STEP, IDIOM_LOGITS, PROBES


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The fields of a record of the same names."""

    parity: Parity | None = None
    idiom: float | None = None
    probes: dict[str, float | None] | None = None


def gather(run: Run, job: Job, output: Output, control: Path) -> Evidence:
    """Compare the files of the phases that succeeded with gold.

    Raises:
        arrays.Unreadable: a file or an array is missing, torn, or of another shape.
    """
    return Evidence(
        parity=_parity(run, job, control) if output.first_step() else None,
        idiom=_idiom(run, job, control) if output.idiom() else None,
        probes=_probes(data, control) if (data := output.probes()) else None,
    )


def _parity(run: Run, job: Job, control: Path) -> Parity:
    network = networks.NETWORKS[run.manifest.matrix.workloads[job.workload].network]
    truth = _first_step(run, job)
    del truth[inputs.TRAINED]  # it belongs to the idiom
    return parity.compare(network, truth, control / FIRST_STEP)


def _idiom(run: Run, job: Job, control: Path) -> float | None:
    network = networks.NETWORKS[run.manifest.matrix.workloads[job.workload].network]
    step = _first_step(run, job)
    truth = {
        "y": step[f"output/{network['layers'][-1]['name']}"],
        "trained": step[inputs.TRAINED],
    }
    shapes = {name: logits.shape for name, logits in truth.items()}
    idiom = arrays.read(control / IDIOM_LOGITS, shapes)
    return parity.worst_parity_error(
        {
            name: deviations.distance(idiom[name], logits, parity.scale(logits))
            for name, logits in truth.items()
        }
    )


def _probes(data: ProbeData, control: Path) -> dict[str, float | None]:
    """Return the error of every probe that succeeded; None where its arrays cannot be used."""
    errors: dict[str, float | None] = {}
    for name, expected in probes.expected_answers().items():
        outcome = data.probes.get(name)
        if outcome is None or outcome.status != "ok":
            continue
        wanted = {f"{name}/{part}": value.shape for part, value in expected.items()}
        try:
            answers = arrays.read(control / PROBES, wanted)
        except arrays.Unreadable:
            errors[name] = None
            continue
        parts = {part: answers[f"{name}/{part}"] for part in expected}
        errors[name] = probes.answer_error(name, parts)
    return errors


def _first_step(run: Run, job: Job) -> dict[str, Floats]:
    return arrays.read_all(inputs.first_step(run.inputs, job.workload))
