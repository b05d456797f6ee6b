"""The judge's own definitions of operators, against ONNX Runtime's kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.graphs.operators import NotEvaluated, evaluate
from harness.graphs.operators.base import masked_softmax, softmax
from tests.unit.one_node import (
    CONTRIB,
    Case,
    by_judge,
    by_runtime,
    difference,
    drawn,
    each_drawn,
    floats,
    integers,
    scalar,
)

pytest.importorskip("onnxruntime")

#: An input that is left out.
ABSENT = None


E4 = drawn("E4", lambda: floats(2, 3, 4, 5))
Q8 = drawn("Q8", lambda: integers("uint8", 2, 3, 6, 6))
S8 = drawn("S8", lambda: integers("int8", 4, 3, 3, 3))
PAIR = drawn(
    "PAIR",
    lambda: [
        integers("uint8", 2, 8),
        scalar(0.02),
        scalar(120, "uint8"),
        integers("uint8", 2, 8),
        scalar(0.03),
        scalar(110, "uint8"),
        scalar(0.05),
        scalar(128, "uint8"),
    ],
)
# Means of 2 and 4 values are seldom half a step: there float32's rounding decides.
RESCALED = [scalar(0.031), scalar(120, "uint8"), scalar(0.01), scalar(5, "uint8")]
SINGLE = drawn("SINGLE", lambda: [integers("uint8", 2, 8), *RESCALED])
PICTURE = drawn("PICTURE", lambda: [integers("uint8", 1, 2, 5, 5), *RESCALED])
TABLES = drawn("TABLES", lambda: [floats(16, 4), floats(16, 4)])
WIDTH = {"num_heads": 2}

Made = tuple[str, list[np.ndarray | None], dict[str, Any], int]

CASES: dict[str, Made] = each_drawn(
    {
        "FusedMatMul": lambda: (
            "FusedMatMul",
            [floats(2, 4, 3), floats(2, 4, 5)],
            {"alpha": 0.5, "transA": 1},
            1,
        ),
        "FusedMatMul, batches turned": lambda: (
            "FusedMatMul",
            [floats(3, 2, 4), floats(2, 4, 5)],
            {"transBatchA": 1},
            1,
        ),
        "FusedGemm": lambda: (
            "FusedGemm",
            [floats(3, 4), floats(5, 4), floats(5)],
            {"transB": 1, "activation": "Relu"},
            1,
        ),
        "FusedConv": lambda: (
            "FusedConv",
            [floats(1, 2, 6, 6), floats(3, 2, 3, 3), floats(3)],
            {"kernel_shape": [3, 3], "activation": "Relu"},
            1,
        ),
        "Gelu": lambda: ("Gelu", [E4], {}, 1),
        "BiasGelu": lambda: ("BiasGelu", [E4, floats(5)], {}, 1),
        "FastGelu": lambda: ("FastGelu", [E4, floats(5)], {}, 1),
        "QuickGelu": lambda: ("QuickGelu", [E4], {"alpha": 1.5}, 1),
        "SkipLayerNormalization": lambda: (
            "SkipLayerNormalization",
            [floats(2, 3, 8), floats(2, 3, 8), floats(8), floats(8), floats(8)],
            {"epsilon": 1e-5},
            1,
        ),
        "SkipSimplifiedLayerNormalization": lambda: (
            "SkipSimplifiedLayerNormalization",
            [floats(2, 3, 8), floats(2, 3, 8), floats(8)],
            {"epsilon": 1e-5},
            1,
        ),
        "EmbedLayerNormalization": lambda: (
            "EmbedLayerNormalization",
            [
                integers("int32", 2, 4, low=0, high=9),
                integers("int32", 2, 4, low=0, high=1),
                floats(10, 8),
                floats(6, 8),
                floats(2, 8),
                floats(8),
                floats(8),
                np.int32([[1, 1, 1, 0], [1, 1, 0, 0]]),
            ],
            {"epsilon": 1e-5},
            2,
        ),
        "Trilu": lambda: ("Trilu", [floats(2, 4, 4), scalar(1, "int64")], {"upper": 0}, 1),
        "QLinearAdd": lambda: ("QLinearAdd", PAIR, {}, 1),
        "QLinearMul": lambda: ("QLinearMul", PAIR, {}, 1),
        "QLinearSigmoid": lambda: ("QLinearSigmoid", SINGLE, {}, 1),
        "QLinearLeakyRelu": lambda: ("QLinearLeakyRelu", SINGLE, {"alpha": 0.2}, 1),
        "QLinearSoftmax": lambda: ("QLinearSoftmax", SINGLE, {"axis": -1, "opset": 13}, 1),
        "QLinearGlobalAveragePool": lambda: (
            "QLinearGlobalAveragePool",
            PICTURE,
            {"channels_last": 0},
            1,
        ),
        "QLinearAveragePool": lambda: (
            "QLinearAveragePool",
            PICTURE,
            {"kernel_shape": [2, 2], "pads": [1, 1, 0, 0]},
            1,
        ),
        "QLinearConcat": lambda: (
            "QLinearConcat",
            [scalar(0.05), scalar(128, "uint8"), *PAIR[:6]],
            {"axis": 1},
            1,
        ),
        "QGemm": lambda: (
            "QGemm",
            [
                integers("uint8", 2, 8),
                scalar(0.02),
                scalar(120, "uint8"),
                integers("int8", 8, 4),
                scalar(0.01),
                scalar(0, "int8"),
                integers("int32", 4, low=-99, high=99),
                scalar(0.1),
                scalar(100, "uint8"),
            ],
            {},
            1,
        ),
        "QGemm to floats": lambda: (
            "QGemm",
            [
                integers("uint8", 2, 8),
                scalar(0.02),
                scalar(120, "uint8"),
                integers("int8", 4, 8),
                floats(4, low=0.01, high=0.1),
                np.zeros(4, "int8"),
            ],
            {"transB": 1},
            1,
        ),
        "MatMulIntegerToFloat": lambda: (
            "MatMulIntegerToFloat",
            [
                integers("uint8", 2, 8),
                integers("int8", 8, 4),
                scalar(0.02),
                scalar(0.01),
                scalar(120, "uint8"),
                scalar(3, "int8"),
                floats(4),
            ],
            {},
            1,
        ),
        "DynamicQuantizeMatMul": lambda: (
            "DynamicQuantizeMatMul",
            [floats(2, 8), integers("int8", 8, 4), scalar(0.01), scalar(3, "int8"), floats(4)],
            {},
            1,
        ),
        "DynamicQuantizeLSTM": lambda: (
            "DynamicQuantizeLSTM",
            [
                floats(5, 1, 6),
                *(integers("int8", 2, size, 16, low=-60, high=60) for size in (6, 4)),
                floats(2, 32),
                *[None] * 4,
                np.float32([0.01, 0.02]),
                np.int8([3, -2]),
                np.float32([0.02, 0.01]),
                np.int8([0, 1]),
            ],
            {"direction": "bidirectional", "hidden_size": 4},
            3,
        ),
        "MatMulNBits": lambda: (
            "MatMulNBits",
            [floats(2, 32), integers("uint8", 6, 2, 8), floats(12), integers("uint8", 6)],
            {"K": 32, "N": 6, "bits": 4, "block_size": 16},
            1,
        ),
        "MatMulNBits without zero points": lambda: (
            "MatMulNBits",
            [floats(2, 48), integers("uint8", 6, 2, 16), floats(12)],
            {"K": 48, "N": 6, "bits": 4, "block_size": 32},
            1,
        ),
        "DequantizeLinear": lambda: (
            "DequantizeLinear",
            [integers("uint8", 2, 3), scalar(0.1), scalar(7, "uint8")],
            {},
            1,
        ),
        "QuantizeLinear": lambda: (
            "QuantizeLinear",
            [floats(2, 3), scalar(0.01), scalar(7, "uint8")],
            {},
            1,
        ),
        "Attention": lambda: ("Attention", [floats(2, 5, 8), floats(8, 24), floats(24)], WIDTH, 1),
        "Attention with lengths": lambda: (
            "Attention",
            [floats(2, 5, 8), floats(8, 24), floats(24), np.int32([3, 5])],
            WIDTH,
            1,
        ),
        "Attention with a mask": lambda: (
            "Attention",
            [floats(2, 5, 8), floats(8, 24), floats(24), integers("int32", 2, 5, low=0, high=1)],
            WIDTH,
            1,
        ),
        "Attention, causal": lambda: (
            "Attention",
            [floats(2, 5, 8), floats(8, 24), floats(24)],
            {**WIDTH, "unidirectional": 1},
            1,
        ),
        "MultiHeadAttention": lambda: (
            "MultiHeadAttention",
            [floats(2, 5, 8), floats(2, 6, 8), floats(2, 6, 8), floats(24)],
            WIDTH,
            1,
        ),
        "MultiHeadAttention with padding": lambda: (
            "MultiHeadAttention",
            [floats(2, 5, 8), floats(2, 6, 8), floats(2, 6, 8), ABSENT, np.int32([4, 6])],
            WIDTH,
            1,
        ),
        "GroupQueryAttention": lambda: (
            "GroupQueryAttention",
            [
                floats(2, 5, 32),
                floats(2, 5, 16),
                floats(2, 5, 16),
                ABSENT,
                ABSENT,
                np.int32([4, 4]),
                scalar(5, "int32"),
            ],
            {"num_heads": 4, "kv_num_heads": 2},
            3,
        ),
        "GroupQueryAttention, turned": lambda: (
            "GroupQueryAttention",
            [
                floats(1, 1, 64),
                floats(1, 1, 32),
                floats(1, 1, 32),
                floats(1, 2, 4, 16),
                floats(1, 2, 4, 16),
                np.int32([4]),
                scalar(5, "int32"),
                floats(16, 8),
                floats(16, 8),
            ],
            {"num_heads": 4, "kv_num_heads": 2, "do_rotary": 1},
            3,
        ),
        "RotaryEmbedding": lambda: (
            "RotaryEmbedding",
            [floats(2, 5, 16), np.tile(np.arange(5), (2, 1)), *TABLES],
            {},
            1,
        ),
        "RotaryEmbedding, interleaved": lambda: (
            "RotaryEmbedding",
            [floats(2, 2, 5, 8), scalar([3], "int64"), *TABLES],
            {"interleaved": 1},
            1,
        ),
        "QAttention": lambda: (
            "QAttention",
            [
                integers("uint8", 2, 5, 8),
                integers("int8", 8, 24),
                floats(24),
                scalar(0.01),
                scalar(0.01),
                ABSENT,
                scalar(128, "uint8"),
                scalar(0, "int8"),
            ],
            WIDTH,
            1,
        ),
    }
)


@pytest.mark.parametrize("name", CASES)
def test_an_operator_of_onnx_runtime_is_defined_as_its_kernel_computes_it(name: str) -> None:
    case = Case(*CASES[name], domain=CONTRIB)
    assert not difference(by_judge(case), by_runtime(case))


STANDARD: dict[str, tuple[str, int, list[np.ndarray | None], dict[str, Any]]] = each_drawn(
    {
        "Softmax 11": lambda: ("Softmax", 11, [E4], {"axis": 1}),
        "Softmax 11, its default axis": lambda: ("Softmax", 11, [E4], {}),
        "LogSoftmax 11": lambda: ("LogSoftmax", 11, [E4], {"axis": 2}),
        "Hardmax 11": lambda: ("Hardmax", 11, [E4], {"axis": 1}),
        "Softmax 13": lambda: ("Softmax", 13, [E4], {}),
        "GlobalMaxPool of one dimension": lambda: ("GlobalMaxPool", 13, [floats(2, 3, 7)], {}),
        "GlobalMaxPool of three dimensions": lambda: (
            "GlobalMaxPool",
            13,
            [floats(2, 3, 4, 5, 6)],
            {},
        ),
        "DequantizeLinear 13": lambda: (
            "DequantizeLinear",
            13,
            [S8, floats(4, low=0.01, high=0.1), np.zeros(4, "int8")],
            {"axis": 0},
        ),
        "QLinearConv": lambda: (
            "QLinearConv",
            13,
            [
                Q8,
                scalar(0.02),
                scalar(120, "uint8"),
                S8,
                floats(4, low=0.01, high=0.1),
                np.zeros(4, "int8"),
                scalar(0.4),
                scalar(100, "uint8"),
                integers("int32", 4, low=-99, high=99),
            ],
            {"kernel_shape": [3, 3]},
        ),
        "MatMulInteger": lambda: (
            "MatMulInteger",
            13,
            [
                integers("uint8", 2, 8),
                integers("int8", 8, 4),
                scalar(120, "uint8"),
                scalar(3, "int8"),
            ],
            {},
        ),
        "AveragePool with a window that ends outside": lambda: (
            "AveragePool",
            13,
            [floats(1, 2, 6, 6)],
            {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1, "pads": [1, 1, 1, 1]},
        ),
        "Resize 10": lambda: (
            "Resize",
            10,
            [floats(1, 2, 4, 5), np.float32([1, 1, 2, 1.5])],
            {"mode": "linear"},
        ),
        "LSTM with lengths": lambda: (
            "LSTM",
            14,
            [floats(6, 2, 3), floats(2, 16, 3), floats(2, 16, 4), floats(2, 32), np.int32([6, 4])],
            {"hidden_size": 4, "direction": "bidirectional"},
        ),
        "LSTM with peepholes and clipping": lambda: (
            "LSTM",
            14,
            [
                floats(6, 2, 3),
                floats(1, 16, 3),
                floats(1, 16, 4),
                floats(1, 32),
                ABSENT,
                floats(1, 2, 4),
                floats(1, 2, 4),
                floats(1, 12),
            ],
            {"hidden_size": 4, "clip": 0.5},
        ),
        "GRU with lengths, backwards": lambda: (
            "GRU",
            14,
            [floats(6, 2, 3), floats(1, 12, 3), floats(1, 12, 4), floats(1, 24), np.int32([6, 4])],
            {"hidden_size": 4, "direction": "reverse", "linear_before_reset": 1},
        ),
        "RNN with other activations": lambda: (
            "RNN",
            14,
            [floats(6, 2, 3), floats(2, 4, 3), floats(2, 4, 4), floats(2, 8)],
            {"hidden_size": 4, "direction": "bidirectional", "activations": ["Relu", "Tanh"]},
        ),
        "CumSum": lambda: (
            "CumSum",
            14,
            [floats(3, 4), scalar([1], "int64")],
            {"exclusive": 1, "reverse": 1},
        ),
        "OneHot": lambda: (
            "OneHot",
            11,
            [np.int64([[1, -2], [0, 9]]), scalar([4], "int64"), np.float32([0.5, 2])],
            {"axis": 1},
        ),
        "GatherElements, of many": lambda: (
            "GatherElements",
            13,
            [floats(2, 100, 3), integers("int64", 2, 70, 3, low=-100, high=99)],
            {"axis": -2},
        ),
        "GatherElements, of few": lambda: (
            "GatherElements",
            13,
            [floats(5, 4), integers("int32", 3, 2, low=-5, high=4)],
            {},
        ),
    }
)


@pytest.mark.parametrize("name", STANDARD)
def test_an_operator_of_the_standard_is_as_a_kernel_that_is_right(name: str) -> None:
    operator, opset, inputs, attributes = STANDARD[name]
    outputs = {"LSTM": 3, "GRU": 2, "RNN": 2}.get(operator, 1)
    case = Case(operator, inputs, attributes, outputs, opset)
    assert not difference(by_judge(case), by_runtime(case))


@pytest.mark.parametrize("version", [1, 6, 7, 10, 12, 13, 22])
def test_dropout_infers_without_a_ratio(version: int) -> None:
    attributes = {"is_test": 1} if version < 7 else {}
    answers = by_judge(Case("Dropout", [E4], attributes, 2, version))
    np.testing.assert_array_equal(answers["y0"], E4)
    assert answers["y1"].all()


@pytest.mark.parametrize("ratio", [ABSENT, scalar(0.25)])
def test_dropout_that_trains_drops_its_share_and_scales_the_rest(ratio: np.ndarray | None) -> None:
    x = np.full(10000, 3.0, np.float32)
    case = Case("Dropout", [x, ratio, scalar(True, "bool")], {"seed": 1}, 2, 13)
    rate = 0.5 if ratio is None else 0.25
    y, kept = by_judge(case).values()
    assert y[kept] == pytest.approx(3.0 / (1 - rate))
    assert not y[~kept].any()
    assert kept.mean() == pytest.approx(1 - rate, abs=0.03)


def test_attention_gives_zeros_for_a_row_that_is_masked_throughout() -> None:
    np.testing.assert_array_equal(masked_softmax(np.full((1, 3), -np.inf)), np.zeros((1, 3)))


def test_softmax_gives_nan_for_a_row_that_is_masked_throughout() -> None:
    np.testing.assert_array_equal(softmax(np.full((1, 3), -np.inf)), np.full((1, 3), np.nan))


# Where the evaluator errs, after random graphs ------------------------------------------------

MISJUDGED: list[Made] = drawn(
    "MISJUDGED",
    lambda: [
        ("ConvTranspose", [floats(2, 6, 5), floats(6, 2, 3), floats(4)], {"group": 2}, 1),
        (
            "ConvTranspose",
            [floats(2, 4, 5, 6), floats(4, 1, 3, 2), floats(4)],
            {"group": 4, "strides": [2, 3], "pads": [1, 0, 0, 1], "output_padding": [1, 2]},
            1,
        ),
        (
            "ConvTranspose",
            [floats(1, 2, 4, 4), floats(2, 3, 3, 3)],
            {"strides": [2, 2], "dilations": [2, 1], "output_shape": [8, 8]},
            1,
        ),
        *(
            (
                "ConvTranspose",
                [floats(1, 2, 4, 5), floats(2, 3, 3, 3)],
                {"strides": [2, 2], "auto_pad": auto_pad},
                1,
            )
            for auto_pad in ("SAME_UPPER", "SAME_LOWER", "VALID")
        ),
        *(
            ("MaxPool", [floats(2, 3, 7)], {"kernel_shape": [3], "strides": [2], **settings}, 2)
            for settings in (
                {"auto_pad": "SAME_LOWER"},
                {"auto_pad": "SAME_UPPER"},
                {"pads": [1, 1], "ceil_mode": 1},
            )
        ),
        (
            "MaxPool",
            [floats(2, 3, 8, 9)],
            {"kernel_shape": [2, 3], "dilations": [2, 1], "storage_order": 1},
            2,
        ),
        ("MaxPool", [integers("uint8", 1, 2, 6, 6)], {"kernel_shape": [2, 2]}, 1),
    ],
)


@pytest.mark.parametrize(("operator", "inputs", "attributes", "outputs"), MISJUDGED)
def test_an_operator_that_the_evaluator_gets_wrong_is_as_onnx_runtime_has_it(
    operator: str, inputs: list[np.ndarray | None], attributes: dict[str, Any], outputs: int
) -> None:
    case = Case(operator, inputs, attributes, outputs)
    assert not difference(by_judge(case), by_runtime(case))


@pytest.mark.parametrize("operator", ["AveragePool", "LpPool", "MaxPool"])
def test_a_window_larger_than_its_input_has_no_answer(operator: str) -> None:
    """ONNX Runtime answers one window here, and the standard's formula none."""
    settings = {"kernel_shape": [7, 7], "strides": [7, 7]}
    case = Case(operator, [np.ones((1, 2, 6, 6), np.float32)], settings, version=11)
    with pytest.raises(NotEvaluated, match="larger than its input"):
        evaluate(case.model(), case.fed())


@pytest.mark.parametrize(
    ("operator", "parameters", "domain"),
    [
        ("LayerNormalization", 2, ""),
        ("RMSNormalization", 1, ""),
        ("InstanceNormalization", 2, ""),
        ("SimplifiedLayerNormalization", 1, ""),
        ("SkipLayerNormalization", 2, CONTRIB),
        ("SkipSimplifiedLayerNormalization", 1, CONTRIB),
    ],
)
def test_a_normalisation_of_float16_does_not_overflow(
    operator: str, parameters: int, domain: str
) -> None:
    x = np.float16([[[300, -500, 900, 2000]] * 4])
    held = [np.ones(4, np.float16)] * parameters
    skip = [np.zeros_like(x)] if domain else []
    case = Case(operator, [x, *skip, *held], {}, 1, 23 if not domain else 0, domain)
    answer = evaluate(case.model(), case.fed())["y0"]
    assert answer.dtype == np.float16
    np.testing.assert_allclose(answer, by_judge(case)["y0"], atol=2e-3)
