"""Theano 1.0: expressions that are compiled by a C++ compiler when a function is made of them."""

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

theano: Any = None  # the framework, once `start` has imported it


def start() -> None:
    """Import Theano. Its compile cache is in this process's own folder and starts empty."""
    global theano
    folder = os.path.join(os.environ.get("TMPDIR", "/tmp"), "theano")
    flags = ["device=cpu", "floatX=float32", "base_compiledir=" + folder, "compiledir_format=c"]
    os.environ["THEANO_FLAGS"] = ",".join([*flags, "blas.ldflags=" + os.environ["BLAS_FLAGS"]])
    import theano as module

    theano = module
    from harness.frameworks.theano import operations

    symbolic.use(operations)


def configure(device: str, threads: int, pooling: str = "agreeing") -> None:
    """Use the CPU; the threads are those of the BLAS. *pooling* is ``agreeing`` or ``own``."""
    if device != "cpu":
        raise protocol.WrongDevice("Debian's Theano computes on the CPU only")
    symbolic.ops.use_own_pooling(pooling == "own")
    openblas.set_threads(threads)


def describe() -> Dict[str, Any]:
    """Describe the versions, and the BLAS with the processor type that it chose."""
    return {
        "versions": {"theano": theano.__version__},
        "threads": openblas.threads(),
        "device": "cpu",
        "device_name": None,
        "blas": openblas.describe(),
    }
