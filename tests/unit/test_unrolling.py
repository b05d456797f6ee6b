"""What runs of inner graphs, and how it is judged: as if it stood in the graph itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from harness.graphs import operators
from harness.graphs.inputs.sample_inputs import Sampling
from harness.graphs.unrolling import CONTROL, MOST_NODES, unrolled
from harness.record import ROUNDING
from harness.runtimes.onnx import adapter

pytest.importorskip("onnxruntime")

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

make = helper.make_node
FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def typed(shape: list[int] | None = None, /, **types: int) -> list[onnx.ValueInfoProto]:
    return [helper.make_tensor_value_info(name, kind, shape) for name, kind in types.items()]


def graph(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    **constants: Any,
) -> onnx.GraphProto:
    held = [onnx.numpy_helper.from_array(np.asarray(x), name) for name, x in constants.items()]
    return helper.make_graph(nodes, "graph", inputs, outputs, held)


def model(nodes: Sequence[onnx.NodeProto], inputs: dict[str, np.ndarray], **constants: Any) -> Any:
    """Return a model with one output, ``y``, for these inputs."""
    declared = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for name, x in inputs.items()
    ]
    outputs = [helper.make_empty_tensor_value_info("y")]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    whole = graph(nodes, declared, outputs, **constants)
    return helper.make_model(whole, opset_imports=opsets, ir_version=8)


def chosen(nodes: Sequence[onnx.NodeProto], kind: int, **constants: Any) -> onnx.NodeProto:
    """Return an If on ``c`` that gives ``y``: the nodes make ``inner`` of ``x``, or it is 0."""
    cast = make("Cast", ["nothing"], ["none"], to=kind)
    other = graph([cast], [], typed(none=kind), nothing=np.zeros(3, np.float32))
    taken = graph(nodes, [], typed(inner=kind), **constants)
    return make("If", ["c"], ["y"], then_branch=taken, else_branch=other)


def collected(nodes: Sequence[onnx.NodeProto], kind: int, go_on: str = "goes") -> onnx.NodeProto:
    """Return a Loop of ``n`` rounds over ``part`` of ``x``: ``y`` is what the nodes make of it."""
    body = graph(
        [
            make("Gather", ["x", "at"], ["part"]),
            *nodes,
            make("Add", ["total", "part"], ["more"]),
            make("Identity", [go_on], ["on"]),
        ],
        typed([], at=INT64, goes=BOOL, total=FLOAT),
        typed([], on=BOOL, more=FLOAT, inner=kind),
    )
    return make("Loop", ["n", "", "start"], ["total", "y"], body=body)


ROUND = make("Cast", ["part"], ["inner"], to=INT64, name="rounded")
NEGATED = make("Neg", ["part"], ["inner"])
X = np.float32([1.5, np.nan, -2.0])
START = np.float32(0)


def scanned() -> onnx.NodeProto:
    nodes = [make("Add", ["total", "part"], ["more"]), make("Neg", ["part"], ["inner"])]
    inputs, outputs = typed([], total=FLOAT, part=FLOAT), typed([], more=FLOAT, inner=FLOAT)
    body = graph(nodes, inputs, outputs)
    return make("Scan", ["start", "x"], ["total", "y"], body=body, num_scan_inputs=1)


def scanned_twice(**settings: Any) -> onnx.NodeProto:
    """Return a Scan that reads ``x`` as two: ``y`` has the whole part of a sum, by round."""
    nodes = [
        make("Add", ["a", "b"], ["both"]),
        make("Add", ["total", "both"], ["more"]),
        make("Cast", ["more"], ["inner"], to=INT64, name="rounded"),
    ]
    inputs = typed([3], total=FLOAT, a=FLOAT, b=FLOAT)
    body = graph(nodes, inputs, typed([3], more=FLOAT, inner=INT64))
    reads = ["start", "x", "x"]
    return make("Scan", reads, ["total", "y"], body=body, num_scan_inputs=2, **settings)


WAYS = {
    "forwards": {},
    "backwards": {"scan_input_directions": [0, 1], "scan_output_directions": [1]},
    "axes": {"scan_input_axes": [1, -1], "scan_output_axes": [1]},
    "mixed": {
        "scan_input_axes": [1, 0],
        "scan_input_directions": [1, 0],
        "scan_output_axes": [-1],
        "scan_output_directions": [1],
    },
}
SQUARE = np.float32([[1.5, 2, -7.25], [0, 3.5, np.nan], [4, 2, 1]])


def nested() -> list[onnx.NodeProto]:
    """Return a branch with a Loop, whose rounds have a branch, which reads from all of these."""
    one = make("Mul", ["part", "factor"], ["one"])
    two = make("Add", ["part", "base"], ["two"])
    inner = make(
        "If",
        ["is_first"],
        ["inner"],
        then_branch=graph([one], [], typed(one=FLOAT), factor=np.float32(3)),
        else_branch=graph([two], [], typed(two=FLOAT)),
    )
    less = make("Less", ["at", "n"], ["is_first"])
    loop = collected([less, inner], FLOAT)
    loop.output[1] = "inner"
    return [chosen([make("ReduceMax", ["x"], ["base"], keepdims=0), loop], FLOAT)]


@pytest.mark.parametrize(
    ("nodes", "inputs"),
    [
        ([chosen([make("Neg", ["x"], ["inner"])], FLOAT)], {"c": np.array(True)}),
        ([chosen([make("Neg", ["x"], ["inner"])], FLOAT)], {"c": np.array([False])}),
        ([collected([make("Neg", ["part"], ["inner"])], FLOAT)], {"n": np.array(3)}),
        ([collected([make("Neg", ["part"], ["inner"])], FLOAT)], {"n": np.array(0)}),
        ([scanned()], {}),
        (nested(), {"c": np.array(True), "n": np.array(2)}),
    ],
)
def test_what_is_unrolled_gives_the_same(
    nodes: list[onnx.NodeProto], inputs: dict[str, np.ndarray]
) -> None:
    given = {"x": X, **inputs}
    proto = model(nodes, given, start=START)
    flat = unrolled(proto, given)
    assert not [node for node in flat.model.graph.node if node.op_type in CONTROL]
    wanted, answer = (operators.evaluate(x, given)["y"] for x in (proto, flat.model))
    np.testing.assert_array_equal(answer, wanted)
    assert answer.dtype == wanted.dtype
    assert bool(flat.decisions["y"]) is (nodes[0].op_type != "Scan")


@pytest.mark.parametrize("way", WAYS)
def test_a_scan_is_unrolled_along_any_axis_in_any_direction(way: str) -> None:
    given = {"x": np.nan_to_num(SQUARE)}
    proto = model([scanned_twice(**WAYS[way])], given, start=np.zeros(3, np.float32))
    flat = unrolled(proto, given)
    assert not [node for node in flat.model.graph.node if node.op_type in CONTROL]
    wanted, answer = (operators.evaluate(x, given)["y"] for x in (proto, flat.model))
    np.testing.assert_array_equal(answer, wanted)


@pytest.mark.parametrize("way", WAYS)
def test_a_cast_of_nan_in_a_scan_is_undefined_in_the_rounds_that_reach_it(
    tmp_path: Path, way: str
) -> None:
    given = {"x": SQUARE}
    proto = model([scanned_twice(**WAYS[way])], given, start=np.zeros(3, np.float32))
    inspected = inspect(tmp_path, proto, given)
    assert set(inspected["described"]["judged_by"].values()) == {"float64 evaluation"}
    sums = operators.evaluate(_with_floats(proto), given)["y"]
    assert np.isnan(sums).any()
    np.testing.assert_array_equal(inspected["undefined"]["y"] != 0, np.isnan(sums))


@pytest.mark.parametrize("directions", [[], [0, 1]])
@pytest.mark.parametrize("lengths", [None, [1, 3]])
def test_a_scan_over_a_batch_is_unrolled_sequence_by_sequence(
    lengths: list[int] | None, directions: list[int]
) -> None:
    """As before opset 9."""
    given = {"x": np.stack([np.nan_to_num(SQUARE), 7 + np.nan_to_num(SQUARE)])}
    settings = {"directions": directions} if directions else {}
    node = scanned_twice(**settings)
    node.input.insert(0, "" if lengths is None else "lengths")
    proto = model([node], given, start=np.zeros((2, 3), np.float32), lengths=np.array(lengths or 0))
    proto.opset_import[0].version = 8
    flat = unrolled(proto, given)
    assert not [node for node in flat.model.graph.node if node.op_type in CONTROL]
    wanted, answer = (operators.evaluate(x, given)["y"] for x in (proto, flat.model))
    np.testing.assert_array_equal(answer, wanted)
    assert flat.decisions["y"] == ([] if lengths is None else ["lengths"])


def _with_floats(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model that casts to floats where this one casts to integers."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    (body,) = (item.g for item in copy.graph.node[0].attribute if item.name == "body")
    body.node[2].attribute[0].i = FLOAT
    body.output[1].type.tensor_type.elem_type = FLOAT
    return copy


#: More rounds than are unrolled.
MANY = MOST_NODES // 4 + 1


def test_a_loop_of_many_rounds_stays() -> None:
    given = {"x": np.zeros(MANY, np.float32), "n": np.array(MANY)}
    flat = unrolled(model([collected([ROUND], INT64)], given, start=START), given)
    assert [node.op_type for node in flat.model.graph.node] == ["Loop"]
    assert flat.too_long == {"total": MANY}


@pytest.mark.parametrize(
    ("node", "kind", "is_judged"), [(ROUND, INT64, False), (NEGATED, FLOAT, True)]
)
def test_a_loop_that_is_too_long_to_look_through_accuses_nobody(
    tmp_path: Path, node: onnx.NodeProto, kind: int, *, is_judged: bool
) -> None:
    x = np.zeros(MANY, np.float32)
    x[-1] = np.nan  # a Cast of it is undefined, in the last round
    given = {"x": x, "n": np.array(MANY)}
    inspected = inspect(tmp_path, model([collected([node], kind)], given, start=START), given)
    described = inspected["described"]
    text = f"Loop 'total' runs {MANY} rounds, too many to look for undefined and rounded values"
    assert text in described["remarks"]
    assert described["unjudged"] == ({} if is_judged else {"y": f"no gold: {text}"})


def inspect(folder: Path, proto: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> dict[str, Any]:
    onnx.save(proto, folder / "m.onnx")
    adapter.start()
    return adapter.inspect("onnx", str(folder / "m.onnx"), inputs, Sampling(0))


@pytest.mark.parametrize(
    "nodes",
    [
        [chosen([make("Cast", ["x"], ["inner"], to=INT64, name="rounded")], INT64)],
        [collected([ROUND], INT64)],
    ],
    ids=["If", "Loop"],
)
def test_a_cast_of_nan_in_an_inner_graph_is_undefined(tmp_path: Path, nodes: list[Any]) -> None:
    given = {"x": X, **({"c": np.array(True)} if nodes[0].op_type == "If" else {"n": np.array(3)})}
    inspected = inspect(tmp_path, model(nodes, given, start=START), given)
    assert inspected["undefined"]["y"].tolist() == [0, 1, 0]
    (remark,) = [x for x in inspected["described"]["remarks"] if "undefined" in x]
    assert remark == (
        "Cast 'rounded' of NaN or of what is out of range is undefined by the standard: "
        "1 of 3 values are not compared"
    )


def test_places_that_rounding_decides_within_a_loop_are_not_compared(tmp_path: Path) -> None:
    """A Loop takes a value from a table; another step would have it take the next one."""
    nodes = [
        make("Div", ["part", "tenth"], ["quotient"]),
        make("Floor", ["quotient"], ["whole"], name="stepped"),
        make("Cast", ["whole"], ["place"], to=INT64),
        make("Gather", ["table", "place"], ["inner"]),
    ]
    given = {"x": np.float32([0.3, 0.35, 0.6]), "n": np.array(3)}
    held = {"start": START, "tenth": np.float32(0.1), "table": np.arange(10, dtype=np.float32)}
    inspected = inspect(tmp_path, model([collected(nodes, FLOAT)], given, **held), given)
    assert inspected["undefined"]["y"].tolist() == [ROUNDING, 0, ROUNDING]
    (remark,) = [x for x in inspected["described"]["remarks"] if "rounding" in x]
    assert remark == "Floor 'stepped': rounding decides 2 of 3 values, which are not compared"


def test_what_decides_on_rounds_is_followed_to_all_that_depends_on_it(tmp_path: Path) -> None:
    """With another number for NaN, the loop would run on: all that it gives is undefined."""
    nodes = [
        make("Cast", ["part"], ["whole"], to=INT64, name="rounded"),
        make("Less", ["whole", "ten"], ["small"]),
        make("Neg", ["part"], ["inner"]),
    ]
    given = {"x": np.float32([1.5, np.inf, 3]), "n": np.array(3)}
    loop = collected(nodes, FLOAT, go_on="small")
    inspected = inspect(tmp_path, model([loop], given, start=START, ten=np.array(10)), given)
    assert inspected["undefined"]["y"].all()


def test_a_function_of_the_models_own_is_looked_into_within_a_branch(tmp_path: Path) -> None:
    cast = make("Cast", ["a"], ["b"], to=INT64, name="rounded")
    given = {"x": X, "c": np.array(True)}
    proto = model([chosen([make("Mine", ["x"], ["inner"], domain="own")], INT64)], given)
    opsets = [helper.make_opsetid("", 17)]
    proto.functions.append(helper.make_function("own", "Mine", ["a"], ["b"], [cast], opsets))
    assert inspect(tmp_path, proto, given)["undefined"]["y"].tolist() == [0, 1, 0]


def test_a_scan_of_no_round_gives_its_states_and_no_rows() -> None:
    given = {"x": np.zeros((0, 3), np.float32)}
    node = scanned_twice(scan_output_axes=[1])
    proto = model([node], given, start=np.ones(3, np.float32))
    proto.graph.output.append(helper.make_empty_tensor_value_info("total"))
    answers = operators.evaluate(proto, given)
    assert answers["y"].shape == (3, 0)
    assert answers["y"].dtype == np.int64
    assert answers["total"].tolist() == [1, 1, 1]
