"""Why a runtime refuses an ONNX model, found by asking it again and never by reading its words."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from harness.adapters import Unsupported
from harness.graphs import onnx_refusals

pytest.importorskip("onnxruntime")

from harness.runtimes.onnxruntime import adapter

MODELS = Path(__file__).resolve().parents[1] / "models"


@pytest.fixture(autouse=True)
def started() -> None:
    adapter.start()
    adapter.configure("cpu", 1)


def model(
    folder: Path, kind: str, *, domain: str = "", ir: int = 8, opset: int = 17, inner: bool = False
) -> str:
    """Write a model of one node, which is in a branch of an If where *inner*."""
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
    node = helper.make_node(kind, ["x"], ["y"], domain=domain)
    nodes = [node]
    if inner:
        branch = helper.make_graph([node], "branch", [], tensors[1:])
        yes = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
        nodes = [
            helper.make_node("Constant", [], ["c"], value=yes),
            helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch),
        ]
    graph = helper.make_graph(nodes, "graph", tensors[:1], tensors[1:])
    opsets = [helper.make_opsetid("", opset)] + [helper.make_opsetid(domain, 1)] * bool(domain)
    path = folder / "model.onnx"
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=ir)
    path.write_bytes(proto.SerializeToString())
    return str(path)


def test_a_newer_ir_version_is_unsupported_with_the_one_that_is_read(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"IR version 99; supported up to \d+$") as raised:
        adapter.load("onnx", model(tmp_path, "Relu", ir=99))
    newest = int(str(raised.value).rsplit(" ", 1)[1])
    adapter.load("onnx", model(tmp_path, "Relu", ir=newest))


def test_a_newer_opset_is_unsupported_with_the_one_that_is_read(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"opset 99; supported up to \d+$") as raised:
        adapter.load("onnx", model(tmp_path, "Relu", opset=99))
    newest = int(str(raised.value).rsplit(" ", 1)[1])
    adapter.load("onnx", model(tmp_path, "Relu", opset=newest))


@pytest.mark.parametrize("inner", [False, True])
@pytest.mark.parametrize(
    ("domain", "name"), [("", "Frob"), ("com.microsoft", "com.microsoft.Frob"), ("my", "my.Frob")]
)
def test_an_operator_that_is_not_known_is_unsupported_by_its_name(
    tmp_path: Path, domain: str, name: str, inner: bool
) -> None:
    with pytest.raises(Unsupported, match=rf"it does not know the operator {name}$"):
        adapter.load("onnx", model(tmp_path, "Frob", domain=domain, inner=inner))


def test_a_model_that_is_wrong_is_an_error_and_not_unsupported(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="input size 1 not in range") as raised:
        adapter.load("onnx", model(tmp_path, "Conv"))
    assert not isinstance(raised.value, Unsupported)
    (tmp_path / "torn.onnx").write_bytes(b"\x08\xff\xff")
    with pytest.raises(Exception, match=r".") as raised:
        adapter.load("onnx", str(tmp_path / "torn.onnx"))
    assert not isinstance(raised.value, Unsupported)


def test_what_a_model_needs_is_read_from_its_file() -> None:
    needs = onnx_refusals.read_needs(str(MODELS / "contrib_optimised.onnx"))
    read = onnx.load(MODELS / "contrib_optimised.onnx")
    assert needs.ir == read.ir_version
    assert needs.opsets == {entry.domain: entry.version for entry in read.opset_import}
    assert needs.operators == {(node.domain, node.op_type) for node in read.graph.node}


def test_a_function_of_the_models_own_is_no_operator(tmp_path: Path) -> None:
    body = [helper.make_node("Relu", ["a"], ["b"])]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    function = helper.make_function("own", "Mine", ["a"], ["b"], body, opsets)
    proto = onnx.load(model(tmp_path, "Mine", domain="own"))
    proto.functions.append(function)
    onnx.save(proto, tmp_path / "function.onnx")
    needs = onnx_refusals.read_needs(str(tmp_path / "function.onnx"))
    assert needs.operators == {("", "Relu")}


def test_the_model_of_one_node_is_one_of_onnx() -> None:
    proto = onnx.ModelProto.FromString(onnx_refusals.one_node(8, 17, ("my", "Mine"), {"my": 3}))
    assert [(entry.domain, entry.version) for entry in proto.opset_import] == [("", 17), ("my", 3)]
    assert (proto.graph.node[0].domain, proto.graph.node[0].op_type) == ("my", "Mine")
    onnx.checker.check_model(onnx.ModelProto.FromString(onnx_refusals.one_node(8, 17)))


def test_an_operator_without_a_kernel_for_its_type_is_unsupported(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info
    node = helper.make_node("Erf", ["x"], ["y"], name="n")
    kind = TensorProto.BFLOAT16
    graph = helper.make_graph([node], "g", [value("x", kind, [2])], [value("y", kind, [2])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "m.onnx")
    path = str(tmp_path / "m.onnx")
    with pytest.raises(Unsupported, match=r"implementation for Erf\(13\) node with name 'n'"):
        adapter.load("onnx", path)
