"""Operators of the judge: float64 definitions where the standard's evaluator lacks them or errs.

A judge has to be right, so every evaluation of an ONNX graph here uses these. They are written from
the standard's text (https://onnx.ai/onnx/operators) and, for ``com.microsoft``, from ONNX Runtime's
(https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md), and tested against
the standard's node tests of all opsets and against ONNX Runtime's kernels.

Modules of this package import the ``onnx`` package: only a cell that has it imports them.
"""

import importlib
from typing import Any, List, Type

MODULES = (
    "attention",
    "categories",
    "classical",
    "contrib",
    "control",
    "normalization",
    "pooling",
    "quantization",
    "recurrent",
    "resizing",
    "selection",
    "trees",
    "words",
)


def evaluator(model: Any) -> Any:
    """Return a reference evaluator of a model (or of the file at a path) with these operators."""
    import onnx.reference

    return onnx.reference.ReferenceEvaluator(model, new_ops=definitions())


def definitions() -> List[Type[Any]]:
    """Return all classes of operators that are defined here."""
    classes: List[Type[Any]] = []
    for name in MODULES:
        classes += importlib.import_module(__name__ + "." + name).OPERATORS
    return classes


def defined(domain: str, name: str) -> bool:
    """Return whether an operator is defined here, whatever its version."""
    return any(
        operator.op_domain == domain and operator.__name__ == name for operator in definitions()
    )
