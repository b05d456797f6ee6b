"""The judge's operators of machine learning and text, against ONNX Runtime's kernels."""

from __future__ import annotations

import itertools
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from harness import control
from harness.graphs import operators, values
from harness.graphs.inputs.onnx_inputs import as_float64
from harness.graphs.operators import evaluator
from harness.graphs.operators.ml.classical import transformed
from harness.graphs.precise import widen
from tests.unit.one_node import ML, Case, by_judge

onnxruntime = pytest.importorskip("onnxruntime")

RANDOM = np.random.default_rng(11)
FEATURES = (RANDOM.integers(-4, 5, (40, 3)) / 4).astype(np.float32)
MISSING = np.where(RANDOM.random(FEATURES.shape) < 0.2, np.nan, FEATURES).astype(np.float32)
ZERO_ROW = np.concatenate([np.zeros((1, 3), np.float32), -np.ones((1, 3), np.float32), FEATURES])
LETTERS = np.array([["a", "b"], ["c", "zz"]])
WHOLE = np.array([[1, 2], [3, 9]])
TRANSFORMS = ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT")
MODES = tuple("BRANCH_" + mode for mode in ("LEQ", "LT", "GTE", "GT", "EQ", "NEQ"))


@pytest.fixture(autouse=True, scope="module")
def locale(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """StringNormalizer asks for a locale that a slim system lacks."""
    before = os.environ.get("LOCPATH")
    control.provide_locale(str(tmp_path_factory.mktemp("locale") / "names"))
    yield
    os.environ.pop("LOCPATH", None)
    if before is not None:
        os.environ["LOCPATH"] = before


def node_model(
    operator: str, inputs: list[np.ndarray], domain: str, version: int, **attributes: Any
) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """Return a model of one node with all its outputs, and its inputs by name."""
    fed = {f"x{at}": value for at, value in enumerate(inputs)}
    outputs = ["y0", "y1"] if operator.endswith("Classifier") else ["y0"]
    kinds = {
        name: onnx.TensorProto.STRING
        if x.dtype.kind == "U"
        else helper.np_dtype_to_tensor_dtype(x.dtype)
        for name, x in fed.items()
    }
    graph = helper.make_graph(
        [helper.make_node(operator, list(fed), outputs, domain=domain, **attributes)],
        "one",
        [helper.make_tensor_value_info(name, kinds[name], x.shape) for name, x in fed.items()],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    imports.append(helper.make_opsetid(ML, version))
    return helper.make_model(graph, opset_imports=imports, ir_version=8), fed


#: The kernel's float32 loses this much in a formula that subtracts nearly equal numbers.
PROBIT_ERROR = 1e-3


def assert_as_kernel(
    operator: str, *inputs: np.ndarray, domain: str = ML, version: int = 1, **attributes: Any
) -> None:
    atol = PROBIT_ERROR if attributes.get("post_transform") == "PROBIT" else 2e-5
    model, fed = node_model(operator, list(inputs), domain, version, **attributes)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    names = [value.name for value in model.graph.output]
    run = values.flatten(zip(names, session.run(None, fed), strict=True))
    answers = evaluator(widen(model)).run(None, as_float64(fed))
    judged = values.flatten(zip(names, answers, strict=True))
    assert list(judged) == list(run)
    for name, answer in run.items():
        assert judged[name].dtype.kind == answer.dtype.kind
        if answer.dtype.kind == "f":
            np.testing.assert_allclose(judged[name], answer, rtol=2e-4, atol=atol)
        else:
            np.testing.assert_array_equal(judged[name], answer)


def floats(count: int) -> list[float]:
    return [float(value) for value in RANDOM.normal(size=count).astype(np.float32)]


def trees(kind: str, ids: list[int], *, positive: bool, missing: bool = False) -> dict[str, Any]:
    """Return the attributes of three full trees of depth 2, with thresholds that features equal."""
    attributes: dict[str, list[Any]] = defaultdict(list)
    for tree, node in itertools.product(range(3), range(7)):
        is_leaf = node >= 3
        attributes["nodes_treeids"].append(tree)
        attributes["nodes_nodeids"].append(node)
        attributes["nodes_modes"].append("LEAF" if is_leaf else str(RANDOM.choice(MODES)))
        attributes["nodes_featureids"].append(0 if is_leaf else int(RANDOM.integers(0, 3)))
        attributes["nodes_values"].append(0.0 if is_leaf else float(RANDOM.integers(-4, 5)) / 4)
        attributes["nodes_truenodeids"].append(0 if is_leaf else 2 * node + 1)
        attributes["nodes_falsenodeids"].append(0 if is_leaf else 2 * node + 2)
        if missing:
            attributes["nodes_missing_value_tracks_true"].append(int(RANDOM.integers(0, 2)))
        for target in ids if is_leaf else []:
            attributes[f"{kind}_treeids"].append(tree)
            attributes[f"{kind}_nodeids"].append(node)
            attributes[f"{kind}_ids"].append(target)
            weight = float(np.float32(RANDOM.uniform(0 if positive else -1, 1) / 3))
            attributes[f"{kind}_weights"].append(weight)
    return dict(attributes)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize(("classes", "ids"), [(2, [0]), (3, [0, 1, 2])])
@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("has_base", [True, False])
def test_a_classifier_of_trees(
    transform: str, classes: int, ids: list[int], positive: bool, has_base: bool
) -> None:
    if transform == "PROBIT":  # of one score the kernel gives one, and nothing for the second
        classes, ids = 3, [0, 1, 2]
    attributes = trees("class", ids, positive=positive)
    if has_base:
        attributes["base_values"] = [0.125] * len(ids)
    labels = [f"c{at}" for at in range(classes)]
    attributes.update(post_transform=transform, classlabels_strings=labels)
    assert_as_kernel("TreeEnsembleClassifier", FEATURES, version=3, **attributes)


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE", "MIN", "MAX"])
@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize("has_base", [True, False])
def test_a_regressor_of_trees(aggregate: str, targets: int, has_base: bool) -> None:
    attributes = trees("target", list(range(targets)), positive=False, missing=True)
    if has_base:
        attributes["base_values"] = [0.25] * targets
    attributes.update(n_targets=targets, aggregate_function=aggregate)
    assert_as_kernel("TreeEnsembleRegressor", MISSING, version=3, **attributes)


def test_a_tree_takes_the_branch_that_it_takes_in_float32() -> None:
    threshold = float(np.float32(0.1))
    attributes = {
        "nodes_treeids": [0, 0, 0],
        "nodes_nodeids": [0, 1, 2],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_featureids": [0, 0, 0],
        "nodes_values": [threshold, 0.0, 0.0],
        "nodes_truenodeids": [1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0],
        "target_treeids": [0, 0],
        "target_nodeids": [1, 2],
        "target_ids": [0, 0],
        "target_weights": [1.0, -1.0],
        "n_targets": 1,
    }
    x = np.zeros((1, 1), np.float32)
    model, _ = node_model("TreeEnsembleRegressor", [x], ML, 3, **attributes)
    above_in_float64 = np.array([[threshold + 1e-12]])
    (answer,) = evaluator(widen(model)).run(None, {"x0": above_in_float64})
    assert answer.tolist() == [[1.0]]


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_linear_models(transform: str) -> None:
    labels = {"classlabels_ints": [5, 6, 7]}
    for rows, chosen in ((3, labels), (2, {"classlabels_strings": ["no", "yes"]})):
        attributes = {"coefficients": floats(3 * rows), "intercepts": floats(rows), **chosen}
        assert_as_kernel("LinearClassifier", FEATURES, post_transform=transform, **attributes)
    for targets in (2,) if transform != "PROBIT" else ():
        assert_as_kernel(
            "LinearRegressor",
            FEATURES,
            coefficients=floats(3 * targets),
            intercepts=floats(targets),
            targets=targets,
            post_transform=transform,
        )


@pytest.mark.parametrize("kernel", ["LINEAR", "POLY", "RBF", "SIGMOID"])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("has_probabilities", [True, False])
def test_support_vectors(kernel: str, classes: int, has_probabilities: bool) -> None:
    shape = {"kernel_type": kernel, "kernel_params": [0.5, 0.1, 3.0]}
    assert_as_kernel(
        "SVMRegressor",
        FEATURES,
        coefficients=floats(4),
        rho=[0.1],
        n_supports=4,
        support_vectors=floats(12),
        one_class=int(has_probabilities),
        **shape,
    )
    pairs = classes * (classes - 1) // 2
    attributes = {
        "coefficients": floats(2 * classes * (classes - 1)),
        "support_vectors": floats(2 * classes * 3),
        "vectors_per_class": [2] * classes,
        "rho": floats(pairs),
        "classlabels_ints": list(range(5, 5 + classes)),
    }
    if has_probabilities:
        attributes.update(prob_a=floats(pairs), prob_b=floats(pairs))
    assert_as_kernel("SVMClassifier", FEATURES, **shape, **attributes)


NAN = float("nan")
NODES: dict[str, tuple[str, list[np.ndarray], dict[str, Any]]] = {
    "Scaler": ("Scaler", [FEATURES], {"offset": [0.1, 0.2, 0.3], "scale": [1.0, 2.0, 3.0]}),
    "Scaler of integers": ("Scaler", [WHOLE], {"offset": [0.1], "scale": [2.0]}),
    "Normalizer MAX": ("Normalizer", [ZERO_ROW], {"norm": "MAX"}),
    "Normalizer L1": ("Normalizer", [ZERO_ROW], {"norm": "L1"}),
    "Normalizer L2": ("Normalizer", [ZERO_ROW], {"norm": "L2"}),
    "ZipMap of texts": ("ZipMap", [FEATURES], {"classlabels_strings": ["b", "a", "ü"]}),
    "ZipMap of integers": ("ZipMap", [FEATURES], {"classlabels_int64s": [5, 2, 9]}),
    "CategoryMapper of texts": (
        "CategoryMapper",
        [LETTERS],
        {"cats_strings": ["a", "b", "c"], "cats_int64s": [4, 5, 6]},
    ),
    "CategoryMapper of integers": (
        "CategoryMapper",
        [WHOLE],
        {"cats_strings": ["a", "b", "c"], "cats_int64s": [1, 2, 3], "default_string": "n"},
    ),
    "LabelEncoder of version 1": ("LabelEncoder", [LETTERS], {"classes_strings": ["a", "b"]}),
    "OneHotEncoder of texts": ("OneHotEncoder", [LETTERS], {"cats_strings": ["a", "b"]}),
    "OneHotEncoder of integers": ("OneHotEncoder", [WHOLE], {"cats_int64s": [1, 3]}),
    "Imputer of NaN": (
        "Imputer",
        [MISSING],
        {"imputed_value_floats": [0.5, 0.6, 0.7], "replaced_value_float": NAN},
    ),
    "Imputer of integers": (
        "Imputer",
        [WHOLE],
        {"imputed_value_int64s": [7], "replaced_value_int64": 2},
    ),
    "FeatureVectorizer": (
        "FeatureVectorizer",
        [FEATURES, FEATURES[:, :2]],
        {"inputdimensions": [2, 3]},
    ),
    "ArrayFeatureExtractor": ("ArrayFeatureExtractor", [FEATURES, np.array([0, 2])], {}),
    "Binarizer": ("Binarizer", [FEATURES], {"threshold": 0.25}),
}
ENCODERS: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "texts to integers": (LETTERS, {"keys_strings": ["a", "b"], "values_int64s": [4, 5]}),
    "integers to texts": (WHOLE, {"keys_int64s": [1, 2], "values_strings": ["a", "b"]}),
    "integers to floats": (WHOLE, {"keys_int64s": [1, 2], "values_floats": [0.5, 0.25]}),
    "texts to texts": (LETTERS, {"keys_strings": ["a"], "values_strings": ["A"]}),
}


@pytest.mark.parametrize("name", NODES)
def test_an_operator_of_features(name: str) -> None:
    operator, inputs, attributes = NODES[name]
    assert_as_kernel(operator, *inputs, **attributes)


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("version", [2, 4])
def test_an_encoder_of_labels(name: str, version: int) -> None:
    x, attributes = ENCODERS[name]
    assert_as_kernel("LabelEncoder", x, version=version, **attributes)


def test_of_repeated_keys_the_last_counts_also_of_nan() -> None:
    """As the standard says from version 4 on; ONNX Runtime takes the first one."""
    keys = {"keys_floats": [NAN, 1.0, NAN, 1.0], "values_int64s": [1, 2, 3, 4]}
    case = Case("LabelEncoder", [np.float32([NAN, 1, 5])], keys, 1, 4, ML)
    assert by_judge(case)["y0"].tolist() == [3, 4, -1]


@pytest.mark.parametrize("change", ["NONE", "LOWER", "UPPER"])
@pytest.mark.parametrize("is_case_sensitive", [0, 1])
@pytest.mark.parametrize("words", [["Aé", "b", "The", "straße ŸÆ"], [["Aé", "The"]], ["the", "B"]])
def test_text_is_normalised(change: str, is_case_sensitive: int, words: list[Any]) -> None:
    assert_as_kernel(
        "StringNormalizer",
        np.array(words),
        domain="",
        case_change_action=change,
        is_case_sensitive=is_case_sensitive,
        stopwords=["the", "B"],
    )


@pytest.mark.parametrize("texts", [["the quick, fox", "a  b", ""], [["a b", "ü"]], ["", ""]])
@pytest.mark.parametrize("mark", [0, 1])
@pytest.mark.parametrize(
    "rule",
    [
        {"separators": [" ", ","]},
        {"separators": [""]},
        {"tokenexp": "[a-z]+"},
        {"tokenexp": r"\w\w+"},
    ],
)
def test_text_is_split(texts: list[Any], mark: int, rule: dict[str, Any]) -> None:
    domain = "com.microsoft"
    attributes = {"mark": mark, "mincharnum": 1, "pad_value": "#", **rule}
    assert_as_kernel("Tokenizer", np.array(texts), domain=domain, **attributes)


@pytest.mark.parametrize("mode", ["TF", "IDF", "TFIDF"])
@pytest.mark.parametrize("skipped", [0, 1, 2])
@pytest.mark.parametrize("words", [[list("abca"), list("bcxc")], list("abab")])
def test_n_grams_are_counted(mode: str, skipped: int, words: list[Any]) -> None:
    assert_as_kernel(
        "TfIdfVectorizer",
        np.array(words),
        domain="",
        mode=mode,
        max_skip_count=skipped,
        min_gram_length=1,
        max_gram_length=2,
        ngram_counts=[0, 3],
        ngram_indexes=[0, 1, 2, 4, 3],
        pool_strings=["a", "b", "c", "a", "b", "b", "c"],
        weights=[0.5, 2.0, 3.0, 4.0, 5.0],
    )


def test_the_locale_is_only_provided_where_the_system_has_one_for_every_language_only(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "names"
    control.provide_locale(str(folder))
    locales = Path("/usr/lib/locale")
    slim = locales.is_dir() and [path.name for path in locales.iterdir()] == ["C.utf8"]
    assert folder.is_dir() == slim


@pytest.mark.parametrize(("transform", "is_trusted"), [("NONE", True), ("PROBIT", False)])
def test_probit_has_no_formula_in_the_standard_and_is_not_trusted(
    transform: str, is_trusted: bool
) -> None:
    attributes = trees("class", [0, 1, 2], positive=True)
    attributes.update(post_transform=transform, classlabels_strings=["a", "b", "c"])
    model, _ = node_model("TreeEnsembleClassifier", [FEATURES], ML, 3, **attributes)
    assert operators.is_trusted(model.graph.node[0], {}) == is_trusted


def test_probit_is_infinite_at_the_ends_as_the_kernel_is() -> None:
    scores = np.array([[0.0, 0.5, 1.0]])
    np.testing.assert_allclose(transformed(scores, "PROBIT"), [[-np.inf, 0, np.inf]], atol=1e-7)
