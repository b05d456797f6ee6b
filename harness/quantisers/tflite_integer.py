"""TFLiteConverter's full-integer quantisation: weights, activations, inputs and outputs in int8.

Right answers are those of the reference kernels in TensorFlow's own interpreter, as LiteRT's are of
a user's model. The batch is 1, so rows are answered one by one.
"""

import functools
from types import ModuleType
from typing import Any, Dict

import numpy

from harness.adapters import Array, Arrays
from harness.graphs import quantisation
from harness.graphs.tflite import model as tflite
from harness.quantisers import Exported
from harness.runtimes.litert import adapter as litert


def export(
    adapter: ModuleType, model: Any, path: str, example: Array, calibration: Array
) -> Exported:
    """Write the quantised model. The adapter is TensorFlow's."""
    import tensorflow as tf

    target = tf.lite.TargetSpec(supported_ops=[tf.lite.OpsSet.TFLITE_BUILTINS_INT8])
    adapter.save_tflite(
        model.keras,
        path,
        example,
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=lambda: ([row[None]] for row in calibration),
        target_spec=target,
        inference_input_type=tf.int8,
        inference_output_type=tf.int8,
    )
    exporter = "TFLiteConverter of tensorflow {}, full integer".format(tf.__version__)
    described = {"opset": None, "exporter": exporter, "batch": 1}
    return described, functools.partial(_inspect, path)


def _inspect(path: str, x: Array, threads: int) -> Dict[str, Any]:
    """Answer by the interpreter's usual kernels, and by its reference kernels."""
    from tensorflow.lite.python import interpreter

    litert.litert, litert.threads = interpreter, threads
    model, graph = litert.load("tflite", path), tflite.read(path)
    declared = [
        {"name": name, "dtype": str(numpy.dtype(entry["dtype"]))}
        for name, entry in model.declared().items()
    ]
    inputs = quantisation.quantise({"x": x}, declared, tflite.grids(graph))
    outputs = _by_rows(model, inputs)
    return {
        "described": {
            "inputs": declared,
            "quantised": tflite.outputs_in_steps(graph),
            "judged_by": dict.fromkeys(outputs, litert.REFERENCE),
            "rounded": list(outputs),
        },
        "inputs": inputs,
        "outputs": outputs,
        "gold": _by_rows(litert.reference(path), inputs),
    }


def _by_rows(model: Any, inputs: Arrays) -> Arrays:
    """Return the outputs of every row, (N, ...), by name."""
    (name,) = inputs
    answers = [litert.answer(model, {name: row[None]}) for row in inputs[name]]
    return {output: numpy.concatenate([part[output] for part in answers]) for output in answers[0]}
