"""Words that an ONNX graph knows: what its inputs of text are looked up in, so that samples hit it.

https://onnx.ai/onnx/operators/index_ml.html says what each operator of ``ai.onnx.ml`` looks up;
ONNX Runtime's ContribOperators.md says what the Tokenizer of ``com.microsoft`` does.
"""

from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

from harness.graphs import checks

#: The attributes that hold an operator's words, by operator.
ATTRIBUTES = {
    "OneHotEncoder": ("cats_strings",),
    "CategoryMapper": ("cats_strings",),
    "LabelEncoder": ("keys_strings", "keys_tensor", "classes_strings"),
    "TfIdfVectorizer": ("pool_strings",),
}

#: Operators that hand on texts as they are, or in another case.
MOVES = frozenset(
    ["Cast", "Expand", "Flatten", "Identity", "Reshape", "Squeeze", "StringNormalizer"]
    + ["Transpose", "Unsqueeze"]
)

#: Operators that split a text into words.
SPLITS = frozenset(["StringSplit", "Tokenizer"])

#: So many words make a text that is split.
PHRASE = 3

#: At most this many words of an operator are sampled.
MOST_WORDS = 10_000


class Vocabulary(NamedTuple):
    """The words of an input: *by_column* of its last axis, None for all of them.

    *operator*: one that looks them up.
    """

    by_column: Dict[Optional[int], Tuple[str, ...]]
    operator: str


class _Texts(NamedTuple):
    """What a tensor holds of an input: a *column*, None for all; *is_split*: its single words."""

    source: str
    column: Optional[int] = None
    is_split: bool = False


def vocabularies(
    model: Any, names: Iterable[str], constants: "Dict[str, Any]"
) -> Dict[str, Vocabulary]:
    """Return the words of inputs of text, by the *names* of those that are looked up.

    Args:
        model: an ONNX model.
        names: of inputs of text.
        constants: the model's constants of one element, by tensor.
    """
    texts = {name: _Texts(name) for name in names}
    found: Dict[str, Vocabulary] = {}
    for node in checks.all_nodes(model.graph) if texts else ():
        held = texts.get(node.input[0]) if node.input else None
        if held is None:
            continue
        if node.op_type in ATTRIBUTES:
            _add(found, held, node)
        elif node.op_type in MOVES:
            texts[node.output[0]] = held
        elif node.op_type in SPLITS:
            texts[node.output[0]] = held._replace(is_split=True)
        elif node.op_type == "ArrayFeatureExtractor" or _takes_columns(node):
            index = constants.get(node.input[1])
            column = None if index is None else int(index.ravel()[0])
            texts[node.output[0]] = held._replace(column=column)
    return found


def _takes_columns(node: Any) -> bool:
    """Return whether a node gathers along the last axis of a table."""
    axes = [entry.i for entry in node.attribute if entry.name == "axis"]
    return node.op_type == "Gather" and axes in ([1], [-1])


def _add(found: Dict[str, Vocabulary], held: _Texts, node: Any) -> None:
    words = _unique(_words(node))
    if held.is_split:
        words = [" ".join(words[first : first + PHRASE]) for first in range(0, len(words), PHRASE)]
    if not words:
        return
    known = found.setdefault(held.source, Vocabulary({}, node.op_type))
    before = known.by_column.get(held.column, ())
    known.by_column[held.column] = tuple(_unique([*before, *words]))


def _words(node: Any) -> Iterator[str]:
    """Yield the words of a node; some of its attributes are missing."""
    from onnx import numpy_helper

    for attribute in node.attribute:
        if attribute.name in ATTRIBUTES[node.op_type]:
            held = attribute.strings
            if attribute.HasField("t"):
                held = numpy_helper.to_array(attribute.t).ravel().tolist()
            for word in held[:MOST_WORDS]:
                if isinstance(word, (bytes, str)):
                    yield word.decode("utf-8", "replace") if isinstance(word, bytes) else word


def _unique(words: Iterable[str]) -> List[str]:
    return list(dict.fromkeys(words))
