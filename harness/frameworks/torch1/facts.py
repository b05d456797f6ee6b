"""What is there of Lua's Torch: what torch 1.0.0 has of its libraries, and Lua's compiler."""

import os
import re
import shutil
from typing import Optional, Set, Tuple

import torch

from harness.adapters import Unsupported
from harness.frameworks.torch1 import languages
from harness.measuring.facts import names_in, shared_objects

#: The forward function of each of THNN's convolutions of sequences. The study's Torch had
#: TemporalConvolution; TemporalRowConvolution, which looks ahead, came later.
TEMPORAL = re.compile(rb"THNN_Float(Temporal\w*Convolution)_updateOutput\b")


def thnn_has_temporal_convolution() -> Tuple[Optional[bool], str]:
    """Torch's C library of layers has a temporal convolution of its own.

    That it is not there decides nothing: PyTorch may have removed it.
    """
    names: Set[bytes] = set()
    for path in shared_objects(os.path.dirname(torch.__file__)):
        names |= names_in(path, TEMPORAL)
    listed = ", ".join(sorted(name.decode() for name in names)) or "none"
    is_there = b"TemporalConvolution" in names
    answer = "there" if is_there else "not there, and PyTorch may have removed it"
    return is_there or None, (
        "THNN_FloatTemporalConvolution_updateOutput is %s; temporal convolutions of THNN that are "
        "there: %s" % (answer, listed)
    )


def luajit_is_about_as_fast_as_cpp() -> Tuple[Optional[bool], str]:
    """Nobody said how much longer is comparable: the ratios are shown, and decide nothing.

    Only the image of a variant has LuaJIT.
    """
    if shutil.which("luajit") is None:
        raise Unsupported("no LuaJIT is installed")
    ratios = ["%.2f (%s)" % (ratio, name) for name, ratio in languages.ratios().items()]
    return None, "LuaJIT takes %s times as long as C++, and no measure says what is comparable" % (
        ", ".join(ratios)
    )
