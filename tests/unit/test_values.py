"""Values as named arrays: what a model answers need not be one."""

from __future__ import annotations

import numpy as np
import pytest

from harness.graphs import BadModel, values


def test_an_array_of_numbers_stays_what_it_is() -> None:
    x = np.arange(6, dtype=np.int8).reshape(2, 3)
    assert values.flatten([("y", x)])["y"] is x


@pytest.mark.parametrize(
    "texts",
    [
        np.array([["a", "Ångström"], ["", "b"]], object),
        np.array([[b"a", "Ångström".encode()], [b"", b"b"]], object),
        np.array([["a", "Ångström"], ["", "b"]]),
    ],
)
def test_text_becomes_an_array_that_needs_no_pickle(texts: np.ndarray) -> None:
    (array,) = values.flatten([("y", texts)]).values()
    assert array.dtype == "<U8"
    assert array.tolist() == [["a", "Ångström"], ["", "b"]]


def test_a_sequence_becomes_an_array_for_each_element() -> None:
    arrays = values.flatten([("y", [np.ones(2), np.zeros((1, 3))]), ("z", np.ones(1))])
    assert {name: x.shape for name, x in arrays.items()} == {"y.0": (2,), "y.1": (1, 3), "z": (1,)}


def test_an_output_that_is_listed_twice_is_named_with_what_to_do() -> None:
    answers = [("y", np.ones(2)), ("y", np.ones(2))]
    with pytest.raises(BadModel, match="lists the output 'y' twice: list it once, and export it"):
        values.flatten(answers)


def test_a_map_becomes_its_sorted_keys_and_their_values() -> None:
    arrays = values.flatten([("y", {"b": 0.25, "a": 0.75})])
    assert arrays["y.keys"].tolist() == ["a", "b"]
    assert arrays["y.values"].tolist() == [0.75, 0.25]
    assert arrays["y.values"].dtype == np.float32


def test_maps_with_the_same_keys_become_a_table() -> None:
    maps = [{2: 0.5, 1: 0.25}, {1: 1.0, 2: 0.0}]
    arrays = values.flatten([("y", maps)])
    assert arrays["y.keys"].tolist() == [1, 2]
    assert arrays["y.keys"].dtype == np.int64
    assert arrays["y.values"].tolist() == [[0.25, 0.5], [1.0, 0.0]]


def test_maps_with_other_keys_stay_apart() -> None:
    arrays = values.flatten([("y", [{"a": 1.0}, {"b": 2.0}])])
    assert list(arrays) == ["y.0.keys", "y.0.values", "y.1.keys", "y.1.values"]


def test_float64_of_a_map_stays_float64() -> None:
    arrays = values.flatten([("y", {"a": np.float64(0.1)})])
    assert arrays["y.values"].dtype == np.float64


def test_an_optional_without_a_value_is_no_array() -> None:
    assert list(values.flatten([("y", None), ("z", np.ones(1))])) == ["z"]


def test_two_arrays_of_one_name_are_refused() -> None:
    with pytest.raises(BadModel, match=r"'y' and 'y\.0' both have a part called 'y\.0': rename"):
        values.flatten([("y", [np.ones(1)]), ("y.0", np.ones(1))])
