"""Trace a model: what each of its nodes answers, and models cut from it to find the wrong node.

The runtime that inspects models of this format does it.
"""

import os
from types import ModuleType
from typing import Any, Dict

from harness import control, formats, record
from harness.adapters import Arrays
from harness.jobs import RunningJob


class Session(RunningJob):
    """A job with a model to trace."""

    def __init__(
        self, directory: str, job: Dict[str, Any], adapter: ModuleType, started: Dict[str, Any]
    ) -> None:
        super().__init__(directory, job, adapter, started)
        self.request: Dict[str, Any] = job["trace"]
        self.path = os.path.join(directory, self.request["model"])

    def inputs(self) -> Arrays:
        """Return the inputs on which the model is evaluated, by name."""
        return control.load_arrays(self.directory, self.request["inputs"])

    def target(self) -> str:
        """Return the path for a new model; make its folder."""
        model_path = formats.MODEL_PATHS[self.request["format"]]
        path = os.path.join(self.directory, record.MADE, model_path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path


def trace(session: Session, data: Dict[str, Any]) -> None:
    """Evaluate every node, in float64 where the adapter can; write the tensors by their number."""
    traced = session.adapter.trace(session.path, session.inputs())
    data["nodes"] = traced["nodes"]
    data["outputs"] = traced["outputs"]
    data["tensors"] = [name for name, x in traced["precise"].items() if x.dtype.kind in "fiub"]
    for target, values in ((record.PRECISE, traced["precise"]), (record.SINGLE, traced["single"])):
        numbered = {
            str(number): values[name] for number, name in enumerate(data["tensors"]) if values
        }
        control.save_arrays(session.directory, target, numbered)


def expose(session: Session, data: Dict[str, Any]) -> None:
    """Write a model with inner tensors as additional outputs."""
    tensors = session.request["tensors"]
    data["tensors"] = [tensor["name"] for tensor in tensors]
    session.adapter.expose(session.path, tensors, session.target())


def cut(session: Session, data: Dict[str, Any]) -> None:
    """Write a model of one node, the inputs that the node received, and what it should answer."""
    number = session.request["node"]
    arrays = session.adapter.cut(session.path, session.inputs(), number, session.target())
    data["inputs"], data["outputs"] = list(arrays["inputs"]), list(arrays["gold"])
    for target in ("inputs", "gold"):
        path = os.path.join(record.MADE, target + ".npz")
        control.save_arrays(session.directory, path, arrays[target])


ALL = {record.TRACE: trace, record.EXPOSE: expose, record.CUT: cut}
