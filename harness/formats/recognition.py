"""What a file is, by its content and name: a format that is served, or which export to make.

Nothing is parsed: at most the names inside a zip archive are looked at. The host imports this
module too, so it needs only the standard library, Python 3.6, and `harness.formats`.
"""

import fnmatch
from typing import Iterable, NamedTuple, Optional, Sequence, Tuple, Union

from harness.formats import FORMATS, HDF5, ZIP, Content, Format

#: What a Git LFS pointer begins with: it stands where a file was not fetched.
GIT_LFS = b"version https://git-lfs"

_TORCH = "torch.export.save(torch.export.export(model.eval(), (x,)), 'model.pt2')"
_KERAS = "model.save('model.keras')"
_SKLEARN = "skl2onnx.to_onnx(model, X[:1]).SerializeToString()"
_HUGGING_FACE = "optimum-cli export onnx --model FOLDER OUT"


class Unserved(NamedTuple):
    """A kind of file that no cell reads: what it is, and what to do instead.

    *label* ends the sentence "the file is ..."; *extensions* and *contents* as in `Format`.
    """

    label: str
    advice: str
    extensions: Tuple[str, ...] = ()
    contents: Tuple[Content, ...] = ()


_UNSERVED = (
    Unserved(
        "a Git LFS pointer, in place of the file itself",
        "get the file: git lfs pull",
        contents=(Content(magic=(0, GIT_LFS)),),
    ),
    Unserved(
        "a web page, in place of the file itself",
        "download the file itself, such as by the link 'raw' or 'download' of that page",
        contents=(
            Content(magic=(0, b"<!DOCTYPE html")),
            Content(magic=(0, b"<!doctype html")),
            Content(magic=(0, b"<html")),
        ),
    ),
    Unserved(
        "a checkpoint of torch.save: weights, or a pickled model, without the network's program",
        f"export it where the network is built: {_TORCH}",
        (".pth", ".ckpt"),
        (
            Content(magic=ZIP, members=("*/data.pkl",)),
            Content(magic=(0, b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19")),
        ),
    ),
    Unserved(
        "a safetensors file: weights only",
        f"export the model that they belong to: {_HUGGING_FACE}, or in torch {_TORCH}",
        (".safetensors",),
        (Content(magic=(8, b'{"')),),
    ),
    Unserved(
        "a Hugging Face model: weights and a description, no program",
        f"export it: {_HUGGING_FACE}",
        contents=(
            Content(members=("config.json", "*.safetensors"), is_folder=True),
            Content(members=("config.json", "pytorch_model*.bin"), is_folder=True),
        ),
    ),
    Unserved(
        "a GGUF file: quantised weights for llama.cpp",
        f"verify the model that it was converted from: {_HUGGING_FACE}",
        (".gguf", ".ggml"),
        (Content(magic=(0, b"GGUF")),),
    ),
    Unserved(
        "weights of Keras without the model",
        f"load them into the model that they belong to, then {_KERAS}",
        contents=(Content(magic=HDF5, extensions=(".weights.h5",)),),
    ),
    Unserved(
        "a TensorFlow checkpoint: weights only",
        "load it into its model, then tf.saved_model.save(model, 'folder')",
        (".index", ".meta", ".data-00000-of-00001"),
    ),
    Unserved(
        "the file of a SavedModel, which is a folder",
        "name the folder that it is in",
        ("saved_model.pb", "saved_model.pbtxt"),
    ),
    Unserved(
        "a graph of TensorFlow 1",
        "convert it: python -m tf2onnx.convert --graphdef model.pb --inputs x:0 --outputs y:0 "
        "--output model.onnx",
        (".pb", ".pbtxt"),
    ),
    Unserved(
        "a zipped SavedModel",
        "unpack it, and name the folder with saved_model.pb",
        contents=(Content(magic=ZIP, members=("*saved_model.pb",)),),
    ),
    Unserved(
        "a model of TensorFlow.js",
        "convert it: tensorflowjs_converter --input_format tfjs_layers_model --output_format "
        "keras_saved_model model.json folder",
        contents=(Content(text=b'"modelTopology"', extensions=(".json",)),),
    ),
    Unserved(
        "a model of PaddlePaddle",
        "convert it: paddle2onnx --model_dir . --model_filename model.pdmodel --params_filename "
        "model.pdiparams --save_file model.onnx",
        (".pdmodel", ".pdiparams", ".pdparams"),
        (Content(members=("*.pdmodel",), is_folder=True),),
    ),
    Unserved(
        "a TensorRT engine, made for one GPU and one version of TensorRT",
        "verify the ONNX model that it was built from",
        (".engine", ".plan", ".trt"),
        (Content(magic=(0, b"ftrt")),),
    ),
    Unserved(
        "a Core ML model, which only macOS runs",
        f"verify the model that it was converted from: {_TORCH}",
        (".mlmodel", ".mlpackage", ".mlmodelc"),
        (
            Content(members=("Manifest.json", "Data/*"), is_folder=True),
            Content(magic=ZIP, members=("*.mlmodel",)),
        ),
    ),
    Unserved(
        "a pickled Python object, as scikit-learn's models are",
        f"write ONNX where it was trained: open('model.onnx', 'wb').write({_SKLEARN})",
        (".pkl", ".pickle", ".joblib", ".sav"),
        (Content(magic=(0, b"\x80")),),
    ),
    Unserved(
        "a scikit-learn model of skops",
        f"load it, then open('model.onnx', 'wb').write({_SKLEARN})",
        (".skops",),
        (Content(magic=ZIP, members=("schema.json",)),),
    ),
    Unserved(
        "a model of gradient boosting",
        "write ONNX where it was trained: onnxmltools.convert_xgboost, convert_lightgbm, or "
        "model.save_model('model.onnx', format='onnx') of CatBoost",
        (".ubj", ".cbm", ".xgb", ".lgb"),
    ),
    Unserved(
        "weights of Caffe, or the text of its network",
        "convert it: mmconvert -sf caffe -df onnx, of MMdnn",
        (".caffemodel", ".prototxt"),
    ),
    Unserved(
        "compiled for one maker's processors",
        "verify the ONNX or TFLite model that it was compiled from",
        (".rknn", ".hef", ".dlc", ".om", ".kmodel", ".blob", ".mnn", ".nb"),
    ),
    Unserved(
        "an archive of numpy's arrays",
        "give it as --inputs or --reference, and name the model",
        (".npz", ".npy"),
        (
            Content(magic=ZIP, members=("*.npy",)),
            Content(magic=(0, b"\x93NUMPY")),
        ),
    ),
    Unserved(
        "an archive",
        "unpack it, and name the model in it",
        (".zip", ".tar", ".mar", ".nemo"),
        (
            Content(magic=ZIP),
            Content(magic=(0, b"\x1f\x8b")),
            Content(magic=(0, b"BZh")),
            Content(magic=(0, b"\xfd7zXZ")),
            Content(magic=(0, b"7z\xbc\xaf")),
            Content(magic=(0, b"\x28\xb5\x2f\xfd")),
            Content(magic=(257, b"ustar")),
        ),
    ),
)

Kind = Union[Format, Unserved]
KINDS: Tuple[Kind, ...] = tuple(FORMATS.values()) + _UNSERVED


def identify(
    name: str, head: bytes, members: Sequence[str] = (), is_folder: bool = False
) -> Optional[Kind]:
    """Return what a file or a folder is, or None.

    Its content counts before its name, and more content before less. A format whose content is
    known is never taken for it by the name alone.

    Args:
        name: the file's.
        head: its first `harness.formats.HEAD_BYTES`; fewer where it is shorter.
        members: names inside a zip archive or a folder.
        is_folder: whether it is a folder.
    """
    best: Tuple[Tuple[int, ...], Optional[Kind]] = ((0,), None)
    for kind in KINDS:
        ranks = [
            _rank(content)
            for content in kind.contents
            if content.is_folder == is_folder and _holds(content, name, head, members)
        ]
        is_named = isinstance(kind, Unserved) or not (kind.contents or is_folder)
        if is_named and _ends(name, kind.extensions):
            ranks.append((0, 0, 1))
        if ranks and max(ranks) > best[0]:
            best = (max(ranks), kind)
    return best[1]


def named_format(name: str) -> Optional[Format]:
    """Return the format that a file's name stands for, whatever is in it."""
    return next((entry for entry in FORMATS.values() if _ends(name, entry.extensions)), None)


def _holds(content: Content, name: str, head: bytes, members: Iterable[str]) -> bool:
    offset, magic = content.magic
    return (
        head[offset : offset + len(magic)] == magic
        and content.text in head
        and (not content.extensions or _ends(name, content.extensions))
        and all(fnmatch.filter(members, pattern) for pattern in content.members)
    )


def _rank(content: Content) -> Tuple[int, ...]:
    """Return how much a content says: the more members and bytes, the less it is by chance."""
    return (
        len(content.members),
        len(content.magic[1]) + len(content.text),
        len(content.extensions),
    )


def _ends(name: str, extensions: Tuple[str, ...]) -> bool:
    return name.lower().endswith(extensions) if extensions else False
