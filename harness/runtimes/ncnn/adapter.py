"""ncnn on the CPU: reads ``ncnn``, written by pnnx, and answers.

By default it computes in float16. Here it is forced to float32, unless the cell's option
*precision* is ``default``.
"""

import os
from typing import Any, Dict, Optional

import numpy

import harness.adapters as protocol
from harness.graphs import BadModel
from harness.graphs.inputs.sample_inputs import Sampling

ncnn: Any = None  # the runtime, once `start` has imported it
threads: Any = None
exact: Any = None

PRODUCT = """7767517
3 3
Input a 0 1 a
Input b 0 1 b
MatMul product 2 1 a b product
"""


def start() -> None:
    """Import ncnn."""
    global ncnn
    import ncnn as module

    ncnn = module


def configure(device: str, count: int, precision: str = "float32") -> None:
    """Choose threads and precision, one of ``float32`` and ``default``."""
    global threads, exact
    if device != "cpu":
        raise protocol.WrongDevice("this adapter is for the CPU only")
    threads, exact = count, precision == "float32"
    ncnn.set_omp_num_threads(count)


def describe() -> Dict[str, Any]:
    """Describe what is used; the precision is the lowest that the options allow."""
    options = _net(exact).opt
    reduced = options.use_fp16_storage or options.use_fp16_arithmetic
    return {
        "versions": {"ncnn": ncnn.__version__},
        "threads": ncnn.get_omp_num_threads(),
        "device": "cpu",
        "device_name": None,
        "blas": "ncnn's own",
        "precision": "float16" if reduced else "float32",
    }


def multiply(a: protocol.Array, b: protocol.Array) -> protocol.Array:
    """Matrix product as a net of one layer; in float32, as the answer is not exact in float16."""
    if a.dtype != "float32":
        raise protocol.Unsupported("ncnn computes in float32 at most")
    net = _net(True)
    net.load_param_mem(PRODUCT)
    net.load_model(os.devnull)  # there are no weights; ncnn needs a file all the same
    return _run(net, {"a": a, "b": b})["product"]


def load(format_name: str, path: str) -> Any:
    """Read a folder of ``model.param`` and ``model.bin``."""
    if format_name != "ncnn":
        raise protocol.Unsupported("ncnn does not read " + format_name)
    net = _net(exact)
    for read, name in ((net.load_param, "model.param"), (net.load_model, "model.bin")):
        code = read(os.path.join(path, name))
        if code != 0:
            raise protocol.Unsupported(f"ncnn answers {code} to {name}: {_load_error(path)}")
    return net


def _load_error(path):
    """Return the kinds of layers that ncnn does not have: its own message is in the log only."""
    with open(os.path.join(path, "model.param"), encoding="utf-8") as source:
        kinds = sorted({line.split()[0] for line in source.readlines()[2:]})
    unknown = [kind for kind in kinds if ncnn.create_layer(kind) is None]
    return "it has no layer " + ", ".join(unknown) if unknown else "its log says why"


def _net(plain):
    """Return an empty net; *plain* forces float32."""
    net = ncnn.Net()
    net.opt.num_threads = threads
    if plain:
        net.opt.use_fp16_packed = False
        net.opt.use_fp16_storage = False
        net.opt.use_fp16_arithmetic = False
        net.opt.use_bf16_storage = False
    return net


def inspect(
    format_name: str,
    path: str,
    user_inputs: Optional[protocol.Arrays],
    sampling: Sampling,  # noqa: ARG001 - not used
) -> Dict[str, Any]:
    """Inspect a net with the user's inputs, in rows: a net does not say their shapes."""
    if user_inputs is None:
        raise BadModel("a net of ncnn does not say the shapes of its inputs: give --inputs")
    declared = [
        {"name": name, "dtype": str(x.dtype), "shape": list(x.shape)}
        for name, x in user_inputs.items()
    ]
    outputs = answer(load(format_name, path), user_inputs)
    return {"described": {"inputs": declared}, "inputs": user_inputs, "outputs": outputs}


def answer(model: Any, inputs: protocol.Arrays) -> protocol.Arrays:
    """Run the net, arrays in and out: row by row, as its layers have no batch axis."""
    feed = protocol.match_places(inputs, model.input_names())
    for name, x in feed.items():
        if x.dtype != "float32":
            raise protocol.Unsupported(f"ncnn takes float32, the input {name} is {x.dtype}")
    rows = [
        _run(model, dict(zip(feed, row)))
        for row in zip(*(numpy.ascontiguousarray(x) for x in feed.values()))
    ]
    return {name: numpy.stack([row[name] for row in rows]) for name in model.output_names()}


def _run(net, inputs):
    """Return copies of the outputs for one row: the net owns their memory."""
    extractor = net.create_extractor()
    mats = [ncnn.Mat(x) for x in inputs.values()]  # a Mat refers to the array without a copy
    for name, x in zip(inputs, mats):
        extractor.input(name, x)
    outputs = {}
    for name in net.output_names():
        code, mat = extractor.extract(name)
        if code != 0:
            raise RuntimeError(f"ncnn answers {code} for the output {name}")
        outputs[name] = numpy.array(mat)
    return outputs
