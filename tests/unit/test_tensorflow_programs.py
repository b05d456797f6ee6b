"""SavedModels as a user brings them: text, and what an older Keras has left in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from harness.frameworks.tensorflow import adapter  # noqa: E402 - after it is known to be there
from harness.graphs.inputs.sample_inputs import WORDS, Sampling  # noqa: E402


@pytest.fixture(autouse=True)
def started() -> None:
    adapter.start()
    adapter.device = "/CPU:0"


def test_text_goes_into_a_saved_model_and_comes_out(tmp_path: Path) -> None:
    module = tf.Module()
    spec = tf.TensorSpec([None], tf.string, name="text")
    upper = tf.function(
        lambda text: {"upper": tf.strings.upper(text), "size": tf.strings.length(text)},
        input_signature=[spec],
    )
    tf.saved_model.save(module, str(tmp_path), {"serving_default": upper})
    inspected = adapter.inspect("saved-model", str(tmp_path), None, Sampling(0))
    assert set(inspected["inputs"]["text"]) <= set(WORDS)
    model = adapter.load("saved-model", str(tmp_path))
    outputs = adapter.answer(model, {"text": np.array(["over", "\u00e5"])})
    assert outputs["upper"].dtype.kind == "U"
    assert outputs["upper"][0] == "OVER"
    assert outputs["size"].tolist() == [4, 2]  # bytes


def test_the_state_of_an_optimiser_without_a_class_does_not_refuse_a_saved_model(
    tmp_path: Path,
) -> None:
    """Keras 2 saved it; `tf.saved_model.load` finds no add_slot in what it makes of it."""
    module = tf.Module()
    module.weight, module.momentum, module.optimiser = (
        tf.Variable(3.0),
        tf.Variable(0.5),
        tf.Module(),
    )
    spec = tf.TensorSpec([2], tf.float32, name="x")
    serve = tf.function(lambda x: {"y": module.weight * x}, input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path), {"serving_default": serve})
    _add_slot(tmp_path / "saved_model.pb")
    with pytest.raises(AttributeError, match="add_slot"):
        tf.saved_model.load(str(tmp_path))
    model = adapter.load("saved-model", str(tmp_path))
    outputs = adapter.answer(model, {"x": np.array([1, 2], "float32")})
    np.testing.assert_array_equal(outputs["y"], [3, 6])


def _add_slot(path: Path) -> None:
    """Say in a SavedModel that the optimiser holds the momentum of the weight."""
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    nodes = saved.meta_graphs[0].object_graph_def.nodes
    children = {child.local_name: child.node_id for child in nodes[0].children}
    nodes[children["optimiser"]].slot_variables.add(
        original_variable_node_id=children["weight"],
        slot_name="momentum",
        slot_variable_node_id=children["momentum"],
    )
    path.write_bytes(saved.SerializeToString())
