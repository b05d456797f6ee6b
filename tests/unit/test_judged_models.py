"""Models after public bug reports, which the judge has to evaluate rightly, or refuse clearly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from deepmatrix.judging import deviations
from deepmatrix.store.truths import Truth
from harness.graphs import BadModel
from harness.graphs.inputs.sample_inputs import Sampling
from harness.graphs.operators import evaluate
from harness.record import EVALUATIONS
from harness.runtimes.onnx import adapter, gold, proven
from harness.runtimes.onnx.baseline import Baseline, NoBaseline

onnxruntime = pytest.importorskip("onnxruntime")

MODELS = Path(__file__).resolve().parents[1] / "models"


@pytest.fixture(autouse=True)
def started() -> None:
    adapter.start()


def inspect(name: str, inputs: str | None = None) -> dict[str, Any]:
    fed = dict(np.load(MODELS / inputs)) if inputs else None
    return adapter.inspect("onnx", str(MODELS / name), fed, Sampling(0))


def run_unoptimised(name: str, inputs: dict[str, Any]) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(MODELS / name), options)
    return list(session.run(None, inputs))


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("int8_qdq.onnx", "int8_qdq_in.npz"),
        ("contrib_optimised.onnx", "contrib_in.npz"),
        ("gridsample16.onnx", None),
        ("softmax11.onnx", None),
        ("lstm_seqlens.onnx", None),
        ("batch_reshape.onnx", None),
        ("ir_new.onnx", None),
    ],
)
def test_a_valid_model_has_a_gold_that_a_right_runtime_meets(name: str, inputs: str | None) -> None:
    inspected = inspect(name, inputs)
    assert "no_gold" not in inspected["described"]
    run = run_unoptimised(name, inspected["inputs"])
    for judged, answer in zip(inspected["gold"].values(), run, strict=True):
        scale = np.abs(judged).max()
        assert np.abs(judged - answer).max() <= 2e-5 * scale


@pytest.mark.parametrize("name", ["skl_zipmap", "skl_zipmap_int", "skl_trees"])
def test_labels_and_maps_of_scores_have_a_float64_gold(name: str) -> None:
    inspected = inspect(f"{name}.onnx", "skl_iris_in.npz")
    sources = inspected["described"]["judged_by"]
    parts = ["output_label", "output_probability.keys", "output_probability.values"]
    assert sources == dict.fromkeys(parts, "float64 evaluation")
    x = next(iter(inspected["inputs"].values()))
    labels, maps = run_unoptimised(
        f"{name}.onnx", {"X": x} if name == "skl_trees" else {"float_input": x}
    )
    label, keys, scores = inspected["gold"].values()
    assert label.tolist() == labels.tolist()
    assert keys.tolist() == sorted(maps[0])
    for row, scored in zip(scores, maps, strict=True):
        np.testing.assert_allclose(row, [scored[key] for key in keys.tolist()], atol=1e-6)


def test_text_goes_in_and_is_sampled() -> None:
    with_inputs = inspect("skl_words.onnx", "skl_words_in.npz")
    sampled = inspect("skl_words.onnx")
    for inspected in (with_inputs, sampled):
        # Without the locale en_US.UTF-8 ONNX Runtime gives no baseline.
        assert set(inspected["described"]["judged_by"].values()) <= set(EVALUATIONS)
        assert inspected["inputs"]["text"].dtype.kind == "U"
    assert with_inputs["gold"]["output_probability.values"].shape == (6, 2)


def test_gold_is_the_reference_of_who_optimised_the_model() -> None:
    gold = inspect("contrib_optimised.onnx", "contrib_in.npz")["gold"]
    np.testing.assert_allclose(
        gold["y"], np.load(MODELS / "contrib_ref.npz")["y"], rtol=1e-4, atol=1e-5
    )


def test_nan_goes_through_clip_and_max() -> None:
    gold = inspect("nan_clip.onnx", "nan_clip_in.npz")["gold"]
    x = np.load(MODELS / "nan_clip_in.npz")["x"]
    np.testing.assert_array_equal(np.isnan(gold["clipped"]), x < 0)


def test_the_place_of_the_smallest_value_among_nan_is_undefined() -> None:
    inspected = inspect("nan_clip.onnx", "nan_clip_in.npz")
    has_nan = (np.load(MODELS / "nan_clip_in.npz")["x"] < 0).any(axis=1)
    assert list(inspected["undefined"]) == ["arg"]
    np.testing.assert_array_equal(inspected["undefined"]["arg"].ravel(), has_nan)
    (remark,) = inspected["described"]["remarks"]
    assert remark.startswith("ArgMin 'argmin' of NaN")


@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_cast_of_nan_and_of_what_is_out_of_range_to_an_integer_is_undefined() -> None:
    inspected = inspect("cast_saturate.onnx", "cast_saturate_nan.npz")
    assert set(inspected["undefined"]) <= {"i32", "u8"}
    assert inspected["undefined"]["u8"].any()
    assert not inspected["undefined"]["u8"].all()


def test_an_output_that_is_random_by_design_is_named() -> None:
    assert inspect("random_vae.onnx")["described"]["random"] == ["z"]


@pytest.mark.parametrize(
    ("version", "counts"),
    [(6, False), (7, True), (10, True), (13, False), (14, False), (20, False)],
)
def test_a_version_without_a_test_of_its_own_is_as_proven_as_its_neighbours(
    version: int, counts: bool
) -> None:
    row = {"1": ["unknown", 0], "7": ["proven", 2], "11": ["replaced", 1], "14": ["wrong", 1]}
    assert proven.is_proven(row, version) == counts
    assert not proven.is_proven({}, version)


def test_what_overflows_in_float32_keeps_its_float64_gold() -> None:
    assert not gold.differs(np.array([1e39, 1.0]), np.array([np.inf, 1.0], np.float32))
    assert gold.differs(np.array([2.0, 1.0]), np.array([1.0, 1.0], np.float32))


def test_a_git_lfs_pointer_is_told_from_a_damaged_model() -> None:
    with pytest.raises(BadModel, match=r"Git LFS pointer.*git lfs pull"):
        inspect("lfs_pointer.onnx")


# Where the model's own precision decides --------------------------------------------------------


def judged(inspected: dict[str, Any], answered: dict[str, Any]) -> deviations.Agreement:
    truth = Truth(
        gold=inspected["gold"], produced=inspected["outputs"], masks=inspected["undefined"]
    )
    return deviations.compare(answered, truth)


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_a_model_that_overflows_float16_is_judged_and_its_node_is_named() -> None:
    inspected = inspect("fp16_overflow.onnx")
    (remark,) = inspected["described"]["remarks"]
    assert remark.startswith("float16 overflows at node 'layers.6/scale'")
    wider = run_unoptimised("fp16_overflow.onnx", inspected["inputs"])[0]
    exact = evaluate(onnx.load(MODELS / "fp16_overflow.onnx"), inspected["inputs"])["y"]
    assert np.isfinite(wider).all()
    assert not np.isfinite(exact).any()
    for right in (wider, exact):
        agreement = judged(inspected, {"y": right})
        assert agreement.error is not None
        assert agreement.error < 1e-2
    assert (judged(inspected, {"y": wider + np.float16(8)}).error or 0) > 1e-2


@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_large_float_that_rounding_decides_is_not_compared_as_an_integer() -> None:
    inspected = inspect("cast_saturate.onnx")
    names = list(inspected["outputs"])
    answers = run_unoptimised("cast_saturate.onnx", inspected["inputs"])
    agreement = judged(inspected, dict(zip(names, answers, strict=True)))
    assert agreement.error == 0
    assert "rounding decides" in agreement.outputs[0].caution
    assert "leaves" in agreement.outputs[1].caution


def test_a_batch_that_is_dynamic_by_declaration_only_is_named_with_its_node() -> None:
    (remark,) = inspect("batch_reshape.onnx")["described"]["remarks"]
    assert "only batch 1 works" in remark
    assert "Reshape 'model.1/reshape'" in remark


def test_the_tolerance_knows_what_rounding_costs_in_another_order(tmp_path: Path) -> None:
    x = np.array([[[3.7], [-812.3]]], np.float32)
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("InstanceNormalization", ["x", "s", "b"], ["y"])],
        "single values",
        [value("x", 1, x.shape)],
        [value("y", 1, x.shape)],
        [onnx.numpy_helper.from_array(np.ones(2, np.float32), name) for name in ("s", "b")],
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "m.onnx")
    inspected = adapter.inspect("onnx", str(tmp_path / "m.onnx"), {"x": x}, Sampling(0))
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"))
    agreement = judged(inspected, {"y": session.run(None, {"x": x})[0]})
    assert agreement.error is not None
    assert agreement.producer_error is not None
    assert agreement.error <= 16 * agreement.producer_error


@pytest.mark.filterwarnings("ignore:invalid value", "ignore:divide by zero")
def test_an_undefined_value_that_is_discarded_leaves_the_output_defined(tmp_path: Path) -> None:
    """As in the relative positions of T5: the integer of log(0) is never taken."""
    value = onnx.helper.make_tensor_value_info
    make = onnx.helper.make_node
    nodes = [
        make("Log", ["x"], ["l"]),
        make("Cast", ["l"], ["i"], to=7, name="cast"),
        make("Less", ["x", "one"], ["small"]),
        make("Where", ["small", "zero", "i"], ["y"]),
        make("Identity", ["i"], ["z"]),
    ]
    held = [
        onnx.numpy_helper.from_array(np.array(1.0, np.float32), "one"),
        onnx.numpy_helper.from_array(np.array(0, np.int64), "zero"),
    ]
    outputs = [value("y", 7, [3]), value("z", 7, [3])]
    graph = onnx.helper.make_graph(nodes, "g", [value("x", 1, [3])], outputs, held)
    opset = [onnx.helper.make_opsetid("", 17)]
    path = tmp_path / "m.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    x = np.array([0.0, 4.0, 100.0], np.float32)
    inspected = adapter.inspect("onnx", str(path), {"x": x}, Sampling(seed=0))
    assert list(inspected["undefined"]) == ["z"]
    np.testing.assert_array_equal(inspected["undefined"]["z"], [1, 0, 0])


def test_the_baseline_answers_the_same_arrays_once() -> None:
    x = {"x": np.ones((6, 2, 3), np.float32)}
    reference = Baseline(str(MODELS / "lstm_seqlens.onnx"), ["h", "last"])
    answers = reference.answer(x)
    assert reference.answer(dict(x)) is answers
    later_answers = reference.answer({"x": x["x"] + 1})
    assert not np.array_equal(later_answers["h"], answers["h"])
    assert reference.answer(x) is not answers
    for _ in range(2):
        with pytest.raises(NoBaseline, match="Invalid"):
            reference.answer({"x": np.ones((1, 1), np.float32)})


def save(folder: Path, graph: Any, **settings: Any) -> str:
    opsets = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("my", 1)]
    path = folder / "odd.onnx"
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8, **settings)
    onnx.save(model, path)
    return str(path)


def test_functions_give_their_attributes_to_the_nodes_within(tmp_path: Path) -> None:
    node, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    opsets = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("my", 1)]
    twice = onnx.helper.make_function(
        "my", "Twice", ["a"], ["b"], [node("Add", ["a", "a"], ["b"])], opsets[:1]
    )
    leaky = node("LeakyRelu", ["t"], ["o"])
    attribute = onnx.AttributeProto(name="alpha", type=onnx.AttributeProto.FLOAT)
    attribute.ref_attr_name = "slope"
    leaky.attribute.append(attribute)
    nodes = [node("Twice", ["a"], ["t"], domain="my"), leaky]
    act = onnx.helper.make_function("my", "Act", ["a"], ["o"], nodes, opsets, attributes=["slope"])
    used = [
        node("Act", ["x"], ["h"], domain="my", slope=0.5),
        node("Act", ["h"], ["y"], domain="my", slope=0.25),
    ]
    graph = onnx.helper.make_graph(used, "g", [value("x", 1, [2, 3])], [value("y", 1, [2, 3])])
    path = save(tmp_path, graph, functions=[twice, act])
    inspected = adapter.inspect("onnx", path, None, Sampling(0))
    x = inspected["inputs"]["x"].astype("float64")
    np.testing.assert_allclose(inspected["gold"]["y"], 4 * np.where(x < 0, x / 8, x), rtol=1e-12)
    assert inspected["described"]["judged_by"] == {"y": "float64 evaluation"}
    traced = adapter.trace(path, inspected["inputs"])
    np.testing.assert_allclose(traced["precise"]["h"], 2 * np.where(x < 0, x / 2, x), rtol=1e-12)


def test_callers_that_state_no_attribute_take_the_default_of_the_function(tmp_path: Path) -> None:
    node, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    opsets = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("my", 1)]
    leaky = node("LeakyRelu", ["a"], ["s"])
    constant, product = node("Constant", [], ["f"]), node("Mul", ["s", "f"], ["b"])
    for owner, name in ((leaky, "alpha"), (constant, "value_float")):
        attribute = onnx.AttributeProto(name=name, type=onnx.AttributeProto.FLOAT)
        attribute.ref_attr_name = "slope"
        owner.attribute.append(attribute)
    make = onnx.helper.make_function
    default = [onnx.helper.make_attribute("slope", 0.75)]
    inner = make(
        "my", "Inner", ["a"], ["b"], [leaky, constant, product], opsets, attribute_protos=default
    )
    outer = make("my", "Outer", ["a"], ["b"], [node("Inner", ["a"], ["b"], domain="my")], opsets)
    branches = {
        f"{name}_branch": onnx.helper.make_graph(
            [node(called, ["x"], [name], domain="my", **stated)], name, [], [value(name, 1, [2, 3])]
        )
        for name, called, stated in (("then", "Outer", {}), ("else", "Inner", {"slope": 0.5}))
    }
    graph = onnx.helper.make_graph(
        [node("If", ["c"], ["y"], **branches), node("Inner", ["x"], ["z"], domain="my")],
        "g",
        [value("c", 9, []), value("x", 1, [2, 3])],
        [value("y", 1, [2, 3]), value("z", 1, [2, 3])],
    )
    path = save(tmp_path, graph, functions=[inner, outer])
    x = np.array([[-1, -2, 1], [3, -4, 0]], np.float32)
    for condition, slope in ((True, 0.75), (False, 0.5)):
        fed = {"c": np.array(condition), "x": x}
        inspected = adapter.inspect("onnx", path, fed, Sampling(0))
        for name, factor in (("y", slope), ("z", 0.75)):
            wanted = factor * np.where(x < 0, factor * x, x)
            np.testing.assert_allclose(inspected["gold"][name], wanted, rtol=1e-12)
            served = adapter.answer(adapter.load("onnx", path), fed)
            np.testing.assert_allclose(served[name], wanted, rtol=1e-6)


def test_the_standards_domain_may_be_spelt_out(tmp_path: Path) -> None:
    value = onnx.helper.make_tensor_value_info
    nodes = [onnx.helper.make_node("Softmax", ["x"], ["y"], domain="ai.onnx")]
    graph = onnx.helper.make_graph(nodes, "g", [value("x", 1, [2, 3])], [value("y", 1, [2, 3])])
    path, x = save(tmp_path, graph), np.array([[0, 1, 2], [3, 3, 3]], np.float32)
    inspected = adapter.inspect("onnx", path, {"x": x}, Sampling(0))
    exponentials = np.exp(x.astype("float64"))
    wanted = exponentials / exponentials.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(inspected["gold"]["y"], wanted, rtol=1e-12)
    assert inspected["described"]["judged_by"] == {"y": "float64 evaluation"}
    served = adapter.answer(adapter.load("onnx", path), {"x": x})
    np.testing.assert_allclose(served["y"], wanted, rtol=1e-6)


def sparse_product(folder: Path, places: list[Any]) -> str:
    """Store the product of x and a sparse matrix of two values."""
    value = onnx.helper.make_tensor_value_info
    held = onnx.helper.make_sparse_tensor(
        onnx.numpy_helper.from_array(np.float32([0.1, 2.0]), "w"),
        onnx.numpy_helper.from_array(np.array(places), "places"),
        [2, 3],
    )
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [value("x", 1, [4, 2])],
        [value("y", 1, [4, 3])],
        sparse_initializer=[held],
    )
    return save(folder, graph)


@pytest.mark.parametrize("places", [[1, 5], [[0, 1], [1, 2]]])
def test_sparse_weights_are_evaluated_in_float64(places: list[Any], tmp_path: Path) -> None:
    inspected = adapter.inspect("onnx", sparse_product(tmp_path, places), None, Sampling(0))
    x = inspected["inputs"]["x"]
    dense = np.float32([[0, 0.1, 0], [0, 0, 2]])
    np.testing.assert_allclose(inspected["gold"]["y"], x.astype("f8") @ dense, rtol=1e-12)
    (answer,) = onnxruntime.InferenceSession(str(tmp_path / "odd.onnx")).run(None, {"x": x})
    np.testing.assert_allclose(answer, inspected["gold"]["y"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("places", [[1, 6], [[0, 1], [2, 0]]])
def test_sparse_weights_outside_their_tensor_are_refused(places: list[Any], tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="the sparse tensor w has values outside its shape"):
        adapter.inspect("onnx", sparse_product(tmp_path, places), None, Sampling(0))
