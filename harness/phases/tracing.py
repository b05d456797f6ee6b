"""A look inside a model: what each of its nodes gives, and models made from it to find a fault.

Done by the judge of a format, the runtime that also looks into a person's own model.
"""

import os

from harness import control, formats, record
from harness.sessions import JobSession


class Session(JobSession):
    """One model under way."""

    def __init__(self, directory, job, adapter, started):
        super().__init__(directory, job, adapter, started)
        self.asked = job["trace"]
        self.path = os.path.join(directory, self.asked["model"])

    def inputs(self):
        """Return what the model is to be evaluated on, by name."""
        return control.load_arrays(self.directory, self.asked["inputs"])

    def target(self):
        """Return where a model that is made goes, its folder made."""
        path = os.path.join(self.directory, record.MADE, formats.MODEL_PATHS[self.asked["format"]])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path


def trace(session, data):
    """Evaluate every node, as precisely as the judge can; keep the numbers by their place."""
    found = session.adapter.trace(session.path, session.inputs())
    data["nodes"] = found["nodes"]
    data["outputs"] = found["outputs"]
    data["tensors"] = [name for name, x in found["precise"].items() if x.dtype.kind in "fiub"]
    for target, values in ((record.PRECISE, found["precise"]), (record.SINGLE, found["single"])):
        numbered = {str(at): values[name] for at, name in enumerate(data["tensors"]) if values}
        control.save_arrays(session.directory, target, numbered)


def expose(session, data):
    """Make a model that also gives some of its inner tensors."""
    asked = session.asked
    data["tensors"] = [one["name"] for one in asked["tensors"]]
    session.adapter.expose(session.path, asked["tensors"], session.target())


def cut(session, data):
    """Make a model of one node, with the inputs that it has had and what it should answer."""
    asked = session.asked
    found = session.adapter.cut(session.path, session.inputs(), asked["node"], session.target())
    data["inputs"], data["outputs"] = list(found["inputs"]), list(found["gold"])
    for target in ("inputs", "gold"):
        path = os.path.join(record.MADE, target + ".npz")
        control.save_arrays(session.directory, path, found[target])


ALL = {record.TRACE: trace, record.EXPOSE: expose, record.CUT: cut}
