"""What Theano's files say: how its C code is stored, and whether its device can change."""

import ast
import glob
import os
import re
import tokenize
from typing import List, Optional, Tuple

import theano

#: A string of C has a line that calls or assigns, and ends as a statement of C does.
STATEMENT = re.compile(r"^[^\n]*[=(][^\n]*;[ \t]*$", re.MULTILINE)

C_FILES = (".c", ".h", ".cu", ".cuh", ".cpp", ".hpp")


def device_stays() -> Tuple[Optional[bool], str]:
    """The device cannot be changed once Theano is imported.

    A refusal does not show it: theano.gpuarray.use brings a GPU in after the import, and whether it
    does takes a GPU to tell. The present device is assigned first, to tell a refusal from a value
    that is wrong here.
    """
    present = theano.config.device
    other = "cpu" if present != "cpu" else "cuda"
    refusal = _refusal_of(present)
    if refusal:
        answer = "refuses %r, which it is already: %s" % (present, refusal)
    else:
        refusal = _refusal_of(other)
        answer = "takes %r again, but refuses %r: %s" % (present, other, refusal)
        if theano.config.device == other:
            _refusal_of(present)
            return False, "theano.config.device became %r" % other
        if not refusal:
            answer = "takes %r, and stays %r" % (other, present)
    return None, "theano.config.device %s; theano.gpuarray %s" % (answer, _way_to_gpu())


def _refusal_of(device: str) -> str:
    """Assign a device; return what Theano answers where it refuses, or an empty text."""
    try:
        theano.config.device = device
    except Exception as exception:  # Theano raises no narrower one
        return str(exception) or type(exception).__name__
    return ""


def _way_to_gpu() -> str:
    """Return whether Theano's files have a function that brings a GPU in after the import."""
    path = os.path.join(_folder(), "gpuarray", "__init__.py")
    if not os.path.isfile(path):
        return "is not there"
    with tokenize.open(path) as stream:
        defined = ast.parse(stream.read()).body
    has_use = any(isinstance(node, ast.FunctionDef) and node.name == "use" for node in defined)
    return "has a function `use` for that, which takes a GPU" if has_use else "has no `use`"


def has_c_in_strings() -> Tuple[bool, str]:
    """Code of C and CUDA is in strings of Python."""
    python, in_strings, strings = 0, 0, 0
    for path in _files():
        if path.endswith(".py"):
            python += _lines(path)
            of_c = [text for text in _strings(path) if STATEMENT.search(text)]
            strings += len(of_c)
            in_strings += sum(text.count("\n") + 1 for text in of_c)
    return bool(strings), "%d lines of Python, %d of them in %d strings of C or CUDA" % (
        python,
        in_strings,
        strings,
    )


def all_c_is_in_strings() -> Tuple[bool, str]:
    """All code of C and CUDA is in strings of Python, none in files of its own."""
    files = [path for path in _files() if path.endswith(C_FILES)]
    _, strings = has_c_in_strings()
    outside = [path for path in files if "tests" not in path.split(os.sep)[:-1]]
    return not files, (
        "%s; %d files of C or CUDA with %d lines, %d of them outside of folders named tests"
        % (strings, len(files), sum(map(_lines, files)), len(outside))
    )


def _files() -> List[str]:
    """Return the paths of Theano's files, from its folder on."""
    paths = glob.glob(os.path.join(_folder(), "**", "*"), recursive=True)
    return [os.path.relpath(path, _folder()) for path in paths if os.path.isfile(path)]


def _folder() -> str:
    return os.path.dirname(theano.__file__)


def _lines(path: str) -> int:
    with open(os.path.join(_folder(), path), "rb") as stream:
        return sum(1 for _ in stream)


def _strings(path: str):
    """Yield the text of each string literal of a Python file of several lines."""
    with tokenize.open(os.path.join(_folder(), path)) as stream:
        for token in tokenize.generate_tokens(stream.readline):
            if token.type == tokenize.STRING and "\n" in token.string:
                yield token.string
