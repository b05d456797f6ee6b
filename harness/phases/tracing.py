"""Trace a model: what each of its nodes answers, and models cut from it to find the wrong node.

The runtime that inspects models of this format does it.
"""

import os
from types import ModuleType
from typing import Any, Dict

from harness import control, formats, record
from harness.adapters import Arrays
from harness.jobs import RunningJob


class TraceJob(RunningJob):
    """A job with a model to trace."""

    def __init__(
        self, directory: str, document: Dict[str, Any], adapter: ModuleType, started: Dict[str, Any]
    ) -> None:
        super().__init__(directory, document, adapter, started)
        self.request: Dict[str, Any] = document["trace"]
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


def trace(job: TraceJob, data: Dict[str, Any]) -> None:
    """Evaluate every node, in float64 where the adapter can; write the tensors by their number."""
    traced = job.adapter.trace(job.path, job.inputs())
    data["nodes"] = traced["nodes"]
    data["outputs"] = traced["outputs"]
    data["tensors"] = [name for name, x in traced["precise"].items() if x.dtype.kind in "fiub"]
    for target, values in ((record.PRECISE, traced["precise"]), (record.SINGLE, traced["single"])):
        numbered = {
            str(number): values[name] for number, name in enumerate(data["tensors"]) if values
        }
        control.save_arrays(job.directory, target, numbered)


def expose(job: TraceJob, data: Dict[str, Any]) -> None:
    """Write a model with inner tensors as additional outputs."""
    tensors = job.request["tensors"]
    data["tensors"] = [tensor["name"] for tensor in tensors]
    job.adapter.expose(job.path, tensors, job.target())


def cut(job: TraceJob, data: Dict[str, Any]) -> None:
    """Write a model of one node, the inputs that the node received, and what it should answer."""
    number = job.request["node"]
    arrays = job.adapter.cut(job.path, job.inputs(), number, job.target())
    data["inputs"], data["outputs"] = list(arrays["inputs"]), list(arrays["gold"])
    for target in ("inputs", "gold"):
        path = os.path.join(record.MADE, target + ".npz")
        control.save_arrays(job.directory, path, arrays[target])


ALL = {record.TRACE: trace, record.EXPOSE: expose, record.CUT: cut}
