"""The ``onnx`` package's reference evaluator, in numpy: the neutral judge, and slow."""

import harness.adapters as protocol

onnx = None  # the package, once `start` has imported it
threads = None


def start():
    """Import onnx and its evaluator."""
    global onnx
    import onnx as module
    import onnx.reference

    onnx = module


def configure(device, count):
    """Raise WrongDevice unless the device is the CPU; numpy has its threads from the process."""
    global threads
    if device != "cpu":
        raise protocol.WrongDevice("the reference evaluator computes on the CPU only")
    threads = count


def describe():
    """Say what is used; the products are numpy's."""
    return {
        "versions": {"onnx": onnx.__version__},
        "threads": threads,
        "device": "cpu",
        "device_name": None,
        "blas": None,
    }


def multiply(left, right):
    """Matrix product as a model of one node."""
    kind = onnx.helper.np_dtype_to_tensor_dtype(left.dtype)
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["left", "right"], ["product"])],
        "product",
        [value("left", kind, left.shape), value("right", kind, right.shape)],
        [value("product", kind, None)],
    )
    evaluator = onnx.reference.ReferenceEvaluator(onnx.helper.make_model(graph))
    return evaluator.run(None, {"left": left, "right": right})[0]


def load(form, path):
    """Read a model; return its evaluator."""
    if form != "onnx":
        raise protocol.Unsupported("the onnx package does not read " + form)
    return onnx.reference.ReferenceEvaluator(path)


def answer(model, inputs):
    """Evaluate the graph, arrays in and out."""
    fed = protocol.fed(inputs, model.input_names)
    return dict(zip(model.output_names, model.run(None, fed)))
