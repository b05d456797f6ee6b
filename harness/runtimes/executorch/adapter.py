"""ExecuTorch on the CPU, without torch: reads ``executorch`` and answers."""

import base64
import os
import zlib
from typing import Any, Dict, Optional

import numpy

import harness.adapters as protocol
from harness.graphs import BadModel, WrongInputs
from harness.graphs.inputs import sample_inputs
from harness.graphs.inputs.sample_inputs import Sampling

#: torch's types of elements by their numbers.
SCALAR_TYPES = {
    0: "uint8",
    1: "int8",
    2: "int16",
    3: "int32",
    4: "int64",
    5: "float16",
    6: "float32",
    7: "float64",
    11: "bool",
}

executorch: Any = None  # the runtime, once `start` has imported it

#: (131, 197) x (197, 67) float32, the sizes of the self-test. Only ExecuTorch's exporter, which
#: needs torch, can make a program. This is ``torch.export.export(Product(), examples)``, where
#: Product returns ``a @ b``, written by `harness.frameworks.torch.exports` and compressed by zlib.
PRODUCT = (
    "eNqtkr9PwkAUx1+x1hMZEAnpwNA0DA7EBOOATCTq7sBGiCKtsUkpBK5RY0hMXNz9Fxwd/BOMkc3Bv8M/wvq9cpAr"
    "4KCxzfde7929z/uRFonoqFHZhaEsmVjzsBlipMOKHdE2tKeIRVGkw2qUfMSeQXr8Jv3F+KsAVoks7EwlTwEnJagq"
    "dQq9QG/QO/QBQGOFKKUwnz9TC7lFTucrikQNGQgh1At5XFObu0Gt1u1O72bjqPSshrSMqUtNeY/oNStTMNkdk2e6"
    "kjtFyfrmfZqs5wk6lrkY1g3JY5Nrq68ynzmbGRlV+G7bqRlTfAh7Bx2IWeDcjKNzmOpWTJ/wdMrJXlXePe7XH7QF"
    "3ljyGKaxLuuacnO0ucDNq1zDiOdoKL2rdY5lv0zp9xDah5qVsnVj8+u+a9esIPT9smV3egF3r7jiuPB8Z+AGJ8O+"
    "24G72Rq1xP+ozcXbZ6Hncy8Y7vCw77t2gmULmL2M9m/xv6j/j12PlnbreB0+V2yzZf+EEKOjNei8N7hsDxz6BmR7"
    "rNk="
)


def start() -> None:
    """Import the runtime."""
    global executorch
    import executorch_numpy_runtime as module

    executorch = module


def configure(device: str, threads: int) -> None:
    """Check the device. The runtime uses as many threads as the process has processors."""
    del threads
    if device != "cpu":
        raise protocol.WrongDevice("this adapter is for the CPU only")


def describe() -> Dict[str, Any]:
    """Describe what is used. The runtime does not tell its number of threads."""
    information = executorch.runtime_info()
    return {
        "versions": {"executorch": information["executorch_version"]},
        "threads": len(os.sched_getaffinity(0)),
        "device": "cpu",
        "device_name": None,
        "blas": "ExecuTorch: " + ", ".join([*information["backends"], *information["kernel_libs"]]),
    }


def multiply(a: protocol.Array, b: protocol.Array) -> protocol.Array:
    """Matrix product by the program `PRODUCT`. There is none in float64."""
    if a.dtype != "float32":
        raise protocol.Unsupported("the program of the product is in float32")
    program = executorch.Runtime.get().load_program(zlib.decompress(base64.b64decode(PRODUCT)))
    (product,) = program.load_method("forward")([a, b])
    return product


def load(format_name: str, path: str) -> Any:
    """Read a program; return its method ``forward``, the only one of our exports."""
    if format_name != "executorch":
        raise protocol.Unsupported("ExecuTorch does not read " + format_name)
    return executorch.Runtime.get().load_program(path).load_method("forward")


def inspect(
    format_name: str, path: str, user_inputs: Optional[protocol.Arrays], sampling: Sampling
) -> Dict[str, Any]:
    """Inspect a program: its method says the largest shapes; this format has no float64."""
    model = load(format_name, path)
    entries = [
        {"name": str(number), "dtype": _dtype(number, entry), "shape": list(entry["shape"])}
        for number, entry in enumerate(model.metadata["inputs"])
    ]
    inputs = user_inputs or sample_inputs.arrays(entries, sampling)
    if len(inputs) != len(entries):
        raise WrongInputs(f"got {len(inputs)} inputs, it has {len(entries)}")
    return {"described": {"inputs": entries}, "inputs": inputs, "outputs": answer(model, inputs)}


def _dtype(number, entry):
    kind = entry["scalar_type"]
    if kind not in SCALAR_TYPES:
        raise BadModel(
            f"its input {number} has torch's type number {kind}; supported types: numbers"
        )
    return SCALAR_TYPES[kind]


def answer(model: Any, inputs: protocol.Arrays) -> protocol.Arrays:
    """Run the method, arrays in and out. Inputs and outputs have no names, only an order."""
    outputs = model([numpy.ascontiguousarray(x) for x in inputs.values()])
    return {str(number): y for number, y in enumerate(outputs)}
