"""OpenCV's DNN module: reads ``onnx``, before its version 5 also ``caffe``, and answers."""

import os
import re
from typing import Any, Dict

import numpy

import harness.adapters as protocol

cv2: Any = None  # the library, once `start` has imported it

#: The functions of its ONNX importer that stop at a node, or at the type of an input or an output.
IMPORTER = ("handleNode", "parseValueInfo")


def start() -> None:
    """Import OpenCV."""
    global cv2
    import cv2 as module

    cv2 = module


def configure(device: str, threads: int) -> None:
    """Set the threads; raise WrongDevice unless the device is the CPU."""
    if device != "cpu":
        raise protocol.WrongDevice("OpenCV's wheel computes on the CPU only")
    cv2.setNumThreads(threads)


def describe() -> Dict[str, Any]:
    """Describe what OpenCV really uses."""
    return {
        "versions": {"opencv": cv2.__version__},
        "threads": cv2.getNumThreads(),
        "device": "cpu",
        "device_name": None,
        "blas": "OpenCV's own",
        "precision": "float32",  # its importer rounds float64
    }


def multiply(a: protocol.Array, b: protocol.Array) -> protocol.Array:
    """Matrix product by OpenCV's own function."""
    return cv2.gemm(a, b, 1.0, None, 0.0)


def load(format_name: str, path: str) -> Any:
    """Read a model; return its network and the names of its outputs.

    Raises Unsupported where its importer stops at a node or a type that it does not know.
    """
    silenced = set()
    if format_name == "caffe" and hasattr(cv2.dnn, "readNetFromCaffe"):
        files = [os.path.join(path, "model." + kind) for kind in ("prototxt", "caffemodel")]
        net = cv2.dnn.readNetFromCaffe(*files)
        with open(files[0]) as source:
            silenced = _silence_layers(source.read())
    elif format_name == "onnx":
        net = _import_onnx(path)
    else:
        raise protocol.Unsupported("this OpenCV does not read " + format_name)
    return net, [name for name in net.getUnconnectedOutLayersNames() if name not in silenced]


def _import_onnx(path):
    try:
        return cv2.dnn.readNetFromONNX(path)
    except cv2.error as error:
        if error.func in IMPORTER or error.code == cv2.Error.StsNotImplemented:
            reason = " ".join(error.err.strip("> \n").split())
            raise protocol.Unsupported("OpenCV cannot import it: " + reason) from error
        raise


def _silence_layers(prototxt):
    """Return the Silence layers and the layers that they read, which OpenCV takes for outputs.

    The text is as our Caffe adapter writes it, one layer on each line.
    """
    layers = re.findall(r'layer \{ name: "([^"]+)" type: "(\w+)"(.*)', prototxt)
    blobs, silenced = set(), set()
    for name, kind, fields in layers:
        if kind == "Silence":
            silenced.add(name)
            blobs.update(re.findall(r'bottom: "([^"]+)"', fields))
    for name, _, fields in layers:
        if blobs & set(re.findall(r'top: "([^"]+)"', fields)):
            silenced.add(name)
    return silenced


def answer(model: Any, inputs: protocol.Arrays) -> protocol.Arrays:
    """Run the network, arrays in and out.

    OpenCV does not tell the names of the inputs: a single input goes without a name, several by
    their own names.
    """
    net, outputs = model
    for name, x in inputs.items():
        net.setInput(numpy.ascontiguousarray(x), name if len(inputs) > 1 else "")
    arrays = net.forward(outputs)
    # A copy: the network reuses this memory for the next answer.
    return {name: numpy.array(array) for name, array in zip(outputs, arrays)}
