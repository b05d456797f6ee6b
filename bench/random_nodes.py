"""Each node of random graphs, alone, in our evaluator and in ONNX Runtime's kernel for it.

    nox -s benchmark -- random_nodes [--count 1500] [--seed 0]

A difference is a wrong definition of the judge, or a wrong kernel: the line names the node, with
what it takes to see it again.
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
import onnxruntime  # noqa: E402

from bench.random_graphs import Graph, random_graph  # noqa: E402
from harness.graphs.inputs.onnx_inputs import as_float64  # noqa: E402
from harness.graphs.operators import evaluate  # noqa: E402
from harness.graphs.precise import widen  # noqa: E402

#: A difference above this part of the largest value is not a rounding error.
ROUNDING = 1e-3


def difference(graph: Graph, node: onnx.NodeProto) -> tuple[str, str]:
    """Return a word for how a node's kernel and its definition differ, and details; or nothing."""
    known = {**graph.values, **graph.constants}
    fed = {name: known[name] for name in node.input if name in graph.values}
    alone = graph.alone(node, fed)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(alone.SerializeToString(), options)
        answers = session.run(None, fed)
    except Exception as error:  # its errors share no class
        return "refused", str(error).splitlines()[0][-120:]
    gold = evaluate(widen(alone), as_float64(fed)).values()
    unlike = next(filter(None, map(_unlike, answers, gold)), "")
    return ("different", unlike) if unlike else ("", "")


def _unlike(answer: Any, gold: Any) -> str:
    answer, gold = np.asarray(answer), np.asarray(gold)
    if answer.shape != gold.shape:
        return f"the shape {answer.shape}, not {gold.shape}"
    if answer.dtype.kind != "f":
        wrong = int((answer != gold).sum())
        return f"{wrong} of {gold.size} values" if wrong else ""
    error = float(np.abs(answer - gold).max() / max(np.abs(gold).max(), 0.25))
    return f"an error of {error:.1e}" if not error <= ROUNDING else ""


def main() -> None:
    """Compare, and print every difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    tried: collections.Counter[str] = collections.Counter()
    different: collections.Counter[str] = collections.Counter()
    for seed in range(options.seed, options.seed + options.count):
        graph = random_graph(seed)
        for node in graph.nodes:
            tried[node.op_type] += 1
            word, details = difference(graph, node)
            if word:
                different[word] += 1
                place = f"seed {seed}, opset {graph.opset}: {node.op_type} '{node.name}'"
                print(f"{place}: {word}: {details}")
    print(f"{sum(tried.values())} nodes of {len(tried)} operators in {options.count} graphs")
    print(f"{different['different']} differ, {different['refused']} are refused by ONNX Runtime")


if __name__ == "__main__":
    main()
