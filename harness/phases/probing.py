"""Probes: small programs that show what a framework can express, see `harness.probes`."""

from typing import Any, Dict

from harness import control, probes, record
from harness.phases.workload import Session


def probe(session: Session, data: Dict[str, Any]) -> None:
    """Try all probes of this framework; write their answers to `record.PROBES`."""
    inputs = session.arrays(session.job["probes"])
    module = session.beside_adapter("probes")
    answers, data["probes"] = probes.try_all(module, inputs)
    control.save_arrays(session.directory, record.PROBES, answers)
