"""The phases of a producer: what is done with a workload in a cell. `serving` has a consumer's.

Each takes the session and a dict that it fills with what it finds, so that what was measured
before a failure is kept.
"""

import functools
import importlib
import itertools
import time

import numpy

from harness import control, probes, record
from harness.adapters import Unsupported
from harness.measuring import timing
from harness.phases import exporting
from harness.sessions import JobSession


class Diverged(Exception):
    """A loss, of a step or of the held-out data, is not a finite number."""


class Session(JobSession):
    """One job under way: its adapter, its data, and the model once there is one."""

    def __init__(self, directory, job, adapter, started):
        super().__init__(directory, job, adapter, started)
        self._model = None
        self._made_s = None
        self._arrays = {}

    def arrays(self, path):
        """Return the arrays of an ``.npz``, read once."""
        if path not in self._arrays:
            self._arrays[path] = control.load_arrays(self.directory, path)
        return self._arrays[path]

    def workload(self, name):
        """Return the arrays of the workload's ``data``, ``weights`` or ``order``."""
        return self.arrays(self.job["workload"][name])

    def inputs(self):
        """Return what inference runs on, (N, ...) float32."""
        return self.workload("data")["probe_x"]

    def model(self):
        """Return (the model, the seconds it took to build), built on the first call."""
        if self._model is None:
            self._model, self._made_s = timing.timed(self._build)
        return self._model, self._made_s

    def can(self, *names):
        """Raise Unsupported unless the adapter has all functions of these names."""
        missing = [name for name in names if not hasattr(self.adapter, name)]
        if missing:
            raise Unsupported(f"{self.adapter.__name__} cannot {', '.join(missing)}")

    def _build(self):
        self.can("build")
        workload = self.job["workload"]
        rate = workload["optimiser"]["rate"]
        return self.adapter.build(workload["network"], self.workload("weights"), rate)


def startup(session, data):
    """From nothing to the first answer, and to the second step of training."""
    data.update(session.started)
    batches = _batches(session)
    model, data["build_s"] = session.model()
    batch = next(batches)
    _, data["first_forward_s"] = timing.timed(session.adapter.predict, model, batch[0])
    batch = session.adapter.put(*batch)
    _, data["first_step_s"] = timing.timed(_step, session, model, batch)
    _, data["second_step_s"] = timing.timed(_step, session, model, batch)


def parity(session, data):
    """Take the first step without its update: every layer's output, every gradient.

    What is found is a file; beside it stand the adapter's notes.
    """
    session.can("build", "notes", "activations", "gradients")
    adapter = session.adapter
    data["notes"] = adapter.notes(session.job["workload"]["network"])
    model, _ = session.model()
    adapter.set_weights(model, session.workload("weights"))
    x, y = next(_batches(session))
    found = {"output/" + name: value for name, value in adapter.activations(model, x).items()}
    gradients = adapter.gradients(model, adapter.put(x, y))
    found.update({"gradient/" + name: value for name, value in gradients.items()})
    control.save_arrays(session.directory, record.FIRST_STEP, found)


def idiom(session, data):
    """Answer the first batch by the network as a person writes it, before and after training.

    Both start from the initial weights; training is a person's too, and takes a few steps at the
    first rate.
    """
    del data  # what is found is a file
    name = session.job["cell"]["name"]
    proof = importlib.import_module(f"harness.frameworks.{name}.idioms.proof")
    workload, weights = session.job["workload"], session.workload("weights")
    batches = list(itertools.islice(_batches(session), record.IDIOM_STEPS))
    network, rate = workload["network"], float(session.workload("order")["rates"][0])
    answers = {
        "y": proof.logits(network, weights, batches[0][0]),
        "trained": proof.trained(network, weights, batches, rate),
    }
    control.save_arrays(session.directory, record.IDIOM_LOGITS, answers)


def probe(session, data):
    """Try what this framework can express; what each probe answers is a file."""
    asked = session.arrays(session.job["probes"])
    module = importlib.import_module(f"harness.frameworks.{session.job['cell']['name']}.probes")
    found, data["probes"] = probes.ask(module, asked)
    control.save_arrays(session.directory, record.PROBES, found)


def passes(session, data):
    """Time the first batch forward, and forward and backward without an update.

    The batch is on the device before and the results stay there.
    """
    session.can("build", "forward", "backward")
    adapter = session.adapter
    model, _ = session.model()
    adapter.set_weights(model, session.workload("weights"))
    x, y = next(_batches(session))
    batch = adapter.put(x, y)
    data["batch"] = len(x)
    asked = session.job["infer"]
    for name in ("forward", "backward"):
        function = getattr(adapter, name)

        def once(batch, function=function):
            function(model, batch)
            adapter.synchronise()

        data[name] = timing.sampled(once, batch, asked)


def train(session, data):
    """Train from the initial weights over all batches; every step sampled.

    A step is forward, backward and update of a batch that is already on the device, until the
    device has done it; the loss is brought back outside the clock.
    """
    session.can("build", "step", "set_rate")
    adapter = session.adapter
    model, _ = session.model()
    adapter.set_weights(model, session.workload("weights"))
    data["batch"] = int(session.workload("order")["order"].shape[1])
    data["step_s"], data["losses"] = [], []
    busy = time.process_time()
    began = time.perf_counter()
    with timing.quiet():
        for (x, y), rate in zip(_batches(session), session.workload("order")["rates"]):
            adapter.set_rate(model, float(rate))
            batch = adapter.put(x, y)
            loss, seconds = timing.timed(_step, session, model, batch)
            loss = float(loss)
            if not numpy.isfinite(loss):
                raise Diverged(f"the loss of step {len(data['losses'])} is {loss}; lower the rate")
            data["step_s"].append(seconds)
            data["losses"].append(loss)
    data["cpu_share"] = (time.process_time() - busy) / (time.perf_counter() - began)
    held_out = session.workload("data")
    logits = adapter.predict(model, held_out["test_x"])
    data["accuracy"] = float((logits.argmax(axis=-1) == held_out["test_y"]).mean())
    loss = _cross_entropy(logits, held_out["test_y"])
    if not numpy.isfinite(loss):
        raise Diverged(f"the held-out loss after the last step is {loss}; lower the rate")
    data["test_loss"] = loss


def deploy(session, data):
    """Export to every format asked for; one that fails fails only itself, until the end."""
    session.can("build", "export")
    adapter = session.adapter
    model, _ = session.model()
    probe = session.inputs()
    control.save_arrays(session.directory, record.TRAINED, adapter.get_weights(model))
    control.save_arrays(session.directory, record.PRODUCED, {"y": adapter.predict(model, probe)})
    data["formats"] = {}
    for form in session.job["formats"]:
        result, exported = exporting.export(session.directory, adapter, model, form, probe[:2])
        data["formats"][form] = result
        if exported:
            session.produced.append(exported)
    exporting.raise_for(data["formats"])


def infer(session, data):
    """Answer in batches of each size; latency is what a caller with arrays waits for."""
    model, _ = session.model()
    asked = session.job["infer"]
    data["batches"] = {}
    busy = time.process_time()
    began = time.perf_counter()
    for size in asked["batches"]:
        x = _take(session.inputs(), size)
        answer = functools.partial(session.adapter.predict, model)
        data["batches"][str(size)] = timing.sampled(answer, x, asked)
    data["cpu_share"] = (time.process_time() - busy) / (time.perf_counter() - began)


def _step(session, model, batch):
    loss = session.adapter.step(model, batch)
    session.adapter.synchronise()
    return loss


def _batches(session):
    """Yield the batches of training in order: x (batch, ...) float32, y (batch,) int64."""
    data = session.workload("data")
    for rows in session.workload("order")["order"]:
        yield data["train_x"][rows], data["train_y"][rows]


def _take(x, size):
    """Return *size* rows of *x*, from the start again where there are not enough."""
    return numpy.ascontiguousarray(x[numpy.arange(size) % len(x)])


def _cross_entropy(logits, labels):
    """Return the mean softmax cross entropy over all labels, computed in float64."""
    logits = logits.astype("float64").reshape(-1, logits.shape[-1])
    labels = labels.reshape(-1)
    logits -= logits.max(axis=1, keepdims=True)
    chosen = logits[numpy.arange(len(labels)), labels]
    return float((numpy.log(numpy.exp(logits).sum(axis=1)) - chosen).mean())


ALL = {
    record.STARTUP: startup,
    record.PARITY: parity,
    record.IDIOM: idiom,
    record.PROBE: probe,
    record.PASSES: passes,
    record.TRAIN: train,
    record.DEPLOY: deploy,
    record.INFER: infer,
}
