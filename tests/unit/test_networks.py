import hashlib
import json

import numpy as np
import pytest

from matrix import networks
from matrix.networks import NETWORKS


def dense(name, units):
    return {"name": name, "kind": "dense", "units": units}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_goes_through_json_unchanged(name):
    assert json.loads(json.dumps(NETWORKS[name])) == NETWORKS[name]
    assert NETWORKS[name]["name"] == name


def test_the_parameters_are_known_by_neutral_names_and_shapes():
    assert networks.parameters(NETWORKS["digits-conv"]) == {
        "conv1.kernel": (16, 1, 3, 3),
        "conv1.bias": (16,),
        "conv2.kernel": (32, 16, 3, 3),
        "conv2.bias": (32,),
        "output.kernel": (10, 128),
        "output.bias": (10,),
    }
    assert networks.parameters(NETWORKS["digits-lstm"]) == {
        "lstm.kernel": (192, 8),
        "lstm.recurrent": (192, 48),
        "lstm.bias": (192,),
        "output.kernel": (10, 48),
        "output.bias": (10,),
    }


@pytest.mark.parametrize(("name", "count"), [("digits-conv", 6090), ("digits-lstm", 11434)])
def test_the_parameter_count(name, count):
    assert networks.parameter_count(NETWORKS[name]) == count


def test_shapes_follow_strides_padding_and_uneven_pools():
    network = {
        "name": "odd",
        "input": [1, 9, 7],
        "classes": 6,
        "layers": [
            {
                "name": "conv",
                "kind": "conv2d",
                "filters": 2,
                "kernel": [3, 2],
                "padding": "valid",
                "stride": 2,
            },
            {"name": "pool", "kind": "maxpool2d", "size": [3, 2]},
            {"name": "flat", "kind": "flatten"},
            dense("out", 6),
        ],
    }
    after = {layer["name"]: shape for layer, _, shape in networks.shapes(network)}
    assert after == {"conv": (2, 4, 3), "pool": (2, 1, 1), "flat": (2,), "out": (6,)}


def test_a_layer_that_does_not_fit_is_refused():
    network = {"name": "bad", "input": [1, 8, 8], "classes": 10, "layers": [dense("out", 10)]}
    with pytest.raises(ValueError, match=r"layer out \(dense\) cannot follow the shape \(1, 8, 8"):
        list(networks.shapes(network))


def test_an_output_that_is_not_a_row_of_logits_is_refused():
    network = {"name": "bad", "input": [4], "classes": 10, "layers": [dense("out", 9)]}
    with pytest.raises(ValueError, match=r"bad ends in \(9,\), not \(10,\)"):
        list(networks.shapes(network))


def test_padding_on_which_frameworks_differ_is_refused():
    layer = {**NETWORKS["digits-conv"]["layers"][0], "stride": 2}
    network = {"name": "bad", "input": [1, 8, 8], "classes": 10, "layers": [layer]}
    with pytest.raises(ValueError, match="padding same with stride 2"):
        list(networks.shapes(network))


def test_initial_weights_are_the_same_bytes_for_a_seed():
    def digest(seed):
        weights = networks.initial_weights(NETWORKS["digits-lstm"], seed)
        return hashlib.sha256(b"".join(value.tobytes() for value in weights.values())).hexdigest()

    assert digest(7) == digest(7) != digest(8)
    assert digest(7).startswith("c8a7c605f2f0494b")  # on every machine and version of numpy


def test_initial_weights_have_the_neutral_shapes_and_a_remembering_lstm():
    network = NETWORKS["digits-lstm"]
    weights = networks.initial_weights(network, seed=1)
    assert {name: value.shape for name, value in weights.items()} == networks.parameters(network)
    assert {value.dtype for value in weights.values()} == {np.dtype("float32")}
    _, forget, _, _ = np.split(weights["lstm.bias"], 4)
    assert (forget == 1).all()
    assert weights["lstm.bias"].sum() == 48
    assert not weights["output.bias"].any()
    assert np.abs(weights["output.kernel"]).max() <= np.sqrt(6 / 48)
