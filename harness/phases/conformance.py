"""A standard's own tests: a suite of them is made in one cell, and answered in another.

A case that kills the process is known by the number that is left in a file.
"""

import importlib
import os

import numpy

from harness import control, failures, record
from harness.adapters import Unsupported
from harness.sessions import JobSession


class Session(JobSession):
    """One suite under way."""

    def __init__(self, directory, job, adapter, started):
        super().__init__(directory, job, adapter, started)
        self.asked = job["suite"]

    def path(self, name):
        """Return a path in the control directory, its folder made."""
        path = os.path.join(self.directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path


def suite(session, data):
    """Write the cases of a suite: a file a model, all arrays in one file by case and number."""
    module = importlib.import_module("harness.suites." + session.asked["name"])
    data["version"], data["cases"], arrays = module.version(), [], {}
    for number, case in enumerate(module.cases()):
        told = {"name": case["name"], "skipped": case.get("skipped")}
        if not told["skipped"]:
            told.update({one: case[one] for one in ("form", "rtol", "atol")})
            told.update(inputs=list(case["inputs"]), outputs=len(case["outputs"]))
            told["model"] = f"{record.SUITE_MODELS}/{number}.{case['form']}"
            with open(session.path(told["model"]), "wb") as file:
                file.write(case["model"])
            for kind, values in (("in", case["inputs"].values()), ("out", case["outputs"])):
                arrays.update({f"{number}/{kind}/{at}": x for at, x in enumerate(values)})
        data["cases"].append(told)
    control.save_arrays(session.directory, record.SUITE_ARRAYS, arrays)


def conform(session, data):
    """Answer the cases that are asked for; keep how each ended, and all answers in one file."""
    given = control.load_arrays(session.directory, record.SUITE_ARRAYS)
    data["cases"], answers = {}, {}
    for case in session.asked["cases"]:
        number = str(case["number"])
        with open(session.path(record.SUITE_PLACE), "w", encoding="utf-8") as file:
            file.write(number)
        try:
            found = _answer(session, case, given)
            answers.update({f"{number}/{at}": x for at, x in enumerate(found)})
            data["cases"][number] = {"status": record.OK, "outputs": len(found)}
        except failures.CAUGHT as exception:
            error = failures.as_error(exception)
            told = {"type": error["type"], "message": error["message"][:1000]}
            data["cases"][number] = {"status": failures.status_of(exception), "error": told}
    control.save_arrays(session.directory, record.SUITE_ANSWERS, answers)


def _answer(session, case, given):
    adapter, number = session.adapter, case["number"]
    model = adapter.load(case["form"], os.path.join(session.directory, case["model"]))
    inputs = {name: given[f"{number}/in/{at}"] for at, name in enumerate(case["inputs"])}
    return [_kept(one) for one in adapter.answer(model, inputs).values()]


def _kept(value):
    if isinstance(value, (list, tuple, dict)):
        raise Unsupported(f"it answers with a {type(value).__name__}")
    x = numpy.asarray(value)
    if x.dtype.kind in "OS":
        return x.astype(str)
    if x.dtype.kind not in record.SUITE_KINDS:
        raise Unsupported(f"it answers with {x.dtype}")
    return x


ALL = {record.SUITE: suite, record.CONFORM: conform}
