"""A standard's own tests: one cell writes the cases of a suite, other cells answer them.

While a case is answered its number is in a file: it names the case that killed the process.
"""

import importlib
import os
from types import ModuleType
from typing import Any, Dict, List

import numpy

from harness import control, failures, record
from harness.adapters import Arrays, Unsupported
from harness.graphs import values
from harness.jobs import RunningJob


class SuiteJob(RunningJob):
    """A job with a suite."""

    def __init__(
        self, directory: str, document: Dict[str, Any], adapter: ModuleType, started: Dict[str, Any]
    ) -> None:
        super().__init__(directory, document, adapter, started)
        self.request: Dict[str, Any] = document["suite"]

    def path(self, name: str) -> str:
        """Return a path in the control directory; make its folder."""
        path = os.path.join(self.directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path


def suite(job: SuiteJob, data: Dict[str, Any]) -> None:
    """Write the cases of a suite: a file for each model, all arrays in one file."""
    module = importlib.import_module("harness.suites." + job.request["name"])
    arrays: Arrays = {}
    data["version"], data["cases"] = module.version(), []
    for number, case in enumerate(module.cases()):
        entry = {"name": case["name"], "skipped": case.get("skipped")}
        if not entry["skipped"]:
            entry.update({key: case[key] for key in ("format", "rtol", "atol")})
            entry.update(inputs=list(case["inputs"]), outputs=len(case["outputs"]))
            entry["model"] = f"{record.SUITE_MODELS}/{number}.{case['format']}"
            with open(job.path(entry["model"]), "wb") as file:
                file.write(case["model"])
            for kind, values in (("in", case["inputs"].values()), ("out", case["outputs"])):
                arrays.update({f"{number}/{kind}/{index}": x for index, x in enumerate(values)})
        data["cases"].append(entry)
    control.save_arrays(job.directory, record.SUITE_ARRAYS, arrays)


def conform(job: SuiteJob, data: Dict[str, Any]) -> None:
    """Answer the requested cases; record how each ended, and write all answers to one file."""
    suite_arrays = control.load_arrays(job.directory, record.SUITE_ARRAYS)
    answers: Arrays = {}
    data["cases"] = {}
    for case in job.request["cases"]:
        number = str(case["number"])
        with open(job.path(record.SUITE_PLACE), "w", encoding="utf-8") as file:
            file.write(number)
        try:
            outputs = _answer(job, case, suite_arrays)
            answers.update({f"{number}/{index}": x for index, x in enumerate(outputs)})
            data["cases"][number] = {"status": record.OK, "outputs": len(outputs)}
        except failures.CAUGHT as exception:
            error = failures.as_error(exception)
            brief = {"type": error["type"], "message": error["message"][:1000]}
            data["cases"][number] = {"status": failures.status_of(exception), "error": brief}
    control.save_arrays(job.directory, record.SUITE_ANSWERS, answers)


def _answer(job: SuiteJob, case: Dict[str, Any], suite_arrays: Arrays) -> "List[numpy.ndarray]":
    adapter, number = job.adapter, case["number"]
    model = adapter.load(case["format"], os.path.join(job.directory, case["model"]))
    inputs = {
        name: suite_arrays[f"{number}/in/{index}"] for index, name in enumerate(case["inputs"])
    }
    return [_as_stored(output) for output in adapter.answer(model, inputs).values()]


def _as_stored(value: Any) -> "numpy.ndarray":
    """Return an output as an array that the file can hold. Raises Unsupported."""
    if isinstance(value, (list, tuple, dict)):
        raise Unsupported(f"it answers with a {type(value).__name__}")
    x = values.as_array(value)
    if x.dtype.kind not in record.SUITE_KINDS:
        raise Unsupported(f"it answers with {x.dtype}")
    return x


ALL = {record.SUITE: suite, record.CONFORM: conform}
