"""The formats that models are exported to: the one place that says what is known of each.

A new format is one entry here. Of the harness the host imports ``record`` and ``formats``, and
nothing else, so both need only the standard library, Python 3.6, and no other module of this
package.
"""

from typing import Dict, NamedTuple, Optional, Tuple

#: So much of a file's beginning is looked at to recognise it, in bytes.
HEAD_BYTES = 4096


#: Beside a model that generates: the prompt, how many tokens, and which inputs and outputs are
#: tokens, logits and cache.
GENERATION = "generation.json"


class Content(NamedTuple):
    """What is in a file or a folder of some kind: all that is given has to be there.

    *magic*: an offset, and the bytes that stand there. *text*: bytes anywhere in the head.
    *members*: patterns, each of which matches a name in the zip archive, or in the folder where
    *is_folder*. *extensions*: the name has to end with one, too.
    """

    magic: Tuple[int, bytes] = (0, b"")
    text: bytes = b""
    members: Tuple[str, ...] = ()
    is_folder: bool = False
    extensions: Tuple[str, ...] = ()


class Format(NamedTuple):
    """What is known of a format, beside the adapters that write and read it.

    *model_path* is where an export puts its model inside the artifact's folder: a file, or a
    folder. The other fields are about models of users, which `verify` serves; one that
    is empty does not apply.
    """

    name: str
    model_path: str
    #: The format that its readers know, where it is a variant of that: quantised, or with past.
    variant_of: str = ""
    #: Whether it is of a language model to generate with: it does a step, given the keys and values
    #: of the steps before (its past).
    has_past: bool = False

    #: How the names of such files end.
    extensions: Tuple[str, ...] = ()
    #: What is in such a file, whatever its name is: one of these. Where there are none, the name
    #: alone decides.
    contents: Tuple[Content, ...] = ()
    #: The files that it consists of, where it is not one, as they are called in an artifact. The
    #: user names the first; the others have its name with their own extensions.
    parts: Tuple[str, ...] = ()
    #: A file of this size or more is none.
    size_limit: Optional[int] = None
    #: Whether a model may keep its weights in files beside it.
    has_external_data: bool = False
    #: What of a model is a program that runs when it is loaded or answers, where that can do more
    #: than compute: read and write files, use the network.
    program: str = ""
    #: Whether a model declares the shapes of its inputs. Where not, the user has to give inputs.
    declares_shapes: bool = True

    #: The system of the matrix file whose adapter inspects a model, makes inputs and gold.
    inspector: str = ""
    #: Whether the inspector is an evaluator: it judges, and nobody ships a model to it.
    has_evaluator: bool = False
    #: Whether the inspector can trace, expose and cut: the first wrong node can be searched.
    is_traceable: bool = False
    #: The module of ``harness.suites`` with the tests of the format's standard.
    suite: str = ""

    @property
    def read_as(self) -> str:
        """The format that its readers know."""
        return self.variant_of or self.name

    @property
    def is_quantised(self) -> bool:
        """Whether a module of `harness.quantisers` writes it."""
        return bool(self.variant_of) and not self.has_past


#: How a zip archive begins.
ZIP = (0, b"PK\x03\x04")

#: How an HDF5 file begins.
HDF5 = (0, b"\x89HDF\r\n\x1a\n")

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
        has_evaluator=True,
        is_traceable=True,
        suite="onnx_node",
    ),
    # ONNX Runtime's own serialisation of an ONNX model, in FlatBuffers.
    Format(
        name="ort",
        model_path="model.ort",
        extensions=(".ort",),
        contents=(Content(magic=(4, b"ORTM")),),
        size_limit=_TWO_GIB,
        inspector="onnxruntime",
    ),
    Format(
        name="torch-export",
        model_path="model.pt2",
        extensions=(".pt2",),
        contents=(
            Content(magic=ZIP, members=("*/models/*.json", "*/archive_format")),
            Content(magic=ZIP, members=("*serialized_exported_program.json",)),  # before torch 2.8
        ),
        program="parts of it that torch unpickles",
        inspector="torch",
    ),
    Format(
        name="torchscript",
        model_path="model.pt",
        extensions=(".pt", ".ts"),
        contents=(Content(magic=ZIP, members=("*/code/*", "*/constants.pkl")),),
        program="its functions, which can read and write files",
        declares_shapes=False,
        inspector="torch",
    ),
    Format(
        name="aotinductor",
        model_path="model.pt2",
        contents=(Content(magic=ZIP, members=("*data/aotinductor/*",)),),
        program="its machine code",
        declares_shapes=False,
        inspector="torch",
    ),
    Format(name="caffe", model_path="caffe"),
    Format(name="cntk", model_path="model.cntk"),
    Format(
        name="executorch",
        model_path="model.pte",
        extensions=(".pte",),
        contents=(Content(magic=(4, b"ET1")),),
        inspector="executorch",
    ),
    # It has no batch axis, and declares no shapes.
    Format(
        name="ncnn",
        model_path="ncnn",
        extensions=(".param",),
        contents=(Content(magic=(0, b"7767517\n")),),
        parts=("ncnn/model.param", "ncnn/model.bin"),
        declares_shapes=False,
        inspector="ncnn",
    ),
    Format(
        name="saved-model",
        model_path="saved_model",
        contents=(Content(members=("saved_model.pb",), is_folder=True),),
        program="its operators, which can read and write files",
        inspector="tensorflow",
    ),
    Format(
        name="keras",
        model_path="model.keras",
        extensions=(".keras",),
        contents=(
            Content(magic=ZIP, members=("config.json", "metadata.json", "model.weights.h5")),
        ),
        program="its Lambda layers, which are Python",
        inspector="tensorflow",
    ),
    Format(
        name="keras-h5",
        model_path="model.h5",
        extensions=(".h5", ".hdf5"),
        contents=(Content(magic=HDF5),),
        program="its Lambda layers, which are Python",
        inspector="tensorflow",
    ),
    Format(
        name="tflite",
        model_path="model.tflite",
        extensions=(".tflite", ".lite"),
        contents=(Content(magic=(4, b"TFL3")),),
        size_limit=_TWO_GIB,
        inspector="litert",
        is_traceable=True,
    ),
    Format(
        name="openvino-ir",
        model_path="model.xml",
        extensions=(".xml",),
        contents=(Content(text=b"<net name=", extensions=(".xml",)),),
        parts=("model.xml", "model.bin"),
        inspector="openvino",
    ),
    # Quantised after training, see `harness.quantisers`.
    Format(name="onnx-int8", model_path="model.onnx", variant_of="onnx"),
    Format(name="onnx-int8-nncf", model_path="model.onnx", variant_of="onnx"),
    Format(name="tflite-int8", model_path="model.tflite", variant_of="tflite"),
    Format(name="executorch-int8", model_path="model.pte", variant_of="executorch"),
    # A step of a language model, see `harness.phases.deployment`.
    Format(name="onnx-with-past", model_path="model.onnx", variant_of="onnx", has_past=True),
    Format(
        name="torch-export-with-past",
        model_path="model.pt2",
        variant_of="torch-export",
        has_past=True,
    ),
    Format(name="theano", model_path="model.npz"),
    Format(name="jax-export", model_path="model.jax"),
)

FORMATS: Dict[str, Format] = {entry.name: entry for entry in _ALL}

#: Where an export puts its model, inside the folder of its format.
MODEL_PATHS: Dict[str, str] = {name: entry.model_path for name, entry in FORMATS.items()}
