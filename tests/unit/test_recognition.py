"""What a file is: recognised by its content before its name, and never by parsing it."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from deepmatrix.errors import ArgumentError
from deepmatrix.models import files, formats
from harness.formats import recognition
from tests.unit.examples import write_zip

#: Names inside the archives that torch, Keras and others write.
SCRIPT = ("m/data.pkl", "m/code/__torch__.py", "m/constants.pkl", "m/version")
EXPORTED = ("m/data/weights/weight_0", "m/models/model.json", "m/archive_format", "m/byteorder")
EXPORTED_BEFORE = ("serialized_exported_program.json", "serialized_state_dict.pt", "version")
COMPILED = ("m/data/aotinductor/model/x.wrapper.so", "m/archive_format", "m/byteorder")
CHECKPOINT = ("m/data.pkl", "m/data/0", "m/version", "m/byteorder")
KERAS = ("metadata.json", "config.json", "model.weights.h5")

HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(90)
IR = b'<?xml version="1.0"?>\n<net name="Model0" version="11">\n<layers>'
LEGACY_TORCH = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)

#: By the name of a file: its bytes, or the names of a zip archive's members; its format.
SERVED = {
    "net.onnx": (b"\x08\x0a\x12\x07pytorch", "onnx"),
    "net.ort": (b"\x20\0\0\0ORTM" + bytes(90), "ort"),
    "net.tflite": (b"\x1c\0\0\0TFL3" + bytes(90), "tflite"),
    "tflite.bin": (b"\x1c\0\0\0TFL3" + bytes(90), "tflite"),
    "net.pte": (b"\x3c\0\0\0ET12eh00" + bytes(90), "executorch"),
    "net.h5": (HDF5, "keras-h5"),
    "net.keras": (KERAS, "keras"),
    "net.pt2": (EXPORTED, "torch-export"),
    "before.pt2": (EXPORTED_BEFORE, "torch-export"),
    "compiled.pt2": (COMPILED, "aotinductor"),
    "net.pt": (SCRIPT, "torchscript"),
    "whole.pth": (SCRIPT, "torchscript"),
    "onnx.onnx": (SCRIPT, "torchscript"),
}

#: The same for what is not served: what is said of it, and what to do.
UNSERVED = {
    "weights.pth": (CHECKPOINT, "checkpoint of torch.save", "torch.export.export"),
    "weights.bin": (CHECKPOINT, "checkpoint of torch.save", "torch.export.export"),
    "weights.pt2": (CHECKPOINT, "checkpoint of torch.save", "torch.export.export"),
    "legacy.pt": (LEGACY_TORCH, "checkpoint of torch.save", "torch.export.export"),
    "net.onnx": (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer", "lfs pull"),
    "page.onnx": (b"<!DOCTYPE html><html>", "web page", "download the file itself"),
    "net.safetensors": (b'\x40\0\0\0\0\0\0\0{"a"', "safetensors", "optimum-cli export onnx"),
    "net.gguf": (b"GGUF\x03\0\0\0", "GGUF", "optimum-cli export onnx"),
    "net.weights.h5": (HDF5, "weights of Keras without the model", "model.save"),
    "frozen.pb": (b"\x0a\x10\x0a\x01x", "graph of TensorFlow 1", "tf2onnx.convert --graphdef"),
    "saved_model.pb": (b"\x08\x01\x12\x04", "file of a SavedModel", "name the folder"),
    "net.pdmodel": (b"\x0a\x02", "PaddlePaddle", "paddle2onnx"),
    "net.engine": (b"ftrt\0\0", "TensorRT engine", "the ONNX model"),
    "net.plan": (b"\x01\x02", "TensorRT engine", "the ONNX model"),
    "net.mlmodel": (b"\x08\x04", "Core ML", "torch.export"),
    "forest.pkl": (pickle.dumps([1]), "pickled Python object", "skl2onnx.to_onnx"),
    "forest.joblib": (b"\x78\x9c", "pickled Python object", "skl2onnx.to_onnx"),
    "arrays.npz": (("x.npy", "y.npy"), "numpy's arrays", "--inputs"),
    "saved.zip": (("s/saved_model.pb", "s/variables/v"), "zipped SavedModel", "unpack it"),
    "net.zip": (("net.onnx", "README"), "an archive", "unpack it"),
    "net.tar.gz": (b"\x1f\x8b\x08", "an archive", "unpack it"),
    "net.ckpt": (b"\x0a\x0b", "checkpoint of torch.save", "torch.export.export"),
}


def write(folder: Path, name: str, content: bytes | tuple[str, ...]) -> Path:
    path = folder / name
    if isinstance(content, tuple):
        return write_zip(path, *content)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", SERVED)
def test_a_served_model_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    content, expected = SERVED[name]
    assert formats.format_of(write(tmp_path, name, content)).name == expected


@pytest.mark.parametrize("name", UNSERVED)
def test_what_no_cell_reads_is_named_with_what_to_do(tmp_path: Path, name: str) -> None:
    content, label, advice = UNSERVED[name]
    with pytest.raises(ArgumentError, match=label) as raised:
        formats.format_of(write(tmp_path, name, content))
    assert advice in str(raised.value.hint)


@pytest.mark.parametrize(
    ("members", "label"),
    [
        (("Manifest.json", "Data/com.apple.CoreML/model.mlmodel"), "Core ML"),
        (("config.json", "model.safetensors"), "Hugging Face"),
        (("inference.pdmodel", "inference.pdiparams"), "PaddlePaddle"),
        (("net.onnx",), "is not a SavedModel"),
    ],
)
def test_a_folder_is_known_by_the_files_in_it(
    tmp_path: Path, members: tuple[str, ...], label: str
) -> None:
    for name in members:
        (tmp_path / "net" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "net" / name).write_bytes(b"x")
    with pytest.raises(ArgumentError, match=label):
        formats.format_of(tmp_path / "net")


def test_a_folder_of_models_names_the_first_of_them(tmp_path: Path) -> None:
    hint = "name the model file itself"
    for name, advice in [
        ("notes.txt", hint),
        ("b.onnx", f"{hint}, such as {tmp_path / 'b.onnx'}"),
        ("a.onnx", f"{hint}, such as {tmp_path / 'a.onnx'}"),
    ]:
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(ArgumentError, match="is not a SavedModel") as raised:
            formats.format_of(tmp_path)
        assert raised.value.hint == advice


def test_a_model_of_two_files_takes_both_and_says_which_one_to_name(tmp_path: Path) -> None:
    (tmp_path / "net.xml").write_bytes(IR)
    with pytest.raises(ArgumentError, match=r"net\.bin is not beside it"):
        files.recognise([tmp_path / "net.xml"])
    (tmp_path / "net.bin").write_bytes(b"weights")
    (model,) = files.recognise([tmp_path / "net.xml"])
    assert (model.format, model.main) == ("openvino-ir", "model.xml")
    assert {name: path.name for name, path in model.files.items()} == {
        "model.xml": "net.xml",
        "model.bin": "net.bin",
    }
    with pytest.raises(ArgumentError, match=r"part of .*net\.xml"):
        files.recognise([tmp_path / "net.bin"])


def test_a_net_of_ncnn_goes_into_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "net.param").write_bytes(b"7767517\n3 3\nInput a 0 1 a\n")
    (tmp_path / "net.bin").write_bytes(b"weights")
    (model,) = files.recognise([tmp_path / "net.param"])
    assert (model.main, sorted(model.files)) == ("ncnn", ["ncnn/model.bin", "ncnn/model.param"])


def test_a_zip_archive_without_its_end_is_called_so(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "net.pt", *SCRIPT)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ArgumentError, match="is a truncated zip archive"):
        formats.format_of(path)


@pytest.mark.parametrize("comment", [b"", b"c" * 65535])
def test_names_in_an_archive_are_those_that_zipfile_reads(tmp_path: Path, comment: bytes) -> None:
    path = write_zip(tmp_path / "a.zip", *SCRIPT)
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = comment
        expected = archive.namelist()
    assert formats.zip_names(path) == expected


def test_an_archive_whose_directory_is_beyond_its_end_is_truncated(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", *SCRIPT)
    content = path.read_bytes()
    path.write_bytes(content[:-6] + (len(content) * 2).to_bytes(4, "little") + content[-2:])
    assert formats.zip_names(path) is None


def test_the_directory_of_an_archive_is_read_up_to_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_zip(tmp_path / "a.zip", *(f"file{number:04}" for number in range(1000)))
    monkeypatch.setattr(formats, "DIRECTORY_BYTES", 1000)
    names = formats.zip_names(path)
    assert names is not None
    assert names == [f"file{number:04}" for number in range(len(names))]
    assert 10 < len(names) < 30


def test_arrays_are_told_from_models(tmp_path: Path) -> None:
    np.savez(tmp_path / "model.pt", x=np.ones(1))
    (tmp_path / "model.pt.npz").rename(tmp_path / "model.pt")
    with pytest.raises(ArgumentError, match="numpy's arrays"):
        formats.format_of(tmp_path / "model.pt")


def test_every_kind_that_is_not_served_can_be_recognised_and_says_what_to_do() -> None:
    for kind in recognition.KINDS:
        if isinstance(kind, recognition.Unserved):
            assert kind.extensions or kind.contents
            assert kind.advice


def test_a_file_that_the_system_refuses_does_not_stop_the_others(tmp_path: Path) -> None:
    good = tmp_path / "net.onnx"
    good.write_bytes(b"\x08\x0a\x12\x07pytorch")
    long = tmp_path / ("y" * 300 + ".onnx")
    models, refused = files.recognise_each([good, long])
    assert [model.path for model in models] == [good]
    assert "cannot be read: File name too long" in refused[long].message


def test_a_folder_is_no_model_by_its_name_alone(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").mkdir()
    with pytest.raises(ArgumentError):
        formats.format_of(tmp_path / "net.onnx")
