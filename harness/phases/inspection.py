"""A look into a person's own model: what it takes, and what it answers.

The cell that does it is the first to read the file. It makes inputs where none were given, and
answers them: in float64 too, where the format can be evaluated so.
"""

import os

import numpy

from harness import control, record
from harness.phases import sample_inputs
from harness.sessions import JobSession


class Session(JobSession):
    """One model under way."""

    def given(self):
        """Return the inputs that came with the model, by name, or None."""
        path = self.job["import"]["inputs"]
        return control.load_arrays(self.directory, path) if path else None


def inspect(session, data):
    """Have the adapter look into the model; keep inputs, outputs and gold as files."""
    asked = session.job["import"]
    path = os.path.join(session.directory, asked["model"])
    found = session.adapter.inspect(asked["format"], path, session.given(), asked["seed"])
    for name, value in found["outputs"].items():
        sample_inputs.check_kind("output", name, numpy.asarray(value).dtype)
    data.update(found["described"])
    data["precise"] = "gold" in found
    for name, target in (
        ("inputs", record.GIVEN),
        ("outputs", record.PRODUCED),
        ("gold", record.GOLD),
    ):
        if name in found:
            control.save_arrays(session.directory, target, found[name])


ALL = {record.INSPECT: inspect}
