"""Adapters: one module a framework or runtime, all with the functions named here.

A module imports its framework inside `start`, so that the import is measured, and keeps it in
module globals. Arrays that go in and out are numpy's; ``model`` and ``batch`` are the adapter's
own types. Weights have neutral names, ``<layer>.<parameter>``, and the neutral layouts of the
table in ``deepmatrix/workloads/networks/description.py``.

Every adapter:

``start()``
    Import the framework. Nothing else; timed as the import.
``configure(device, threads, **options)``
    Use this device ("cpu", "cuda") and this many threads; *options* are the cell's own settings,
    where it has any. Raises WrongDevice.
``describe()``
    Return {"versions": {name: version}, "threads": int, "device": "cpu" or "cuda",
    "device_name": str or None, "blas": str or None}, all read from the framework after the
    self-test; "precision": str, where it may compute in less than the dtype of its inputs; and
    "execution": "eager", "traced" (as a graph) or "compiled", where the adapter can choose.
    The first of the versions is the framework's own.
``multiply(a, b)``
    Matrix product of (M, K) and (K, N) on the device, in the dtype of the arguments. Raises
    Unsupported where the framework has no product in this dtype.
``load(format_name, path)``
    Read the artifact at *path* (the model file or folder) and return a model.
``answer(model, inputs)``
    Inputs by name -> the loaded model's outputs by name, both in the model's order. Text has the
    dtype U; `harness.graphs.values` makes arrays of sequences and maps. It returns arrays, so the
    device is done when it returns: its time is what a caller waits for, copies to and from the
    device included. A model may write into its inputs: see `copy_inputs`.

A runtime may also have:

``scenarios(model, inputs, in_rows)``
    Return {name: numbers} of `harness.runtimes.onnxruntime_loadgen.loadgen`. A sample is a row of
    the inputs, or, where these are not in rows, all of them.

``time_operators(path, inputs)``
    Return {kind of operator: seconds of an answer}, as the runtime's own profiler counts them.

A runtime that can be the first to read a user's own model also has:

``inspect(format_name, path, user_inputs, sampling)``
    Return {"described": facts for JSON, "inputs": arrays by name, "outputs": the model's answers
    by name, "gold": the same in float64 where that can be had}. *user_inputs* are arrays by name,
    or None: then the adapter makes sample inputs, see `harness.graphs.inputs.sample_inputs`.

and, where the graph of the format can be read, which is how the first wrong node is found:

``trace(path, inputs)``
    Return {"nodes": name, kind, inputs and outputs of each in their order; "outputs": the model's;
    "precise": every inner tensor by name, in float64 where that can be had; "single": the same
    in float32, or nothing}.
``expose(path, tensors, target)``
    Write the model with inner tensors, each {"name", "dtype", "dimensions"}, as more outputs.
``cut(path, inputs, number, target)``
    Write node *number* as a model of its own; return {"inputs", "gold"}: arrays by name, what the
    node received and what it should answer.

Frameworks also:

``predict(model, x)``
    Answer with a model that was built: x (N, ...) float32 -> logits (N, classes) float32.
``build(network, weights, rate)``
    Build the neutral network with these initial weights, ready for plain SGD at *rate*.
``notes(network)``
    Return {kind of layer: sentence}: where the framework's default differs from the neutral
    description, and what the adapter does about it.
``put(x, y)``
    Move a batch (float32, int64) to the device, outside the clock, and return it.
``forward(model, batch)``, ``backward(model, batch)``
    The logits of a batch; the loss and the gradients of all parameters, without an update. The
    results stay on the device.
``step(model, batch)``
    One step of SGD on the mean softmax cross entropy; return the loss of the batch before the
    update, on the device (anything that ``float()`` takes).
``activations(model, x)``
    Every layer's output on x (N, ...) float32, by the layer's name, in the neutral layout.
``gradients(model, batch)``
    The gradient of the mean loss by every parameter, float32 by neutral name, without an update.
``synchronise()``
    Wait until the device has finished all its work.
``compile_s()``
    Return the seconds that the framework says it has compiled so far, tracing included. Only where
    it can be asked.
``get_weights(model)``, ``set_weights(model, weights)``
    Weights by neutral name, float32.
``tiny_product()``
    Return a function without arguments: a product of one number by one, on the device, that can be
    called again and again. It is done when it returns, or with `synchronise`.
``set_rate(model, rate)``
    Set the learning rate of the next steps, without compiling anything again.
``export(model, format_name, path, example)``
    Write the model to *path*. *example* is an input (2 or more, ...); the batch size stays free.
    Return {"opset": int or None, "exporter": name and version of the exporter, as it says}.
    Raises Unsupported for a format that the framework cannot write.

A framework that exports language models to generate with (see `harness.record.cache_names`) has

``predict_with_past(model, inputs)``
    Do a step with a model that was built: tokens, and the keys and values of the steps before ->
    the logits of the tokens, and all keys and values. All are arrays by name.
``export_with_past(model, format_name, path, inputs)``
    Write such a step, like `export`. *inputs* are an example of 2 or more rows; the numbers of
    rows, of tokens and of steps before stay free, the last down to none.

A runtime leaves out the functions for what it cannot do; the harness records ``unsupported``.
"""

from typing import TYPE_CHECKING, Any, Container, Dict, Iterable, Iterator, List, Tuple

import numpy

if TYPE_CHECKING:
    #: A numpy array.
    Array = numpy.ndarray
else:
    Array = Any

#: Arrays by name.
Arrays = Dict[str, "numpy.ndarray"]


def single_input(inputs: Arrays) -> "numpy.ndarray":
    """Return the array for a model with one input, whatever its name."""
    (x,) = inputs.values()
    return x


def match_names(inputs: Arrays, names: List[str]) -> Arrays:
    """Return *inputs* under the model's own input *names*; a single input may have any name.

    Raises ValueError where several do not match: their order does not say which is which; and
    Unsupported where one is a sequence or a map, which comes in parts: who takes these puts the
    parts together first.
    """
    for name in names:
        if name not in inputs and any(given.startswith(name + ".") for given in inputs):
            raise Unsupported(f"it takes tensors only: its input {name} is a sequence or a map")
    if len(names) > 1 and set(inputs) != set(names):
        raise _mismatch(inputs, names)
    return match_places(inputs, names)


def match_places(inputs: Arrays, names: List[str]) -> Arrays:
    """Do as `match_names` for a format whose inputs have an order: other names go in that order.

    Raises ValueError where only some names match, or the numbers of inputs differ.
    """
    if set(inputs) == set(names):
        return inputs
    if len(inputs) != len(names) or not set(inputs).isdisjoint(names):
        raise _mismatch(inputs, names)
    return dict(zip(names, inputs.values()))


def _mismatch(inputs: Iterable[str], names: Iterable[str]) -> ValueError:
    given_names, model_names = (", ".join(group) or "none" for group in (inputs, names))
    return ValueError("the model's inputs are %s; got %s" % (model_names, given_names))


def copy_inputs(inputs: Arrays) -> Arrays:
    """Return copies of the inputs, for one answer of a model that may write into them.

    Many adapters pass the arrays themselves to the model, as an application would. `answer` is
    timed, so its caller copies, outside the clock.
    """
    return {name: numpy.array(x) for name, x in inputs.items()}


def layers_of(
    network: Dict[str, Any], kinds: Container[str]
) -> Iterator[Tuple[Dict[str, Any], List[str]]]:
    """Yield each layer of a network with the names of the layers that it reads, or ``input``.

    Raises Unsupported for one whose kind is not among *kinds*.
    """
    before = "input"
    for layer in network["layers"]:
        if layer["kind"] not in kinds:
            raise Unsupported("layer kind " + layer["kind"])
        yield layer, layer.get("inputs", [before])
        before = layer["name"]


def parameters_of(layer: Dict[str, Any], values: Dict[str, Any]) -> Dict[str, Any]:
    """Return what there is for a layer's parameters, such as arrays, by the parameter's name."""
    return {
        name.split(".")[1]: value
        for name, value in values.items()
        if name.split(".")[0] == layer["name"]
    }


def notes_on(network: Dict[str, Any], notes: Dict[str, str]) -> Dict[str, str]:
    """Return the *notes* on kinds of layers that the network has; a key begins with the kind."""
    kinds = {layer["kind"] for layer in network["layers"]}
    return {key: note for key, note in notes.items() if key.split()[0] in kinds}


class WrongDevice(Exception):
    """The framework says that it is not on the requested device."""


class Unsupported(Exception):
    """The framework cannot do this: a fact about it, not a fault."""
