"""The ONNX standard's tests of single operators, which its package makes from its own code."""

import numpy

from harness import record


def version():
    """Return the version of the package that makes them."""
    import onnx

    return "onnx " + onnx.__version__


def cases():
    """Yield a case for every set of inputs of every test."""
    from onnx.backend.test.loader import load_model_tests

    for test in sorted(load_model_tests(kind="node"), key=lambda entry: entry.name):
        for number, (inputs, outputs) in enumerate(test.data_sets):
            name = test.name if len(test.data_sets) == 1 else f"{test.name}_{number}"
            yield dict(_case(test, inputs, outputs), name=name)


def _case(test, inputs, outputs):
    strange = sorted({_strange(value) for value in [*inputs, *outputs]} - {None})
    if strange:
        return {"skipped": "it has " + ", ".join(strange)}
    names = [entry.name for entry in test.model.graph.input]
    return {
        "form": "onnx",
        "model": test.model.SerializeToString(),
        "inputs": {name: _plain(value) for name, value in zip(names, inputs)},
        "outputs": [_plain(value) for value in outputs],
        "rtol": float(test.rtol),
        "atol": float(test.atol),
    }


def _strange(value):
    """Return what a value is, where it is no array that a file can hold."""
    if isinstance(value, (list, tuple)):
        return "a sequence"
    if value is None:
        return "an optional"
    x = numpy.asarray(value)
    return None if x.dtype.kind in record.SUITE_KINDS or _is_text(x) else str(x.dtype)


def _is_text(x):
    return x.dtype.kind == "O" and all(isinstance(item, (str, bytes)) for item in x.ravel())


def _plain(value):
    x = numpy.asarray(value)
    return x.astype(str) if x.dtype.kind in "OS" else x
