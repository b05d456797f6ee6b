import hashlib
import json

import numpy as np
import pytest

from deepmatrix.workloads import networks
from deepmatrix.workloads.networks import NETWORKS
from deepmatrix.workloads.networks.weights import initial_weights


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


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("digits-conv", 6090),
        ("digits-lstm", 11434),
        # torchvision's documentation gives 61,100,840 for the one-column AlexNet and 132,863,336
        # for configuration A of Simonyan and Zisserman, who round it to 133 million.
        ("alexnet-imagenet", 61_100_840),
        ("vgg-a-imagenet", 132_863_336),
        # Szegedy and others' table 1 sums to 6.8 million weights, without the auxiliary
        # classifiers and biases, rounded a row.
        ("googlenet-imagenet", 6_998_552),
    ],
)
def test_the_parameter_count(name, count):
    assert networks.parameter_count(NETWORKS[name]) == count


@pytest.mark.parametrize(
    ("name", "gigaflops"),
    [
        # torchvision's documentation counts a multiply-add once: 0.71 and 7.61 billion.
        ("alexnet-imagenet", 2 * 0.71),
        ("vgg-a-imagenet", 2 * 7.61),
        # Szegedy and others, section 5: 1.5 billion multiply-adds; their table 1 sums to 1.58.
        ("googlenet-imagenet", 2 * 1.58),
    ],
)
def test_the_operations_of_a_forward_pass(name, gigaflops):
    assert networks.flops(NETWORKS[name]) / 1e9 == pytest.approx(gigaflops, rel=0.01)


def test_the_operations_of_small_layers_are_counted_by_hand():
    recurrent = {"name": "l", "kind": "gru", "units": 3, "return_sequences": True}
    heads = {"name": "a", "kind": "multihead_attention", "heads": 3}
    network = {"name": "n", "input": [5, 2], "classes": 4, "layers": [recurrent, heads]}
    network["layers"].append(dense("out", 4))
    products = 5 * (9 * 2 + 9 * 3) + 5 * 4 * 9 + 2 * 5 * 5 * 3 + 5 * 4 * 3
    assert networks.flops(network) == 2 * products


def test_shapes_follow_strides_padding_and_uneven_pools():
    network = {
        "name": "odd",
        "input": [1, 9, 7],
        "classes": 6,
        "layers": [
            {
                "name": "conv",
                "kind": "conv",
                "filters": 2,
                "kernel": [3, 2],
                "padding": [[0, 0], [0, 1]],
                "stride": [2, 2],
            },
            {
                "name": "pool",
                "kind": "max_pool",
                "size": [3, 2],
                "stride": [3, 2],
                "padding": [[0, 0], [0, 0]],
            },
            {"name": "flat", "kind": "flatten"},
            dense("out", 6),
        ],
    }
    after = {layer["name"]: shape for layer, _, shape in networks.shapes(network)}
    assert after == {"conv": (2, 4, 4), "pool": (2, 1, 2), "flat": (4,), "out": (6,)}


def refused(*layers, shape=(1, 8, 8), classes=10):
    network = {"name": "bad", "input": list(shape), "classes": classes, "layers": list(layers)}
    with pytest.raises(ValueError, match=r"\w") as caught:
        list(networks.shapes(network))
    return str(caught.value)


WINDOW = {"stride": [1, 1], "padding": [[0, 0], [0, 0]]}


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            [{"name": "rnn", "kind": "rnn", "units": 3, "return_sequences": False}],
            "layer rnn (rnn) cannot follow ((1, 8, 8),)",
        ),
        ([{"name": "what", "kind": "what"}], "layer what (what) cannot follow ((1, 8, 8),)"),
        ([dense("out", 10) | {"inputs": ["nothing"]}], "layer out reads 'nothing', which is not"),
        ([dense("out", 9), dense("out", 10)], "two layers are named 'out'"),
        (
            [{"name": "pool", "kind": "max_pool", "size": [9, 9], **WINDOW}],
            "layer pool (max_pool) is larger than its input",
        ),
        (
            [{"name": "pool", "kind": "max_pool", "size": [2], **WINDOW}],
            "layer pool (max_pool) cannot follow ((1, 8, 8),)",
        ),
        (
            [{"name": "sum", "kind": "add", "inputs": ["input"]}],
            "layer sum (add) cannot follow ((1, 8, 8),)",
        ),
        ([{"name": "flat", "kind": "flatten"}], "bad ends in (64,), not in 10 classes"),
    ],
)
def test_a_layer_that_does_not_fit_is_refused(layers, message):
    assert message in refused(*layers)


@pytest.mark.parametrize(
    "changes",
    [{"kind": "lstm"}, {"units": 4}, {"return_sequences": False}, {"bidirectional": True}],
)
def test_only_a_gru_of_the_same_width_starts_from_the_end_of_another(changes):
    first = {"name": "one", "kind": "gru", "units": 3, "return_sequences": True}
    second = first | {"name": "two", "inputs": ["input", "one"]}
    network = {"name": "n", "input": [8, 2], "classes": 3, "layers": [first, second]}
    assert [shape for *_, shape in networks.shapes(network)] == [(8, 3), (8, 3)]
    message = refused(first, second | changes, shape=(8, 2), classes=3)
    assert message == f"layer two ({changes.get('kind', 'gru')}) cannot follow ((8, 2), (8, 3))"


def test_initial_weights_are_the_same_bytes_for_a_seed():
    def digest(seed):
        weights = initial_weights(NETWORKS["digits-lstm"], seed)
        return hashlib.sha256(b"".join(value.tobytes() for value in weights.values())).hexdigest()

    assert digest(7) == digest(7) != digest(8)
    assert digest(7).startswith("c8a7c605f2f0494b")  # on every machine and version of numpy


def test_initial_weights_have_the_neutral_shapes_and_a_remembering_lstm():
    network = NETWORKS["digits-lstm"]
    weights = initial_weights(network, seed=1)
    assert {name: value.shape for name, value in weights.items()} == networks.parameters(network)
    assert {value.dtype for value in weights.values()} == {np.dtype("float32")}
    _, forget, _, _ = np.split(weights["lstm.bias"], 4)
    assert (forget == 1).all()
    assert weights["lstm.bias"].sum() == 48
    assert not weights["output.bias"].any()
    assert np.abs(weights["output.kernel"]).max() <= np.sqrt(6 / 48)
