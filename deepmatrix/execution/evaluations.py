"""What an evaluator answers to a model that it inspects, as the answers of a consumer.

It has evaluated the model to say what is right: serving it in a process of its own would only
compute the same once more.
"""

from __future__ import annotations

from deepmatrix.planning.cells import Cell
from deepmatrix.planning.plan import Job, Plan, first_consumption
from deepmatrix.store.parts import Failure
from deepmatrix.store.reported.output import Output
from deepmatrix.store.reported.phases import InferData, InferRecord


def serving_job(plan: Plan, job: Job, cell: Cell) -> Job | None:
    """Return the job in which the evaluator serves a model that it inspects, if one is planned."""
    model = next((model for model in plan.served if model.name == job.subject), None)
    if model is None or not cell.is_evaluator or model.format not in cell.reads:
        return None
    return first_consumption(cell.id, model.artifact)


def serving_output(job: Job, inspected: Output) -> Output | None:
    """Return the output that a serving job would have, None where the inspection lacks it.

    It has no times, and nothing was repeated.
    """
    inspection = inspected.inspected()
    if inspection is None or not (inspection.answered or inspection.unanswered):
        return None
    record = InferRecord(
        status="ok",
        started_s=0.0,
        seconds=0.0,
        data=InferData(outputs=inspection.answered, batches={}),
    )
    if not inspection.answered:
        error = Failure(type="NotEvaluated", message=inspection.unanswered)
        record = record.model_copy(update={"status": "failed", "error": error, "data": {}})
    return inspected.model_copy(update={"job": job.id, "records": (record,)})
