"""Adapters: one module a framework or runtime, all with the functions named here.

A module imports its framework inside `start`, so that the import is measured, and keeps it in
module globals. Arrays that go in and out are numpy's; ``model`` and ``batch`` are the adapter's
own business. Weights carry neutral names, ``<layer>.<parameter>``, in the neutral layouts,
those of the table in ``deepmatrix/workloads/networks/description.py``.

Every adapter:

``start()``
    Import the framework. Nothing else; timed as the import.
``configure(device, threads, **options)``
    Use this device ("cpu", "cuda") and this many threads, and the cell's options where it has
    any. Raises WrongDevice.
``describe()``
    Return {"versions": {name: version}, "threads": int, "device": "cpu" or "cuda",
    "device_name": str or None, "blas": str or None}, all asked of the framework, after the
    self-test has run; and "precision": str, where it may compute in less than it is given.
``multiply(a, b)``
    Matrix product on the device, in the dtype of the arguments. Raises Unsupported where there
    is none in this dtype.
``load(form, path)``
    Read the artifact at *path* (the model file or folder) and return a model.
``answer(model, inputs)``
    Inputs by name -> the loaded model's outputs by name, both in the model's order. Arrays in and
    out: what a caller waits for, both copies included, so it needs no further synchronisation.
    A model may write into its inputs: see `copies`.

A runtime may also have:

``scenarios(model, inputs, in_rows)``
    Return {name: numbers} of `harness.runtimes.onnxruntime_loadgen.loadgen`. A sample is a row of
    the inputs, or, where these are not in rows, all of them.

A runtime that can be the first to read a person's own model also:

``inspect(form, path, given, seed)``
    Return {"described": facts for JSON, "inputs": arrays by name, "outputs": the model's answers
    by name, "gold": the same in float64 where that can be had}. *given* are inputs by name, or
    None: then they are made, from *seed*.

and, where the format can be looked into, which is how a fault is traced to its first wrong node:

``trace(path, inputs)``
    Return {"nodes": name, kind, inputs and outputs of each in their order; "outputs": the model's;
    "precise": every inner tensor by name, in float64 where that can be had; "single": the same
    in float32, or nothing}.
``expose(path, tensors, target)``
    Write the model with inner tensors, each {"name", "dtype", "sides"}, as more outputs.
``cut(path, inputs, number, target)``
    Write node *number* as a model; return {"inputs", "gold"}: what it has had, and should answer.

Frameworks also:

``predict(model, x)``
    What `answer` is for a model that was built: x (N, ...) float32 -> logits (N, classes) float32.

``build(network, weights, rate)``
    Build the neutral network with these initial weights, ready for plain SGD at *rate*.
``notes(network)``
    Return {kind: sentence}: where the framework's default differs and was made to agree.
``put(x, y)``
    Move a batch (float32, int64) to the device, outside the clock, and return it.
``forward(model, batch)``, ``backward(model, batch)``
    The logits of a batch; the loss and the gradients of all parameters, without an update. Both
    stay on the device, unread.
``step(model, batch)``
    One step of SGD on the mean softmax cross entropy; return the loss, of the batch before
    the update, on the device (anything that ``float()`` takes).
``activations(model, x)``
    Every layer's output on x (N, ...) float32, by the layer's name, in the neutral layout.
``gradients(model, batch)``
    The gradient of the mean loss by every parameter, float32 by neutral name, without an update.
``synchronise()``
    Wait until the device has done all that was asked.
``get_weights(model)``, ``set_weights(model, weights)``
    Weights by neutral name, float32.
``set_rate(model, rate)``
    Set the rate of the steps from now on, without compiling anything again.
``export(model, form, path, example)``
    Write the model to *path*. *example* is an input (2 or more, ...); the batch size stays free.
    Return {"opset": int or None, "exporter": name and version of what wrote it, asked of it}.
    Raises Unsupported for a format it does not know.

A runtime simply lacks what it cannot do; the harness records that as ``unsupported``.
"""

import numpy


def only(inputs):
    """Return the one input of a model that has one, whatever its name."""
    (x,) = inputs.values()
    return x


def fed(inputs, names):
    """Return *inputs* by the names that a model has for them; a single one may have any.

    Raises ValueError where several do not fit: their order says nothing of which is which.
    """
    if len(names) > 1 and set(inputs) != set(names):
        raise _unfit(inputs, names)
    return placed(inputs, names)


def placed(inputs, names):
    """Do as `fed` for a format that knows places: inputs of none of its *names* go in their order.

    Raises ValueError where only some fit, or they are more or fewer.
    """
    if set(inputs) == set(names):
        return inputs
    if len(inputs) != len(names) or not set(inputs).isdisjoint(names):
        raise _unfit(inputs, names)
    return dict(zip(names, inputs.values()))


def _unfit(inputs, names):
    given, own = (", ".join(each) or "none" for each in (inputs, names))
    return ValueError(f"the model's inputs are {own}; given were {given}")


def copies(inputs):
    """Return copies of the inputs, for one answer of a model that may write into them.

    Many adapters lend a model the arrays themselves, as who deploys it would: `answer` is timed,
    so who calls it copies, and outside the clock.
    """
    return {name: numpy.array(x) for name, x in inputs.items()}


def notes_on(network, notes):
    """Return those of *notes*, by kind or kind and more, on kinds that a network has."""
    kinds = {layer["kind"] for layer in network["layers"]}
    return {about: note for about, note in notes.items() if about.split()[0] in kinds}


class WrongDevice(Exception):
    """The framework says that it is not on the device that was asked for."""


class Unsupported(Exception):
    """The framework cannot do this, as a fact about it and not as a fault."""
