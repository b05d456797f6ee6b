"""Models of one node: what the judge answers, and what ONNX Runtime's kernel does."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import onnx
from onnx import TensorProto, helper

from harness.adapters import Arrays
from harness.graphs import values
from harness.graphs.inputs.onnx_inputs import as_float64
from harness.graphs.operators import evaluator
from harness.graphs.precise import widen

ML, CONTRIB = "ai.onnx.ml", "com.microsoft"

#: The version of a domain where a case states none.
VERSIONS = {"": 17, CONTRIB: 1, ML: 3}

#: Of quantised values, this share may be one step away: at a tie in the last rounding.
TIES = 0.25


#: The generators of what is being drawn, the innermost last: see `drawn`.
_GENERATORS: list[np.random.Generator] = []

Drawn = TypeVar("Drawn")


def drawn(name: str, make: Callable[[], Drawn]) -> Drawn:
    """Return what *make* draws, from a generator of its own: no other test changes its numbers."""
    _GENERATORS.append(np.random.default_rng(zlib.crc32(name.encode())))
    try:
        return make()
    finally:
        _GENERATORS.pop()


def each_drawn(makers: Mapping[str, Callable[[], Drawn]]) -> dict[str, Drawn]:
    """Return what each draws, by name."""
    return {name: drawn(name, make) for name, make in makers.items()}


def floats(*shape: int, low: float = -2.0, high: float = 2.0) -> np.ndarray:
    return _GENERATORS[-1].uniform(low, high, shape).astype(np.float32)


def whole(*numbers: int, dtype: str = "int64") -> np.ndarray:
    return np.array(numbers, dtype)


def integers(
    dtype: str, *shape: int, low: int | None = None, high: int | None = None
) -> np.ndarray:
    """Return integers from *low* to *high*, else over the whole range of their type."""
    limits = np.iinfo(dtype)
    first = limits.min if low is None else low
    last = limits.max if high is None else high
    return _GENERATORS[-1].integers(first, last + 1, shape).astype(dtype)


def scalar(value: Any, dtype: str = "float32") -> np.ndarray:
    return np.asarray(value, dtype)


class Case(NamedTuple):
    """A node and its inputs; None is an input that is left out."""

    operator: str
    inputs: Sequence[Any]
    attributes: Mapping[str, Any] = {}
    outputs: int = 1
    version: int = 0
    domain: str = ""

    def __str__(self) -> str:
        stated = ", ".join(
            f"{name}={value if isinstance(value, str | int | float | list) else '...'}"
            for name, value in self.attributes.items()
        )
        shapes = " ".join(
            f"{x.dtype.name}{list(x.shape)}" if isinstance(x, np.ndarray) else type(x).__name__
            for x in self.inputs
        )
        return f"{self.operator}-{self.version or VERSIONS[self.domain]} {stated} of {shapes}"

    @property
    def key(self) -> tuple[str, str]:
        """The domain and the name of the operator."""
        return self.domain, self.operator

    def fed(self) -> dict[str, Any]:
        """Return the inputs by name."""
        return {f"x{at}": x for at, x in enumerate(self.inputs) if x is not None}

    def model(self) -> onnx.ModelProto:
        """Return the model."""
        names = ["" if x is None else f"x{at}" for at, x in enumerate(self.inputs)]
        outputs = [f"y{at}" for at in range(self.outputs)]
        node = helper.make_node(
            self.operator, names, outputs, domain=self.domain, **self.attributes
        )
        return self.model_of([node], {self.domain: self.version} if self.version else {})

    def model_of(self, nodes: list[onnx.NodeProto], versions: dict[str, int]) -> onnx.ModelProto:
        """Return a model of these nodes, with the inputs and outputs of the case."""
        graph = helper.make_graph(
            nodes,
            "graph",
            [onnx.ValueInfoProto(name=name, type=_type_of(x)) for name, x in self.fed().items()],
            [onnx.ValueInfoProto(name=f"y{at}") for at in range(self.outputs)],
        )
        versions = {**VERSIONS, **versions}
        imports = [helper.make_opsetid(*item) for item in versions.items()]
        return helper.make_model(graph, opset_imports=imports, ir_version=10)


def _type_of(value: Any) -> onnx.TypeProto:
    if isinstance(value, dict):
        key, element = next(iter(value.items()))
        kind = TensorProto.STRING if isinstance(key, str) else TensorProto.INT64
        return helper.make_map_type_proto(kind, _type_of(np.asarray(element, np.float32)))
    is_text = value.dtype.kind in "OU"
    kind = TensorProto.STRING if is_text else helper.np_dtype_to_tensor_dtype(value.dtype)
    return helper.make_tensor_type_proto(kind, value.shape)


def by_runtime(case: Case, model: onnx.ModelProto | None = None) -> Arrays:
    """Return the answers of ONNX Runtime's kernel, optimisations off, by name.

    *model*: one that says the same, where there is no kernel.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        (model or case.model()).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return _named(session.run(None, case.fed()))


def by_judge(case: Case) -> Arrays:
    """Return the answers of the judge in float64, by name."""
    return _named(evaluator(widen(case.model())).run(None, _wide(case.fed())))


def _wide(fed: dict[str, Any]) -> dict[str, Any]:
    maps = {name: x for name, x in fed.items() if isinstance(x, dict)}
    return as_float64({name: x for name, x in fed.items() if name not in maps}) | maps


def _named(answers: Sequence[Any]) -> Arrays:
    return values.flatten((f"y{at}", answer) for at, answer in enumerate(answers))


def difference(judged: Arrays, run: Arrays, undefined: Arrays | None = None) -> str:
    """Return how the judge differs from a kernel, or nothing; *undefined*: masks of outputs.

    Floats may differ by float32's own error. Integers and text may not; but quantised values, of 8
    bits, by a step where a tie may round either way.
    """
    if list(judged) != list(run):
        return f"{list(judged)}, not {list(run)}"
    for name, answer in run.items():
        own = judged[name]
        if own.shape != answer.shape:
            return f"{name} has the shape {own.shape}, not {answer.shape}"
        if own.dtype.kind != answer.dtype.kind:
            return f"{name} is {own.dtype}, not {answer.dtype}"
        if answer.dtype.kind == "f":
            finite = np.abs(answer[np.isfinite(answer)])
            atol = 2e-5 * max(1.0, float(finite.max(initial=0.0)))
            differs = ~np.isclose(own, answer, rtol=2e-4, atol=atol, equal_nan=True)
        else:
            differs = own != answer
        if answer.dtype in (np.uint8, np.int8) and differs.mean() <= TIES:
            differs &= np.abs(own.astype(int) - answer.astype(int)) > 1
        differs &= ~(undefined or {}).get(name, np.False_).astype(bool)
        if differs.any():
            return f"{name}: {int(differs.sum())} of {answer.size} values differ"
    return ""
