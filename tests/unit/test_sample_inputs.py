"""Sample inputs fit the graph: their shapes, and the values that its operators can take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.graphs import WrongInputs
from harness.graphs.inputs import sample_inputs
from harness.graphs.inputs.sample_inputs import Sampling, Values
from harness.runtimes.onnx import adapter
from harness.runtimes.onnx.size_mismatches import size_mismatches

pytest.importorskip("onnxruntime")

FLOAT, INT64, INT32 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32
node, value = helper.make_node, helper.make_tensor_value_info

Dims = list[Any]


@pytest.fixture(autouse=True)
def started() -> None:
    adapter.start()


def weights(name: str, *shape: int) -> onnx.TensorProto:
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    return numpy_helper.from_array(values, name)


def scalar(name: str, number: Any) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(number), name)


def inspect(
    folder: Path,
    nodes: list[onnx.NodeProto],
    inputs: dict[str, tuple[int, Dims]],
    *held: onnx.TensorProto,
    sampling: Sampling = Sampling(0),  # noqa: B008 - a tuple
) -> dict[str, Any]:
    declared = [value(name, kind, dims) for name, (kind, dims) in inputs.items()]
    outputs = [value(nodes[-1].output[0], FLOAT, None)]
    graph = helper.make_graph(nodes, "graph", declared, outputs, list(held))
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(folder / "m.onnx"))
    return adapter.inspect("onnx", str(folder / "m.onnx"), None, sampling)


def shapes(inspected: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: x.shape for name, x in inspected["inputs"].items()}


def test_ids_stay_within_the_table_that_they_look_up(tmp_path: Path) -> None:
    nodes = [node("Unsqueeze", ["ids", "axis"], ["u"]), node("Gather", ["table", "u"], ["y"])]
    inspected = inspect(
        tmp_path, nodes, {"ids": (INT64, ["n"])}, weights("table", 3, 4), scalar("axis", [0])
    )
    assert set(inspected["inputs"]["ids"]) <= {0, 1, 2}
    assert inspected["described"]["values"] == {"ids": "indices of Gather"}


def looked_up_in_rounds(kind: str) -> onnx.NodeProto:
    """Return a Loop that carries ``ids``, or a Scan that takes one of them in each round."""
    gather = node("Gather", ["table", "places"], ["rows"])
    total = node("ReduceSum", ["rows"], ["more"], keepdims=0)
    typed = [value("places", INT64, None), value("more", FLOAT, None)]
    if kind == "Scan":
        body = helper.make_graph([gather, total], "body", typed[:1], typed[1:])
        return node("Scan", ["ids"], ["y"], body=body, num_scan_inputs=1)
    boolean = TensorProto.BOOL
    heads = [value("at", INT64, []), value("goes", boolean, [])]
    nodes = [
        gather,
        total,
        *(node("Identity", [x], [y]) for x, y in (("goes", "on"), ("places", "next"))),
    ]
    outputs = [value("on", boolean, []), value("next", INT64, None), typed[1]]
    body = helper.make_graph(nodes, "body", [*heads, typed[0]], outputs)
    return node("Loop", ["count", "", "ids"], ["last", "y"], body=body)


@pytest.mark.parametrize("grows", [True, False])
def test_what_a_loop_starts_with_has_the_size_that_it_carries_unless_that_grows(
    tmp_path: Path, *, grows: bool
) -> None:
    """It collects the rows of ``x`` from nothing on, under the name of the rows of ``x``."""
    boolean = TensorProto.BOOL
    nodes = [
        node("Gather", ["x", "at"], ["row"]),
        node("Unsqueeze", ["row", "axis"], ["rows"]),
        node("Concat", ["held", "rows"], ["next"], axis=0)
        if grows
        else node("Add", ["held", "row"], ["next"]),
        node("Identity", ["goes"], ["on"]),
    ]
    heads = [value("at", INT64, []), value("goes", boolean, [])]
    inputs, outputs = [value("held", FLOAT, ["n", 3])], [value("next", FLOAT, ["n", 3])]
    body = helper.make_graph(nodes, "body", [*heads, *inputs], [value("on", boolean, []), *outputs])
    loop = node("Loop", ["count", "", "start"], ["y"], body=body)
    start = weights("start", 0 if grows else 2, 3)
    held = [start, scalar("count", 1), scalar("axis", [0])]
    inspected = inspect(tmp_path, [loop], {"x": (FLOAT, ["n", 3])}, *held)
    rows = inspected["inputs"]["x"].shape[0]
    assert rows > 0 if grows else rows == 2
    assert inspected["gold"]["y"].shape == (1 if grows else 2, 3)


@pytest.mark.parametrize("kind", ["Loop", "Scan"])
def test_ids_stay_within_a_table_that_every_round_looks_up(tmp_path: Path, kind: str) -> None:
    rounds, result = looked_up_in_rounds(kind), node("Identity", ["y"], ["result"])
    held = [weights("table", 3, 4), scalar("count", 2)]
    inspected = inspect(tmp_path, [rounds, result], {"ids": (INT64, [40])}, *held)
    assert set(inspected["inputs"]["ids"]) == {0, 1, 2}
    assert inspected["described"]["values"] == {"ids": "indices of Gather"}


def test_ids_stay_within_a_table_that_a_function_of_the_model_looks_up(tmp_path: Path) -> None:
    inspect(
        tmp_path, [node("Neg", ["table"], ["y"])], {"ids": (INT64, [40])}, weights("table", 3, 4)
    )
    model = onnx.load(tmp_path / "m.onnx")
    model.graph.node[0].CopyFrom(node("Find", ["table", "ids"], ["y"], domain="own"))
    gather = [node("Gather", ["a", "b"], ["c"])]
    opsets = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("own", "Find", ["a", "b"], ["c"], gather, opsets))
    model.opset_import.append(helper.make_opsetid("own", 1))
    onnx.save(model, tmp_path / "m.onnx")
    inspected = adapter.inspect("onnx", str(tmp_path / "m.onnx"), None, Sampling(0))
    assert set(inspected["inputs"]["ids"]) == {0, 1, 2}


@pytest.mark.parametrize(
    ("nodes", "dims"),
    [
        ([node("GatherElements", ["x", "i"], ["y"], axis=1)], [2, 3]),
        ([node("GatherND", ["x", "i"], ["y"])], [5, 2]),
        ([node("OneHot", ["i", "depth", "onoff"], ["y"])], [40]),
        ([node("NegativeLogLikelihoodLoss", ["x", "i"], ["y"])], [2]),
        ([node("SoftmaxCrossEntropyLoss", ["x", "i"], ["y"])], [2]),
    ],
)
def test_indices_stay_within_what_they_index(
    tmp_path: Path, nodes: list[onnx.NodeProto], dims: Dims
) -> None:
    inspected = inspect(
        tmp_path,
        nodes,
        {"i": (INT64, dims)},
        weights("x", 2, 3),
        scalar("depth", 4),
        scalar("onoff", np.float32([0, 1])),
    )
    largest = {"GatherND": 1, "OneHot": 3}.get(nodes[0].op_type, 2)
    ids = inspected["inputs"]["i"]
    assert 0 <= ids.min() < ids.max() <= largest
    assert inspected["outputs"]


def test_the_batch_of_a_hidden_state_is_that_of_its_sequence(tmp_path: Path) -> None:
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        node("LSTM", ["t", "w", "r", "", "lengths", "h", "c"], ["y"], hidden_size=5),
    ]
    inputs = {
        "x": (FLOAT, ["batch", "length", "features"]),
        "lengths": (INT32, [None]),
        "h": (FLOAT, [None, None, None]),
        "c": (FLOAT, [1, None, 5]),
    }
    inspected = inspect(tmp_path, nodes, inputs, weights("w", 1, 20, 4), weights("r", 1, 20, 5))
    assert shapes(inspected) == {"x": (2, 64, 4), "lengths": (2,), "h": (1, 2, 5), "c": (1, 2, 5)}
    lengths = inspected["inputs"]["lengths"]
    assert lengths.min() >= 1
    assert lengths.max() <= 64
    assert list(inspected["outputs"]) == ["y"]
    assert inspected["described"]["refusal"] == ""


def test_a_state_that_is_chosen_by_an_if_has_the_batch_of_the_sequence(tmp_path: Path) -> None:
    """An exporter's choice between a given state and a zero one: the runtime compares batches."""

    def branch(name: str, operator: str) -> onnx.GraphProto:
        outcome = value(name, FLOAT, None)
        return helper.make_graph([node(operator, ["h"], [name])], name, [], [outcome])

    nodes = [
        node("If", ["new"], ["s"], then_branch=branch("a", "Neg"), else_branch=branch("b", "Abs")),
        node("GRU", ["x", "w", "r", "", "", "s"], ["y"], hidden_size=5),
    ]
    inputs = {
        "x": (FLOAT, ["length", "n", 4]),
        "h": (FLOAT, [None, None, None]),
        "new": (TensorProto.BOOL, []),
    }
    inspected = inspect(tmp_path, nodes, inputs, weights("w", 1, 15, 4), weights("r", 1, 15, 5))
    assert shapes(inspected)["h"] == (1, shapes(inspected)["x"][1], 5)
    assert inspected["described"]["refusal"] == ""


def test_a_mask_is_of_zeros_and_ones_whatever_its_name(tmp_path: Path) -> None:
    nodes = [
        node("Cast", ["attends"], ["a"], to=FLOAT),
        node("Sub", ["one", "a"], ["blocked"]),
        node("Mul", ["blocked", "low"], ["bias"]),
        node("Add", ["x", "bias"], ["y"]),
    ]
    inspected = inspect(
        tmp_path,
        nodes,
        {"x": (FLOAT, [None, None]), "attends": (INT64, ["n", "length"])},
        scalar("one", np.float32(1)),
        scalar("low", np.float32(-10000)),
    )
    assert set(inspected["inputs"]["attends"].ravel()) == {0, 1}
    assert shapes(inspected)["x"] == shapes(inspected)["attends"]


def test_an_input_called_a_mask_is_one_in_floats_too(tmp_path: Path) -> None:
    inspected = inspect(
        tmp_path,
        [node("Mul", ["x", "pad_mask"], ["y"])],
        {"x": (FLOAT, [4, 4]), "pad_mask": (FLOAT, [4, 4])},
    )
    assert set(inspected["inputs"]["pad_mask"].ravel()) == {0, 1}


def test_a_dimension_that_is_named_as_a_sum_has_the_size_of_the_sum(tmp_path: Path) -> None:
    nodes = [
        node("Concat", ["past", "x"], ["k"], axis=1),
        node("Cast", ["mask"], ["m"], to=FLOAT),
        node("Mul", ["k", "m"], ["y"]),
    ]
    inputs = {
        "mask": (INT64, ["batch", "past_length + length", 1]),
        "x": (FLOAT, ["batch", "length", 3]),
        "past": (FLOAT, ["batch", "past_length", 3]),
    }
    inspected = inspect(tmp_path, nodes, inputs, sampling=Sampling(0, {"past_length": (7,)}))
    assert shapes(inspected) == {"mask": (2, 71, 1), "x": (2, 64, 3), "past": (2, 7, 3)}


def test_values_fill_what_the_model_is_quantised_for(tmp_path: Path) -> None:
    nodes = [
        node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
    ]
    inspected = inspect(
        tmp_path,
        nodes,
        {"x": (FLOAT, ["n", 3, 8, 8])},
        scalar("scale", np.float32(0.5)),
        scalar("zero", np.uint8(100)),
    )
    x = inspected["inputs"]["x"]
    assert -50 <= x.min() < -45
    assert 72 < x.max() <= 77.5


@pytest.mark.parametrize("operator", ["Log", "Sqrt", "Acosh", "Atanh"])
def test_a_function_gets_values_where_it_is_defined(tmp_path: Path, operator: str) -> None:
    inspected = inspect(tmp_path, [node(operator, ["x"], ["y"])], {"x": (FLOAT, [64])})
    assert np.isfinite(inspected["outputs"]["y"]).all()


def test_an_image_of_bytes_has_all_of_them(tmp_path: Path) -> None:
    inspected = inspect(
        tmp_path,
        [node("Cast", ["x"], ["y"], to=FLOAT)],
        {"x": (TensorProto.UINT8, ["n", "h", "w", 3])},
    )
    assert (inspected["inputs"]["x"].min(), inspected["inputs"]["x"].max()) == (0, 255)


@pytest.mark.parametrize("text", ["?", "-1", "None", ""])
def test_dimensions_without_a_real_name_have_sizes_of_their_own(tmp_path: Path, text: str) -> None:
    wanted = Sampling(0, {"x": (2, 5)})
    inspected = inspect(
        tmp_path, [node("Relu", ["x"], ["y"])], {"x": (FLOAT, [text, text])}, sampling=wanted
    )
    assert shapes(inspected)["x"] == (2, 5)


def test_two_sizes_for_dimensions_of_one_name_are_refused(tmp_path: Path) -> None:
    wanted = Sampling(0, {"x": (2, 5)})
    with pytest.raises(WrongInputs, match=r"--shape x=2x5: the model has one size .* named N"):
        inspect(tmp_path, [node("Relu", ["x"], ["y"])], {"x": (FLOAT, ["N", "N"])}, sampling=wanted)


def test_a_weight_tells_the_size_of_a_dynamic_dimension(tmp_path: Path) -> None:
    inspected = inspect(
        tmp_path,
        [node("Conv", ["x", "w"], ["c"], group=2), node("Relu", ["c"], ["y"])],
        {"x": (FLOAT, ["n", "channels", "h", "w"])},
        weights("w", 4, 3, 3, 3),
    )
    assert shapes(inspected)["x"] == (2, 6, 64, 64)


@pytest.mark.parametrize("dim", [40, 112])
def test_the_size_that_onnx_runtime_asks_for_is_tried(tmp_path: Path, dim: int) -> None:
    nodes = [node("Flatten", ["x"], ["f"]), node("Gemm", ["f", "w"], ["y"])]
    inspected = inspect(
        tmp_path, nodes, {"x": (FLOAT, ["n", 3, "h", "w"])}, weights("w", 3 * dim * dim, 2)
    )
    assert shapes(inspected)["x"] == (2, 3, dim, dim)
    assert inspected["described"]["refusal"] == ""


def test_the_length_that_an_exporter_has_fixed_in_a_reshape_is_tried(tmp_path: Path) -> None:
    shape = numpy_helper.from_array(np.array([7, 8, 2], "int64"), "shape")
    nodes = [
        node("Transpose", ["x"], ["turned"], perm=[1, 0, 2]),
        node("Reshape", ["turned", "shape"], ["heads"], name="/layers.0/self_attention/Reshape_4"),
        node("Neg", ["heads"], ["y"]),
    ]
    inspected = inspect(tmp_path, nodes, {"x": (FLOAT, ["batch", "length", 8])}, shape)
    assert shapes(inspected)["x"] == (2, 7, 8)
    assert inspected["described"]["refusal"] == ""


def test_what_no_size_fits_is_said_with_what_onnx_runtime_says(tmp_path: Path) -> None:
    nodes = [node("Flatten", ["x"], ["f"]), node("Gemm", ["f", "w"], ["y"])]
    inspected = inspect(tmp_path, nodes, {"x": (FLOAT, ["n", 3, "h", "w"])}, weights("w", 30, 2))
    assert "Dimension mismatch" in inspected["described"]["refusal"]
    assert inspected["outputs"] == {}


def test_a_model_that_leaves_nothing_free_is_refused_for_no_sample(tmp_path: Path) -> None:
    """ONNX Runtime computes a negative padding here, which no other input would change."""
    pool = node("MaxPool", ["x"], ["y"], kernel_shape=[3, 1], strides=[2, 2], auto_pad="SAME_LOWER")
    inspected = inspect(tmp_path, [pool], {"x": (FLOAT, [2, 4, 8, 8])})
    assert inspected["described"]["refusal"] == ""
    assert inspected["gold"]["y"].shape == (2, 4, 4, 4)


@pytest.mark.parametrize(
    ("message", "pairs"),
    [
        (
            "for input: x index: 2 Got: 64 Expected: 224 index: 3 Got: 64 Expected: 224",
            [(64, 224), (64, 224)],
        ),
        ("GEMM: Dimension mismatch, W: {4800,2} K: 12288 N:2", [(12288, 4800)]),
        ("an axis by a dimension other than 1. 64 by 48", [(64, 48), (48, 64)]),
        ("Input initial_h must have shape {1,1,16}. Actual:{1,2,16}", [(2, 1)]),
        ("Input shape:{64,2,32}, requested shape:{7,8,8}", [(64, 7)]),
        ("Input shape:{0,2}, requested shape:{7,8}", []),
        ("something else went wrong", []),
    ],
)
def test_sizes_are_read_from_what_onnx_runtime_says(
    message: str, pairs: list[tuple[int, int]]
) -> None:
    assert size_mismatches(message) == pairs


def test_shapes_and_ranges_are_what_the_user_asks_for(tmp_path: Path) -> None:
    sampling = Sampling(0, {"n": (3,), "b": (5, 2)}, {"a": (0.0, 255.0), "b": (-3.0, -1.0)})
    nodes = [node("Cast", ["b"], ["c"], to=FLOAT), node("MatMul", ["a", "c"], ["y"])]
    inputs = {"a": (FLOAT, ["n", None]), "b": (INT32, [None, 2])}
    inspected = inspect(tmp_path, nodes, inputs, sampling=sampling)
    a, b = inspected["inputs"].values()
    assert (a.shape, b.shape) == ((3, 5), (5, 2))
    assert 0 <= a.min() < a.max() <= 255
    assert set(b.ravel()) == {-3, -2, -1}
    assert inspected["described"]["values"] == {"a": "--range", "b": "--range"}


@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        (
            Sampling(0, {"imagee": (1,)}),
            "--shape imagee=1: it has no such input or dynamic dimension",
        ),
        (Sampling(0, {"xy": (1,)}), "no such input or dynamic dimension; it has 'image', 'size'"),
        (Sampling(0, {"sise": (1,)}), "--shape sise=1: .*; did you mean 'size'?"),
        (Sampling(0, {"image": (1, 4)}), r"--shape image=1x4: its shape is \(size, 3\)"),
        (Sampling(0, {"image": (1,)}), r"--shape image=1: its shape is \(size, 3\)"),
        (Sampling(0, {"size": (1, 2)}), "--shape size=1x2: a dimension has one size"),
        (Sampling(0, {}, {"imag": (0, 1)}), "--range imag=0:1: it has no such input; did you mean"),
        (Sampling(0, {}, {"image": (0, 300)}), "--range image=0:300: uint8 holds 0 to 255"),
        (Sampling(0, {}, {"image": (0.2, 0.7)}), "no uint8 is in this range"),
    ],
)
def test_what_the_inputs_cannot_have_is_refused(sampling: Sampling, message: str) -> None:
    declared = [{"name": "image", "dtype": "uint8", "shape": ["size", 3]}]
    with pytest.raises(WrongInputs, match=message):
        sample_inputs.check_request(sampling, declared)


def test_a_dimension_that_the_model_does_not_name_is_shown_as_unknown() -> None:
    declared = [{"name": "image", "dtype": "uint8", "shape": ["image.0", "n", 3]}]
    with pytest.raises(WrongInputs, match=r"its shape is \(\?, n, 3\)"):
        sample_inputs.check_request(Sampling(0, {"image": (1,)}), declared)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_bool_can_be_said_to_be_true_or_false(value: float) -> None:
    declared = [{"name": "c", "dtype": "bool", "shape": []}]
    sampling = Sampling(0, {}, {"c": (value, value)})
    sample_inputs.check_request(sampling, declared)
    assert sample_inputs.arrays(declared, sampling)["c"] == bool(value)
    with pytest.raises(WrongInputs, match="bool holds 0 to 1"):
        sample_inputs.check_request(Sampling(0, {}, {"c": (0, 2)}), declared)


def test_formats_without_names_of_dimensions_get_shapes_ranges_and_values() -> None:
    declared = [
        {"name": "x", "dtype": "float32", "shape": [0, 3]},
        {"name": "ids", "dtype": "int32", "shape": [4], "values": Values(0, 1, True, "ids")},
    ]
    samples = sample_inputs.arrays(declared, Sampling(0, {"x": (5, 3)}, {"x": (1.0, 2.0)}))
    assert samples["x"].shape == (5, 3)
    assert 1 <= samples["x"].min() < samples["x"].max() <= 2
    assert set(samples["ids"]) <= {0, 1}


COLOURS, SIZES = ["red", "green", "blå"], ["small", "large"]


def sampled_texts(
    folder: Path, nodes: list[onnx.NodeProto], dims: Dims, *held: onnx.TensorProto
) -> np.ndarray[Any, Any]:
    """Return the sample of the input ``x`` of text; a last node makes floats of what is made."""
    declared = [value("x", TensorProto.STRING, dims)]
    outputs = [value(name, kind, None) for name, kind in [(nodes[-1].output[0], FLOAT)]]
    graph = helper.make_graph(nodes, "graph", declared, outputs, list(held))
    domains = {"": 17, "ai.onnx.ml": 4, "com.microsoft": 1}
    opsets = [helper.make_opsetid(domain, version) for domain, version in domains.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.save(model, str(folder / "m.onnx"))
    inspected = adapter.inspect("onnx", str(folder / "m.onnx"), None, Sampling(0))
    sample: np.ndarray[Any, Any] = inspected["inputs"]["x"]
    return sample


def ml(operator: str, source: str, target: str, **attributes: Any) -> onnx.NodeProto:
    return node(operator, [source], [target], domain="ai.onnx.ml", **attributes)


@pytest.mark.parametrize(
    "nodes",
    [
        [ml("OneHotEncoder", "x", "y", cats_strings=COLOURS, zeros=0)],
        [ml("LabelEncoder", "x", "y", keys_strings=COLOURS, values_floats=[1.0, 2.0, 3.0])],
        [
            ml("CategoryMapper", "x", "n", cats_strings=COLOURS, cats_int64s=[1, 2, 3]),
            node("Cast", ["n"], ["y"], to=FLOAT),
        ],
        [
            node("Identity", ["x"], ["same"]),
            ml("OneHotEncoder", "same", "y", cats_strings=COLOURS),
        ],
    ],
)
def test_sample_texts_are_words_that_the_graph_looks_up(
    tmp_path: Path, nodes: list[onnx.NodeProto]
) -> None:
    sample = sampled_texts(tmp_path, nodes, ["batch", 8])
    assert set(sample.ravel()) == set(COLOURS)


def test_a_column_that_is_gathered_has_the_words_of_what_looks_it_up(tmp_path: Path) -> None:
    index = numpy_helper.from_array(np.array([1]), "second")
    taken = node("Gather", ["x", "second"], ["column"], axis=1)
    encoder = ml("OneHotEncoder", "column", "y", cats_strings=COLOURS, zeros=0)
    sample = sampled_texts(tmp_path, [taken, encoder], ["batch", 2], index)
    assert set(sample[:, 1]) <= set(COLOURS)


def test_each_column_of_text_has_its_own_words(tmp_path: Path) -> None:
    columns = [scalar("first", np.array([0])), scalar("second", np.array([1]))]
    nodes = [
        node("ArrayFeatureExtractor", ["x", name], [name + "_column"], domain="ai.onnx.ml")
        for name in ("first", "second")
    ]
    nodes += [
        ml("OneHotEncoder", "first_column", "a", cats_strings=COLOURS, zeros=0),
        ml("OneHotEncoder", "second_column", "b", cats_strings=SIZES, zeros=0),
        node("Concat", ["a", "b"], ["y"], axis=-1),
    ]
    sample = sampled_texts(tmp_path, nodes, [16, 2], *columns)
    assert set(sample[:, 0]) == set(COLOURS)
    assert set(sample[:, 1]) == set(SIZES)


def test_a_text_that_is_split_is_made_of_several_words(tmp_path: Path) -> None:
    tokenizer = {"mark": 0, "mincharnum": 1, "pad_value": "#", "separators": [" "]}
    counts = {"mode": "TF", "min_gram_length": 1, "max_gram_length": 1, "max_skip_count": 0}
    counts |= {"ngram_counts": [0], "ngram_indexes": [0, 1, 2], "pool_strings": COLOURS}
    nodes = [
        node("StringNormalizer", ["x"], ["n"], case_change_action="LOWER"),
        node("Tokenizer", ["n"], ["words"], domain="com.microsoft", **tokenizer),
        node("TfIdfVectorizer", ["words"], ["y"], **counts),
    ]
    assert set(sampled_texts(tmp_path, nodes, [3])) == {" ".join(COLOURS)}
