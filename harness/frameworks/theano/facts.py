"""What Theano's files say: how its C code is stored, and whether its device can change."""

import glob
import os
import re
import tokenize
from typing import Tuple

import theano

#: A string of C has a line that calls or assigns, and ends as a statement of C does.
STATEMENT = re.compile(r"^[^\n]*[=(][^\n]*;[ \t]*$", re.MULTILINE)

C_FILES = (".c", ".h", ".cu", ".cuh", ".cpp", ".hpp")


def device_stays() -> Tuple[bool, str]:
    """The device cannot be changed once Theano is imported."""
    before = theano.config.device
    other = "cpu" if before != "cpu" else "cuda"
    try:
        theano.config.device = other
    except Exception as exception:
        return True, "theano.config.device = %r: %s" % (other, exception)
    return False, "theano.config.device became %r" % theano.config.device


def all_c_is_in_strings() -> Tuple[bool, str]:
    """All code of C and CUDA is in strings of Python, none in files of its own."""
    folder = os.path.dirname(theano.__file__)
    files = glob.glob(os.path.join(folder, "**", "*"), recursive=True)
    python, in_strings, strings = 0, 0, 0
    for path in files:
        if path.endswith(".py"):
            python += _lines(path)
            found = [text for text in _strings(path) if STATEMENT.search(text)]
            strings += len(found)
            in_strings += sum(text.count("\n") + 1 for text in found)
    of_c = [path for path in files if path.endswith(C_FILES)]
    return not of_c, (
        "%d lines of Python, %d of them in %d strings of C or CUDA; %d files of C or CUDA with %d "
        "lines" % (python, in_strings, strings, len(of_c), sum(map(_lines, of_c)))
    )


def _lines(path: str) -> int:
    with open(path, "rb") as stream:
        return sum(1 for _ in stream)


def _strings(path: str):
    """Yield the text of each string literal of a Python file of several lines."""
    with tokenize.open(path) as stream:
        for token in tokenize.generate_tokens(stream.readline):
            if token.type == tokenize.STRING and "\n" in token.string:
                yield token.string
