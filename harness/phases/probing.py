"""What a framework can express: small programs, and what its files say of it.

See `harness.probes` and `harness.measuring.facts`.
"""

from typing import Any, Dict

from harness import control, failures, probes, record
from harness.measuring import facts
from harness.phases.workload import WorkloadJob


def probe(job: WorkloadJob, data: Dict[str, Any]) -> None:
    """Try all probes of this framework, and look for its facts; the answers: `record.PROBES`.

    No failure of the facts takes the probes with it.
    """
    inputs = job.arrays(job.document["probes"])
    module = job.beside_adapter("probes")
    answers, data["probes"] = probes.try_all(module, inputs)
    control.save_arrays(job.directory, record.PROBES, answers)
    if job.has_beside_adapter("facts"):
        data["facts"] = _facts(job)


def _facts(job: WorkloadJob) -> Dict[str, Any]:
    """Return the outcomes of the facts; where their module cannot be imported, one that says so."""
    try:
        module = job.beside_adapter("facts")
    except failures.CAUGHT as exception:
        return {"facts": facts.failed(exception)}
    return facts.find_all(module)
