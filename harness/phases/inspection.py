"""Inspect a user's own model: what inputs it declares and what it answers.

The cell that does this is the first to read the file. Where the user gave no inputs, it makes
sample inputs; it answers them in float64 as well, where the format can be evaluated so.
"""

import os
from typing import Any, Dict, Iterator, Optional

import numpy

from harness import control, record
from harness.adapters import Arrays
from harness.graphs import values
from harness.graphs.inputs import sample_inputs
from harness.jobs import RunningJob


class InspectionJob(RunningJob):
    """A job with a user's own model."""

    def user_inputs(self) -> Optional[Arrays]:
        """Return the inputs that came with the model, by name, or None."""
        path = self.document["import"]["inputs"]
        return control.load_arrays(self.directory, path) if path else None


def inspect(job: InspectionJob, data: Dict[str, Any]) -> None:
    """Have the adapter inspect the model; write inputs, outputs, gold and answers to files.

    An evaluator's answers are those in the model's own precision: what it would serve. Where it
    cannot evaluate the model, ``unanswered`` says why.
    """
    model = job.document["import"]
    path = os.path.join(job.directory, model["model"])
    sampling = sample_inputs.Sampling(
        seed=model["seed"],
        shapes={name: tuple(sizes) for name, sizes in model.get("shapes", {}).items()},
        ranges={name: (low, high) for name, (low, high) in model.get("ranges", {}).items()},
    )
    inspected = job.adapter.inspect(model["format"], path, job.user_inputs(), sampling)
    store_inspection(job.directory, inspected, data, job.document["cell"]["name"])


def store_inspection(
    directory: str, inspected: Dict[str, Any], data: Dict[str, Any], inspector: str
) -> None:
    """Write what an *inspector* found of a model below *directory*; *data* gets what is for JSON.

    *inspected*: what `inspect` of an adapter returns.
    """
    for name, value in inspected["outputs"].items():
        sample_inputs.check_kind("output", name, numpy.asarray(value).dtype)
    data.update(inspected["described"])
    data["precise"] = "gold" in inspected
    data["dtypes"] = {
        entry["name"]: entry["dtype"]
        for entry in data.get("inputs", [])
        if values.wider_dtype(entry["dtype"])
    }
    source = "baseline: the outputs of %s itself" % inspector
    data.setdefault("judged_by", dict.fromkeys(inspected["outputs"], source))
    for text in ("refusal", "unanswered"):
        data[text] = data.get(text, "")[: record.LONGEST_REMARK]
    remarks = [*data.get("remarks", []), *_nan_remarks(inspected["inputs"])]
    data["remarks"] = [remark[: record.LONGEST_REMARK] for remark in remarks]
    for name, target in (
        ("inputs", record.MODEL_INPUTS),
        ("outputs", record.PRODUCED),
        ("gold", record.GOLD),
        ("evaluation", record.EVALUATION),
        ("undefined", record.UNDEFINED),
    ):
        if inspected.get(name) or name == "inputs":  # a model may have none
            control.save_arrays(directory, target, inspected[name])
    answers = inspected.get("answers", {})
    data["answered"] = list(answers)
    for number, answer in enumerate(answers.values()):
        control.save_array(directory, record.answer_path(number), answer)


def _nan_remarks(inputs: Arrays) -> Iterator[str]:
    """Yield which inputs have NaN, for a user who does not know of them."""
    for name, x in inputs.items():
        if x.dtype.kind == "f" and numpy.isnan(x).any():
            rows = numpy.isnan(numpy.atleast_1d(x)).reshape(len(numpy.atleast_1d(x)), -1)
            yield (
                f"input {name}: {int(rows.any(axis=1).sum())} of {len(rows)} rows have NaN; "
                "runtimes may differ there, where the standard says nothing of NaN"
            )


ALL = {record.INSPECT: inspect}
