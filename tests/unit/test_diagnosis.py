"""The search for the first wrong tensor, in graphs of any shape."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepmatrix.diagnosis import explain
from deepmatrix.diagnosis.case import Case
from deepmatrix.diagnosis.cut_node import cut_node
from deepmatrix.diagnosis.runtime_cause import RuntimeSearch, _Suspect
from deepmatrix.diagnosis.search.bisection import TENSORS_PER_RUN, Bisection
from deepmatrix.diagnosis.search.divergence import ExpectedLayer, find_divergence, layers_of
from deepmatrix.diagnosis.search.graph import Graph
from deepmatrix.diagnosis.search.tracing import Trace, Untraceable
from deepmatrix.judging import deviations
from deepmatrix.store.records import Agreement, Deviation
from deepmatrix.store.reported.phases import Node
from deepmatrix.store.truths import Truth
from harness.graphs import inner
from harness.graphs.operators import evaluator
from harness.graphs.precise import widen
from harness.record import MADE
from tests import planted
from tests.unit.test_verdicts import TERMS


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Graphs whose node number i gives the tensor ``ti`` from some before it."""
    count = draw(st.integers(1, 120))
    nodes = []
    for at in range(count):
        reads = draw(st.sets(st.integers(-1, at - 1), min_size=1, max_size=3))
        names = ["x" if index < 0 else f"t{index}" for index in sorted(reads)]
        nodes.append(Node(name=f"n{at}", kind="Any", inputs=names, outputs=[f"t{at}"]))
    return Graph(
        nodes=nodes,
        inputs={"x"},
        outputs=[f"t{count - 1}"],
        tensors=[f"t{at}" for at in range(count)],
    )


def spoiled(graph: Graph, culprits: set[int]) -> set[str]:
    """Return the tensors that are wrong where some nodes are, and all that depends on them."""
    wrong: set[str] = set()
    for at, node in enumerate(graph.nodes):
        if at in culprits or not wrong.isdisjoint(node.inputs):
            wrong.update(node.outputs)
    return wrong


def looks(graph: Graph, wrong: set[str]) -> tuple[Bisection, int]:
    search, count = Bisection(graph=graph, wrong=graph.outputs[0]), 0
    while tensors := search.next_tensors():
        assert len(tensors) <= TENSORS_PER_RUN
        search.learn({name: name not in wrong for name in tensors})
        count += 1
    return search, count


@given(graphs(), st.data())
def test_the_search_ends_at_a_node_that_is_wrong_and_reads_only_what_is_right(
    graph: Graph, data: st.DataObject
) -> None:
    on_the_way = sorted(graph.ancestors(graph.outputs))
    culprits = data.draw(st.sets(st.sampled_from(on_the_way), min_size=1, max_size=3))
    search, _ = looks(graph, spoiled(graph, culprits))
    assert search.node in culprits
    assert spoiled(graph, culprits).isdisjoint(graph.nodes[search.node].inputs)


def test_a_thousand_nodes_take_three_looks() -> None:
    nodes = [
        Node(name=f"n{at}", kind="Any", inputs=[f"t{at - 1}" if at else "x"], outputs=[f"t{at}"])
        for at in range(1000)
    ]
    names = [f"t{at}" for at in range(1000)]
    graph = Graph(nodes=nodes, inputs={"x"}, outputs=["t999"], tensors=names)
    for culprit in (0, 1, 499, 998, 999):
        search, count = looks(graph, spoiled(graph, {culprit}))
        assert search.node == culprit
        assert count <= 3


def test_a_node_may_have_as_long_a_name_as_a_tensor() -> None:
    name = "n" * 10_000
    assert Node(name=name, kind="Neg", inputs=[name], outputs=["y"]).name == name


def test_a_node_with_two_wrong_outputs_ends_the_search_at_once() -> None:
    node = Node(name="split", kind="Split", inputs=["x"], outputs=["a", "b"])
    graph = Graph(nodes=[node], inputs={"x"}, outputs=["a", "b"], tensors=["a", "b"])
    search, count = looks(graph, {"a", "b"})
    assert (search.node, count) == (0, 1)


@pytest.mark.parametrize(
    ("inputs", "is_one"), [({"x"}, True), ({"x", "w"}, False)], ids=["constant", "computed"]
)
def test_beside_constants_a_single_node_is_the_whole_model(inputs: set[str], is_one: bool) -> None:
    nodes = [
        Node(name="", kind="Neg", inputs=["w"], outputs=["c"]),
        Node(name="", kind="Add", inputs=["x", "c"], outputs=["y"]),
    ]
    graph = Graph(nodes=nodes, inputs=inputs, outputs=["y"], tensors=["y"])
    assert graph.is_one_node == is_one


@given(graphs(), st.randoms(use_true_random=False))
def test_the_search_ends_whatever_the_comparisons_say(graph: Graph, random: Random) -> None:
    search = Bisection(graph=graph, wrong=graph.outputs[0])
    suspects = len(search.suspects())
    while tensors := search.next_tensors():
        search.learn({name: random.random() < 0.5 for name in tensors})
        assert len(search.suspects()) < suspects
        suspects = len(search.suspects())


@given(graphs())
def test_a_search_that_excuses_every_node_ends_at_the_output(graph: Graph) -> None:
    search, suspects = Bisection(graph=graph, wrong=graph.outputs[0]), list[str]()
    while not suspects or search.excuse():
        while tensors := search.next_tensors():
            search.learn(dict.fromkeys([*graph.outputs, *tensors], False))
        suspects.append(search.wrong)
    assert search.wrong == graph.outputs[0]
    assert len(suspects) == len(set(suspects))


X = {"x": np.random.default_rng(1).standard_normal((1, 8, 12, 12)).astype(np.float32)}


def seen(**fault: object) -> tuple[Graph, dict[str, np.ndarray]]:
    model = planted.model(**fault)  # type: ignore[arg-type]
    precise, _ = inner.evaluate(model, X)
    nodes = [Node.model_validate(node) for node in inner.nodes(model)]
    outputs = [entry.name for entry in model.graph.output]
    return Graph(nodes=nodes, inputs={"x"}, outputs=outputs, tensors=list(precise)), precise


def right() -> list[ExpectedLayer]:
    return list(layers_of(*seen()))


def test_the_same_model_is_diverges_nowhere() -> None:
    assert find_divergence(right(), *seen(), 1e-6) is None


def test_one_weight_a_thousandth_off_is_found_at_its_node() -> None:
    graph, values = seen(weight=1.001)
    divergence = find_divergence(right(), graph, values, 1e-6)
    assert divergence is not None
    assert divergence.node is not None
    assert (divergence.layer, graph.nodes[divergence.node].name) == ("conv10", "conv10")


def test_a_wrong_padding_is_found_at_its_node() -> None:
    graph, values = seen(shifted=True)
    divergence = find_divergence(right(), graph, values, 1e-6)
    assert divergence is not None
    assert divergence.layer == "conv10"


def test_layers_are_found_in_any_layout_and_where_some_are_fused_away() -> None:
    graph, values = seen(weight=1.001)
    turned = {
        name: np.moveaxis(value, 1, -1) if value.ndim == 4 else value
        for name, value in values.items()
    }
    layers = [
        ExpectedLayer(name=layer.name, values=layer.values, inputs=_through(layer.inputs))
        for layer in right()
        if not layer.name.startswith("tanh")
    ]
    divergence = find_divergence(layers, graph, turned, 1e-6)
    assert divergence is not None
    assert divergence.layer == "conv10"


def _through(inputs: object) -> list[str]:
    return [name.replace("tanh", "conv") for name in inputs]  # type: ignore[attr-defined]


def test_a_node_alone_gives_what_it_gave_in_the_graph() -> None:
    model = planted.model()
    precise, single = inner.evaluate(model, X)
    number = next(at for at, node in enumerate(model.graph.node) if node.name == "conv10")
    alone, own = inner.cut(model, single, X, number)
    assert [node.name for node in alone.graph.node] == ["conv10"]
    assert list(own) == ["add9"]
    (answer,) = evaluator(widen(alone)).run(None, {"add9": precise["add9"]})
    np.testing.assert_allclose(answer, precise["conv10"], atol=1e-12)


def test_an_exposed_model_gives_inner_tensors_beside_its_own_outputs() -> None:
    model = planted.model()
    inner.expose(model, [{"name": "conv10", "dtype": "float32", "rank": 4}])
    y, add5, conv10 = evaluator(model).run(None, X)
    assert (y.shape, add5.shape, conv10.shape) == ((1, 8), (1, 8, 12, 12), (1, 8, 12, 12))


def case_of(**parts: Any) -> Any:
    """Return what a search reads of a case, without a run around it."""
    artifact = SimpleNamespace(read_as="onnx")
    return SimpleNamespace(
        artifact=artifact, terms=TERMS, cause=lambda kind, text: (kind, text), **parts
    )


@pytest.mark.parametrize("is_unjudged", [True, False])
def test_an_output_that_nothing_judges_ends_no_search_for_another(is_unjudged: bool) -> None:
    outputs = (
        Deviation(name="a", error=None, note="a: no gold", unjudged=is_unjudged),
        Deviation(name="b", error=1.0, row=0, producer_error=1e-7),
    )
    agreement = Agreement(
        error=1.0, producer_error=1e-7, from_producer=1.0, scale=1.0, note="a", outputs=outputs
    )
    cause = explain._obvious_cause(case_of(agreement=agreement))
    assert (cause is None) == is_unjudged


def test_a_slice_that_is_wrong_by_its_own_scale_is_wrong_where_it_is_searched() -> None:
    gold = np.array([[640.0] * 4, [1.0] * 4])
    produced, answer = gold.astype(np.float32), (gold + np.array([[0.0], [1e-4]])).astype("f4")
    agreement = deviations.compare({"y": answer}, Truth(gold={"y": gold}, produced={"y": produced}))
    case = object.__new__(Case)
    outputs = {output.name: output for output in agreement.outputs}
    vars(case).update(
        fault=SimpleNamespace(agreement=agreement),
        terms=TERMS,
        masks={},
        described=SimpleNamespace(quantised={}, apart={}, in_parts=True, batch=1),
        outputs=outputs,
        worst=outputs["y"],
    )
    found = {}
    for tensor in ("y", "inner"):
        measured, tolerance = case.compare(tensor, answer, gold, 1e-7)
        found[tensor] = (measured.error or 0.0) > tolerance
    assert found == {"y": True, "inner": False}
    assert case._select_rows() == []


def test_a_node_that_cannot_be_run_alone_does_not_show_the_fault(tmp_path: Path) -> None:
    class Dying:
        @contextlib.contextmanager
        def inspector_job(self, *_: object, **__: object) -> Iterator[tuple[None, Path]]:
            (tmp_path / "control" / MADE).mkdir(parents=True)
            for name in ("inputs.npz", "gold.npz"):
                np.savez(tmp_path / "control" / MADE / name, x=np.zeros(1))
            yield None, tmp_path / "control"

        def infer(self, *_: object) -> dict[str, np.ndarray]:
            raise Untraceable("it crashed")

    graph, precise = seen()
    case = case_of(
        tracer=Dying(), folder=tmp_path / "case", rows=[], fault=SimpleNamespace(consumer=None)
    )
    search = RuntimeSearch(case, Trace(graph=graph, precise=precise, single={}))
    off = Deviation(name="conv10", error=1.0)
    suspect = _Suspect(0, "conv10", off, 1e-6, cut_node(case, 0))
    assert search._run_alone(suspect) == ("alone it cannot be run: it crashed", False)
