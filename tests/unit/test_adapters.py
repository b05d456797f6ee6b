"""What adapters do with names and arrays, without their frameworks."""

import importlib
import sys
import wave
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

import harness.adapters as protocol
from harness.frameworks.jax import adapter as jax_adapter
from harness.graphs.inputs.sample_inputs import Sampling
from harness.graphs.tflite import model as tflite
from harness.runtimes.litert import adapter as litert_adapter

#: What gives inputs the names of a model.
Take = Callable[[dict[str, Any], list[str]], dict[str, Any]]

A, B = np.ones((2, 3), np.float32), np.zeros((2, 3), np.float32)


@pytest.mark.parametrize("match", [protocol.match_names, protocol.match_places])
def test_inputs_go_by_the_models_names_and_a_single_one_may_have_any(match: Take) -> None:
    assert match({"b": B, "a": A}, ["a", "b"]) == {"a": A, "b": B}
    assert match({"x": A}, ["input"]) == {"input": A}


@pytest.mark.parametrize("names", [["b", "typo"], ["x", "y"], ["a"], ["a", "b", "c"]])
def test_several_inputs_whose_names_do_not_fit_are_refused_with_both(names: list[str]) -> None:
    message = f"the model's inputs are a, b; got {', '.join(names)}"
    with pytest.raises(ValueError, match=f"^{message}$"):
        protocol.match_names(dict.fromkeys(names, A), ["a", "b"])


def test_where_names_are_places_inputs_of_other_names_go_in_their_order() -> None:
    assert protocol.match_places({"x": A, "y": B}, ["a", "b"]) == {"a": A, "b": B}


@pytest.mark.parametrize("names", [["b", "typo"], ["x"], ["x", "y", "z"]])
def test_where_names_are_places_a_part_of_them_is_refused(names: list[str]) -> None:
    with pytest.raises(ValueError, match="the model's inputs are a, b; got "):
        protocol.match_places(dict.fromkeys(names, A), ["a", "b"])


class Interpreter:
    """Two inputs, ``y = a - b`` and ``z = a + b``; the order is the converter's own."""

    NAMES: ClassVar = (
        "serving_default_b:0",
        "serving_default_a:0",
        "PartitionedCall:1",
        "PartitionedCall:0",
    )
    SIGNATURES: ClassVar[dict[str, Any]] = {"serving_default": ({"a": 1, "b": 0}, {"y": 3, "z": 2})}

    def __init__(self, **options: object) -> None:  # noqa: ARG002 - as the real one
        self.values = [B, B, B, B]

    def _details(self, at: int) -> dict[str, Any]:
        shape = np.array(self.values[at].shape)
        return {
            "name": self.NAMES[at],
            "index": at,
            "shape": shape,
            "shape_signature": shape,
            "dtype": np.float32,
        }

    def allocate_tensors(self) -> None:
        pass

    def get_input_details(self) -> list[dict[str, Any]]:
        return [self._details(0), self._details(1)]

    def get_output_details(self) -> list[dict[str, Any]]:
        return [self._details(2), self._details(3)]

    def get_signature_list(self) -> dict[str, Any]:
        return self.SIGNATURES

    def get_signature_runner(self, key: str) -> SimpleNamespace:
        inputs, outputs = (
            {name: self._details(at) for name, at in side.items()} for side in self.SIGNATURES[key]
        )
        return SimpleNamespace(get_input_details=lambda: inputs, get_output_details=lambda: outputs)

    def set_tensor(self, at: int, x: np.ndarray) -> None:
        self.values[at] = x

    def invoke(self) -> None:
        b, a = self.values[:2]
        self.values[2:] = [a + b, a - b]

    def get_tensor(self, at: int) -> np.ndarray:
        return self.values[at]


class Unsigned(Interpreter):
    SIGNATURES: ClassVar[dict[str, Any]] = {}


class Foreign(Interpreter):
    """Its signature is of another graph of the file, which is not the one that is run."""

    SIGNATURES: ClassVar[dict[str, Any]] = {"decode": ({"k": 1}, {"v": 2})}


@pytest.fixture
def litert(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    resolvers = SimpleNamespace(BUILTIN_REF="reference kernels")
    interpreter = getattr(request, "param", Interpreter)
    module = SimpleNamespace(Interpreter=interpreter, OpResolverType=resolvers)
    monkeypatch.setattr(litert_adapter, "litert", module)
    monkeypatch.setattr(litert_adapter.tflite, "read", lambda _: None)  # there is no file
    monkeypatch.setattr(litert_adapter.tflite_values, "legal_values", lambda _: {})
    monkeypatch.setattr(litert_adapter, "_quantisation", lambda _: ({}, {}))


@pytest.mark.usefixtures("litert")
def test_a_tflites_tensors_have_the_names_of_its_signature_in_the_models_order() -> None:
    inspected = litert_adapter.inspect("tflite", "model.tflite", {"a": A, "b": B}, Sampling(0))
    assert [entry["name"] for entry in inspected["described"]["inputs"]] == ["b", "a"]
    assert list(inspected["outputs"]) == ["z", "y"]
    np.testing.assert_array_equal(inspected["outputs"]["y"], A - B)


@pytest.mark.usefixtures("litert")
def test_a_tflite_refuses_inputs_that_its_signature_does_not_name() -> None:
    with pytest.raises(ValueError, match="the model's inputs are b, a; got a, c"):
        litert_adapter.inspect("tflite", "model.tflite", {"a": A, "c": B}, Sampling(0))


@pytest.mark.parametrize("litert", [Unsigned, Foreign], indirect=True)
@pytest.mark.usefixtures("litert")
def test_without_a_signature_of_what_is_run_its_tensors_names_are_all_there_is() -> None:
    inspected = litert_adapter.inspect("tflite", "model.tflite", None, Sampling(0))
    assert list(inspected["inputs"]) == ["serving_default_b:0", "serving_default_a:0"]
    assert list(inspected["outputs"]) == ["PartitionedCall:1", "PartitionedCall:0"]


def graph(names: list[str], **signature: dict[str, int]) -> SimpleNamespace:
    """Return a TFLite model as the flatbuffer's classes have it: names of tensors and signature."""
    sides = {
        side: [SimpleNamespace(name=name.encode(), tensorIndex=at) for name, at in places.items()]
        for side, places in signature.items()
    }
    return SimpleNamespace(
        subgraphs=[
            SimpleNamespace(tensors=[SimpleNamespace(name=name.encode()) for name in names])
        ],
        signatureDefs=[SimpleNamespace(subgraphIndex=0, **sides)] if sides else None,
    )


def test_a_tflites_inner_names_are_the_signatures_and_each_is_there_once() -> None:
    model = graph(
        ["a", "in_b:0", "in_a:0", "", "a", "out:0"], inputs={"a": 2, "b": 1}, outputs={"a": 5}
    )
    assert tflite.names(model) == ["a#0", "b", "a", "#3", "a#4", "out:0"]
    assert tflite.names(graph(["x", "", "x"])) == ["x", "#1", "x#2"]


def test_hidden_libraries_cannot_be_imported_and_come_back() -> None:
    with jax_adapter._without(("wave", "no_such_library")):
        for name in ("wave", "no_such_library"):
            with pytest.raises(ImportError):
                importlib.import_module(name)
    assert importlib.import_module("wave") is wave
    assert "no_such_library" not in sys.modules
