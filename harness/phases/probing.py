"""What a framework can express: small programs, and what its files say of it.

See `harness.probes` and `harness.measuring.facts`.
"""

from typing import Any, Dict

from harness import control, probes, record
from harness.measuring import facts
from harness.phases.workload import WorkloadJob


def probe(job: WorkloadJob, data: Dict[str, Any]) -> None:
    """Try all probes of this framework, and look for its facts; the answers: `record.PROBES`."""
    inputs = job.arrays(job.document["probes"])
    module = job.beside_adapter("probes")
    answers, data["probes"] = probes.try_all(module, inputs)
    if job.has_beside_adapter("facts"):
        data["facts"] = facts.find_all(job.beside_adapter("facts"))
    control.save_arrays(job.directory, record.PROBES, answers)
