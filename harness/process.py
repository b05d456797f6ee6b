"""A process from its start to the outputs of its jobs. A failure in a phase becomes data."""

import gc
import importlib
import sys
import time
from types import ModuleType
from typing import Any, Callable, Dict, List, Optional, Tuple, Type

from harness import failures, record
from harness.adapters import WrongDevice
from harness.jobs import RunningJob
from harness.measuring import cold_start, machine, timing

Phase = Callable[[Any, Dict[str, Any]], None]


class Process:
    """A process whose framework is imported, configured and proven once, for all its jobs.

    A failure to start is a fact of every job: each has it in its record.
    """

    def __init__(self, document: Dict[str, Any], interpreter_s: Optional[float]) -> None:
        self._began = time.perf_counter()
        self._place = 0
        self._fingerprint = record.fingerprint()
        machine.emulated = bool(document.get("emulated"))
        self._described: Optional[Dict[str, Any]] = None
        self._selftest: List[Dict[str, Any]] = []
        self._failure: Optional[BaseException] = None
        self._started: Dict[str, Any] = {}
        try:
            self._start(document, interpreter_s)
        except failures.CAUGHT as exception:
            self._failure = exception

    def _start(self, document: Dict[str, Any], interpreter_s: Optional[float]) -> None:
        self._adapter = importlib.import_module(document["adapter"])
        self._started = dict(_start(self._adapter, document), interpreter_s=interpreter_s)
        # Not before: this imports numpy, whose import is part of the framework's.
        from harness.measuring import selftest

        options = document.get("options", {})
        self._adapter.configure(document["cell"]["device"], document["threads"], **options)
        self._selftest = selftest.run(document["selftest"], self._adapter.multiply)
        self._described = self._adapter.describe()
        _prove(document, self._described, self._selftest)

    def run(self, directory: str, document: Dict[str, Any]) -> Dict[str, Any]:
        """Run a job and return its ``output.json``."""
        self._place += 1
        was_reset = self._place > 1 and self._begin_anew()
        output: Dict[str, Any] = {
            "schema": record.SCHEMA_VERSION,
            "job": document["job"],
            "harness": self._fingerprint,
            "place": self._place,
            "start_failed": self._failure is not None,
            "selftest": self._selftest,
            "records": [],
            "artifacts": [],
            "canaries": [],
        }
        if self._failure is not None:
            output["records"] = _records_without_phases(document, self._failure)
        else:
            self._run_phases(directory, document, output)
        output["environment"] = machine.environment(document, self._described)
        output["peak_memory_bytes"], output["memory_source"] = machine.peak_memory(
            self._place == 1, was_reset
        )
        output["peak_resident_bytes"] = machine.peak_resident()
        return output

    def _begin_anew(self) -> bool:
        """Forget the job before; return whether the peak of the memory counts from now on."""
        self._began = time.perf_counter()
        self._started = {"import_s": 0.0}
        gc.collect()
        return machine.reset_peak()

    def _run_phases(self, directory: str, document: Dict[str, Any], output: Dict[str, Any]) -> None:
        from harness.measuring import canary

        is_timed = document.get("timed", True)
        output["canaries"] += [canary.measure()] if is_timed else []
        kind, phases = _kind_and_phases(document)
        job = kind(directory, document, self._adapter, self._started)
        output["records"] = _run_phases(job, phases, self._began)
        output["artifacts"] = list(job.produced)
        output["canaries"] += [canary.measure()] if is_timed else []


def _kind_and_phases(document: Dict[str, Any]) -> Tuple[Type[RunningJob], Dict[str, Phase]]:
    """Return the class and the phases for a document, by the subject that the job has."""
    from harness.phases import (
        conformance,
        deployment,
        inference,
        inspection,
        parity,
        probing,
        tracing,
        training,
        workload,
    )

    kinds: Dict[str, Any] = {
        "artifact": (inference.ArtifactJob, inference.ALL),
        "import": (inspection.InspectionJob, inspection.ALL),
        "trace": (tracing.TraceJob, tracing.ALL),
        "suite": (conformance.SuiteJob, conformance.ALL),
    }
    for subject, kind in kinds.items():
        if subject in document:
            return kind[0], kind[1]
    return workload.WorkloadJob, {
        record.STARTUP: workload.startup,
        record.PARITY: parity.parity,
        record.IDIOM: parity.idiom,
        record.PROBE: probing.probe,
        record.PASSES: training.passes,
        record.STEPS: training.steps,
        record.TRAIN: training.train,
        record.DEPLOY: deployment.deploy,
        record.INFER: workload.infer,
    }


def _start(adapter: ModuleType, document: Dict[str, Any]) -> Dict[str, Any]:
    """Import the framework, from a cold file cache where the job says so; return its cost."""
    evicted = cold_start.evict() if document.get("cold") else None
    before = cold_start.read_bytes()
    _, import_s = timing.timed(adapter.start)
    after = cold_start.read_bytes()
    read = None if before is None or after is None else after - before
    return {"import_s": import_s, "cold": evicted is not None, "read_bytes": read}


class SelfTestFailed(Exception):
    """This cell computes wrong matrix products."""


class WrongPlatform(Exception):
    """This interpreter has another architecture or Python than the cell's name says."""


class WrongThreads(Exception):
    """The framework uses more threads than the job allows."""


def _prove(
    document: Dict[str, Any], described: Dict[str, Any], tests: List[Dict[str, Any]]
) -> None:
    """Raise unless platform, device, threads and arithmetic are as the job says."""
    for fact, actual in machine.identity().items():
        requested = document["cell"].get(fact, actual)
        if requested != actual:
            raise WrongPlatform(f"asked for {fact} {requested}, this is {actual}")
    device = document["cell"]["device"]
    if described["device"] != device:
        raise WrongDevice(f"asked for {device}, the framework is on {described['device']}")
    if described["threads"] > document["threads"]:
        raise WrongThreads(
            f"asked for {document['threads']} threads, the framework uses {described['threads']}"
        )
    failed = [entry for entry in tests if not entry["passed"]]
    if failed:
        wrong = ", ".join(
            f"{entry['by']} {entry['dtype']} by {entry['error']:g}" for entry in failed
        )
        raise SelfTestFailed(f"a matrix product is wrong: {wrong}; nothing here can count")


def _records_without_phases(
    document: Dict[str, Any], exception: BaseException
) -> List[Dict[str, Any]]:
    """Return the records of a job whose phases cannot run.

    A wrong platform, device or number of threads and wrong arithmetic fail every phase. Any other
    error fails the first phase; the others were not reached.
    """
    error = failures.as_error(exception)
    everywhere = error["type"] in record.EVERYWHERE
    phases = document["phases"]
    return [
        _record(phase, failures.status_of(exception), error)
        if everywhere or phase == phases[0]
        else _record(phase, record.FAILED, _not_reached(phases[0]))
        for phase in phases
    ]


def _run_phases(job: RunningJob, functions: Dict[str, Phase], began: float) -> List[Dict[str, Any]]:
    records = []
    statuses: Dict[str, str] = {}
    for phase in job.document["phases"]:
        needed = record.NEEDS.get(phase, "")
        if statuses.get(needed, record.OK) == record.OK:
            entry = _run_phase(job, phase, functions[phase], began)
        else:
            entry = _record(phase, record.FAILED, _not_reached(needed))
        statuses[phase] = entry["status"]
        records.append(entry)
    return records


def _run_phase(job: RunningJob, phase: str, function: Phase, began: float) -> Dict[str, Any]:
    """Run one phase; name it in the log, which then shows where a process died."""
    sys.stderr.write(f"harness: {phase}\n")
    sys.stderr.flush()
    data: Dict[str, Any] = {}
    status, error = record.OK, None
    start = time.perf_counter()
    try:
        function(job, data)
    except failures.CAUGHT as exception:
        status, error = failures.status_of(exception), failures.as_error(exception)
        sys.stderr.write(error["traceback"])
    seconds = time.perf_counter() - start
    return _record(phase, status, error, started_s=start - began, seconds=seconds, data=data)


def _not_reached(phase: str) -> Dict[str, str]:
    return failures.error_entry(record.NOT_REACHED, f"{phase} did not succeed, and this needs it")


def _record(
    phase: str, status: str, error: Optional[Dict[str, str]], **measured: Any
) -> Dict[str, Any]:
    entry: Dict[str, Any] = {"phase": phase, "status": status, "error": error}
    entry.update({"started_s": 0.0, "seconds": 0.0, "data": {}}, **measured)
    return entry
