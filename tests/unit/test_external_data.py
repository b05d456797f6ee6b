"""Which files beside an ONNX model belong to it: those that it declares as weights."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepmatrix.models import external_data, files
from deepmatrix.models.external_data import _Scan, external_files


def tensor(location: str) -> onnx.TensorProto:
    proto = onnx.TensorProto(name=location[:20], data_type=1, dims=[1])
    proto.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("offset", "0"), ("location", location)):
        proto.external_data.add(key=key, value=value)
    return proto


def model(*locations: str) -> onnx.ModelProto:
    graph = onnx.helper.make_graph([], "g", [], [], [tensor(name) for name in locations])
    return onnx.helper.make_model(graph)


def saved(folder: Path, content: onnx.ModelProto) -> Path:
    path = folder / "net.onnx"
    path.write_bytes(content.SerializeToString())
    return path


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def test_only_what_a_model_declares_comes_along(tmp_path: Path) -> None:
    write(tmp_path, "w.bin", "deep/more.bin", "other.bin", "g", "net")
    content = model("w.bin", "./deep/more.bin", "missing.bin")
    content.doc_string = "other.bin"
    (recognised,) = files.recognise([saved(tmp_path, content)])
    assert sorted(recognised.files) == ["deep/more.bin", "model.onnx", "w.bin"]
    assert files.describe_external(recognised).endswith("declares: deep/more.bin, w.bin")
    files.copy_model(recognised, tmp_path / "taken")
    assert (tmp_path / "taken" / "deep" / "more.bin").read_bytes() == b"deep/more.bin"


def test_links_and_what_is_hidden_or_elsewhere_stay(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    write(tmp_path, "secret")
    write(folder, ".env", ".git/config", "real/w.bin")
    (folder / "link.bin").symlink_to("/etc/passwd")
    (folder / "linked").symlink_to(folder / "real")
    outside = ["../secret", "deep/../../secret", "/etc/passwd", str(tmp_path / "secret")]
    hidden = [".env", ".git/config", "link.bin", "linked/w.bin", "", ".", "a" * 4000, "net.onnx"]
    assert external_files(saved(folder, model(*outside, *hidden, "real/w.bin"))) == {
        "real/w.bin": folder / "real" / "w.bin"
    }


def test_weights_in_a_cache_of_digests_are_taken_by_their_links(tmp_path: Path) -> None:
    """As in the cache of Hugging Face: links in a snapshot, files in one folder beside it."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "a1" / "onnx"
    write(blobs, "d1", "real/w.bin")
    write(tmp_path, "secret")
    saved(blobs, model("net.onnx_data", "secret", "loop", "folder", "real/w.bin"))
    snapshot.mkdir(parents=True)
    (snapshot / "net.onnx").symlink_to(blobs / "net.onnx")
    (snapshot / "net.onnx_data").symlink_to(Path("../../../blobs/d1"))
    (snapshot / "secret").symlink_to(tmp_path / "secret")
    (snapshot / "loop").symlink_to(snapshot / "loop")
    (snapshot / "folder").symlink_to(blobs / "real")
    assert external_files(snapshot / "net.onnx") == {"net.onnx_data": blobs / "d1"}


def test_weights_are_found_wherever_a_tensor_can_be(tmp_path: Path) -> None:
    make = onnx.helper.make_node
    attribute = onnx.helper.make_attribute
    inner = onnx.helper.make_graph([], "inner", [], [], [tensor("branch")])
    node = make("If", ["c"], ["y"])
    node.attribute.append(attribute("then_branch", inner))
    node.attribute.append(attribute("else_branch", inner))
    constant = make("Constant", [], ["k"])
    constant.attribute.append(attribute("value", tensor("constant")))
    content = model("initializer")
    content.graph.node.extend([node, constant])
    content.graph.sparse_initializer.add(values=tensor("values"), indices=tensor("indices"))
    function = content.functions.add(name="f", domain="d")
    function.node.add(op_type="Constant").attribute.append(attribute("value", tensor("function")))
    names = ["initializer", "branch", "constant", "values", "indices", "function"]
    write(tmp_path, *names)
    assert sorted(external_files(saved(tmp_path, content))) == sorted(names)


@given(st.binary(max_size=200), st.integers(0, 200))
def test_damaged_bytes_are_survived(noise: bytes, place: int) -> None:
    whole = model("w.bin", "deep/more.bin").SerializeToString()
    for content in (noise, whole[:place], whole[:place] + noise + whole[place:]):
        assert all(isinstance(location, bytes) for location in _Scan(content).locations())


def wrapped(field: int, content: bytes) -> bytes:
    """Return a field that holds a message."""
    size, length = len(content), bytearray()
    while size >= 128:
        length.append(size & 127 | 128)
        size >>= 7
    return bytes([field << 3 | 2, *length, size]) + content


@pytest.mark.parametrize(("levels", "count"), [(20, 1), (2000, 0)])
def test_graphs_within_graphs_end(levels: int, count: int) -> None:
    content = wrapped(5, tensor("w.bin").SerializeToString())
    for _ in range(levels):  # a graph in an attribute of a node of a graph
        content = wrapped(1, wrapped(5, wrapped(6, content)))
    assert list(_Scan(wrapped(7, content)).locations()) == [b"w.bin"] * count


@pytest.mark.parametrize("count", [2000])
def test_a_model_is_read_once_however_many_files_are_beside_it(tmp_path: Path, count: int) -> None:
    write(tmp_path, *(f"{number}.bin" for number in range(count)))
    content = model("7.bin")
    path = saved(tmp_path, content)
    assert list(external_files(path)) == ["7.bin"]
    scan = _Scan(content.SerializeToString())
    list(scan.locations())
    assert scan.fields < 30


def test_empty_messages_take_no_memory() -> None:
    scan = _Scan(wrapped(7, b"\x0a\x00" * 200_000))
    tracemalloc.start()
    assert list(scan.locations()) == []
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2**20


def test_no_more_fields_are_read_than_a_model_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_data, "MOST_FIELDS", 1000)
    scan = _Scan(wrapped(7, wrapped(1, b"\x08\x01") * 2000))
    list(scan.locations())
    assert scan.fields == 1000


def test_no_more_locations_are_looked_for_than_a_model_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external_data, "MOST_LOCATIONS", 3)
    names = [f"{number}.bin" for number in range(9)]
    write(tmp_path, *names)
    assert len(external_files(saved(tmp_path, model(*names)))) == 3


def test_a_name_that_no_file_has_is_not_read() -> None:
    content = model("a" * 5000, "b" * 4000).SerializeToString()
    assert list(_Scan(content).locations()) == [b"b" * 4000]


@pytest.mark.timeout(30)  # minutes, where each name is looked up part by part
def test_deep_names_that_are_not_there_end_at_once(tmp_path: Path) -> None:
    deep = "/".join("a" * 63)
    write(tmp_path, f"{deep}/w.bin", f"{deep}/a/w.bin")
    path = saved(tmp_path, model(*(f"{'a/' * 1900}{number}" for number in range(500))))
    assert external_files(path) == {}
    path = saved(tmp_path, model(f"{deep}/w.bin", f"{deep}/a/w.bin"))
    assert list(external_files(path)) == [f"{deep}/w.bin"]
