"""Random ONNX graphs that are valid, for finding what runtimes and our judge get wrong.

    nox -s benchmark -- random_graphs FOLDER [--count 200] [--seed 0]
    nox -s verify -- FOLDER/*.onnx --native

After NNSmith (Liu and others, "NNSmith: Generating Diverse and Valid Test Cases for Deep Learning
Compilers", ASPLOS 2023): a graph grows by an operator at a time on the tensors that are there.
Their shapes and values are known, so that every node is valid; what overflows, or has no finite
value, is dropped again. Opsets go from 7 to the newest.
"""

from __future__ import annotations

import argparse
import collections
import sys
import warnings
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import onnx  # noqa: E402
from onnx import helper, numpy_helper  # noqa: E402

from bench.random_operators import MAKERS, Attempt  # noqa: E402
from harness.graphs.operators import NotEvaluated, evaluate  # noqa: E402

#: Opsets in use: from the oldest that exporters still write, to the newest that runtimes read.
OPSETS = range(7, onnx.defs.onnx_opset_version() + 1)

#: Values stay below this, sizes of tensors too: else float32 says little, or a run takes long.
LARGEST, MOST_VALUES = 1e3, 20_000

SHAPES = ((2, 4, 8, 8), (1, 3, 9, 7), (2, 6, 12), (4, 10), (3, 5, 7), (6,))

Array = Any


class Graph:
    """A graph that grows; *values* are those of its tensors by name."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.opset = int(self.random.choice(OPSETS))
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {}
        self.values: dict[str, Array] = {}
        for number in range(int(self.random.integers(1, 4))):
            shape = SHAPES[self.random.integers(len(SHAPES))]
            self.values[f"x{number}"] = self.random.standard_normal(shape).astype("float32")
        self.inputs = list(self.values)

    def pick(self, *ranks: int, kind: str = "f") -> str | None:
        """Return a tensor of one of some ranks, any where none is named; later ones more often."""
        names = [
            name
            for name, value in self.values.items()
            if value.dtype.kind == kind and (not ranks or value.ndim in ranks)
        ]
        if not names:
            return None
        weights = np.arange(1, len(names) + 1)
        return str(self.random.choice(names, p=weights / weights.sum()))

    def constant(self, value: Array) -> str:
        """Return the name of a new constant."""
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(value)
        return name

    def weights(self, *shape: int, scale: float = 0.5) -> str:
        """Return the name of a new constant of normal floats."""
        return self.constant((self.random.standard_normal(shape) * scale).astype("float32"))

    def choose(self, *options: Any) -> Any:
        """Return one of some values."""
        return options[self.random.integers(len(options))]

    def add(self, attempt: Attempt) -> bool:
        """Add a node if it is valid, and its values can be compared; return whether it was."""
        number = len(self.nodes)
        names = [f"t{number}" if at == 0 else f"t{number}.{at}" for at in range(attempt.outputs)]
        node = helper.make_node(
            attempt.kind, attempt.inputs, names, name=f"n{number}", **attempt.attributes
        )
        known = {**self.values, **self.constants}
        fed = {name: known[name] for name in attempt.inputs if name}
        try:
            values = evaluate(self._model([node], fed, dict.fromkeys(names)), fed)
        except NotEvaluated:
            return False
        if not all(map(_is_fit, values.values())) or not self._has_known_shapes(node, fed, values):
            return False
        self.nodes.append(node)
        self.values.update({name: np.asarray(value) for name, value in values.items()})
        return True

    def _has_known_shapes(self, node: onnx.NodeProto, fed: dict[str, Array], values: Any) -> bool:
        """Return whether the standard's shape inference gives the shapes of the values.

        It errs at some windows in ceil mode; a runtime that believes it cannot load the model.
        """
        try:
            onnx.checker.check_model(self._model([node], fed, values), full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError):
            return False
        return True

    def alone(self, node: onnx.NodeProto, fed: dict[str, Array]) -> onnx.ModelProto:
        """Return one node as a model whose inputs are *fed*."""
        return self._model([node], fed, {name: self.values[name] for name in node.output})

    def _model(self, nodes: Any, inputs: dict[str, Array], outputs: dict[str, Any]) -> Any:
        used = {name for node in nodes for name in node.input}
        held = [
            numpy_helper.from_array(value, name)
            for name, value in self.constants.items()
            if name in used and name not in inputs
        ]
        graph = helper.make_graph(
            nodes,
            "random",
            [_info(name, value) for name, value in inputs.items()],
            [_info(name, value) for name, value in outputs.items()],
            held,
        )
        ir = helper.find_min_ir_version_for([helper.make_opsetid("", self.opset)])
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=max(ir, 4)
        )

    def model(self) -> onnx.ModelProto:
        """Return the graph as a model: its outputs are the tensors that nothing reads."""
        read = {name for node in self.nodes for name in node.input}
        leaves = [name for node in self.nodes for name in node.output if name not in read]
        inputs = {name: self.values[name] for name in self.inputs if name in read}
        return self._model(self.nodes, inputs, {name: self.values[name] for name in leaves})


def _is_fit(value: Array) -> bool:
    value = np.asarray(value)
    if value.dtype.kind not in "fiub" or not 0 < value.size <= MOST_VALUES:
        return False
    return bool(np.isfinite(value).all() and np.abs(value.astype("float64")).max() < LARGEST)


def _info(name: str, value: Array) -> onnx.ValueInfoProto:
    if value is None:
        return helper.make_tensor_value_info(name, onnx.TensorProto.UNDEFINED, None)
    kind = helper.np_dtype_to_tensor_dtype(value.dtype)
    return helper.make_tensor_value_info(name, kind, value.shape)


def random_graph(seed: int) -> Graph:
    """Return a valid graph with at least three nodes."""
    graph = Graph(seed)
    size = int(graph.random.integers(4, 16))
    known = [kind for kind in MAKERS if _is_defined(kind, graph.opset)]
    for _ in range(20 * size):
        attempt = MAKERS[str(graph.random.choice(known))](graph)
        if attempt is not None:
            graph.add(attempt)
        if len(graph.nodes) == size:
            break
    return graph


def _is_defined(kind: str, opset: int) -> bool:
    try:
        onnx.defs.get_schema(kind, opset)
    except onnx.defs.SchemaError:
        return False
    return True


def main() -> None:
    """Write the graphs, and say what is in them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    options.folder.mkdir(parents=True, exist_ok=True)
    kinds: collections.Counter[str] = collections.Counter()
    opsets: collections.Counter[int] = collections.Counter()
    for seed in range(options.seed, options.seed + options.count):
        graph = random_graph(seed)
        model = graph.model()
        onnx.checker.check_model(model, full_check=True)
        kinds.update(node.op_type for node in graph.nodes)
        opsets[graph.opset] += 1
        onnx.save(model, options.folder / f"random{seed:04}.onnx")
    print(f"{options.count} graphs, {sum(kinds.values())} nodes of {len(kinds)} operators")
    print("opsets:", ", ".join(f"{opset}: {count}" for opset, count in sorted(opsets.items())))
    print("never:", ", ".join(sorted(set(MAKERS) - set(kinds))) or "none")


if __name__ == "__main__":
    main()
