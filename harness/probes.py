"""Probes: what a framework can express, as small programs in each framework's own way.

``harness/frameworks/<framework>/probes.py`` has a function for each probe. It takes its inputs as
numpy arrays by name and returns its answers as numpy arrays by name. Only the host knows the
expected answers. A probe that a framework cannot express is written as a user would try it, so that
the framework's own error is recorded. What has no program is not tried. Beside its arrays a probe
may return two short texts: ``ran``, which of the framework's functions it called, and ``outside``,
what of the probe Python does because the framework's graph or net does not.
"""

import multiprocessing
import multiprocessing.connection
import os
import socket
import tempfile
import time
import traceback
from types import ModuleType
from typing import Any, Callable, Dict, List, Tuple

import numpy

from harness import failures, record
from harness.adapters import Arrays


def try_all(module: ModuleType, inputs: Arrays) -> Tuple[Arrays, Dict[str, Dict[str, Any]]]:
    """Try all probes.

    Args:
        module: the framework's functions.
        inputs: ``<probe>/<name>`` -> array.

    Returns:
        (the answers, ``<probe>/<name>`` -> float32 array; the outcome of each probe that has a
        program, by its name: ``status``, ``error``, ``seconds``, ``ran`` and ``outside``; these two
        may be empty).
    """
    inputs_by_probe: Dict[str, Arrays] = {}
    for name, value in inputs.items():
        probe, part = name.split("/")
        inputs_by_probe.setdefault(probe, {})[part] = value
    answers: Arrays = {}
    outcomes = {}
    for probe, arrays in inputs_by_probe.items():
        if not hasattr(module, probe):
            continue
        parts, outcomes[probe] = _try(module, probe, arrays)
        for part, value in parts.items():
            answers[probe + "/" + part] = numpy.asarray(value, "float32")
    return answers, outcomes


def _try(module: ModuleType, probe: str, arrays: Arrays) -> Tuple[Dict[str, Any], Dict[str, Any]]:
    start = time.perf_counter()
    answers: Dict[str, Any] = {}
    status, error = record.OK, None
    try:
        answers = dict(getattr(module, probe)(**arrays))
    except failures.CAUGHT as exception:
        status, error = failures.status_of(exception), failures.as_error(exception)
    seconds = time.perf_counter() - start
    texts = {name: answers.pop(name, "") for name in ("ran", "outside")}
    return answers, dict(texts, status=status, error=error, seconds=seconds)


def called(function: str, kernel: Any) -> str:
    """Return which convolution was called, and the number of dimensions of its *kernel*."""
    dims = kernel.ndim - 2
    return "%s of %s" % (function, "1 dimension" if dims == 1 else "%d dimensions" % dims)


#: So many processes compute together, and so long they may take: an emulated import takes minutes.
WORKERS = 2
WORKERS_S = 400

#: For how long a worker that is told to end is waited for, in seconds.
ENDS_S = 10

#: What a worker does: its number, the addresses of all, what to compute with -> the answers.
Work = Callable[[int, List[str], Arrays], Arrays]


def work_together(work: Work, arrays: Arrays) -> Arrays:
    """Run *work* in `WORKERS` new processes at once, which may meet at addresses of this machine.

    Returns the answers of the first. Raises RuntimeError with the traceback of one that failed, for
    which the others may wait: they are ended.
    """
    context = multiprocessing.get_context("spawn")  # a framework does not survive a fork
    addresses = ["127.0.0.1:%d" % port for port in _free_ports(WORKERS)]
    with tempfile.TemporaryDirectory() as folder:
        _save(os.path.join(folder, "arrays.npz"), arrays)
        workers = [
            context.Process(target=_work, args=(work, rank, addresses, folder), daemon=True)
            for rank in range(WORKERS)
        ]
        for worker in workers:
            worker.start()
        _await(workers, folder)
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join(ENDS_S)
        return _first_answers(folder)


def _await(workers: List[Any], folder: str) -> None:
    """Wait until all workers have ended, or one has without answers, or it takes too long."""
    deadline = time.monotonic() + WORKERS_S
    alive = list(range(len(workers)))
    while alive and time.monotonic() < deadline:
        # A process has had a sentinel since Python 3.3; `sentinel` alone is of Python 3.15.
        sentinels = [workers[rank].sentinel for rank in alive]  # novermin
        multiprocessing.connection.wait(sentinels, max(0.0, deadline - time.monotonic()))
        ended = [rank for rank in alive if not workers[rank].is_alive()]
        if not all(os.path.exists(os.path.join(folder, "%d.npz" % rank)) for rank in ended):
            return
        alive = [rank for rank in alive if rank not in ended]


def _free_ports(count: int) -> List[int]:
    """Return ports that nobody listens at, all of them different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for free in sockets:
            free.bind(("127.0.0.1", 0))
        return [free.getsockname()[1] for free in sockets]
    finally:
        for free in sockets:
            free.close()


def _work(work: Work, rank: int, addresses: List[str], folder: str) -> None:
    """Work, in a process of its own, and leave the answers or the traceback in the folder."""
    path = os.path.join(folder, str(rank))
    try:
        with numpy.load(os.path.join(folder, "arrays.npz")) as arrays:
            answers = work(rank, addresses, dict(arrays))
        _save(path + ".part.npz", answers)
        os.rename(path + ".part.npz", path + ".npz")
    except failures.CAUGHT:
        with open(path + ".txt", "w", encoding="utf-8") as report:
            report.write(traceback.format_exc())


def _save(path: str, arrays: Arrays) -> None:
    by_name: Dict[str, Any] = dict(arrays)
    numpy.savez(path, **by_name)


def _first_answers(folder: str) -> Arrays:
    paths = [os.path.join(folder, str(rank)) for rank in range(WORKERS)]
    for rank, path in enumerate(paths):
        if os.path.exists(path + ".txt"):
            with open(path + ".txt", encoding="utf-8") as report:
                raise RuntimeError("worker %d: %s" % (rank, report.read()))
    for rank, path in enumerate(paths):
        if not os.path.exists(path + ".npz"):
            raise RuntimeError("worker %d ended without answers" % rank)
    with numpy.load(os.path.join(folder, "0.npz")) as answers:
        return dict(answers)
