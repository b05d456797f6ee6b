"""Operators of the judge: float64 definitions where the standard's evaluator lacks them or errs.

A judge has to be right, so every evaluation of an ONNX graph here uses these. They are written from
the standard's text (https://onnx.ai/onnx/operators) and, for ``com.microsoft``, from ONNX Runtime's
(https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md), and tested against
the standard's node tests of all opsets and against ONNX Runtime's kernels.

Modules of this package import the ``onnx`` package: only a cell that has it imports them.
"""

import functools
import importlib
import traceback
from typing import Any, Dict, Iterable, List, Optional, Type

import numpy

from harness.adapters import Arrays
from harness.graphs.canonical import canonical, inlined
from harness.graphs.values import assemble, flatten, wider_dtype

MODULES = (
    "aligned",
    "contrib.attention",
    "contrib.fused",
    "contrib.recurrent",
    "control",
    "ml.categories",
    "ml.classical",
    "ml.text",
    "ml.trees",
    "normalization",
    "quantization",
    "recurrent",
    "selection",
    "spatial.convolution",
    "spatial.pooling",
    "spatial.resizing",
    "spatial.sampling",
)


class NotEvaluated(Exception):
    """A model cannot be evaluated; the message names the node, where it is a node's fault."""


def evaluator(model: Any, also: Iterable[Type[Any]] = ()) -> Any:
    """Return a reference evaluator of a model (or of the file at a path) with these operators.

    *also*: other classes of operators, which no model has of its own.

    It raises whatever its operators raise; see `evaluate`.
    """
    import onnx
    import onnx.reference

    if isinstance(model, str):
        model = canonical(onnx.load(model))
    # Within functions it has its own operators alone, of which some take no linked attributes.
    return onnx.reference.ReferenceEvaluator(inlined(model), new_ops=[*definitions(), *also])


def evaluate(
    model: Any, inputs: Arrays, intermediate: bool = False, also: Iterable[Type[Any]] = ()
) -> Arrays:
    """Return the outputs of a model as named arrays, with *intermediate* all of its values.

    *also*: see `evaluator`.

    Raises NotEvaluated, whatever its operators raise.
    """
    try:
        reference = evaluator(model, also)
        values = reference.run(None, typed(model, inputs), intermediate=intermediate)
    except Exception as error:  # an operator may raise anything
        raise NotEvaluated(_failure(error)) from error
    return values if intermediate else flatten(zip(output_names(model), values))


def typed(model: Any, inputs: Arrays) -> Dict[str, Any]:
    """Return the inputs of a model for its evaluation, in its own types, from named arrays."""
    import onnx

    assembled = assemble(inputs, [value.name for value in model.graph.input])
    for value in model.graph.input:
        kind = value.type.tensor_type.elem_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind) if kind else None
        if dtype is not None and value.name in assembled and wider_dtype(dtype.name):
            assembled[value.name] = numpy.asarray(assembled[value.name]).astype(dtype)
    return assembled


def output_names(model: Any) -> List[str]:
    """Return the names of a model's outputs, of which sequences and maps have no array."""
    return [value.name for value in model.graph.output]


def _failure(error: Exception) -> str:
    """Return an evaluator's error in a line, with the outermost node that was being computed."""
    from onnx.reference.op_run import OpRun

    lines = str(error).strip().splitlines() or [""]
    text = "{}: {}".format(type(error).__name__, lines[0])[:300]
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    computed = (frame.f_locals.get("self") for frame in frames)
    for operator in computed:
        if isinstance(operator, OpRun):
            node = operator.onnx_node
            return "{} '{}' fails ({})".format(node.op_type, node.name or node.output[0], text)
    return text


def definitions() -> List[Type[Any]]:
    """Return all classes of operators that are defined here."""
    classes: List[Type[Any]] = []
    for name in MODULES:
        classes += importlib.import_module(__name__ + "." + name).OPERATORS
    return classes


@functools.lru_cache(maxsize=None)
def definition(domain: str, name: str) -> Optional[Type[Any]]:
    """Return the class of an operator that is defined here, whatever its version, or None."""
    return next((x for x in definitions() if (x.op_domain, x.__name__) == (domain, name)), None)


def is_trusted(node: Any, constants: Arrays) -> bool:
    """Return whether a node may be judged by its definition alone, if that passes its tests.

    A definition may say of its attributes and constants that the standard contradicts itself there,
    or that it cannot be told in float64.

    Args:
        node: the node.
        constants: arrays by name, for what it reads and is known beforehand.
    """
    own = definition(node.domain, node.op_type)
    return own is None or not hasattr(own, "is_trusted") or own.is_trusted(node, constants)


def aligned_operands(node: Any, operands: List[Any]) -> List[Any]:
    """Return the arrays that a node reads, the second aligned with the first if a node says so."""
    from harness.graphs.operators import aligned

    axes = [item.i for item in node.attribute if item.name == "axis"]
    if not axes or node.op_type not in {operator.__name__ for operator in aligned.OPERATORS}:
        return operands
    first, second = operands
    return [first, aligned.aligned(second, numpy.ndim(first), axes[0])]
