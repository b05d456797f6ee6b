"""PyTensor, Theano's successor: the same expressions, compiled by a C++ compiler as well."""

import os
from typing import Any, Dict

import harness.adapters as protocol
from harness.frameworks.symbolic import functions as symbolic
from harness.frameworks.symbolic.functions import (  # noqa: F401 - the rest of the adapter
    activations,
    answer,
    backward,
    build,
    export,
    forward,
    get_weights,
    gradients,
    load,
    multiply,
    notes,
    predict,
    put,
    set_rate,
    set_weights,
    step,
    synchronise,
    tiny_product,
)
from harness.measuring import openblas

pytensor: Any = None  # the framework, once `start` has imported it


def start() -> None:
    """Import PyTensor. Its compile cache is in this process's own folder and starts empty.

    The linker is CVM, C++ as in Theano: the default, Numba, takes minutes instead of one.
    """
    global pytensor
    folder = os.path.join(os.environ.get("TMPDIR", "/tmp"), "pytensor")
    flags = ["mode=CVM", "floatX=float32", "base_compiledir=" + folder, "compiledir_format=c"]
    os.environ["PYTENSOR_FLAGS"] = ",".join([*flags, "blas__ldflags=" + os.environ["BLAS_FLAGS"]])
    import pytensor as module

    pytensor = module
    from harness.frameworks.pytensor import operations

    symbolic.use(operations)


def configure(device: str, threads: int) -> None:
    """Use the CPU; the threads are those of the BLAS."""
    if device != "cpu":
        raise protocol.WrongDevice("PyTensor computes on the CPU")
    openblas.set_threads(threads)


def describe() -> Dict[str, Any]:
    """Describe the versions, and the BLAS with the processor type that it chose."""
    return {
        "versions": {"pytensor": pytensor.__version__},
        "threads": openblas.threads(),
        "device": "cpu",
        "device_name": None,
        "blas": openblas.describe(),
    }
