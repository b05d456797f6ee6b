"""Edges of quantised, fused and classical operators, as `tests.unit.edges` has those of others."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.unit.one_node import CONTRIB, ML, Case, floats, integers, scalar, whole

PADDED = ("SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET")


def quantised() -> Iterator[Case]:
    x, y, s = integers("uint8", 3, 4), integers("int8", 4, 5), scalar(0.02)
    z, k = scalar(120, "uint8"), scalar(3, "int8")
    ties = np.float32([0.5, 1.5, 2.5, -0.5, -300, 300])
    for zero in (scalar(3, "uint8"), scalar(-3, "int8")):
        yield Case("QuantizeLinear", [ties, scalar(1.0), zero], version=13)
    yield Case(
        "QuantizeLinear",
        [floats(2, 3), np.float32([0.01, 0.02, 0.03]), whole(1, 2, 3, dtype="uint8")],
        {"axis": -1},
        version=13,
    )
    for axis in (0, 1, -1):
        scales = floats([3, 4, 4][axis], low=0.01, high=0.1)
        yield Case(
            "DequantizeLinear",
            [x, scales, np.full(scales.shape, 7, "uint8")],
            {"axis": axis},
            version=13,
        )
    for domain in (CONTRIB,):
        yield Case("DequantizeLinear", [x, s, z], domain=domain)
        yield Case("QuantizeLinear", [ties, scalar(1.0), z], domain=domain)
    for values in (floats(5), floats(5, low=1), floats(5, high=-1)):
        yield Case("DynamicQuantizeLinear", [values], outputs=3)
    for zeros in ([], [z], [z, k], [None, k]):
        yield Case("MatMulInteger", [x, y, *zeros])
    yield Case("QLinearMatMul", [x, s, z, y, s, k, scalar(0.5), z])
    picture, kernel = integers("uint8", 1, 2, 6, 5), integers("int8", 3, 2, 3, 3)
    for auto_pad in PADDED:
        settings = {"auto_pad": auto_pad, "strides": [2, 1]}
        yield Case("ConvInteger", [picture, kernel, z], settings)
        yield Case(
            "QLinearConv", [picture, s, z, kernel, s, scalar(0, "int8"), scalar(0.5), z], settings
        )
    for operator, settings in (
        ("QLinearSoftmax", {"axis": 0, "opset": 13}),
        ("QLinearSigmoid", {}),
    ):
        yield Case(
            operator, [x, s, z, scalar(1 / 256), scalar(0, "uint8")], settings, domain=CONTRIB
        )
    for include, ceil in itertools.product((0, 1), (0, 1)):
        settings = {"count_include_pad": include, "ceil_mode": ceil, "strides": [2, 2]}
        settings.update(kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        yield Case("QLinearAveragePool", [picture, s, z, s, z], settings, domain=CONTRIB)
    for last in (0, 1):
        yield Case(
            "QLinearGlobalAveragePool",
            [picture, s, z, s, z],
            {"channels_last": last},
            domain=CONTRIB,
        )


def fused() -> Iterator[Case]:
    activations = {
        "Relu": [],
        "Tanh": [],
        "Sigmoid": [],
        "LeakyRelu": [0.2],
        "HardSigmoid": [0.3, 0.4],
        "Clip": [-0.5, 0.5],
    }
    picture, w = floats(1, 2, 5, 5), floats(3, 2, 3, 3)
    for name, parameters in activations.items():
        settings = {"activation": name, "activation_params": parameters}
        yield Case(
            "FusedConv",
            [picture, w, floats(3)],
            {k: v for k, v in settings.items() if v},
            domain=CONTRIB,
        )
    for name in ("Relu", "LeakyRelu"):
        yield Case(
            "FusedGemm",
            [floats(3, 4), floats(4, 5), floats(5)],
            {"activation": name, "activation_alpha": 0.2},
            domain=CONTRIB,
        )
    for a, b in itertools.product((0, 1), (0, 1)):
        sides = [
            floats(2, 4, 3) if a else floats(2, 3, 4),
            floats(2, 5, 4) if b else floats(2, 4, 5),
        ]
        yield Case("FusedMatMul", sides, {"transA": a, "transB": b, "alpha": 0.5}, domain=CONTRIB)
        yield Case("TransposeMatMul", sides, {"transA": a, "transB": b}, domain=CONTRIB)
    for auto_pad in PADDED:
        inputs = [np.ascontiguousarray(np.moveaxis(picture, 1, -1)), w, floats(3)]
        yield Case("NhwcConv", inputs, {"auto_pad": auto_pad, "strides": [2, 1]}, domain=CONTRIB)
    for axis, inner in ((1, 1), (2, 1), (-1, 1), (2, 0)):
        bias = floats(2, 1, 4, 5) if inner and axis == 2 else floats(1, 3, 4, 5)
        bias = floats(2, 3, 1, 5) if axis == -1 else bias
        settings = {"axis": axis, "is_inner_broadcast": inner}
        yield Case("BiasSoftmax", [floats(2, 3, 4, 5), bias], settings, domain=CONTRIB)
    for upper, shift in itertools.product((0, 1), (-1, 0, 5)):
        yield Case(
            "Trilu", [floats(2, 3, 4), scalar(shift, "int64")], {"upper": upper}, domain=CONTRIB
        )
    yield Case("Inverse", [floats(2, 3, 3) + 4 * np.eye(3, dtype=np.float32)], domain=CONTRIB)


def classical() -> Iterator[Case]:
    x = floats(4, 3)
    yield Case("Scaler", [x], {"offset": [0.5, 1.0, 0.0], "scale": [2.0, 3.0, 4.0]}, domain=ML)
    for norm in ("MAX", "L1", "L2"):
        yield Case("Normalizer", [x], {"norm": norm}, domain=ML)
    linear = {"coefficients": [0.5, -1.0, 2.0, 1.0, 0.25, -2.0], "intercepts": [0.5, -0.25]}
    labels = {"classlabels_ints": [5, 9]}
    yield Case("LinearClassifier", [x], {**linear, **labels}, 2, domain=ML)
    yield Case("LinearRegressor", [x], {**linear, "targets": 2}, domain=ML)
    vectors = {"kernel_type": "RBF", "kernel_params": [0.5, 0.0, 3.0], "rho": [0.25]}
    vectors["support_vectors"] = [0.5, 1.0, -1.0, 0.25, -0.5, 1.5]
    one = {**vectors, "coefficients": [1.0, -0.5]}
    yield Case("SVMRegressor", [x], {**one, "n_supports": 2}, domain=ML)
    yield Case("SVMClassifier", [x], {**one, **labels, "vectors_per_class": [1, 1]}, 2, domain=ML)
    yield Case("ZipMap", [x], {"classlabels_int64s": [5, 2, 9]}, domain=ML)
    words = np.array([["a", "b"], ["c", "a"]], object)
    categories = {"cats_strings": ["a", "b"], "cats_int64s": [4, 5]}
    yield Case("CategoryMapper", [words], categories, version=1, domain=ML)
    yield Case("LabelEncoder", [words], {"keys_strings": ["a"], "values_int64s": [7]}, domain=ML)
    yield Case("OneHotEncoder", [words], {"cats_strings": ["a", "b"]}, domain=ML)
    yield Case("FeatureVectorizer", [x, x], {"inputdimensions": [2, 4]}, domain=ML)
    settings = {"imputed_value_floats": [9.0], "replaced_value_float": float(x[0, 0])}
    yield Case("Imputer", [x], settings, domain=ML)
    yield Case(
        "DictVectorizer", [{"b": 2.5, "z": 1.0}], {"string_vocabulary": ["a", "b"]}, domain=ML
    )
    for form, to in itertools.product(("DENSE", "SPARSE"), ("TO_FLOAT", "TO_INT64")):
        settings = {"map_form": form, "cast_to": to, "max_map": 5}
        yield Case("CastMap", [{3: 2.5, 1: -7.0}], settings, domain=ML)
    yield Case("StringNormalizer", [words[0]], {"case_change_action": "UPPER", "locale": "C"})
    yield Case(
        "Tokenizer",
        [words[0]],
        {"mark": 1, "mincharnum": 1, "pad_value": "#", "separators": [""]},
        domain=CONTRIB,
    )
    grams = {"ngram_counts": [0], "ngram_indexes": [0, 1], "pool_int64s": [3, 5]}
    grams.update(min_gram_length=1, max_gram_length=1, max_skip_count=0, mode="TF")
    yield Case("TfIdfVectorizer", [whole(3, 3, 5, 7)], grams)
    yield from trees(x)


def trees(x: np.ndarray) -> Iterator[Case]:
    nodes: dict[str, Any] = {f"nodes_{name}": [0, 0, 0] for name in ("treeids", "featureids")}
    nodes.update(nodes_nodeids=[0, 1, 2], nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"])
    nodes.update(nodes_values=[0.25, 0.0, 0.0], nodes_truenodeids=[1, 0, 0])
    nodes["nodes_falsenodeids"] = [2, 0, 0]
    for kind, operator in (
        ("target", "TreeEnsembleRegressor"),
        ("class", "TreeEnsembleClassifier"),
    ):
        leaves = {f"{kind}_treeids": [0, 0], f"{kind}_nodeids": [1, 2], f"{kind}_ids": [0, 1]}
        leaves[f"{kind}_weights"] = [0.75, 0.5]
        last = {"n_targets": 2} if kind == "target" else {"classlabels_int64s": [4, 6]}
        yield Case(operator, [x], {**nodes, **leaves, **last}, 1 + (kind == "class"), domain=ML)
        if kind == "class":
            last = {"classlabels_int64s": [4, 6, 8]}
            yield Case(operator, [x], {**nodes, **leaves, **last}, 2, domain=ML)
    tensor = helper.make_tensor
    for aggregate in (0, 1, 2, 3):
        settings = {
            "aggregate_function": aggregate,
            "n_targets": 2,
            "tree_roots": [0],
            "nodes_featureids": [0],
            "nodes_modes": tensor("modes", TensorProto.UINT8, [1], [0]),
            "nodes_splits": tensor("splits", TensorProto.FLOAT, [1], [0.25]),
            "nodes_truenodeids": [0],
            "nodes_trueleafs": [1],
            "nodes_falsenodeids": [1],
            "nodes_falseleafs": [1],
            "leaf_targetids": [0, 1],
            "leaf_weights": tensor("weights", TensorProto.FLOAT, [2], [0.75, 0.5]),
        }
        yield Case("TreeEnsemble", [x], settings, version=5, domain=ML)


def channels_first(case: Case) -> onnx.ModelProto:
    """Return Conv between transpositions, for NhwcConv."""
    nodes = [
        helper.make_node("Transpose", ["x0"], ["first"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["first", "x1", "x2"], ["answer"], **case.attributes),
        helper.make_node("Transpose", ["answer"], ["y0"], perm=[0, 2, 3, 1]),
    ]
    return case.model_of(nodes, {})


def sum_and_softmax(case: Case) -> onnx.ModelProto:
    """Return Add and Softmax of a version that flattens, for BiasSoftmax."""
    nodes = [
        helper.make_node("Add", ["x0", "x1"], ["sum"]),
        helper.make_node("Softmax", ["sum"], ["y0"], axis=case.attributes["axis"]),
    ]
    return case.model_of(nodes, {"": 11})


#: Operators of two inputs: before opset 7 an attribute aligns the second, `ALIGNED` of them.
ARITHMETIC = ("Add", "Div", "Mul", "Pow", "Sub")
COMPARISONS, LOGICAL = ("Equal", "Greater", "Less"), ("And", "Or", "Xor")
ALIGNED = (*ARITHMETIC, *COMPARISONS, *LOGICAL)


def aligning() -> Iterator[Case]:
    a, b, last = np.abs(floats(2, 3, 4)), np.abs(floats(3)) + 0.5, np.abs(floats(4)) + 0.5
    for name in ALIGNED:
        dtype = "bool" if name in LOGICAL else "int32" if name == "Equal" else "float32"
        for second, axis in ((b, 1), (b[:, None] * last, 1), (last, 2)):
            settings = {"axis": axis, "broadcast": 1}
            inputs = [x.round().astype(dtype) if dtype != "float32" else x for x in (a, second)]
            yield Case(name, inputs, settings, version=6)


def with_axes_of_one(case: Case) -> onnx.ModelProto:
    """Return the operator of an opset that broadcasts, its second input with axes of 1 behind."""
    first, second = case.inputs
    behind = range(case.attributes["axis"] + second.ndim, first.ndim)
    shape = [*second.shape, *(1 for _ in behind)]
    nodes = [
        helper.make_node("Constant", [], ["shape"], value_ints=shape),
        helper.make_node("Reshape", ["x1", "shape"], ["aligned"]),
        helper.make_node(case.operator, ["x0", "aligned"], ["y0"]),
    ]
    return case.model_of(nodes, {})


#: ONNX Runtime's CPU has no kernel for these, but for what they stand for.
EQUIVALENTS = {
    "NhwcConv": channels_first,
    "BiasSoftmax": sum_and_softmax,
    **dict.fromkeys(ALIGNED, with_axes_of_one),
}


def has_two_classes_with_leaves(case: Case) -> bool:
    labels = case.attributes.get("classlabels_int64s", [])
    return case.operator == "TreeEnsembleClassifier" and len(labels) == 2
