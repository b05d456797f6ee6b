"""Models that TensorFlow loads to answer: ``saved-model``, ``keras`` and ``keras-h5``.

Import this module after TensorFlow and Keras only.
"""

import keras
import tensorflow as tf
from tensorflow.python.saved_model import load_v1_in_v2

import harness.adapters as protocol
from harness.graphs import BadModel, values
from harness.graphs.inputs import sample_inputs


class SavedModel:
    """A loaded SavedModel: its default signature, with its inputs by name."""

    def __init__(self, path):
        self._model = _load(path)  # the signature alone does not keep the model alive
        if "serving_default" not in self._model.signatures:
            raise protocol.Unsupported("the SavedModel has no signature serving_default")
        self.serve = self._model.signatures["serving_default"]
        self.inputs = dict(self.serve.structured_input_signature[1])

    def call(self, tensors):
        """Return the outputs by name, for tensors by name."""
        outputs = self.serve(**tensors)
        return {name: outputs[name] for name in sorted(outputs)}


def _load(path):
    """Return a SavedModel's signatures with what they need.

    Keras 2 also wrote the state of its optimiser, which has no class here any more: of such a model
    the graph alone is loaded, as in TensorFlow 1.
    """
    try:
        return tf.saved_model.load(path)
    except Exception:  # an object without its class may raise anything
        try:
            return load_v1_in_v2.load(path, ["serve"])
        except Exception:  # the first reason counts
            pass
        raise


class Keras:
    """A loaded Keras model, compiled, with its inputs by name.

    Raises BadModel where Keras cannot make it from the file alone.
    """

    def __init__(self, path):
        try:
            model = keras.saving.load_model(path, compile=False, safe_mode=True)
            self.inputs = {
                value.name: tf.TensorSpec(value.shape, value.dtype) for value in model.inputs
            }
        except Exception as error:  # a class of the user's own may raise anything
            line = f"{type(error).__name__}: {error}".splitlines()[0][:120]
            raise BadModel(
                "Keras cannot load it from the file alone: write a SavedModel, "
                f"model.export('folder') ({line})"
            )
        is_chain = isinstance(model, keras.Sequential)
        self._model, self._structure = model, model.inputs[0] if is_chain else model.input
        self._call = tf.function(self._answer, input_signature=[list(self.inputs.values())])

    def _answer(self, tensors):
        return self._model(keras.tree.pack_sequence_as(self._structure, tensors), training=False)

    def call(self, tensors):
        """Return the outputs by name, for tensors by name."""
        return dict(_by_name(self._call([tensors[name] for name in self.inputs])))


def _by_name(result):
    """Yield (name, tensor): a dictionary's keys, the numbers of several, ``y`` for a single one."""
    leaves = keras.tree.flatten_with_path(result)
    for path, value in leaves:
        yield ".".join(str(key) for key in path) or "y", value


KINDS = {"saved-model": SavedModel, "keras": Keras, "keras-h5": Keras}


def load(format_name, path):
    """Read a model. Raises Unsupported for another format."""
    if format_name not in KINDS:
        raise protocol.Unsupported(f"tensorflow does not read {format_name}")
    return KINDS[format_name](path)


def inspect(model, user_inputs, sampling, answer):
    """Return what the protocol's `inspect` does, for a loaded *model*; there is no float64."""
    declared = [
        {
            "name": name,
            "dtype": _dtype_name(tf.as_dtype(spec.dtype)),
            "shape": [dim or 0 for dim in spec.shape],
        }
        for name, spec in model.inputs.items()
    ]
    inputs = user_inputs or sample_inputs.arrays(declared, sampling)
    return {
        "described": {"inputs": declared},
        "inputs": inputs,
        "outputs": answer(model, inputs),
    }


def _dtype_name(dtype):
    return values.TEXT if dtype == tf.string else dtype.name
