"""One job from start to answer. Whatever goes wrong in a phase becomes data."""

import importlib
import sys
import time

from harness import failures, record
from harness.adapters import WrongDevice
from harness.measuring import cold_start, machine, timing


def run(directory, job, interpreter_s):
    """Do what *job* asks and return the ``output.json`` for it."""
    began = time.perf_counter()
    output = {
        "schema": record.SCHEMA_VERSION,
        "job": job["job"],
        "harness": record.fingerprint(),
        "selftest": [],
        "records": [],
        "artifacts": [],
        "canaries": [],
    }
    described = None
    try:
        adapter = importlib.import_module(job["adapter"])
        started = _start(adapter, job)
        # From here on only: these import numpy, whose import is part of the framework's.
        from harness.measuring import canary, selftest

        options = job.get("options", {})
        adapter.configure(job["cell"]["device"], job["threads"], **options)
        output["selftest"] = selftest.run(job["selftest"], adapter.multiply)
        described = adapter.describe()
        _prove(job, described, output["selftest"])
    except failures.CAUGHT as exception:
        output["records"] = _none_run(job, exception)
    else:
        output["canaries"].append(canary.measure())
        started["interpreter_s"] = interpreter_s
        does = _kind_of(job)
        session = does.Session(directory, job, adapter, started)
        output["records"] = _run_phases(session, does.ALL, began)
        output["artifacts"] = list(session.produced)
        output["canaries"].append(canary.measure())
    output["environment"] = machine.environment(job, described)
    output["peak_memory_bytes"], output["memory_source"] = machine.peak_memory()
    output["peak_resident_bytes"] = machine.peak_resident()
    return output


def _kind_of(job):
    """Return the module with the phases of a job, by what the job is about."""
    from harness.phases import conformance, inference, inspection, tracing, training

    kinds = {
        "artifact": inference,
        "import": inspection,
        "trace": tracing,
        "suite": conformance,
    }
    return next((module for about, module in kinds.items() if about in job), training)


def _start(adapter, job):
    """Import the framework, from a cold file cache where that is asked for; return its cost."""
    evicted = cold_start.evict() if job.get("cold") else None
    before = cold_start.read_bytes()
    _, import_s = timing.timed(adapter.start)
    after = cold_start.read_bytes()
    read = None if before is None or after is None else after - before
    return {"import_s": import_s, "cold": evicted is not None, "read_bytes": read}


class SelfTestFailed(Exception):
    """This cell computes wrong numbers."""


class WrongPlatform(Exception):
    """This interpreter is not the one that the cell is named after."""


class WrongThreads(Exception):
    """The framework takes more threads than it was given."""


def _prove(job, described, tests):
    """Raise unless platform, device, threads and arithmetic are as they must be."""
    for fact, is_so in machine.identity().items():
        asked = job["cell"].get(fact, is_so)
        if asked != is_so:
            raise WrongPlatform(f"asked for {fact} {asked}, this is {is_so}")
    asked = job["cell"]["device"]
    if described["device"] != asked:
        raise WrongDevice(f"asked for {asked}, the framework is on {described['device']}")
    if described["threads"] > job["threads"]:
        raise WrongThreads(
            f"asked for {job['threads']} threads, the framework uses {described['threads']}"
        )
    failed = [entry for entry in tests if not entry["passed"]]
    if failed:
        wrong = ", ".join(f"{e['by']} {e['dtype']} by {e['error']:g}" for e in failed)
        raise SelfTestFailed(f"a matrix product is wrong: {wrong}; nothing here can count")


def _none_run(job, exception):
    """Return the records of a job whose phases cannot run.

    A wrong platform, device or number of threads, or wrong arithmetic, is every phase's failure.
    Anything else is the first phase's, and the others were not reached.
    """
    error = failures.as_error(exception)
    everywhere = error["type"] in record.EVERYWHERE
    first = job["phases"][0]
    return [
        _record(phase, failures.status_of(exception), error)
        if everywhere or phase == first
        else _record(phase, record.FAILED, _not_reached(first))
        for phase in job["phases"]
    ]


def _run_phases(session, functions, began):
    records = []
    statuses = {}
    for phase in session.job["phases"]:
        needed = record.NEEDS.get(phase)
        if statuses.get(needed, record.OK) == record.OK:
            entry = _run_phase(session, phase, functions[phase], began)
        else:
            entry = _record(phase, record.FAILED, _not_reached(needed))
        statuses[phase] = entry["status"]
        records.append(entry)
    return records


def _run_phase(session, phase, function, began):
    """Run one phase; say so in the log, which tells where a dead process was."""
    sys.stderr.write(f"harness: {phase}\n")
    sys.stderr.flush()
    data = {}
    status, error = record.OK, None
    start = time.perf_counter()
    try:
        function(session, data)
    except failures.CAUGHT as exception:
        status, error = failures.status_of(exception), failures.as_error(exception)
        sys.stderr.write(error["traceback"])  # for who reads the log
    seconds = time.perf_counter() - start
    return _record(phase, status, error, started_s=start - began, seconds=seconds, data=data)


def _not_reached(phase):
    return failures.made_up(record.NOT_REACHED, f"{phase} did not succeed, and this needs it")


def _record(phase, status, error, **found):
    record_of = {"phase": phase, "status": status, "error": error}
    record_of.update({"started_s": 0.0, "seconds": 0.0, "data": {}}, **found)
    return record_of
