"""Answers of a workload's network that the host compares with gold: first step and idiom."""

import itertools
from typing import Any, Dict

from harness import control, record
from harness.phases.workload import WorkloadJob


def parity(job: WorkloadJob, data: Dict[str, Any]) -> None:
    """Take the first step without its update: every layer's output, every gradient.

    Writes `record.FIRST_STEP`; *data* gets the adapter's ``notes``.
    """
    job.require("build", "notes", "activations", "gradients")
    adapter = job.adapter
    data["notes"] = adapter.notes(job.document["workload"]["network"])
    model = job.initial_model()
    x, y = next(job.batches())
    arrays = {"output/" + name: value for name, value in adapter.activations(model, x).items()}
    gradients = adapter.gradients(model, adapter.put(x, y))
    arrays.update({"gradient/" + name: value for name, value in gradients.items()})
    control.save_arrays(job.directory, record.FIRST_STEP, arrays)


def idiom(job: WorkloadJob, data: Dict[str, Any]) -> None:
    """Answer the first batch with the idiomatic network, before and after training.

    The network and its training loop are written as a user of the framework writes them, see
    `harness.idioms`. Both answers start from the initial weights; training takes
    `record.IDIOM_STEPS` steps at the first rate. Writes `record.IDIOM_LOGITS`.
    """
    del data  # the answers are in the file
    proof = job.beside_adapter("idioms.proof")
    workload, weights = job.document["workload"], job.workload("weights")
    batches = list(itertools.islice(job.batches(), record.IDIOM_STEPS))
    network, rate = workload["network"], float(job.workload("order")["rates"][0])
    answers = {
        "y": proof.logits(network, weights, batches[0][0]),
        "trained": proof.trained_logits(network, weights, batches, rate),
    }
    control.save_arrays(job.directory, record.IDIOM_LOGITS, answers)
