"""Saturation: what products of 8 bits do on processors of x86 that lack VNNI.

``vpmaddubsw`` adds two products of uint8 and int8 in 16 bits, where two of 255 x 127 do not fit.
See Intel's "Software Developer's Manual", PMADDUBSW, and ONNX Runtime's "Quantize ONNX Models",
"When and why do I need to try U8U8?".
"""

from __future__ import annotations

from deepmatrix.diagnosis.search.advice import Advice
from deepmatrix.planning.cells import Cell

#: Operators that multiply integers of 8 bits, or that runtimes make such ones of.
PRODUCTS = frozenset(
    {"ConvInteger", "DynamicQuantizeMatMul", "MatMulInteger", "MatMulIntegerToFloat", "QAttention"}
    | {"QGemm", "QLinearConv", "QLinearMatMul", "Conv", "Gemm", "MatMul"}
)

#: Operators across which runtimes make products of integers from those of floats.
QUANTISERS = frozenset({"QuantizeLinear", "DequantizeLinear"})

X86 = ("386", "amd64")


def saturation_advice(kind: str, consumer: Cell, *, fused: bool = False) -> Advice | None:
    """Return what to do about a node of a *kind* that may saturate on a consumer, if it may.

    *fused*: an optimisation across it is wrong, not the node alone.
    """
    may_saturate = kind in PRODUCTS or (fused and kind in QUANTISERS)
    if not may_saturate or not consumer.isa or consumer.architecture not in X86:
        return None
    return Advice(
        "sums of two products of uint8 and int8 saturate at 16 bits on x86 without VNNI",
        "quantise weights to 7 bits (reduce_range), or set ONNX Runtime's "
        "session.x64quantprecision to 1",
    )
