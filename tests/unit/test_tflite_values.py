"""What the inputs of a TFLite model can hold; needs the flatbuffer classes that LiteRT brings."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

schema: Any = pytest.importorskip("ai_edge_litert.schema_py_generated")

from harness.graphs.inputs.sample_inputs import Values  # noqa: E402
from harness.graphs.tflite.values import legal_values  # noqa: E402


def tensor(name: str, kind: str, shape: list[int], scale: float = 0.0, zero: int = 0) -> Any:
    quantization = SimpleNamespace(scale=[scale], zeroPoint=[zero]) if scale else None
    number = getattr(schema.TensorType, kind)
    return SimpleNamespace(name=name.encode(), type=number, shape=shape, quantization=quantization)


def model(kinds: list[str], tensors: list[Any], operators: list[tuple[int, list[int], int]]) -> Any:
    codes = [getattr(schema.BuiltinOperator, kind) for kind in kinds]
    graph = SimpleNamespace(
        tensors=tensors,
        inputs=[0],
        operators=[
            SimpleNamespace(opcodeIndex=code, inputs=read, outputs=[written], builtinOptions=None)
            for code, read, written in operators
        ],
    )
    return SimpleNamespace(
        subgraphs=[graph],
        signatureDefs=None,
        operatorCodes=[SimpleNamespace(builtinCode=c, deprecatedBuiltinCode=c) for c in codes],
    )


@pytest.mark.parametrize(("kind", "read"), [("GATHER", [2, 1]), ("EMBEDDING_LOOKUP", [1, 2])])
def test_ids_stay_within_their_table(kind: str, read: list[int]) -> None:
    tensors = [
        tensor("ids", "INT64", [1, 4]),
        tensor("cast", "INT32", [1, 4]),
        tensor("table", "FLOAT32", [9, 2]),
        tensor("y", "FLOAT32", [1, 4, 2]),
    ]
    graph = model(["CAST", kind], tensors, [(0, [0], 1), (1, read, 3)])
    assert legal_values(graph) == {"ids": Values(0, 8, True, "ids of a table")}


def test_quantised_inputs_take_all_codes_and_floats_the_range_of_their_scale() -> None:
    codes = model([], [tensor("x", "INT8", [1, 4], 0.5, -10)], [])
    assert legal_values(codes)["x"][:2] == (-128, 127)
    tensors = [tensor("x", "FLOAT32", [1, 4]), tensor("q", "UINT8", [1, 4], 0.5, 100)]
    floats = model(["QUANTIZE"], tensors, [(0, [0], 1)])
    assert legal_values(floats)["x"][:2] == (-50.0, 77.5)
