"""The formats that models are exported to: the one place that says what is known of each.

A new format is one entry here. The host imports this module too, so it needs only the standard
library, Python 3.6, and no other module of this package.
"""

from typing import Dict, NamedTuple, Optional, Tuple


class Format(NamedTuple):
    """What is known of a format, beside the adapters that write and read it.

    *model_path* is where an export puts its model inside the artifact's folder: a file, or a
    folder. The other fields are about models of users, which `verify` serves; one that
    is empty does not apply.
    """

    name: str
    model_path: str

    #: How the names of such files end.
    extensions: Tuple[str, ...] = ()
    #: The file that tells a folder of this format from others.
    marker: str = ""
    #: What a file begins with: an offset, and the bytes that stand there.
    magic: Optional[Tuple[int, bytes]] = None
    #: A file of this size or more is none.
    size_limit: Optional[int] = None
    #: Whether a model may keep its weights in files beside it.
    has_external_data: bool = False
    #: Whether a model declares the shapes of its inputs. Where not, the user has to give inputs.
    declares_shapes: bool = True

    #: The system of the matrix file whose adapter inspects a model, makes inputs and gold.
    inspector: str = ""
    #: Whether the inspector can trace, expose and cut: the first wrong node can be searched.
    is_traceable: bool = False
    #: The module of ``harness.suites`` with the tests of the format's standard.
    suite: str = ""


_ZIP = (0, b"PK\x03\x04")

#: Protobuf and FlatBuffers address no more than this.
_TWO_GIB = 2 * 2**30

_ALL = (
    Format(
        name="onnx",
        model_path="model.onnx",
        extensions=(".onnx",),
        size_limit=_TWO_GIB,
        has_external_data=True,
        inspector="onnx",
        is_traceable=True,
        suite="onnx_node",
    ),
    Format(name="torch-export", model_path="model.pt2", extensions=(".pt2",), magic=_ZIP),
    Format(
        name="torchscript",
        model_path="model.pt",
        extensions=(".pt", ".ts"),
        magic=_ZIP,
        declares_shapes=False,
        inspector="torch",
    ),
    Format(name="aotinductor", model_path="model.pt2"),
    Format(name="caffe", model_path="caffe"),
    Format(name="cntk", model_path="model.cntk"),
    Format(name="executorch", model_path="model.pte"),
    Format(name="ncnn", model_path="ncnn"),
    Format(
        name="saved-model",
        model_path="saved_model",
        marker="saved_model.pb",
        inspector="tensorflow",
    ),
    Format(
        name="tflite",
        model_path="model.tflite",
        extensions=(".tflite",),
        magic=(4, b"TFL3"),
        size_limit=_TWO_GIB,
        inspector="litert",
        is_traceable=True,
    ),
    Format(name="theano", model_path="model.npz"),
    Format(name="jax-export", model_path="model.jax"),
)

FORMATS: Dict[str, Format] = {entry.name: entry for entry in _ALL}

#: Where an export puts its model, inside the folder of its format.
MODEL_PATHS: Dict[str, str] = {entry.name: entry.model_path for entry in _ALL}
