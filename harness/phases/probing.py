"""Probes: small programs that show what a framework can express, see `harness.probes`."""

from typing import Any, Dict

from harness import control, probes, record
from harness.phases.workload import WorkloadJob


def probe(job: WorkloadJob, data: Dict[str, Any]) -> None:
    """Try all probes of this framework; write their answers to `record.PROBES`."""
    inputs = job.arrays(job.document["probes"])
    module = job.beside_adapter("probes")
    answers, data["probes"] = probes.try_all(module, inputs)
    control.save_arrays(job.directory, record.PROBES, answers)
